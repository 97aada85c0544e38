//! SQLite's one writer, with group commit: units of work that wait for their turn meanwhile share one durable commit.
//!
//! A commit costs a wait for the disk, and only one can be under way. So whoever comes first opens a transaction, and
//! each unit of work runs in a savepoint of it. The one that opened it queues up again, behind all who waited by then,
//! to commit for everybody; nobody is answered before that. A unit that fails is rolled back to its savepoint alone.

use super::StoreError;
use super::db::ACQUIRE_TIMEOUT;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, Executor, Sqlite, Transaction};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// What became of a group; nothing while its commit is to come.
type Outcome = Option<Result<(), StoreError>>;

struct Group {
    transaction: Transaction<'static, Sqlite>,
    outcome: watch::Sender<Outcome>,
    // Somebody queued up to commit it.
    closing: bool,
    // A unit was given up: whether its savepoint could be rolled back is not known yet.
    doubtful: bool,
}

impl Group {
    /// A statement that fails for want of disk takes the whole transaction with it.
    async fn is_whole(&mut self) -> bool {
        if self.doubtful {
            // It runs after the rollback, which nobody waited for. SQLite refuses it inside a transaction.
            self.doubtful = self.transaction.execute("BEGIN").await.is_ok();
        }
        !self.doubtful
    }

    async fn close(mut self) {
        let committed =
            if self.is_whole().await { self.transaction.commit().await } else { Err(sqlx::Error::BeginFailed) };
        // Whatever the reason: nothing of the group happened, and the same may succeed later.
        let outcome = committed.map_err(|error| StoreError::Unavailable(format!("nothing was committed: {error}")));
        self.outcome.send_replace(Some(outcome));
    }
}

/// The one writing connection, in turns.
#[derive(Clone)]
pub(super) struct Writer {
    pool: SqlitePool,
    open: Arc<Mutex<Option<Group>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Writer").field(&self.pool).finish()
    }
}

impl Writer {
    /// Over a pool of one connection.
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool, open: Arc::default() }
    }

    /// Waits until it is this unit of work's turn.
    ///
    /// # Errors
    /// The database cannot be written to, or others take too long.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let turn = tokio::time::timeout(ACQUIRE_TIMEOUT, self.open.clone().lock_owned());
        let mut open = turn.await.map_err(|_| StoreError::from(sqlx::Error::PoolTimedOut))?;
        if let Some(mut group) = open.take() {
            if group.is_whole().await {
                *open = Some(group);
            } else {
                group.close().await;
            }
        }
        if open.is_none() {
            // SQLite takes its write lock at once, so that no reader has to be upgraded half-way.
            let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            *open = Some(Group { transaction, outcome: watch::Sender::new(None), closing: false, doubtful: false });
        }
        Ok(Turn { open: Some(open), writer: self.clone(), finished: false })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// One unit's turn. Dropped early, what the unit did is rolled back.
pub(super) struct Turn {
    open: Option<OwnedMutexGuard<Option<Group>>>,
    writer: Writer,
    finished: bool,
}

impl Turn {
    fn group(&mut self) -> Result<&mut Group, StoreError> {
        self.open.as_mut().and_then(|open| open.as_mut()).ok_or_else(|| sqlx::Error::BeginFailed.into())
    }

    /// The unit's savepoint.
    pub(super) async fn unit(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        Ok(self.group()?.transaction.begin().await?)
    }

    /// Ends the turn and waits until what was done in it is durable.
    ///
    /// # Errors
    /// It is not: nothing happened.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let mut outcome = self.group()?.outcome.subscribe();
        self.finished = true;
        drop(self);
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let Some(group) = open.as_mut() else { return };
        group.doubtful |= !self.finished;
        if std::mem::replace(&mut group.closing, true) {
            return;
        }
        // In a task of its own: the request may be given up while others rely on the commit.
        let turns = self.writer.open.clone();
        tokio::spawn(async move {
            // Whoever finds the group broken closes it before its time; then there is another one, or none.
            let group = turns.lock().await.take();
            if let Some(group) = group {
                group.close().await;
            }
        });
    }
}
