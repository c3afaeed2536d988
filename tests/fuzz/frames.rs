//! Request frames of every served API and version, damaged.

use bytes::Bytes;
use klamm_protocol::request::sample_frame;
use klamm_protocol::wire::{DECODE_BYTES_PER_FRAME_BYTE, DECODE_SLACK_BYTES};
use klamm_protocol::{APIS, FrameDecoder};

use crate::budget::{allocated, alone, rounds};
use crate::damage::{Draw, damage};
use crate::targets;

/// Key, version and correlation id: damage here mostly ends in "unsupported".
const FIXED_HEADER_BYTES: usize = 8;
/// What an error value and the sharing of a buffer take, beside the message.
const OVERHEAD_BYTES: usize = 4_096;

#[test]
fn damaged_requests_neither_panic_nor_allocate_beyond_their_budget() {
    let _alone = alone();
    let versions: Vec<_> = APIS
        .iter()
        .flat_map(|api| (api.accepted_min..=api.max).map(|version| (api.key, version)))
        .collect();
    let mut decoded = 0_u64;
    let rounds = rounds(1_000_000);
    for round in 0..rounds {
        let mut draw = Draw(round);
        let (key, version) = versions[round as usize % versions.len()];
        let mut bytes = sample_frame(key, version, draw.next()).to_vec();
        let from = if draw.below(20) == 0 {
            0
        } else {
            FIXED_HEADER_BYTES
        };
        damage(&mut bytes, from, &mut draw);
        let frame = Bytes::from(bytes);
        let length = frame.len();
        let (is_whole, allocated) = allocated(|| targets::request(frame));
        let bound = DECODE_SLACK_BYTES + DECODE_BYTES_PER_FRAME_BYTE * length + OVERHEAD_BYTES;
        assert!(
            allocated <= bound,
            "{key} v{version} allocates too much: round={round} {allocated} of {bound}"
        );
        decoded += u64::from(is_whole);
    }
    // Both sides are visited: damage that is found, and damage that makes another request.
    assert!(
        decoded > rounds / 20 && decoded < rounds,
        "{decoded} of {rounds} decode"
    );
}

#[test]
fn frames_come_out_the_same_however_the_stream_is_cut() {
    // What it allocates must not count against the test beside it.
    let _alone = alone();
    for round in 0..200 {
        let mut draw = Draw(round);
        let frames: Vec<Vec<u8>> = (0..draw.below(20))
            .map(|_| vec![draw.next() as u8; draw.below(100)])
            .collect();
        let mut stream = Vec::new();
        for frame in &frames {
            stream.extend_from_slice(&(frame.len() as i32).to_be_bytes());
            stream.extend_from_slice(frame);
        }
        let mut decoder = FrameDecoder::new(1_000);
        let mut found = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (part, after) = rest.split_at(1 + draw.below(rest.len().min(64)));
            decoder.buffer().extend_from_slice(part);
            rest = after;
            while let Some(frame) = decoder.next_frame().expect("lengths are right") {
                found.push(frame.to_vec());
            }
        }
        assert_eq!(found, frames, "round={round}");
    }
}
