//! The one place that reads the wall clock; everything else is handed a [`Clock`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z.
pub type UnixTime = i64;

/// True before `end`, and for ever without one.
pub fn is_before(end: Option<UnixTime>, now: UnixTime) -> bool {
    end.is_none_or(|end| now < end)
}

/// A source of time: the system's, or one that a test moves by hand.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's wall clock.
    System,
    /// Stands still until moved.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: UnixTime) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now)))
    }

    /// Whole seconds since the epoch.
    pub fn now(&self) -> UnixTime {
        match self {
            Self::System => i64::try_from(system().as_secs()).unwrap_or(i64::MAX),
            Self::Manual(at) => at.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since the epoch, for identifiers that sort by time.
    pub fn now_millis(&self) -> u64 {
        match self {
            Self::System => u64::try_from(system().as_millis()).unwrap_or(u64::MAX),
            Self::Manual(at) => u64::try_from(at.load(Ordering::SeqCst)).unwrap_or(0).saturating_mul(1000),
        }
    }

    /// Moves a manual clock; the system's clock cannot be moved and stays.
    pub fn advance(&self, seconds: i64) {
        if let Self::Manual(at) = self {
            at.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that the rule points to")]
fn system() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `YYYY-MM-DD HH:MM:SSZ`, the form used in error bodies and tables.
pub fn format_time(at: UnixTime) -> String {
    const SHAPE: &[time::format_description::FormatItem<'_>] =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    time::OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|moment| moment.format(SHAPE).ok())
        .unwrap_or_else(|| at.to_string())
}
