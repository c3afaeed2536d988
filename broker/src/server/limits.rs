//! Whether the system allows what the partitions that are there may need.

use rustix::process::{Resource, getrlimit};

use crate::metrics::process::mappings_max;
use crate::shard::Shard;

/// Open files of a partition: its log, its indexes, and the next segment that lies ready.
const FILES_EACH: usize = 10;
/// Open files of most partitions: three or four, and sometimes the next segment.
const FILES_USUALLY: usize = 5;
/// Mappings of a partition: of the active segment, and of the next.
const MAPPINGS_EACH: usize = 2;
/// Mappings of a log directory: closed segments that are read.
const MAPPINGS_OF_DIR: usize = crate::log_dirs::MAPPINGS_MAX;
/// What the process has besides: its program, its threads.
const MAPPINGS_OF_PROCESS: usize = 500;
/// A broker with less would be of no use: it starts with a warning about its limit instead, and
/// partitions that hold no files answer with an error that clients retry.
const AFFORDABLE_AT_LEAST: usize = 100;
/// However much the system allows, each partition also takes memory and room on the disk.
const AFFORDABLE_AT_MOST: usize = 20_000;

/// Says which limit is too low.
pub(super) fn check(shard: &Shard) {
    let partitions = shard.topics.borrow().partitions().count();
    let dirs = shard.log_dirs.iter().count();
    for shortage in Limits::of_process().shortages(partitions, dirs) {
        tracing::warn!("{shortage}");
    }
}

/// How many partitions there may be unless somebody says: half of the files are for connections.
/// The limit of the process has to be raised before.
pub(super) fn partitions_affordable(dirs: usize) -> usize {
    Limits::of_process().partitions_affordable(dirs)
}

/// `None` is without limit, or not known.
struct Limits {
    files: Option<u64>,
    mappings: Option<u64>,
}

impl Limits {
    fn of_process() -> Self {
        Self {
            files: getrlimit(Resource::Nofile).current,
            mappings: mappings_max(),
        }
    }

    fn partitions_affordable(&self, dirs: usize) -> usize {
        let by = |limit: Option<u64>, taken: usize, each: usize| {
            let limit = limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            });
            limit.saturating_sub(taken) / each
        };
        let by_files = by(self.files, 0, 2 * FILES_USUALLY);
        let mappings_taken = dirs * MAPPINGS_OF_DIR + MAPPINGS_OF_PROCESS;
        let by_mappings = by(self.mappings, mappings_taken, MAPPINGS_EACH);
        by_files
            .min(by_mappings)
            .clamp(AFFORDABLE_AT_LEAST, AFFORDABLE_AT_MOST)
    }

    fn shortages(&self, partitions: usize, dirs: usize) -> Vec<String> {
        let files = (partitions * FILES_EACH) as u64;
        let mappings =
            (partitions * MAPPINGS_EACH + dirs * MAPPINGS_OF_DIR + MAPPINGS_OF_PROCESS) as u64;
        let of_files = self.files.filter(|limit| *limit < files).map(|limit| {
            format!(
                "{partitions} partitions may need {files} open files, and only {limit} are \
                 allowed: raise the limit (ulimit -Hn, LimitNOFILE of systemd, --ulimit nofile of \
                 docker), or some of them will go offline"
            )
        });
        let of_mappings = self.mappings.filter(|limit| *limit < mappings);
        let of_mappings = of_mappings.map(|limit| {
            format!(
                "{partitions} partitions may need {mappings} mappings, and only {limit} are \
                 allowed: raise vm.max_map_count (sysctl -w vm.max_map_count={})",
                mappings.next_power_of_two()
            )
        });
        of_files.into_iter().chain(of_mappings).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_of_files_and_mappings_says_how_many_partitions_there_may_be() {
        let check = |files, mappings, dirs, expected| {
            let found = Limits { files, mappings }.partitions_affordable(dirs);
            assert_eq!(found, expected, "{files:?} {mappings:?} {dirs}");
        };
        check(Some(16_384), Some(65_530), 1, 1_638);
        check(Some(1 << 20), Some(20_596), 1, 8_000);
        check(Some(1 << 20), Some(20_596), 2, 5_952);
        check(Some(256), Some(65_530), 1, 100);
        check(None, Some(0), 1, 100);
        check(None, None, 1, 20_000);
    }

    #[test]
    fn only_a_limit_that_is_too_low_is_named() {
        let check = |files, mappings, partitions, expected: &[&str]| {
            let found = Limits { files, mappings }.shortages(partitions, 1);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{found}");
            }
        };
        check(Some(16_384), Some(65_530), 1_000, &[]);
        check(None, None, 1_000_000, &[]);
        check(Some(9_999), Some(65_530), 1_000, &["need 10000 open files"]);
        check(
            Some(1 << 20),
            Some(65_530),
            31_000,
            &["vm.max_map_count=131072"],
        );
    }
}
