//! The command line of the runner.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: conformance [run|install|list] [options] [FILTER...]
  FILTER              GROUP or GROUP/PART-OF-A-CHECK; none selects every group
  --target TARGET     klamm (default) or kafka; also KLAMM_CONFORMANCE_TARGET
  --brokers N         how many brokers of klamm form the cluster, default 1
  --binary FILE       the klamm binary, default target/release/klamm; also KLAMM_BINARY
  --keep              keep data and logs of groups that passed, too
  --list              name the groups and stop";

/// Which broker is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Klamm,
    Kafka,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Klamm => "klamm",
            Self::Kafka => "kafka",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "klamm" => Ok(Self::Klamm),
            "kafka" => Ok(Self::Kafka),
            other => Err(format!(
                "unknown target, klamm or kafka expected target={other}"
            )),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Install,
    List,
    Help,
}

/// What the command line and the environment ask for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) command: Command,
    pub(crate) target: Target,
    /// How many brokers of ours form the cluster.
    pub(crate) brokers: usize,
    pub(crate) keep: bool,
    pub(crate) binary: Option<PathBuf>,
    pub(crate) filters: Vec<String>,
}

impl Args {
    /// Options win over the environment.
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self::from_environment()?;
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = |name: &str| {
                args.next()
                    .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))
            };
            match arg.as_str() {
                "run" => parsed.command = Command::Run,
                "install" => parsed.command = Command::Install,
                "list" | "--list" => parsed.command = Command::List,
                "help" | "--help" | "-h" => parsed.command = Command::Help,
                "--target" => parsed.target = Target::parse(&value("--target")?)?,
                "--binary" => parsed.binary = Some(PathBuf::from(value("--binary")?)),
                "--brokers" => {
                    let count = value("--brokers")?.parse().ok().filter(|count| *count > 0);
                    parsed.brokers = count.ok_or("--brokers needs a number")?;
                }
                "--keep" => parsed.keep = true,
                option if option.starts_with('-') => {
                    return Err(format!("unknown option option={option}\n{USAGE}"));
                }
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        Ok(parsed)
    }

    fn from_environment() -> Result<Self, String> {
        let target = match std::env::var("KLAMM_CONFORMANCE_TARGET") {
            Ok(name) => Target::parse(&name)?,
            Err(_) => Target::Klamm,
        };
        Ok(Self {
            command: Command::Run,
            target,
            brokers: 1,
            keep: false,
            binary: std::env::var("KLAMM_BINARY").ok().map(PathBuf::from),
            filters: Vec::new(),
        })
    }

    /// The part of a check's name that filters ask for in this group; `None` when the group is not
    /// selected, empty when all of it is.
    pub(crate) fn check_filter(&self, group: &str) -> Option<String> {
        if self.filters.is_empty() {
            return Some(String::new());
        }
        self.filters.iter().find_map(|filter| {
            let (name, check) = filter.split_once('/').unwrap_or((filter, ""));
            (name == group).then(|| check.to_owned())
        })
    }
}
