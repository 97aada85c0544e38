//! The one place that draws random bits; everything else is handed a [`Random`].

use super::clock::Clock;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::{Builder, Uuid};

/// The operating system's cryptographic random source.
#[derive(Debug, Clone)]
pub struct Random(SystemRandom);

impl Random {
    /// The system's source.
    pub fn system() -> Self {
        Self(SystemRandom::new())
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: going on would mean guessable tokens.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).expect("the operating system's random source must answer");
        bytes
    }

    /// A random UUID (version 4): 122 unguessable bits.
    pub fn uuid_v4(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A UUID that sorts by time (version 7, RFC 9562 §5.7), for rows.
    pub fn uuid_v7(&self, clock: &Clock) -> Uuid {
        Builder::from_unix_timestamp_millis(clock.now_millis(), &self.bytes()).into_uuid()
    }
}
