//! Bounds on guessing (RFC 6749 §10.10): attempts are counted before they are looked at, slow hashes run in turn.

use crate::app::{App, Attempts};
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
    /// Counts one more attempt within the window that runs; false when there were too many. Count before the check and
    /// [`give_back`] when it was right: then parallel guesses do not slip past.
    pub fn count(self, attempts: &Attempts, now: UnixTime) -> bool {
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, made) = &mut *attempts;
        if !(*since..*since + self.window).contains(&now) {
            (*since, *made) = (now, 0);
        }
        if *made >= self.attempts {
            return false;
        }
        *made += 1;
        true
    }
}

/// An attempt that was right, or that was never looked at, does not count.
pub fn give_back(attempts: &Attempts) {
    let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
    attempts.1 = attempts.1.saturating_sub(1);
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
