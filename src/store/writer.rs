//! SQLite's one writer, with group commit: units of work that wait for their turn meanwhile share one durable commit.
//!
//! A commit costs a wait for the disk, and only one can be under way. So whoever comes first opens a transaction, and
//! each unit of work runs in a savepoint of it. The one that opened it queues up again, behind all who waited by then,
//! to commit for everybody; nobody is answered before that. A unit that fails, or whose request is given up, is undone
//! alone, by a task that nobody can give up, before the next one has its turn.
//!
//! The savepoints are our own and not the driver's: when the beginning of a nested transaction is given up, the driver
//! rolls back twice, and the second time the transaction around it.

use super::StoreError;
use super::db::ACQUIRE_TIMEOUT;
use super::file::DatabaseFile;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Executor, Sqlite, Transaction};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// What became of a group; nothing while its commit is to come.
type Outcome = Option<Result<(), StoreError>>;

struct Group {
    transaction: Transaction<'static, Sqlite>,
    outcome: watch::Sender<Outcome>,
    // Somebody queued up to commit it.
    closing: bool,
}

impl Group {
    /// Undoes the unit that was begun last. Answers whether the transaction around it is still there: a statement that
    /// fails for want of disk takes it along.
    async fn undo(&mut self) -> bool {
        if self.transaction.execute("ROLLBACK TO unit").await.is_ok() {
            return self.transaction.execute("RELEASE unit").await.is_ok();
        }
        // The unit had not begun, or was done; or all is lost. SQLite begins no transaction inside another one.
        if self.transaction.execute("BEGIN").await.is_err() {
            return true;
        }
        // Whether that succeeds or not: the driver, which believes in the lost one, will give the connection up.
        let _ = self.transaction.execute("ROLLBACK").await;
        false
    }

    async fn close(self) {
        let Self { transaction, outcome, .. } = self;
        // Whatever the reason: nothing of the group happened, and the same may succeed later.
        let committed = transaction.commit().await.map_err(nothing_committed);
        outcome.send_replace(Some(committed));
    }
}

fn nothing_committed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("nothing was committed: {error}"))
}

/// The one writing connection, in turns.
#[derive(Clone)]
pub(super) struct Writer {
    pool: SqlitePool,
    file: Arc<DatabaseFile>,
    open: Arc<Mutex<Option<Group>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Writer").field(&self.pool).finish()
    }
}

impl Writer {
    /// Over a pool of one connection to the file.
    pub(super) fn new(pool: SqlitePool, file: DatabaseFile) -> Self {
        Self { pool, file: Arc::new(file), open: Arc::default() }
    }

    /// What is written to.
    pub(super) fn file(&self) -> &DatabaseFile {
        &self.file
    }

    /// Waits until it is this unit of work's turn.
    ///
    /// # Errors
    /// The database cannot be written to, or others take too long.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let turn = tokio::time::timeout(ACQUIRE_TIMEOUT, self.open.clone().lock_owned());
        let mut open = turn.await.map_err(|_| StoreError::from(sqlx::Error::PoolTimedOut))?;
        if open.is_none() {
            self.file.check()?;
            // SQLite takes its write lock at once, so that no reader has to be upgraded half-way.
            let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            *open = Some(Group { transaction, outcome: watch::Sender::new(None), closing: false });
        }
        Ok(Turn { open: Some(open), writer: self.clone() })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Lets the turn pass on, after whoever opened the group has queued up to close it.
    fn pass_on(&self, mut open: OwnedMutexGuard<Option<Group>>) {
        let Some(group) = open.as_mut() else { return };
        if std::mem::replace(&mut group.closing, true) {
            return;
        }
        let turns = self.open.clone();
        // In a task of its own: the request may be given up while others rely on the commit.
        tokio::spawn(async move {
            let mut turn = turns.lock().await;
            if let Some(group) = turn.take() {
                group.close().await;
            }
        });
    }
}

/// One unit's turn. Dropped early, what the unit did is undone.
pub(super) struct Turn {
    open: Option<OwnedMutexGuard<Option<Group>>>,
    writer: Writer,
}

impl Turn {
    fn group(&mut self) -> Result<&mut Group, StoreError> {
        self.open.as_mut().and_then(|open| open.as_mut()).ok_or_else(|| sqlx::Error::BeginFailed.into())
    }

    /// Begins the unit; what is done on the connection belongs to it.
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let transaction = &mut self.group()?.transaction;
        transaction.execute("SAVEPOINT unit").await?;
        Ok(&mut *transaction)
    }

    /// Ends the turn and waits until what was done in it is durable.
    ///
    /// # Errors
    /// It is not: nothing happened.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let group = self.group()?;
        group.transaction.execute("RELEASE unit").await?;
        let mut outcome = group.outcome.subscribe();
        if let Some(open) = self.open.take() {
            self.writer.pass_on(open);
        }
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(nothing_committed("the server is stopping")),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let writer = self.writer.clone();
        // The turn is not over before the unit is undone.
        tokio::spawn(async move {
            if let Some(group) = open.as_mut()
                && !group.undo().await
                && let Some(group) = open.take()
            {
                group.outcome.send_replace(Some(Err(nothing_committed("the transaction was lost"))));
            }
            writer.pass_on(open);
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{DatabaseUrl, Store};
    use crate::types::id::TenantId;
    use crate::types::status::StatusIndex;
    use std::future::Future;
    use std::task::{Context, Waker};
    use std::time::Duration;
    use uuid::Uuid;

    async fn opened(folder: &tempfile::TempDir) -> Store {
        Store::open(&DatabaseUrl::Sqlite(folder.path().join("grantor.db"))).await.unwrap()
    }

    async fn lease(store: &Store, number: u32) -> Result<StatusIndex, crate::store::StoreError> {
        let fresh = Uuid::from_u128(7).into();
        let leased = store.lease_indexes(TenantId::from(Uuid::from_u128(1)), (number, 10), fresh, 1).await?;
        Ok(StatusIndex { list: leased.list, index: leased.first })
    }

    async fn with_tenant(store: &Store) {
        let key = crate::store::keys::NewKey {
            kid: "kid".into(),
            alg: crate::types::alg::Alg::EdDsa,
            sealed: Vec::new(),
            created_at: 1,
            activates_at: 1,
        };
        let name = "default".parse().unwrap();
        store.create_tenant(TenantId::from(Uuid::from_u128(1)), &name, &key, 1).await.unwrap();
    }

    // A request that is given up, at whatever point, neither harms the next one nor leaves half of its work behind.
    #[tokio::test]
    async fn a_unit_that_is_given_up_at_any_point_leaves_the_writer_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(&folder).await;
        with_tenant(&store).await;
        let mut next = lease(&store, 16).await.unwrap().index + 16;
        for polls in 0..60 {
            let mut given_up = Box::pin(lease(&store, 16));
            let mut done = false;
            for _ in 0..polls {
                if given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    done = true;
                    break;
                }
                // The worker's thread and the spawned tasks go on meanwhile.
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            drop(given_up);
            let index = lease(&store, 16).await.unwrap().index;
            let steps = (index - next) / 16;
            assert!(steps <= 1 && (!done || steps == 1), "after {polls} polls: {index} behind {next}");
            next = index + 16;
        }
    }

    // Of many that come at once some are given up; what was answered is there, each index once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_was_answered_is_kept_whoever_else_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(&folder).await;
        with_tenant(&store).await;
        let mut tasks = Vec::new();
        for number in 0..400_u64 {
            let store = store.clone();
            let task = tokio::spawn(async move { lease(&store, 1).await.unwrap().index });
            if number % 3 == 0 {
                tokio::time::sleep(Duration::from_micros(number % 7 * 150)).await;
                task.abort();
            }
            tasks.push(task);
        }
        let mut given = Vec::new();
        for task in tasks {
            match task.await {
                Ok(index) => given.push(index),
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        let answered = given.len();
        given.sort_unstable();
        given.dedup();
        assert!(answered >= 266 && given.len() == answered, "{answered} answered, {} different", given.len());
        drop(store);
        let next = lease(&opened(&folder).await, 1).await.unwrap().index;
        assert!(given.iter().all(|index| *index < next), "{next} is given out again");
    }
}
