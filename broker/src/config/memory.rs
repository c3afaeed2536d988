//! How much memory the process may use: the machine's, or less where a container says so.

/// In bytes.
pub(super) fn size_bytes() -> u64 {
    let of_machine = rustix::system::sysinfo();
    let bytes = u64::from(of_machine.mem_unit).saturating_mul(of_machine.totalram);
    bytes.min(of_container().unwrap_or(u64::MAX))
}

/// The limit of the control group (version 2, then 1), as seen from inside a container.
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel tells its limits in files"
)]
fn of_container() -> Option<u64> {
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    files
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
}
