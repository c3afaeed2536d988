//! What the process writes about itself, on the standard error output: for people, coloured on a
//! terminal, or one JSON object per line. How much it writes can be changed while it runs.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{DiagnosticsConfig, Impossible, LogFormat, checked_log_level};

/// Changes how much is written; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogControl {
    level: Arc<Mutex<String>>,
    filter: reload::Handle<Targets, Registry>,
}

/// Why the level stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    /// It is none.
    #[error(transparent)]
    Level(#[from] Impossible),
    /// Nothing listens any more.
    #[error("the log cannot be changed: {0}")]
    Log(#[from] reload::Error),
}

/// Starts it, once per process; a second call has no effect.
pub fn start(config: &DiagnosticsConfig) -> LogControl {
    let (output, control) = prepare(config);
    // Fails only where something else is set up already, as in tests.
    let _ = tracing_subscriber::registry().with(output).try_init();
    control
}

pub(crate) fn prepare(
    config: &DiagnosticsConfig,
) -> (Box<dyn Layer<Registry> + Send + Sync>, LogControl) {
    let filter: Targets = config.log_level.parse().unwrap_or_default();
    let (filter, handle) = reload::Layer::new(filter);
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let output = match config.log_format {
        LogFormat::Json => output.json().with_filter(filter).boxed(),
        LogFormat::Text => {
            let coloured = std::io::stderr().is_terminal();
            output
                .with_ansi(coloured)
                .with_target(false)
                .with_filter(filter)
                .boxed()
        }
    };
    let control = LogControl {
        level: Arc::new(Mutex::new(config.log_level.clone())),
        filter: handle,
    };
    (output, control)
}

impl LogControl {
    /// What is written at present, in the form of `klamm.log.level`.
    pub fn level(&self) -> String {
        self.level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes more or less from now on, until the process ends. Returns the level as it is now.
    ///
    /// # Errors
    /// `level` is not what `klamm.log.level` could be.
    pub fn set_level(&self, level: &str) -> Result<String, LogLevelError> {
        let level = checked_log_level(level)?;
        let filter: Targets = level
            .parse()
            .map_err(|_| Impossible::LogLevel(level.clone()))?;
        self.filter.reload(filter)?;
        self.level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&level);
        tracing::info!("the log level is now {level}");
        Ok(level)
    }
}
