//! Where settings are given: a file, the environment, the command line; the later win.
//!
//! The environment is read here and nowhere else. `KLAMM_LOG_DIRS` is `log.dirs`: no setting has
//! a `_` in its name, so each `_` is a `.`. Settings that begin with `klamm.` need not say it
//! twice: `KLAMM_LOG_LEVEL` is `klamm.log.level`, since there is no `log.level`.

use std::io::Read;
use std::path::{Path, PathBuf};

use klamm_metadata::{Configs, Setting};

use super::properties::{self, PropertiesError};
use super::{BROKER_SETTINGS, SettingsError};

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file of properties; the weakest.
    pub file: Option<PathBuf>,
    /// Pairs of the environment; those that do not begin with `KLAMM_` are passed over.
    pub environment: Vec<(String, String)>,
    /// Pairs of the command line; the strongest.
    pub set: Vec<(String, String)>,
}

/// Far more than all settings together: whatever is larger is another kind of file.
const FILE_BYTES_MAX: u64 = 1 << 20;

const PREFIX: &str = "KLAMM_";
/// `KLAMM_BOOTSTRAP` tells the client commands which cluster to ask; it is no setting.
const OF_THE_CLIENT: &str = "BOOTSTRAP";

/// The process's environment. Variables that are not UTF-8 are none of ours.
pub fn process_environment() -> Vec<(String, String)> {
    let pairs = std::env::vars_os();
    pairs
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect()
}

impl Sources {
    /// Everything that is given, under the settings' own names, unchecked but for the names.
    pub(super) fn gather(&self) -> Result<Configs, SettingsError> {
        let mut given = Configs::new();
        if let Some(path) = &self.file {
            for (key, value, line) in read(path)? {
                known(&key, || format!("{}:{line}", path.display()))?;
                given.insert(key, value);
            }
        }
        for (variable, value) in &self.environment {
            let Some(rest) = variable
                .strip_prefix(PREFIX)
                .filter(|rest| !is_of_a_service(rest) && *rest != OF_THE_CLIENT)
            else {
                continue;
            };
            given.insert(setting_of(variable, rest)?, value.clone());
        }
        for (key, value) in &self.set {
            known(key, || "--set".to_owned())?;
            given.insert(key.clone(), value.clone());
        }
        Ok(given)
    }
}

fn read(path: &Path) -> Result<Vec<(String, String, usize)>, SettingsError> {
    let text = read_text(path).map_err(|error| {
        let path = path.to_owned();
        SettingsError::Unreadable {
            path,
            error: error.to_string(),
        }
    })?;
    properties::parse(&text).map_err(|error: PropertiesError| SettingsError::Malformed {
        path: path.to_owned(),
        error,
    })
}

#[expect(clippy::disallowed_methods, reason = "the settings file is read here")]
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(
            "larger than 1 MiB, so it is no file of settings",
        ));
    }
    Ok(text)
}

fn known(key: &str, place: impl Fn() -> String) -> Result<&'static Setting, SettingsError> {
    BROKER_SETTINGS
        .get(key)
        .ok_or_else(|| SettingsError::Unknown {
            key: key.to_owned(),
            place: place(),
            nearest: BROKER_SETTINGS.nearest(key),
        })
}

/// Container platforms announce a service named "klamm" in variables of this form.
fn is_of_a_service(rest: &str) -> bool {
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

fn setting_of(variable: &str, rest: &str) -> Result<String, SettingsError> {
    let key = rest.to_lowercase().replace('_', ".");
    let ours = format!("klamm.{key}");
    if BROKER_SETTINGS.get(&ours).is_some() {
        return Ok(ours);
    }
    known(&key, || variable.to_owned())?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variable: &str) -> Result<Configs, String> {
        let environment = vec![(variable.to_owned(), "v".to_owned())];
        let sources = Sources {
            environment,
            ..Sources::default()
        };
        sources.gather().map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_names_one_setting() {
        let check = |variable: &str, expected: Option<&str>| {
            let given = environment(variable).expect(variable);
            let given: Vec<_> = given.keys().map(String::as_str).collect();
            assert_eq!(
                given,
                expected.into_iter().collect::<Vec<_>>(),
                "{variable}"
            );
        };
        check("KLAMM_LOG_DIRS", Some("log.dirs"));
        check("KLAMM_LOG_LEVEL", Some("klamm.log.level"));
        check("KLAMM_KLAMM_LOG_LEVEL", Some("klamm.log.level"));
        check("KLAMM_SERVICE_HOST", None);
        check("KLAMM_PORT_9092_TCP", None);
        check("KLAMM_BOOTSTRAP", None);
        check("HOME", None);
    }

    #[test]
    fn no_setting_hides_another_in_the_environment() {
        for row in BROKER_SETTINGS.rows() {
            assert!(!row.name.contains(['_', '-']), "{}", row.name);
            assert_eq!(row.name, row.name.to_lowercase());
            let ours = format!("klamm.{}", row.name);
            assert!(
                BROKER_SETTINGS.rows().all(|other| other.name != ours),
                "{ours}"
            );
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_refused_and_corrected() {
        assert_eq!(
            environment("KLAMM_NUM_PARTITION"),
            Err(
                "unknown setting, did you mean num.partitions? setting=num.partition given_in=KLAMM_NUM_PARTITION"
                    .into()
            ),
        );
        assert_eq!(
            environment("KLAMM_QWERTZUIOP"),
            Err("unknown setting, see docs/settings.md setting=qwertzuiop given_in=KLAMM_QWERTZUIOP".into()),
        );
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let pair = |k: &str, v: &str| vec![(k.to_owned(), v.to_owned())];
        let sources = Sources {
            file: None,
            environment: pair("KLAMM_NUM_PARTITIONS", "2"),
            set: pair("num.partitions", "3"),
        };
        let given = sources.gather().expect("both are known");
        assert_eq!(given["num.partitions"], "3");
    }
}
