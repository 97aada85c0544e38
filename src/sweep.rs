//! What runs beside the requests: following changes, writing down uses, rotating keys, removing expired rows.

use crate::app::App;
use crate::keys::rotation::RotationError;
use crate::store::StoreError;
use crate::types::clock::UnixTime;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior};

/// A change made elsewhere is seen within this time and the next look.
const FOLLOW: Duration = Duration::from_secs(1);
const FLUSH: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(60);

/// The log of changes is kept this long; a server that slept longer empties its memory instead.
const CHANGES_KEPT: i64 = 86_400;

/// Rows are removed this long after they expired, for clocks that go wrong.
const GRACE: i64 = 3600;

/// The least pause between two batches of rows that are removed.
const PAUSE: Duration = Duration::from_millis(10);

/// Nothing is removed before the clock went evenly for this long. By a clock that is days ahead every token has expired;
/// once it is right again they count again, and what revoked them must still be there.
pub const STEADY: Duration = Duration::from_secs(3600);

/// What the clock may be off between two looks without having jumped, in seconds.
const UNEVEN: i64 = 60;

/// Whether the clock goes as evenly as time itself. Where it began nobody can tell: so it has to be watched for a while.
struct Watch {
    since: Instant,
    last: (Instant, UnixTime),
    steady: Duration,
}

impl Watch {
    fn new(at: Instant, now: UnixTime, steady: Duration) -> Self {
        Self { since: at, last: (at, now), steady }
    }

    /// Looks at the clock; answers whether it can be relied on.
    fn is_steady(&mut self, at: Instant, now: UnixTime) -> bool {
        let passed = i64::try_from(at.duration_since(self.last.0).as_secs()).unwrap_or(i64::MAX);
        let off = now.saturating_sub(self.last.1).saturating_sub(passed);
        if off.abs() > UNEVEN {
            tracing::warn!(seconds = off, "the clock jumped; nothing that expired is removed for an hour");
            self.since = at;
        }
        self.last = (at, now);
        at.duration_since(self.since) >= self.steady
    }
}

/// Follows changes, flushes, rotates and sweeps until the task is dropped. None of them waits for another: a long sweep
/// must not keep this server from seeing what was changed. `steady` is how long the clock has to have gone evenly before
/// anything is removed: [`STEADY`] but for tests.
pub async fn run(app: Arc<App>, steady: Duration) {
    tokio::join!(follow(&app), flush(&app), sweep(&app, steady));
}

fn timer(period: Duration) -> Interval {
    let mut timer = tokio::time::interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

async fn follow(app: &App) {
    let (mut timer, mut away) = (timer(FOLLOW), false);
    loop {
        timer.tick().await;
        match follow_and_top_up(app).await {
            Ok(()) if away => {
                away = false;
                tracing::info!("the database answers again");
            }
            Ok(()) => {}
            Err(error) if !away => {
                away = true;
                tracing::error!(%error, "changes cannot be followed; memory is used meanwhile");
            }
            Err(_) => {}
        }
    }
}

async fn flush(app: &App) {
    let mut timer = timer(FLUSH);
    loop {
        timer.tick().await;
        if let Err(error) = app.flush_uses().await {
            tracing::warn!(%error, "the last uses of secrets and tokens could not be written down yet");
        }
    }
}

async fn sweep(app: &App, steady: Duration) {
    let (mut timer, mut watch) = (timer(SWEEP), Watch::new(Instant::now(), app.clock.now(), steady));
    loop {
        timer.tick().await;
        let steady = watch.is_steady(Instant::now(), app.clock.now());
        let done = if steady { once(app).await } else { rotate(app).await };
        if let Err(error) = done {
            tracing::warn!(%error, "the sweep was not finished");
        }
    }
}

/// Follows changes, and leases status list indexes ahead.
async fn follow_and_top_up(app: &App) -> Result<(), StoreError> {
    app.sync().await?;
    app.leases.top_up().await
}

/// Removes expired rows, batch by batch, and rotates keys that are due.
///
/// # Errors
/// The database or the keys failed; the rest is done the next time.
pub async fn once(app: &App) -> Result<(), RotationError> {
    let now = app.clock.now();
    let store = &app.store;
    let mut removed = drain(|| store.purge_revocations(now - GRACE)).await?;
    removed += drain(|| store.purge_sessions(now - GRACE)).await?;
    removed += drain(|| store.purge_codes(now - GRACE)).await?;
    removed += drain(|| store.purge_refresh_tokens(now - GRACE)).await?;
    removed += drain(|| store.purge_device_codes(now - GRACE)).await?;
    removed += drain(|| store.purge_grant_tokens(now - GRACE)).await?;
    removed += drain(|| store.purge_kept_tokens(now - GRACE)).await?;
    removed += drain(|| store.purge_grants(now - GRACE)).await?;
    removed += drain(|| store.purge_status_lists(now - GRACE)).await?;
    removed += drain(|| store.purge_keys(now - GRACE)).await?;
    removed += drain(|| store.purge_changes(now - CHANGES_KEPT)).await?;
    metrics::counter!("grantor_sweep_rows_total").increment(removed);
    rotate(app).await
}

async fn rotate(app: &App) -> Result<(), RotationError> {
    app.keysmith()?.rotate_due(app.clock.now()).await.map(drop)
}

/// Small batches, and after each a pause as long as it took: a clean-up must not stand in the way of requests.
async fn drain<F>(batch: impl Fn() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut total = 0;
    for _ in 0..1000 {
        let begun = Instant::now();
        let removed = batch().await?;
        total += removed;
        if removed == 0 {
            break;
        }
        tokio::time::sleep(begun.elapsed().max(PAUSE)).await;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn removing_rests_as_long_as_it_works() {
        let (begun, left) = (Instant::now(), AtomicU64::new(4));
        let batch = || async {
            tokio::time::sleep(4 * PAUSE).await;
            Ok(left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).map_or(0, |_| 1))
        };
        assert_eq!(drain(batch).await.unwrap(), 4);
        // Five batches, the last of which finds nothing, and four rests.
        assert!(begun.elapsed() >= 9 * 4 * PAUSE, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_clock_is_relied_on_after_an_hour_without_a_jump() {
        const NOON: UnixTime = 1_800_000_000;
        let start = Instant::now();
        let minutes = |count: u64| Duration::from_secs(count * 60);
        let mut watch = Watch::new(start, NOON, STEADY);
        assert!(!watch.is_steady(start, NOON), "it may have been wrong from the start");
        for minute in 1..60 {
            assert!(!watch.is_steady(start + minutes(minute), NOON + 60 * minute as i64));
        }
        // It may be set right little by little.
        assert!(watch.is_steady(start + minutes(60), NOON + 3650));
        for days in [3, -3] {
            let jumped = NOON + 3660 + days * 86_400;
            let last = (start + minutes(60), NOON + 3600);
            let mut watch = Watch { since: start, last, steady: STEADY };
            assert!(!watch.is_steady(start + minutes(61), jumped), "{days} days");
            assert!(!watch.is_steady(start + minutes(62), NOON + 3720), "back is a jump as well");
            assert!(!watch.is_steady(start + minutes(63), NOON + 3780), "the hour begins anew");
            watch.last = (start + minutes(121), NOON + 7260);
            assert!(watch.is_steady(start + minutes(122), NOON + 7320), "{days} days");
        }
    }
}
