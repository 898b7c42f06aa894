//! Values with a unit. A bare number is refused where a unit is needed: nobody can tell 35 days from 35 seconds.

use std::fmt;
use std::time::Duration;

use toml::Value;

use super::setting::Setting;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// A share, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

/// How long something is kept: for whole days, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep(Option<Duration>);

const FOREVER: &str = "forever";

/// Largest first, so that writing picks the largest that fits. Powers of ten are only read.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// In milliseconds, largest first.
const TIMES: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl ByteSize {
    /// A size in bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Ratio {
    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// The largest unit that gives a whole number: `64MiB`, `1B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&in_largest_unit(self.0, &SIZES[..5]))
    }
}

impl Setting for ByteSize {
    const EXPECTED: &'static str = "a size such as 64MiB, 10GiB or 500MB";

    fn read(value: &Value) -> Option<Self> {
        number_and_unit(value.as_str()?, SIZES).map(Self)
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration such as 500ms, 60s, 10m, 26h or 35d";

    fn read(value: &Value) -> Option<Self> {
        // Nanoseconds of a duration fit 64 bits up to 292 years, which is what every clock here counts in.
        let millis = number_and_unit(value.as_str()?, TIMES)
            .filter(|millis| *millis <= i64::MAX as u64 / 1_000_000)?;
        Some(Self::from_millis(millis))
    }

    fn write(&self) -> Option<Value> {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        Some(Value::String(if millis == 0 { "0s".to_owned() } else { in_largest_unit(millis, TIMES) }))
    }
}

impl Keep {
    /// For ever.
    pub const FOREVER: Self = Self(None);

    /// How long; `None`: for ever.
    pub fn get(self) -> Option<Duration> {
        self.0
    }
}

impl Setting for Keep {
    const EXPECTED: &'static str = "`forever`, or whole days such as 400d";

    fn read(value: &Value) -> Option<Self> {
        if value.as_str()?.trim() == FOREVER {
            return Some(Self::FOREVER);
        }
        let kept = Duration::read(value)?;
        (kept >= A_DAY && kept.as_secs().is_multiple_of(A_DAY.as_secs()) && kept.subsec_nanos() == 0)
            .then_some(Self(Some(kept)))
    }

    fn write(&self) -> Option<Value> {
        self.0.map_or_else(|| Some(Value::String(FOREVER.to_owned())), |kept| kept.write())
    }
}

/// A day without leap seconds, as `d` means it.
const A_DAY: Duration = Duration::from_secs(86_400);

impl Setting for Ratio {
    const EXPECTED: &'static str = "a share from 0 to 1, such as 0.1";

    fn read(value: &Value) -> Option<Self> {
        let share = match value {
            Value::Float(share) => *share,
            Value::Integer(0) => 0.0,
            Value::Integer(1) => 1.0,
            Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Float(self.0))
    }
}

fn number_and_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn in_largest_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| amount >= *factor && amount.is_multiple_of(*factor);
    // The last unit is 1, so only zero fits none.
    let (name, factor) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::read_text;

    #[test]
    fn what_is_kept_is_kept_for_whole_days_or_for_ever() {
        assert_eq!(read_text::<Keep>("forever").unwrap().get(), None);
        assert_eq!(read_text::<Keep>("400d").unwrap().get(), Some(400 * A_DAY));
        assert_eq!(read_text::<Keep>("48h").unwrap().write(), Some(Value::String("2d".into())));
        for bad in ["", "0d", "12h", "36h", "for ever", "400"] {
            assert!(read_text::<Keep>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in
            [("35d", 35 * 86_400), ("60s", 60), ("10m", 600), ("26h", 93_600), ("0s", 0), ("5 s", 5)]
        {
            assert_eq!(read_text::<Duration>(text).map(|d| d.as_secs()), Ok(seconds), "{text}");
        }
        for text in ["35", "d", "", "-1d", "1.5h", "1y", "1h30m", "99999999999999999d", "300000d"] {
            assert!(read_text::<Duration>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, bytes) in [("64MiB", 64 << 20), ("10GiB", 10 << 30), ("500MB", 500_000_000), ("1B", 1)] {
            assert_eq!(read_text::<ByteSize>(text).map(ByteSize::bytes), Ok(bytes), "{text}");
        }
        for text in ["64", "64mib", "64M", "", "1.5GiB", "99999999TiB"] {
            assert!(read_text::<ByteSize>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["35d", "90s", "1500ms", "0s", "26h"] {
            let duration = read_text::<Duration>(text).unwrap();
            assert_eq!(duration.write(), Some(Value::String(text.to_owned())));
        }
        for text in ["64MiB", "1025KiB", "0B", "7B"] {
            let size = read_text::<ByteSize>(text).unwrap();
            assert_eq!(size.write(), Some(Value::String(text.to_owned())));
        }
    }

    #[test]
    fn a_share_lies_between_nothing_and_all() {
        for (value, good) in [
            (Value::Float(0.1), true),
            (Value::Integer(1), true),
            (Value::Float(1.1), false),
            (Value::Float(f64::NAN), false),
            (Value::Integer(2), false),
        ] {
            assert_eq!(Ratio::read(&value).is_some(), good, "{value}");
        }
    }
}
