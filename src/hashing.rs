//! Slow hashes on threads of their own: a bounded number, below everybody else, in memory that they keep while there is
//! work and give back after it.

use crate::types::secret::{HashMemory, Secret, SecretHash};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Checks that are running or wait for their turn; more are told to come back.
const WAITING: usize = 64;

/// A thread that had nothing to do for so long ends, and its memory with it.
const IDLE: Duration = Duration::from_secs(10);

/// Added to the nice value of the threads: against one other thread on the same core they get about a tenth of it, and
/// all of it when nobody else wants it.
const NICE: i32 = 10;

/// The positions of the hash and of the reading that is right.
pub type Right = Option<(usize, usize)>;

/// Why a check was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHashed {
    /// Too many wait already.
    #[error("too many slow secret checks wait already")]
    Full,
    /// The thread that had it is gone.
    #[error("a slow secret check was broken off")]
    BrokenOff,
}

struct Check {
    hashes: Vec<SecretHash>,
    readings: Vec<Secret>,
    answer: oneshot::Sender<Right>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Check>,
    running: usize,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    idle: Duration,
}

/// The threads and what waits for them. Without work there are none.
pub struct Hashing {
    shared: Arc<Shared>,
    threads: usize,
}

impl Default for Hashing {
    /// Half of the cores may hash at once: wrong secrets must leave room for right ones.
    fn default() -> Self {
        let half = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        Self::new(half, IDLE)
    }
}

impl Hashing {
    /// At most `threads`, each of which ends when it was idle for that long.
    pub fn new(threads: usize, idle: Duration) -> Self {
        Self { shared: Arc::new(Shared { queue: Mutex::default(), work: Condvar::new(), idle }), threads }
    }

    /// Compares every reading of what was presented with every hash.
    ///
    /// # Errors
    /// Too many wait already.
    pub async fn check(&self, hashes: Vec<SecretHash>, readings: Vec<Secret>) -> Result<Right, NotHashed> {
        let (answer, answered) = oneshot::channel();
        self.submit(Check { hashes, readings, answer })?;
        answered.await.map_err(|_| NotHashed::BrokenOff)
    }

    /// How many threads there are now.
    pub fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    fn submit(&self, check: Check) -> Result<(), NotHashed> {
        let mut queue = self.shared.lock();
        if queue.waiting.len() + queue.running >= WAITING {
            // Nobody waits any more for those whose connection is gone.
            queue.waiting.retain(|check| !check.answer.is_closed());
            if queue.waiting.len() + queue.running >= WAITING {
                return Err(NotHashed::Full);
            }
        }
        queue.waiting.push_back(check);
        if queue.idle < queue.waiting.len() && queue.threads < self.threads {
            let shared = self.shared.clone();
            let started = std::thread::Builder::new().name("slow-hash".into()).spawn(move || shared.work_off());
            match started {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    tracing::error!(%error, "no thread for slow secret checks");
                    queue.waiting.clear();
                    return Err(NotHashed::BrokenOff);
                }
                Err(_) => {}
            }
        }
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until nothing was to do for a while.
    fn work_off(&self) {
        // On Linux a thread has a nice value of its own. Where it cannot be raised the bounded number must do.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "slow hashes run at the priority of everything else");
        }
        let mut memory = HashMemory::default();
        while let Some(check) = self.next() {
            let Check { hashes, readings, answer } = check;
            let mut is_right = |hash: &SecretHash, reading: &Secret| hash.verify_within(reading, &mut memory);
            let pairs = hashes.iter().enumerate().flat_map(|(at, hash)| {
                readings.iter().enumerate().map(move |(reading_at, reading)| ((at, reading_at), hash, reading))
            });
            let right = pairs.into_iter().find(|(_, hash, reading)| is_right(hash, reading)).map(|(at, ..)| at);
            self.lock().running -= 1;
            let _ = answer.send(right);
        }
    }

    /// The next check that somebody still waits for; `None` when the thread is to end.
    fn next(&self) -> Option<Check> {
        let mut queue = self.lock();
        loop {
            while let Some(check) = queue.waiting.pop_front() {
                if !check.answer.is_closed() {
                    queue.running += 1;
                    return Some(check);
                }
            }
            if queue.closed {
                break;
            }
            queue.idle += 1;
            let (woken, waited) = self.work.wait_timeout(queue, self.idle).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if waited.timed_out() && queue.waiting.is_empty() {
                break;
            }
        }
        queue.threads -= 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordHasher;
    use argon2::{Algorithm, Argon2, Params, Version};

    const SOON: Duration = Duration::from_millis(1);

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    fn hash(text: &str) -> SecretHash {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        SecretHash::Argon2id(argon2.hash_password_with_salt(text.as_bytes(), &[7; 16]).unwrap().to_string())
    }

    #[tokio::test]
    async fn the_right_pair_is_found_by_its_positions() {
        let hashing = Hashing::new(2, IDLE);
        let hashes = vec![hash("one"), hash("two")];
        let check = async |readings: &[&str]| {
            hashing.check(hashes.clone(), readings.iter().map(|text| secret(text)).collect()).await
        };
        assert_eq!(check(&["wrong", "two"]).await, Ok(Some((1, 1))));
        assert_eq!(check(&["one"]).await, Ok(Some((0, 0))));
        assert_eq!(check(&["wrong"]).await, Ok(None));
    }

    #[tokio::test]
    async fn threads_end_when_there_is_nothing_to_do_and_come_back_when_there_is() {
        let hashing = Hashing::new(3, SOON);
        for _ in 0..3 {
            let checks: Vec<_> = (0..20).map(|_| hashing.check(vec![hash("right")], vec![secret("right")])).collect();
            for check in checks {
                assert_eq!(check.await, Ok(Some((0, 0))));
                assert!(hashing.threads() <= 3);
            }
            while hashing.threads() > 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn so_many_wait_and_one_more_is_refused_until_somebody_gives_up() {
        // Without a thread nothing ever gets its turn.
        let hashing = Hashing::new(0, IDLE);
        let ask = || {
            let (answer, answered) = oneshot::channel();
            let check = Check { hashes: vec![hash("right")], readings: vec![secret("right")], answer };
            hashing.submit(check).map(|()| answered)
        };
        let mut asked: Vec<_> = (0..WAITING).map(|_| ask().unwrap()).collect();
        assert_eq!(ask().err(), Some(NotHashed::Full));
        drop(asked.pop());
        asked.push(ask().unwrap());
        assert_eq!(ask().err(), Some(NotHashed::Full));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_stand_behind_everybody_else() {
        let hashing = Hashing::new(1, IDLE);
        hashing.check(vec![hash("right")], vec![secret("right")]).await.unwrap();
        let nice = |stat: &str| stat.rsplit_once(')').unwrap().1.split(' ').nth(17).unwrap().parse::<i32>().unwrap();
        let own = nice(&std::fs::read_to_string("/proc/self/stat").unwrap());
        let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).ok()?;
            stat.contains("(slow-hash)").then(|| nice(&stat))
        });
        let threads: Vec<i32> = threads.collect();
        // Another test may be about to start one.
        assert!(threads.contains(&(own + NICE).min(19)), "{own} {threads:?}");
    }
}
