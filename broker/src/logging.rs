//! What the process writes about itself, on the standard error output: for people, coloured on a
//! terminal, or one JSON object per line.

use std::io::IsTerminal;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{DiagnosticsConfig, LogFormat};

/// Starts it, once per process; a second call has no effect.
pub fn start(config: &DiagnosticsConfig) {
    let filter: Targets = config.log_level.parse().unwrap_or_default();
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
    // Fails only where something else is set up already, as in tests.
    let _ = tracing_subscriber::registry().with(output).try_init();
}
