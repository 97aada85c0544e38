//! Bounds on guessing (RFC 6749 §10.10): what was wrong is counted, slow hashes run in turn.

use crate::app::{App, Guesses};
use crate::error::{OAuthError, reason};
use crate::hashing::{NotHashed, Right};
use crate::types::clock::UnixTime;
use crate::types::secret::{Secret, SecretHash};
use std::sync::PoisonError;
use std::time::Duration;

/// How long the answer to one attempt too many is held back.
pub const HELD_BACK: Duration = Duration::from_millis(250);

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
pub async fn verify_in_turn(app: &App, hashes: Vec<SecretHash>, readings: Vec<Secret>) -> Result<Right, OAuthError> {
    app.slow_secrets.hashing.check(hashes, readings).await.map_err(|error| {
        let reason = match error {
            NotHashed::Full => reason::OVERLOADED,
            NotHashed::BrokenOff => reason::INTERNAL,
        };
        OAuthError::from(reason).because(error)
    })
}

/// Waits a moment before somebody is told that there were too many attempts: who waits for the answer before the next
/// attempt then costs next to nothing. Of very many at once the rest is answered without.
pub async fn hold_back(app: &App) {
    if let Ok(_place) = app.held_back.try_acquire() {
        tokio::time::sleep(HELD_BACK).await;
    }
}
