//! What runs beside the requests: following changes, writing down uses, rotating keys, removing expired rows.

use crate::app::App;
use crate::keys::rotation::RotationError;
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

/// A change made elsewhere is seen within this time and the next look.
const FOLLOW: Duration = Duration::from_secs(1);
const FLUSH: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(60);

/// The log of changes is kept this long; a server that slept longer empties its memory instead.
const CHANGES_KEPT: i64 = 86_400;

/// Rows are removed this long after they expired, for clocks that go wrong.
const GRACE: i64 = 3600;

/// Follows changes, flushes, rotates and sweeps until the task is dropped. None of them waits for another: a long sweep
/// must not keep this server from seeing what was changed.
pub async fn run(app: Arc<App>) {
    tokio::join!(follow(&app), flush(&app), sweep(&app));
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

async fn sweep(app: &App) {
    let mut timer = timer(SWEEP);
    loop {
        timer.tick().await;
        if let Err(error) = once(app).await {
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
    app.keysmith()?.rotate_due(now).await?;
    Ok(())
}

/// Small batches with a pause between: a clean-up must not stand in the way of requests.
async fn drain<F>(batch: impl Fn() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut total = 0;
    for _ in 0..1000 {
        let removed = batch().await?;
        total += removed;
        if removed == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(total)
}
