//! The row type of every settings table: what a setting is called, what it accepts, what it means.
//!
//! From the same rows come parsing, `DescribeConfigs`, the checks of `AlterConfigs`, and the
//! settings page of the documentation. Nothing about a setting is written down twice.
//!
//! The texts of [`ConfigError`] are Kafka's (`org.apache.kafka.common.config.ConfigDef`), since
//! tools print them.

use std::fmt;

mod parse;
mod table;

pub use parse::{ConfigError, Problem, Value, counts_by_address};
pub use table::Table;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name, or one that begins with `klamm.`.
    pub name: &'static str,
    /// What a value looks like; also what `DescribeConfigs` says it is.
    pub kind: Kind,
    /// What a number counts.
    pub unit: Unit,
    /// The value if none is given, as text; `None` is Kafka's null: "not set".
    pub default: Option<&'static str>,
    /// Which values of the kind are accepted.
    pub valid: Valid,
    /// When a change takes effect.
    pub effect: Effect,
    /// Whether the value is a secret, never shown.
    pub sensitive: bool,
    /// Kafka's "internal" settings: for tests, shown only when set.
    pub internal: bool,
    /// Whether Klamm does what the setting says.
    pub standing: Standing,
    /// For a topic or group setting: the broker settings that give its default, strongest first.
    /// For a broker setting: the settings that say the same in other units, strongest first,
    /// itself included; empty if there are none.
    pub synonyms: &'static [Synonym],
    /// What it does, in one sentence (or a few).
    pub sentence: &'static str,
}

/// What a value looks like (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// A 16-bit number.
    Short,
    /// A 32-bit number.
    Int,
    /// A 64-bit number.
    Long,
    /// A floating-point number.
    Double,
    /// Text; surrounding space is dropped.
    String,
    /// Texts separated by commas.
    List,
    /// Text that is never shown.
    Password,
    /// The name of a Java class; Klamm has none.
    Class,
}

/// What a number counts; for the documentation only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number, or no number at all.
    None,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

/// Which values of a kind are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Valid {
    /// All.
    Any,
    /// No less than this.
    AtLeast(i64),
    /// From the first to the second, both included.
    Between(i64, i64),
    /// From the first to the second, both included.
    RealBetween(f64, f64),
    /// One of these texts; for a list, each element.
    OneOf(&'static [&'static str]),
    /// 1 to 9, or -1 for the codec's own default.
    GzipLevel,
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// Not the empty text.
    NonEmpty,
    /// At least 1, or -1 for no limit.
    PositiveOrNoLimit,
    /// `address:count`, separated by commas.
    CountsByAddress,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read when the process starts: `AlterConfigs` refuses it.
    AtStart,
    /// As soon as `AlterConfigs` answers; for one broker or for all.
    AtOnce,
}

/// Whether Klamm does what a setting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Served,
    /// The default describes what Klamm does; any other value would promise something that is
    /// not there, and is refused. The text says why.
    DefaultOnly(&'static str),
    /// Accepted with a warning, so that a file written for Kafka works; nothing depends on it.
    /// The text says why.
    Ignored(&'static str),
}

/// A setting that gives another its value, with the conversion of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name of the other setting.
    pub name: &'static str,
    /// What one of its units is worth in units of the setting that refers to it. A negative
    /// number ("no limit") is never multiplied.
    pub factor: i64,
}

impl Synonym {
    /// In the same unit.
    pub const fn same(name: &'static str) -> Self {
        Self { name, factor: 1 }
    }

    /// In minutes, for a setting in milliseconds.
    pub const fn minutes(name: &'static str) -> Self {
        let factor = 60_000;
        Self { name, factor }
    }

    /// In hours, for a setting in milliseconds.
    pub const fn hours(name: &'static str) -> Self {
        let factor = 3_600_000;
        Self { name, factor }
    }

    /// `value` of the other setting, as text of this one. Whole numbers only are converted.
    pub fn convert(self, value: &str) -> String {
        match value.trim().parse::<i64>() {
            Ok(number) if self.factor != 1 && number >= 0 => {
                number.saturating_mul(self.factor).to_string()
            }
            _ => value.to_owned(),
        }
    }
}

/// Begins a row: a served setting without bounds that is read at start. A row is finished by
/// [`Setting::says`].
pub const fn setting(name: &'static str, kind: Kind, default: Option<&'static str>) -> Setting {
    Setting {
        name,
        kind,
        unit: Unit::None,
        default,
        valid: Valid::Any,
        effect: Effect::AtStart,
        sensitive: matches!(kind, Kind::Password),
        internal: false,
        standing: Standing::Served,
        synonyms: &[],
        sentence: "",
    }
}

impl Setting {
    /// What the number counts.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Which values are accepted.
    #[must_use]
    pub const fn valid(mut self, valid: Valid) -> Self {
        self.valid = valid;
        self
    }

    /// A change takes effect at once.
    #[must_use]
    pub const fn at_once(mut self) -> Self {
        self.effect = Effect::AtOnce;
        self
    }

    /// For tests only; shown when set.
    #[must_use]
    pub const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Refused unless it has its default value.
    #[must_use]
    pub const fn default_only(mut self, reason: &'static str) -> Self {
        self.standing = Standing::DefaultOnly(reason);
        self
    }

    /// Accepted, and without effect.
    #[must_use]
    pub const fn ignored(mut self, reason: &'static str) -> Self {
        self.standing = Standing::Ignored(reason);
        self
    }

    /// Which settings give this one its value.
    #[must_use]
    pub const fn synonyms(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    /// Finishes the row.
    #[must_use]
    pub const fn says(mut self, sentence: &'static str) -> Self {
        self.sentence = sentence;
        self
    }

    /// Whether `AlterConfigs` may change it.
    pub const fn is_dynamic(&self) -> bool {
        matches!(self.effect, Effect::AtOnce)
    }

    /// For a broker setting: the settings that say the same, itself at least.
    pub fn broker_synonyms(&self) -> Vec<Synonym> {
        match self.synonyms {
            [] => vec![Synonym::same(self.name)],
            synonyms => synonyms.to_vec(),
        }
    }
}

/// As in `DescribeConfigs` and in error texts.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::Short => "SHORT",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::String => "STRING",
            Self::List => "LIST",
            Self::Password => "PASSWORD",
            Self::Class => "CLASS",
        })
    }
}

impl Kind {
    /// The number `DescribeConfigs` sends (`DescribeConfigsResponse.ConfigType`).
    pub const fn wire_code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }
}

/// As ranges are written in Kafka's documentation.
impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::RealBetween(least, most) => write!(f, "{least} to {most}"),
            Self::OneOf(values) => f.write_str(&values.join(", ")),
            Self::GzipLevel => f.write_str("1 to 9, or -1"),
            Self::ThrottledReplicas => f.write_str("`*`, or a list of `partition:broker`"),
            Self::NonEmpty => f.write_str("not empty"),
            Self::PositiveOrNoLimit => f.write_str("at least 1, or -1"),
            Self::CountsByAddress => f.write_str("`address:count`, separated by commas"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Minutes => "min",
            Self::Hours => "h",
        })
    }
}
