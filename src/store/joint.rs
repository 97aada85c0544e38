//! One run of work at the database for all who ask for it at once.

use crate::store::StoreError;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Whoever asks is answered by a run that began after the question: by one of others if there is one. So a crowd that
/// asks at once costs two runs, and a database that is away is waited for once and not by one after the other.
#[derive(Default)]
pub struct Joint {
    begun: AtomicU64,
    // The number of the last run that ended, and what it ended with.
    last: Mutex<(u64, Option<StoreError>)>,
}

impl Joint {
    /// Runs `work`, or waits for a run that began after this call.
    ///
    /// # Errors
    /// Those of the run.
    pub async fn run<F>(&self, work: impl FnOnce() -> F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.0 > asked {
            return last.1.clone().map_or(Ok(()), Err);
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let ended = work().await;
        *last = (number, ended.as_ref().err().cloned());
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    /// A crowd of callers around runs that end when they are let.
    struct Crowd {
        joint: Arc<Joint>,
        runs: Arc<AtomicU64>,
        gate: Arc<Semaphore>,
    }

    impl Crowd {
        fn new() -> Self {
            Self { joint: Arc::default(), runs: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        fn ask(&self) -> tokio::task::JoinHandle<bool> {
            let (joint, runs, gate) = (self.joint.clone(), self.runs.clone(), self.gate.clone());
            tokio::spawn(async move {
                let work = || async {
                    let number = runs.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.unwrap().forget();
                    if number == 1 { Err(StoreError::Unavailable("away".into())) } else { Ok(()) }
                };
                joint.run(work).await.is_ok()
            })
        }
    }

    #[tokio::test]
    async fn who_asks_while_a_run_is_under_way_shares_the_next_one_and_its_failure() {
        let crowd = Crowd::new();
        let first = crowd.ask();
        while crowd.runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let rest: Vec<_> = (0..50).map(|_| crowd.ask()).collect();
        // All of them are in the queue behind the first before it ends.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        crowd.gate.add_permits(10);
        assert!(first.await.unwrap());
        for asked in rest {
            assert!(!asked.await.unwrap(), "the run that began before the question does not count");
        }
        assert_eq!(crowd.runs.load(Ordering::SeqCst), 2);
        assert!(crowd.ask().await.unwrap(), "and the next question is asked anew");
        assert_eq!(crowd.runs.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_run_whose_caller_went_away_leaves_nobody_behind() {
        let crowd = Crowd::new();
        let first = crowd.ask();
        while crowd.runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let second = crowd.ask();
        first.abort();
        crowd.gate.add_permits(10);
        assert!(!second.await.unwrap(), "its own run is the second one");
    }
}
