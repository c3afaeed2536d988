//! Why the broker does not start with the settings it was given, and what to do about it.

use std::path::PathBuf;

use klamm_metadata::ConfigError;

use super::properties::PropertiesError;

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there, not readable, or not text.
    #[error("cannot read the settings file, check its name and its permissions: {error} file={}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
    /// The file is not of properties.
    #[error("{error} file={}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: PropertiesError,
    },
    /// No such setting.
    #[error("unknown setting, {} setting={key} given_in={place}", advice(*nearest))]
    Unknown {
        /// As given.
        key: String,
        /// The file and line, the variable, or the command line.
        place: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value that the setting does not accept.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// Values that are fine alone and not together.
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

/// Values that do not go together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// Not `NAME://host:port`.
    #[error("a listener must look like PLAINTEXT://host:9092 setting={setting} value={text}")]
    Listener {
        /// In which setting.
        setting: &'static str,
        /// As given.
        text: String,
    },
    /// One name for two listeners.
    #[error("a listener's name is given twice, rename one setting={setting} listener={name}")]
    ListenerTwice {
        /// In which setting.
        setting: &'static str,
        /// The name.
        name: String,
    },
    /// An address of the admin port that cannot be read.
    #[error(
        "klamm.admin.listener must look like 127.0.0.1:9644, or be empty for none klamm.admin.listener={0}"
    )]
    AdminListener(String),
    /// An address of another broker, or for other brokers, that cannot be read.
    #[error("the address of a broker must look like host:9192 setting={setting} value={text}")]
    PeerAddress {
        /// In which setting.
        setting: &'static str,
        /// As given.
        text: String,
    },
    /// One port for two listeners.
    #[error("two listeners have the same port, change one port={0}")]
    PortTwice(u16),
    /// All listeners are the controllers', or none is given.
    #[error("there is no listener for clients, give one such as listeners=PLAINTEXT://:9092")]
    NoListener,
    /// A protocol that is not served.
    #[error(
        "only PLAINTEXT can be listened on yet, change the listener or its line in listener.security.protocol.map listener={name} protocol={protocol}"
    )]
    Protocol {
        /// The listener.
        name: String,
        /// What it should speak.
        protocol: String,
    },
    /// A listener without protocol.
    #[error(
        "no security protocol is known for the listener, add {0}:PLAINTEXT to listener.security.protocol.map"
    )]
    NoProtocol(String),
    /// An advertised name that is not listened on.
    #[error("advertised.listeners names a listener that listeners does not have listener={0}")]
    AdvertisedWithoutListener(String),
    /// 0.0.0.0 is advertised.
    #[error("clients cannot connect to every address, advertise one they can reach listener={0}")]
    AdvertisedEveryAddress(String),
    /// Two numbers for one broker.
    #[error(
        "node.id and broker.id say the same thing, give one of them node.id={node} broker.id={broker}"
    )]
    TwoNodeIds {
        /// `node.id`.
        node: String,
        /// `broker.id`.
        broker: String,
    },
    /// No directory, or one twice.
    #[error("log.dirs must name at least one directory, and none twice log.dirs={0}")]
    LogDirs(String),
    /// A request could never be read.
    #[error(
        "queued.max.request.bytes must be at least socket.request.max.bytes, raise one or lower the other queued.max.request.bytes={queued} socket.request.max.bytes={request}"
    )]
    QueuedBytes {
        /// `queued.max.request.bytes`.
        queued: i64,
        /// `socket.request.max.bytes`.
        request: i64,
    },
    /// No session timeout would be accepted.
    #[error(
        "group.min.session.timeout.ms must not be above group.max.session.timeout.ms min={min} max={max}"
    )]
    SessionTimeouts {
        /// `group.min.session.timeout.ms`.
        min: i64,
        /// `group.max.session.timeout.ms`.
        max: i64,
    },
    /// Not a level, nor levels by module.
    #[error(
        "klamm.log.level must be off, error, warn, info, debug or trace, or such as info,klamm_storage=debug value={0}"
    )]
    LogLevel(String),
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "see docs/settings.md".to_owned(),
    }
}
