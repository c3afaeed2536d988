//! What the system knows of the process. Read at each scrape, on the admin port's thread.
#![expect(
    clippy::disallowed_methods,
    reason = "what the kernel says of the process lies in /proc, not on a broker's disk"
)]

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// See the [module](self). What cannot be read is `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessStats {
    /// CPU time of all threads since the start.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    /// `None` is without limit.
    pub(crate) open_files_max: Option<u64>,
}

impl ProcessStats {
    pub(crate) fn read() -> Self {
        Self {
            cpu: cpu_time(ClockId::ProcessCPUTime),
            resident_bytes: resident_bytes(),
            open_files: std::fs::read_dir("/proc/self/fd")
                .ok()
                // The directory that is being read is one of them.
                .map(|files| (files.count() as u64).saturating_sub(1)),
            open_files_max: getrlimit(Resource::Nofile).current,
        }
    }
}

/// CPU time of the thread that asks.
pub(crate) fn thread_cpu_time() -> Duration {
    cpu_time(ClockId::ThreadCPUTime)
}

fn cpu_time(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(tv_nsec).unwrap_or(0))
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// How many mappings a process may have (`vm.max_map_count`).
pub(crate) fn mappings_max() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_this_process() {
        let stats = ProcessStats::read();
        assert!(stats.resident_bytes > Some(100_000));
        assert!(stats.open_files >= Some(3));
        assert!(stats.cpu > Duration::ZERO && stats.cpu >= thread_cpu_time());
        assert!(mappings_max() > Some(1_000));
    }
}
