//! Bounds on guessing (RFC 6749 §10.10): what was wrong is counted, slow hashes run in turn.

use crate::app::{App, Guesses};
use crate::error::{OAuthError, reason};
use crate::types::clock::UnixTime;
use crate::types::secret::{Secret, SecretHash};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

/// Slow checks that may wait for their turn; more are told to come back.
const WAITING: u32 = 64;

/// How many wrong attempts are let pass within which time.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Seconds over which attempts are counted.
    pub window: i64,
    /// Attempts within it.
    pub attempts: u32,
}

impl Limit {
    /// True while there were not too many in the window that runs.
    pub fn allows(self, guesses: &Guesses, now: UnixTime) -> bool {
        let (since, wrong) = *guesses.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        !(since..since + self.window).contains(&now) || wrong < self.attempts
    }

    /// Counts one that was wrong. What is right never counts.
    pub fn count(self, guesses: &Guesses, now: UnixTime) {
        let mut guesses = guesses.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, wrong) = &mut *guesses;
        if !(*since..*since + self.window).contains(&now) {
            (*since, *wrong) = (now, 0);
        }
        *wrong += 1;
    }
}

/// Compares readings of what was presented with slow hashes, beside the async threads, a bounded number at once.
/// Answers the positions of the hash and of the reading that is right.
///
/// # Errors
/// Too many wait already.
pub async fn verify_in_turn(
    app: &App,
    hashes: Vec<SecretHash>,
    readings: Vec<Secret>,
) -> Result<Option<(usize, usize)>, OAuthError> {
    let memory = &app.slow_secrets;
    let _place = Place::take(&memory.waiting)?;
    let internal = |error: String| OAuthError::from(reason::INTERNAL).because(error);
    let _turn = memory.running.acquire().await.map_err(|error| internal(error.to_string()))?;
    tokio::task::spawn_blocking(move || {
        let right = |hash: &SecretHash| readings.iter().position(|reading| hash.verify(reading));
        hashes.iter().enumerate().find_map(|(at, hash)| right(hash).map(|reading| (at, reading)))
    })
    .await
    .map_err(|error| internal(error.to_string()))
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32) -> Result<Self, OAuthError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
            return Err(reason::OVERLOADED.into());
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
