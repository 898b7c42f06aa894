//! Values of settings: how each is read from the file's type or from text, and written back.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use domain::money::{Cost, Currency};
use toml::Value;
use tracing_subscriber::EnvFilter;

/// A type that settings have.
pub trait Setting: Sized {
    /// What a value may be; completes "expected …".
    const EXPECTED: &'static str;

    /// Whether a value is never shown.
    const SECRET: bool = false;

    /// Reads a value of the file, or a text from the environment or a flag. `None` for what is not allowed.
    fn read(value: &Value) -> Option<Self>;

    /// The value as the file would have it; `None` where it is unset.
    fn write(&self) -> Option<Value>;

    /// The value of a key that is set nowhere and has no default; `None` where there must be one.
    fn unset() -> Option<Self> {
        None
    }

    /// A refused value, as an error may show it.
    fn shown(value: &Value) -> String {
        value.to_string()
    }
}

/// Reads the text of a flag, for clap.
///
/// # Errors
/// What was expected.
pub fn read_text<T: Setting>(text: &str) -> Result<T, String> {
    T::read(&Value::String(text.to_owned())).ok_or_else(|| format!("expected {}", T::EXPECTED))
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Which log lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter.
    pub fn directives(&self) -> &str {
        &self.0
    }
}

impl Setting for LogFilter {
    const EXPECTED: &'static str =
        "a level (error, warn, info, debug, trace), or levels by target such as info,collector=debug";

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?.trim();
        let known =
            !text.is_empty() && EnvFilter::builder().parse(text).is_ok() && text.split(',').all(has_level);
        known.then(|| Self(text.to_owned()))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}

/// The filter's own grammar takes any word for a target, so that `wran` would silence everything.
fn has_level(directive: &str) -> bool {
    let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
    ["off", "error", "warn", "info", "debug", "trace"].iter().any(|known| level.eq_ignore_ascii_case(known))
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "text or json";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        let name = match self {
            Self::Text => "text",
            Self::Json => "json",
        };
        Some(Value::String(name.to_owned()))
    }
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const SECRET: bool = T::SECRET;

    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }

    fn unset() -> Option<Self> {
        Some(None)
    }

    fn shown(value: &Value) -> String {
        T::shown(value)
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(yes) => Some(*yes),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Setting for NonZeroU32 {
    const EXPECTED: &'static str = "a whole number from 1 to 4294967295";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Self::new(u32::try_from(*number).ok()?),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Integer(i64::from(self.get())))
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Self::try_from(*number).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Integer(i64::from(*self)))
    }
}

/// Money is a text, since TOML's numbers with a point are floats.
impl Setting for Cost {
    const EXPECTED: &'static str = "an amount in quotes such as \"0.50\", with at most 12 decimals";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(units) => Self::parse(&units.to_string()).ok(),
            Value::String(text) => Self::parse(text).ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.clone()))
    }
}

impl Setting for Vec<String> {
    const EXPECTED: &'static str =
        "a list of names without blanks or repeats (in a variable or flag: separated by commas)";

    fn read(value: &Value) -> Option<Self> {
        let names: Vec<&str> = match value {
            Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
            Value::String(text) if text.is_empty() => Vec::new(),
            Value::String(text) => text.split(',').map(str::trim).collect(),
            _ => return None,
        };
        let good = |(at, name): (usize, &&str)| {
            !name.is_empty() && !name.contains(char::is_whitespace) && !names[..at].contains(name)
        };
        names.iter().enumerate().all(good).then(|| names.into_iter().map(str::to_owned).collect())
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().cloned().map(Value::String).collect()))
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address and port such as 127.0.0.1:4317 or [::1]:4317";

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(value: &Value) -> Option<Self> {
        value.as_str().filter(|path| !path.is_empty()).map(Self::from)
    }

    fn write(&self) -> Option<Value> {
        // Every source of a path is text, so nothing is lost.
        Some(Value::String(self.to_string_lossy().into_owned()))
    }
}

impl Setting for Currency {
    const EXPECTED: &'static str = "an ISO 4217 code known here, in capitals, such as USD or EUR";

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?).ok()
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.code().to_owned()))
    }
}
