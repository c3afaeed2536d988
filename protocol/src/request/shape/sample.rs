//! Well-formed request frames drawn from a seed: what tests decode, and fuzzing damages.

use bytes::Bytes;

use super::{Field, Kind, table};
use crate::api::ApiKey;
use crate::wire::Writer;

/// Elements of an array at the most.
const ELEMENTS_MAX: u64 = 4;

/// The frame of a request of this API and version, without its length; another seed, another
/// frame. No value is null, no field tagged.
pub fn sample_frame(key: ApiKey, version: i16, seed: u64) -> Bytes {
    let flexible = key.api().is_flexible(version);
    let mut sample = Sample {
        writer: Writer::new(256, false),
        state: seed,
    };
    sample.writer.int32(0); // the length, cut off below
    sample.writer.int16(key.code());
    sample.writer.int16(version);
    let correlation_id = sample.draw() as i32;
    sample.writer.int32(correlation_id);
    sample.writer.text("sampler");
    sample.writer.set_flexible(flexible);
    sample.writer.no_tags();
    sample.fields(table::fields(key), version);
    let (pieces, _) = sample.writer.into_frame();
    pieces[0].slice(4..)
}

struct Sample {
    writer: Writer,
    state: u64,
}

impl Sample {
    fn fields(&mut self, fields: &[Field], version: i16) {
        for field in fields {
            if field.from <= version && version <= field.to {
                self.field(&field.kind, version);
            }
        }
        self.writer.no_tags();
    }

    fn field(&mut self, kind: &Kind, version: i16) {
        match kind {
            // May be a boolean, of which one form alone is written back.
            Kind::Fixed(1) => {
                let value = self.draw() & 1 == 1;
                self.writer.boolean(value);
            }
            Kind::Fixed(bytes) => {
                for _ in 0..*bytes {
                    let byte = self.draw() as u8;
                    self.writer.raw(&[byte]);
                }
            }
            Kind::Text => {
                let length = self.draw() as usize % 12;
                self.writer.text(&"sampled-text"[..length]);
            }
            Kind::Blob => {
                let length = self.draw() as usize % 100;
                self.writer.count(length);
                self.writer.raw(&[0xab; 100][..length]);
            }
            Kind::Structs(_, fields) => {
                for _ in 0..self.count() {
                    self.fields(fields, version);
                }
            }
            Kind::List(_, element) => {
                for _ in 0..self.count() {
                    self.field(element, version);
                }
            }
            Kind::Optional(fields) => {
                if self.draw() & 1 == 1 {
                    self.writer.raw(&[1]);
                    self.fields(fields, version);
                } else {
                    self.writer.raw(&[0xff]);
                }
            }
        }
    }

    fn count(&mut self) -> usize {
        let count = (self.draw() % (ELEMENTS_MAX + 1)) as usize;
        self.writer.count(count);
        count
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
