//! The system's limit of open files: raised as far as it goes, and what follows from it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this a broker with a few thousand partitions or clients gets into trouble.
const COMFORTABLE: u64 = 16_384;

/// Raises the limit of this process to what it is allowed, and says so if that is little. Returns
/// how many connections there may be: half of the files, since a partition without files loses
/// its service and a client without a connection waits.
pub(super) fn raise_limit() -> usize {
    let limit = raised();
    if limit < COMFORTABLE {
        tracing::warn!(
            "only {limit} files can be open at once: a partition needs about ten, a connection \
             one; raise the limit (ulimit -Hn, LimitNOFILE of systemd, --ulimit nofile of docker)"
        );
    }
    usize::try_from(limit / 2).unwrap_or(usize::MAX)
}

fn raised() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
            current.unwrap_or(u64::MAX)
        }
    }
}
