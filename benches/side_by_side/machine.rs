//! What the kernel counts: stolen time, CPU time and memory of a process.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Above this share of stolen time a second tells about the neighbours, not about a broker.
const STEAL_MAX: f64 = 0.02;
/// Linux counts CPU time of processes in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Lets threads that sleep wake within microseconds of the time they asked for; threads that are
/// started later inherit it.
pub(crate) fn ask_for_precise_timers() -> std::io::Result<()> {
    std::fs::write("/proc/self/timerslack_ns", "1")
}

/// Processor, number of cores, kernel, and the client.
pub(crate) fn description() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map_or("unknown processor", |name| {
        name.trim_start_matches(['\t', ' ', ':'])
    });
    let cores = cores();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (_, client) = rdkafka::util::get_rdkafka_version();
    format!(
        "{cores} cores of {name}, Linux {}, librdkafka {client}",
        kernel.trim()
    )
}

/// How many cores there are.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// User and system time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name of the program, in parentheses, may hold spaces.
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
    match (ticks.next(), ticks.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(Duration::from_secs_f64(
            (user + system) as f64 / TICKS_PER_SECOND,
        )),
        _ => Err(format!("{path}: not as expected")),
    }
}

/// [`cpu_time`] of several processes together.
pub(crate) fn cpu_time_of(pids: &[u32]) -> Result<Duration, String> {
    pids.iter().map(|pid| cpu_time(*pid)).sum()
}

/// Resident memory of a process.
pub(crate) fn resident_mib(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib
        .and_then(|kib| kib.parse().ok())
        .ok_or(format!("{path}: no VmRSS"))?;
    Ok(kib / 1024.0)
}

/// Counts the instructions of processes with `perf stat`, in user mode and in the kernel; on many
/// virtual machines, and without `perf`, nobody counts.
pub(crate) struct InstructionCount(Option<Child>);

impl InstructionCount {
    pub(crate) fn start(pids: &[u32]) -> Self {
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        let mut command = Command::new("perf");
        command
            .args(["stat", "-x,", "-e", "instructions", "-p", &pids.join(",")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self(command.spawn().ok())
    }

    /// How many, if they were counted.
    pub(crate) fn stop(self) -> Option<u64> {
        let child = self.0?;
        let pid = child.id().to_string();
        // If it cannot be asked to, it has ended, which is what it does where nobody counts.
        let _ = Command::new("kill").args(["-INT", &pid]).output();
        let output = child.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains(",instructions"))?;
        line.split(',').next()?.parse().ok()
    }
}

/// Watches stolen time, second by second, while something is measured.
pub(crate) struct StealWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<u64>>,
}

impl StealWatch {
    /// Starts watching; seconds count from `origin`.
    pub(crate) fn start(origin: Instant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked_to_stop = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut disturbed = BTreeSet::new();
            let mut before = total_and_steal();
            for second in 0.. {
                let until = origin + Duration::from_secs(second + 1);
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                let now = total_and_steal();
                let (total, steal) = (now.0 - before.0, now.1 - before.1);
                if total > 0.0 && steal / total > STEAL_MAX {
                    disturbed.insert(second);
                }
                before = now;
                if asked_to_stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            disturbed
        });
        Self { stop, thread }
    }

    /// The seconds in which more than [`STEAL_MAX`] was stolen.
    pub(crate) fn disturbed_seconds(self) -> BTreeSet<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only reads a file")
    }
}

/// Time of all processors since boot, in ticks: all of it, and what was stolen.
fn total_and_steal() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guest time is counted in user time already.
    let ticks: Vec<f64> = first
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|tick| tick.parse().ok())
        .collect();
    (ticks.iter().sum(), ticks.last().copied().unwrap_or(0.0))
}
