//! Lengths of time as people write them: `90s`, `15m`, `1h`, `30d`.

use super::Invalid;
use std::str::FromStr;

/// A positive number of whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(i64);

impl Seconds {
    /// The number of seconds.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// For a number that was checked when it was stored.
    pub(crate) const fn stored(seconds: i64) -> Self {
        Self(seconds)
    }

    /// For constants known to be positive.
    pub const fn of(seconds: u32) -> Self {
        Self(seconds as i64)
    }
}

impl FromStr for Seconds {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Invalid::new("duration", text, why);
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: i64 = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(bad("write a number with s, m, h or d, such as 90s, 15m, 1h or 30d")),
        };
        let number: i64 = digits.parse().map_err(|_| bad("write a whole number with s, m, h or d, such as 1h"))?;
        match number.checked_mul(unit) {
            Some(seconds) if seconds > 0 && seconds <= 100 * 366 * 86_400 => Ok(Self(seconds)),
            _ => Err(bad("it must be more than nothing and less than a hundred years")),
        }
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m")] {
            if self.0 % unit == 0 {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}s", self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Seconds;

    #[test]
    fn reads_and_writes_the_forms_people_use() {
        for (text, seconds, back) in
            [("1h", 3600, "1h"), ("90s", 90, "90s"), ("3600", 3600, "1h"), ("7d", 604_800, "7d"), ("15m", 900, "15m")]
        {
            let parsed: Seconds = text.parse().unwrap();
            assert_eq!((parsed.get(), parsed.to_string().as_str()), (seconds, back));
        }
        for text in ["", "h", "-1h", "0", "1.5h", "1w", "99999999999999999999d", "40000d"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}
