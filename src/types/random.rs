//! The one place that draws random bits; everything else is handed a [`Random`].

use super::clock::Clock;
use ring::rand::{SecureRandom, SystemRandom};
use std::cell::RefCell;
use uuid::{Builder, Uuid};

/// Identifiers that are drawn at once: a call of the operating system costs more than an identifier.
const AT_ONCE: usize = 32;

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; AT_ONCE * 16], used: AT_ONCE }) };
}

/// Random bytes in hand, each given out once.
struct Ahead {
    bytes: [u8; AT_ONCE * 16],
    used: usize,
}

impl Ahead {
    fn next(&mut self, random: &Random) -> [u8; 16] {
        if self.used >= AT_ONCE {
            self.bytes = random.bytes();
            self.used = 0;
        }
        let mut next = [0; 16];
        next.copy_from_slice(&self.bytes[self.used * 16..][..16]);
        self.used += 1;
        next
    }
}

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

    /// A random UUID (version 4): 122 unguessable bits. Not for secrets: those are drawn when they are needed, but an
    /// identifier may have been drawn with others a moment before.
    pub fn uuid_v4(&self) -> Uuid {
        Builder::from_random_bytes(AHEAD.with_borrow_mut(|ahead| ahead.next(self))).into_uuid()
    }

    /// A UUID that sorts by time (version 7, RFC 9562 §5.7), for rows.
    pub fn uuid_v7(&self, clock: &Clock) -> Uuid {
        Builder::from_unix_timestamp_millis(clock.now_millis(), &self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_identifier_is_given_twice_on_any_thread() {
        let random = Random::system();
        let draw = || (0..10 * AT_ONCE).map(|_| random.uuid_v4()).collect::<Vec<_>>();
        let drawn: Vec<Uuid> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(draw)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
        assert!(drawn.iter().all(|id| id.get_version_num() == 4 && !id.is_nil()));
    }
}
