//! PostgreSQL's connections, and what to do while it does not answer: one request at a time finds out whether it is
//! back, the others are told at once that it is away.

use super::{StoreError, UnitError};
use arc_swap::ArcSwapOption;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use sqlx::{Connection, Executor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::error::Elapsed;

const CONNECTIONS: u32 = 16;

/// How long a request waits for a connection before it is told that the database is not available.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest a unit of work may take, and the longest a first connection is waited for. PostgreSQL itself ends a
/// statement sooner (`SESSION`): whoever hears nothing for so long talks to a server that is stopped or cut off.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Between two attempts to reach a database that is away.
const AGAIN: Duration = Duration::from_millis(500);

/// Between two renewals of connections that take no writes.
const RENEWED: Duration = Duration::from_secs(1);

/// A connection that was idle for longer is asked whether it is still there before it is used.
const TRUSTED: Duration = Duration::from_secs(1);

/// What each connection is told before it is used. A request waits for nothing for long. Every statement is written as a
/// walk along indexes, and is to be run as one: the planner believes a walk up nested groups to be many times as long as it is, would
/// rather join with all groups of all tenants, and keeps what it once planned for a table that was empty.
pub const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; SET enable_seqscan = off; \
                           SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
                           SET max_parallel_workers_per_gather = 0";

/// A PostgreSQL server.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pool: PgPool,
    breaker: Arc<Breaker>,
    renewal: Arc<Renewal>,
}

impl Remote {
    /// Connects when a connection is needed.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let renewal = Arc::<Renewal>::default();
        let renewed = renewal.clone();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(drop) }))
            .test_before_acquire(false)
            .before_acquire(move |connection, about| {
                let good = renewed.is_younger(about.age);
                Box::pin(async move {
                    if !good {
                        return Ok(false);
                    }
                    if about.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Self { pool, breaker: Arc::new(Breaker::new()), renewal }
    }

    /// A connection.
    ///
    /// # Errors
    /// The database is away, or all connections are in use for too long.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        if !self.breaker.lets_try() {
            return Err(StoreError::Unavailable("PostgreSQL did not answer a moment ago".into()));
        }
        let asked = self.breaker.now();
        let acquired = self.pool.acquire().await;
        self.breaker.learn(acquired.is_ok(), asked);
        Ok(acquired?)
    }

    /// Gives a connection back after a unit of work that was waited for, where it is still of use.
    ///
    /// # Errors
    /// That of the unit, or that no answer came: then nobody knows whether the unit was committed.
    pub(super) fn settle<T, E: UnitError>(
        &self,
        connection: PoolConnection<Postgres>,
        answer: Result<Result<T, E>, Elapsed>,
    ) -> Result<T, E> {
        let Ok(answer) = answer else {
            // The pool would wait for the end of what never ends.
            drop(connection.detach());
            self.breaker.fail();
            let text = "PostgreSQL did not answer in time; whether it did what it was asked is not known";
            return Err(StoreError::Unavailable(text.into()).into());
        };
        if let Err(error) = &answer
            && matches!(error.store_error(), Some(StoreError::ReadOnly(_)))
        {
            self.renewal.ask();
        }
        answer
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// When connections were last found not to take writes. A session keeps for life what was true of the database when it
/// began, so those that are older are given up, and the next one sees what is true by now.
#[derive(Debug, Default)]
struct Renewal(ArcSwapOption<Instant>);

impl Renewal {
    /// Once in a while: as long as nothing may be written, new connections are no better.
    fn ask(&self) {
        if self.0.load().as_deref().is_none_or(|asked| asked.elapsed() >= RENEWED) {
            self.0.store(Some(Arc::new(Instant::now())));
        }
    }

    fn is_younger(&self, age: Duration) -> bool {
        self.0.load().as_deref().is_none_or(|asked| age <= asked.elapsed())
    }
}

/// Lets one attempt through now and then after one failed.
#[derive(Debug)]
struct Breaker {
    since: Instant,
    // Both in milliseconds from `since`. `again_at` is 0 while the database answers.
    again_at: AtomicU64,
    answered_at: AtomicU64,
}

impl Breaker {
    fn new() -> Self {
        Self { since: Instant::now(), again_at: AtomicU64::new(0), answered_at: AtomicU64::new(0) }
    }

    // Never 0, which means something else.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn next(&self) -> u64 {
        self.now().saturating_add(u64::try_from(AGAIN.as_millis()).unwrap_or(u64::MAX))
    }

    fn lets_try(&self) -> bool {
        let again_at = self.again_at.load(Ordering::Relaxed);
        if again_at == 0 {
            return true;
        }
        // Whoever moves the time on has the attempt.
        self.now() >= again_at
            && self.again_at.compare_exchange(again_at, self.next(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Takes note of an attempt that began at `asked`.
    fn learn(&self, answered: bool, asked: u64) {
        if answered {
            self.answered_at.fetch_max(self.now(), Ordering::Relaxed);
            if self.again_at.load(Ordering::Relaxed) != 0 {
                self.again_at.store(0, Ordering::Relaxed);
            }
        } else if self.answered_at.load(Ordering::Relaxed) < asked {
            // Where others had a connection meanwhile, the database is busy and not away.
            self.fail();
        }
    }

    /// Takes note that the database does not answer.
    fn fail(&self) {
        self.again_at.store(self.next(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_attempt_at_a_time_is_let_through_and_success_lets_all_through() {
        let breaker = Breaker::new();
        assert!(breaker.lets_try() && breaker.lets_try());
        breaker.learn(false, breaker.now());
        assert!(!breaker.lets_try());
        breaker.again_at.store(1, Ordering::Relaxed);
        assert!(breaker.lets_try() && !breaker.lets_try());
        breaker.learn(true, 1);
        assert!(breaker.lets_try() && breaker.lets_try());
    }

    #[test]
    fn who_waited_in_vain_while_others_were_served_does_not_hold_the_others_up() {
        let breaker = Breaker::new();
        let asked = breaker.now();
        breaker.learn(true, asked);
        breaker.learn(false, asked);
        assert!(breaker.lets_try());
    }

    #[test]
    fn connections_that_were_there_before_a_write_was_refused_are_replaced() {
        let renewal = Renewal::default();
        let (old, new) = (Duration::from_secs(60), Duration::ZERO);
        assert!(renewal.is_younger(old) && renewal.is_younger(new));
        renewal.ask();
        assert!(!renewal.is_younger(old) && renewal.is_younger(new));
    }
}
