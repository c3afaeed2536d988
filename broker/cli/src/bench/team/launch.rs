//! Where the parts of a load run, and with which command each is started.

use clap::Args;

use crate::error::CliError;

/// Which processes make the load; this one alone, if none is asked for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several processes")]
pub(in crate::bench) struct Parts {
    /// Run on these hosts, over ssh; a host that is named twice runs two processes
    #[arg(
        long,
        value_name = "HOST,HOST",
        value_delimiter = ',',
        conflicts_with_all = ["containers", "processes"]
    )]
    on: Vec<String>,
    /// What reaches a host, given its name and a command; split at blanks
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "ssh -o BatchMode=yes -o ConnectTimeout=15"
    )]
    ssh_command: String,
    /// Where klamm is on the hosts
    #[arg(long, value_name = "PATH", default_value = "klamm")]
    remote_klamm: String,
    /// Run in so many containers
    #[arg(
        long,
        value_name = "N",
        requires = "image",
        conflicts_with = "processes",
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    containers: Option<u32>,
    /// The image of the containers; what it starts is klamm
    #[arg(long, value_name = "IMAGE", requires = "containers")]
    image: Option<String>,
    /// What starts a container, given its image and what klamm is to do; split at blanks
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "docker run --rm --interactive --network host"
    )]
    container_command: String,
    /// Run in so many processes on this machine
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    processes: Option<u32>,
}

/// One part of a load: what it is called, and the words that start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Member {
    pub(super) name: String,
    pub(super) command: Vec<String>,
}

/// What every part is told on its command line; the rest comes over its standard input.
const DO: [&str; 2] = ["bench", "part"];

impl Parts {
    /// The parts that are asked for, if there are any.
    ///
    /// # Errors
    /// A host or a command that cannot be one.
    pub(in crate::bench) fn members(&self) -> Result<Option<Vec<Member>>, CliError> {
        let members: Vec<Member> = if !self.on.is_empty() {
            let hosts = self.on.iter().enumerate();
            hosts
                .map(|(index, host)| self.on_host(index, host))
                .collect::<Result<_, _>>()?
        } else if let (Some(count), Some(image)) = (self.containers, &self.image) {
            let start = split(&self.container_command, "--container-command")?;
            let command = words(start, [image.as_str()].into_iter().chain(DO));
            named("container", count, &command)
        } else if let Some(count) = self.processes {
            let own = std::env::current_exe()?.to_string_lossy().into_owned();
            named("process", count, &words(vec![own], DO))
        } else {
            return Ok(None);
        };
        Ok(Some(members))
    }

    fn on_host(&self, index: usize, host: &str) -> Result<Member, CliError> {
        // ssh would take it for an option, of which some run commands here.
        if host.is_empty() || host.starts_with('-') || host.contains(char::is_whitespace) {
            return Err(CliError::Usage(format!("--on: {host:?} is no host")));
        }
        let before = self.on[..index].iter().filter(|other| *other == host);
        let name = match before.count() {
            0 => host.to_owned(),
            others => format!("{host} ({})", others + 1),
        };
        // ssh makes one line of its words, which the shell of the host takes apart again.
        let remote = [quoted(&self.remote_klamm).as_str(), DO[0], DO[1]].join(" ");
        let start = split(&self.ssh_command, "--ssh-command")?;
        Ok(Member {
            name,
            command: words(start, [host, remote.as_str()]),
        })
    }
}

fn named(kind: &str, count: u32, command: &[String]) -> Vec<Member> {
    let members = (1..=count).map(|number| Member {
        name: format!("{kind} {number}"),
        command: command.to_vec(),
    });
    members.collect()
}

fn words<'a>(mut start: Vec<String>, more: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    start.extend(more.into_iter().map(str::to_owned));
    start
}

fn split(command: &str, option: &str) -> Result<Vec<String>, CliError> {
    let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Err(CliError::Usage(format!("{option} is empty")));
    }
    Ok(words)
}

/// A word as a shell must be given it so that it remains one.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(no_binary_name = true)]
    struct Alone {
        #[command(flatten)]
        parts: Parts,
    }

    fn members(words: &[&str]) -> Result<Option<Vec<Member>>, CliError> {
        let alone = Alone::try_parse_from(words);
        let parts = alone.map_err(|error| CliError::Usage(error.to_string()))?;
        parts.parts.members()
    }

    #[test]
    fn each_part_has_a_name_and_a_command_that_says_nothing_of_the_load() {
        let check = |words: &[&str], expected: &[(&str, &[&str])]| {
            let members = members(words).expect("valid").expect("several");
            let found: Vec<_> = members
                .iter()
                .map(|one| {
                    (
                        one.name.as_str(),
                        one.command.iter().map(String::as_str).collect(),
                    )
                })
                .collect();
            let expected: Vec<(&str, Vec<&str>)> = (expected.iter())
                .map(|(name, command)| (*name, command.to_vec()))
                .collect();
            assert_eq!(found, expected);
        };
        check(
            &["--on=a,b,a", "--ssh-command=ssh  -p 23"],
            &[
                ("a", &["ssh", "-p", "23", "a", "klamm bench part"]),
                ("b", &["ssh", "-p", "23", "b", "klamm bench part"]),
                ("a (2)", &["ssh", "-p", "23", "a", "klamm bench part"]),
            ],
        );
        check(
            &[
                "--on=a",
                "--ssh-command=on",
                "--remote-klamm=/opt/it's; rm -rf /klamm",
            ],
            &[(
                "a",
                &["on", "a", r"'/opt/it'\''s; rm -rf /klamm' bench part"],
            )],
        );
        check(
            &[
                "--containers=1",
                "--image=klamm:1",
                "--container-command=podman run -i",
            ],
            &[(
                "container 1",
                &["podman", "run", "-i", "klamm:1", "bench", "part"],
            )],
        );
        assert_eq!(members(&[]).expect("valid"), None);
        assert_eq!(
            members(&["--processes=3"])
                .expect("valid")
                .map(|all| all.len()),
            Some(3)
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let check = |words: &[&str], text: &str| {
            let refused = members(words).expect_err(text).to_string();
            assert!(refused.contains(text), "{refused}");
        };
        check(&["--on=-oProxyCommand=reboot"], "is no host");
        check(&["--on=a,,b"], "is no host");
        check(&["--on=a b"], "is no host");
        check(&["--on=a", "--ssh-command= "], "--ssh-command is empty");
        check(&["--containers=1"], "--image");
        check(&["--on=a", "--processes=2"], "cannot be used with");
    }
}
