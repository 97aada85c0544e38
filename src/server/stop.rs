//! When to stop: SIGTERM after a time in which balancers turn away, SIGINT at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a server to end.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they are heeded, and end nothing by themselves.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Ready when no more is to be accepted: at SIGINT at once, at SIGTERM after `drain` or another signal. `stopping`
    /// is true from the first signal on.
    pub async fn stop(mut self, stopping: Arc<AtomicBool>, drain: Duration) {
        let drain = tokio::select! {
            _ = self.terminate.recv() => drain,
            _ = self.interrupt.recv() => Duration::ZERO,
        };
        stopping.store(true, Ordering::SeqCst);
        if drain.is_zero() {
            tracing::info!("stopping");
            return;
        }
        tracing::info!(seconds = drain.as_secs(), "stopping soon; not ready any more, and still answering");
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}
