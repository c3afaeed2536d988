//! The end that wants a log: a thread takes a copy in, from the first byte to the last check.
//!
//! What the source loses or adds meanwhile shows in a new manifest; what has come stays. When little is
//! missing the copy is finished: the rest follows entry by entry.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use klamm_model::{Offset, TopicId, TopicPartition};
use klamm_storage::{CopyError, LogCopy, LogDir, LogManifest, MalformedManifest, Part};

use super::serving::read_frame;
use super::throttle::Throttle;
use super::wire::{PART_BYTES, REPLY_BYTES_MAX, Reply, Wanted};
use crate::peer::socket::LinkError;
use crate::peer::wire::{Address, GREETING_BYTES_MAX, Greeting, Group, Welcome};

/// For a connection and its greeting.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// For an answer: the other may read its disk for it, and be throttled.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// If so little was added while the rest was copied, the copy is finished with that.
const REST_BYTES: u64 = 16 << 20;
/// Manifests of one copy at most: a source that adds faster than can be copied is followed as far as
/// this, and then entry by entry.
const MANIFESTS_MAX: usize = 64;

/// What is to be copied, from where to where.
pub(crate) struct Pull {
    pub(crate) source: Address,
    pub(crate) greeting: Greeting,
    pub(crate) group: Group,
    pub(crate) dir: Arc<LogDir>,
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: TopicId,
    /// If this replica is throttled.
    pub(crate) throttle: Option<Arc<Throttle>>,
    /// Set when nobody wants the copy any more.
    pub(crate) called_off: Arc<AtomicBool>,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// No connection, or none any more.
    #[error("the connection to the other broker failed: {0}")]
    Link(#[from] LinkError),
    /// The other broker has no copy to give.
    #[error("the other broker gives no copy: {0}")]
    Refused(String),
    /// What it calls a manifest is none.
    #[error(transparent)]
    Manifest(#[from] MalformedManifest),
    /// The log directory here does not take it.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Nobody wants it any more.
    #[error("it was called off")]
    CalledOff,
}

/// Takes a copy in, ready to take the place of the log. What is left of one that failed is removed with
/// the next, or when the log directory is opened. Waits for network and disk: for a thread of its own.
pub(crate) fn pull(pull: &Pull) -> Result<LogCopy, PullError> {
    let mut source = Source::connect(pull)?;
    let manifest = source.manifest()?;
    tracing::info!(partition = %pull.partition, source = %pull.source,
        size_bytes = manifest.size_bytes(), "a copy of the log begins");
    let begun = pull
        .dir
        .begin_copy(&pull.partition, pull.topic_id, &manifest);
    let mut copy = begun?;
    match take_in(pull, &mut source, &mut copy) {
        Ok(()) => Ok(copy),
        Err(error) => {
            discard(copy);
            Err(error)
        }
    }
}

/// Removes a copy that nobody wants. Waits for the disk.
pub(crate) fn discard(copy: LogCopy) {
    let partition = copy.topic_partition().clone();
    if let Err(error) = copy.discard() {
        tracing::warn!(%partition, %error, "what is left of a copy cannot be removed");
    }
}

fn take_in(pull: &Pull, source: &mut Source, copy: &mut LogCopy) -> Result<(), PullError> {
    let mut manifests = 1;
    loop {
        take_parts(pull, source, copy)?;
        // Meanwhile the log has gone on.
        let manifest = source.manifest()?;
        let added = manifest
            .size_bytes()
            .saturating_sub(copy.manifest().size_bytes());
        if added <= REST_BYTES || manifests == MANIFESTS_MAX {
            break;
        }
        copy.renew(&manifest)?;
        manifests += 1;
    }
    Ok(copy.finish()?)
}

/// Until nothing that the manifest lists is missing.
fn take_parts(pull: &Pull, source: &mut Source, copy: &mut LogCopy) -> Result<(), PullError> {
    while let Some((base_offset, part, position)) = copy.next_missing() {
        if pull.called_off.load(Ordering::Relaxed) {
            return Err(PullError::CalledOff);
        }
        match source.part(copy.manifest(), base_offset, part, position)? {
            Some(bytes) => {
                if let Some(throttle) = &pull.throttle {
                    super::wait(throttle.count(bytes.len()));
                }
                copy.write(base_offset, part, position, &[bytes])?;
            }
            None => {
                let manifest = source.manifest()?;
                copy.renew(&manifest)?;
            }
        }
    }
    Ok(())
}

/// The other end.
struct Source {
    stream: TcpStream,
    group: Group,
}

impl Source {
    fn connect(pull: &Pull) -> Result<Self, PullError> {
        let mut stream = connect(&pull.source).map_err(LinkError::from)?;
        greet(&mut stream, &pull.greeting)?;
        let group = pull.group;
        Ok(Self { stream, group })
    }

    fn ask(&mut self, wanted: &Wanted) -> Result<Reply, LinkError> {
        self.stream.write_all(&wanted.encode(self.group))?;
        let reply = read_frame(&mut self.stream, REPLY_BYTES_MAX)?;
        Ok(Reply::decode(reply)?)
    }

    /// Waits while the source's log is being changed.
    fn manifest(&mut self) -> Result<LogManifest, PullError> {
        /// Compactions put their results in place one after the other.
        const TRIES: usize = 300;
        const PAUSE: Duration = Duration::from_millis(100);
        for _ in 0..TRIES {
            match self.ask(&Wanted::Manifest)? {
                Reply::Manifest(bytes) => return Ok(LogManifest::decode(&bytes)?),
                Reply::Gone => super::wait(PAUSE),
                Reply::Refused(reason) => return Err(PullError::Refused(reason)),
                Reply::Part(_) => return Err(not_asked_for()),
            }
        }
        Err(PullError::Refused("its log keeps changing".to_owned()))
    }

    /// `None` if another manifest is needed.
    fn part(
        &mut self,
        manifest: &LogManifest,
        base_offset: Offset,
        part: Part,
        position: u64,
    ) -> Result<Option<Bytes>, PullError> {
        let wanted = manifest.wanted_part(base_offset, part, (position, PART_BYTES));
        let wanted = wanted.expect("what is missing is listed");
        match self.ask(&Wanted::Part(wanted))? {
            Reply::Part(bytes) if !bytes.is_empty() => Ok(Some(bytes)),
            Reply::Gone => Ok(None),
            Reply::Refused(reason) => Err(PullError::Refused(reason)),
            Reply::Part(_) | Reply::Manifest(_) => Err(not_asked_for()),
        }
    }
}

fn not_asked_for() -> PullError {
    LinkError::Here("it answers what was not asked").into()
}

/// To the first of its addresses that answers.
fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for resolved in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, CONNECT_TIME) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(CONNECT_TIME))?;
                stream.set_write_timeout(Some(ANSWER_TIME))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn greet(stream: &mut TcpStream, greeting: &Greeting) -> Result<(), LinkError> {
    stream.write_all(&greeting.encode())?;
    let answer = read_frame(stream, GREETING_BYTES_MAX)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    match Welcome::decode(answer)? {
        Ok(_) => Ok(()),
        Err(reason) => Err(LinkError::Refused(reason)),
    }
}
