//! Opening the database: SQLite inside the process, or PostgreSQL by URL.

use super::StoreError;
use super::file::DatabaseFile;
use super::remote::{ANSWER, Remote};
use super::token_states::Waiting;
use super::writer::Writer;
use crate::types::Invalid;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The migrations of this version. Later ones that the database knows are let be: schema changes expand first and
/// contract a release later, so the previous binary runs on the new schema.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("./migrations");
    migrations.set_ignore_missing(true);
    migrations
}

/// How long a request waits for a connection before it is told that the database is not available.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, made when it does not exist.
    Sqlite(PathBuf),
    /// A `postgres://` URL; may hold a password.
    Postgres(String),
}

/// Which engine a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite, bundled.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl FromStr for DatabaseUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // What the parser says may repeat the URL, and with it the password.
            return match PgConnectOptions::from_str(text) {
                Ok(_) => Ok(Self::Postgres(text.to_owned())),
                Err(_) => {
                    let why = "it is no postgres:// URL; write / ? # @ in a password as %2F %3F %23 %40";
                    Err(Invalid::new("database", "(not shown)", why))
                }
            };
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
        // A mistyped URL must not become the name of a file, visible to everybody with its password.
        let without_scheme = text.split_once('@').is_some_and(|(user, _)| user.contains(':')) && path == text;
        let mistyped = without_scheme || ["postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme));
        if path.is_empty() || mistyped || (text.contains("://") && path == text) || path.contains(":memory:") {
            // The URL may hold a password, so it is not shown.
            return Err(Invalid::new("database", "(not shown)", "use a file's path or postgres://user@host/name"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// Without the password.
impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(text) => match url::Url::parse(text) {
                // An unencoded '/', '?' or '#' in the password ends the host early: then the rest of it would be shown.
                Ok(url) if url[url::Position::AfterPort..].contains('@') => f.write_str("postgres://(unreadable)"),
                Ok(url) => write!(
                    f,
                    "postgres://{}{}{}",
                    url.host_str().unwrap_or("localhost"),
                    url.port().map(|port| format!(":{port}")).unwrap_or_default(),
                    url.path()
                ),
                Err(_) => f.write_str("postgres://(unreadable)"),
            },
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// One body of SQL, two engines: see the `reading!` and `writing!` macros.
#[derive(Debug, Clone)]
pub(super) enum Db {
    Sqlite { read: SqlitePool, write: Writer },
    Postgres(Remote),
}

/// The database, behind one method per unit of work.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) db: Db,
    pub(super) states: Arc<Waiting>,
}

impl Store {
    /// Opens the database, makes it when it is a file that does not exist, and brings its schema up to date.
    ///
    /// # Errors
    /// The file or the server cannot be reached, or its schema cannot be brought up to date.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => Self::open_sqlite(path).await,
            DatabaseUrl::Postgres(text) => Self::open_postgres(text).await,
        }
    }

    /// The engine behind.
    pub fn engine(&self) -> Engine {
        match self.db {
            Db::Sqlite { .. } => Engine::Sqlite,
            Db::Postgres(_) => Engine::Postgres,
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let away = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        refuse_orphan(path)?;
        create_private(path).map_err(away)?;
        // Two processes that start at once must not both migrate. The lock is on the folder because closing any
        // handle of the database file itself would drop SQLite's own locks.
        // Waiting for it must not stop this thread: what holds the lock may be another task of the same runtime.
        let folder = folder.to_owned();
        let lock = tokio::task::spawn_blocking(move || {
            let lock = std::fs::File::open(folder)?;
            lock.lock().map(|()| lock)
        });
        let _lock = lock.await.map_err(std::io::Error::other).and_then(|lock| lock).map_err(away)?;

        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT);
        // A connection to a file does not go away, so it is not asked whether it is still there before each use.
        let pool = |connections| {
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
            pool.test_before_acquire(false)
        };
        // A commit that fails for want of disk leaves a connection that believes to be in a transaction for ever.
        let writer = pool(1).after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        });
        let write = writer.connect_with(options.clone()).await?;
        let others = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations' AND NOT EXISTS \
                      (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'revisions') LIMIT 1";
        refuse_others(write.fetch_all(sqlx::raw_sql(others)).await?.len())?;
        migrations().run(&write).await.map_err(migration)?;
        let read = pool(SQLITE_READERS).connect_with(options.pragma("query_only", "ON")).await?;
        let file = DatabaseFile::at(path).map_err(away)?;
        Ok(Self { db: Db::Sqlite { read, write: Writer::new(write, file) }, states: Arc::default() })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| StoreError::Internal("the postgres:// URL cannot be read".into()))?
            .application_name("grantor");
        // One connection by hand first: it says what is wrong, where the pool would only say that time ran out.
        let connecting = tokio::time::timeout(ANSWER, PgConnection::connect_with(&options));
        let mut first = connecting.await.map_err(|_| {
            StoreError::Unavailable(format!("{}:{} does not answer", options.get_host(), options.get_port()))
        })??;
        // The table of migrations comes before the others: a server that starts beside this one may just have made it.
        // The catalogue, because the information schema hides tables that this user may not touch.
        let others = "SELECT 1 FROM pg_catalog.pg_tables \
                      WHERE schemaname = current_schema() AND tablename <> '_sqlx_migrations' \
                      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_tables \
                      WHERE schemaname = current_schema() AND tablename = 'revisions') LIMIT 1";
        refuse_others(first.fetch_all(sqlx::raw_sql(others)).await?.len())?;
        first.close().await?;
        // A migration may take its time; a request may not.
        let unhurried = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
        migrations().run(&unhurried).await.map_err(migration)?;
        unhurried.close().await;
        Ok(Self { db: Db::Postgres(Remote::new(options)), states: Arc::default() })
    }

    /// Asks the database for one row, for readiness.
    ///
    /// # Errors
    /// The database does not answer, or is a file that is not in its place any more.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if let Db::Sqlite { write, .. } = &self.db {
            write.file().check()?;
        }
        super::reading!(self, conn => sqlx::query("SELECT revision FROM revisions WHERE id = 1").execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Closes every connection; later calls answer that the database is not available.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Db::Postgres(remote) => remote.close().await,
        }
    }
}

/// A database that holds somebody else's tables and none of ours is left as it is.
fn refuse_others(tables: usize) -> Result<(), StoreError> {
    if tables == 0 {
        return Ok(());
    }
    Err(StoreError::Internal("the database belongs to another program; name an empty one with --database".into()))
}

/// A write-ahead log without its database belongs to one that was moved away, perhaps from under a running server. A new
/// file of the same name would take it over, and with it what was acknowledged.
fn refuse_orphan(path: &Path) -> Result<(), StoreError> {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    if path.exists() || !log.exists() {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "{} is not there, but its log {} is: put the database back, or move the log away as well",
        path.display(),
        log.display()
    )))
}

/// Makes the file readable by its owner alone before SQLite would make it for everybody.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn migration(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(cause) | sqlx::migrate::MigrateError::ExecuteMigration(cause, _) => {
            cause.into()
        }
        other => StoreError::Internal(format!("the schema cannot be brought up to date: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_whose_database_was_moved_away_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("grantor.db"), folder.path().join("moved.db"));
        let url = DatabaseUrl::Sqlite(path.clone());
        let running = Store::open(&url).await.unwrap();
        running.purge_changes(0).await.unwrap();
        std::fs::rename(&path, &moved).unwrap();
        let refused = Store::open(&url).await.unwrap_err().to_string();
        assert!(refused.contains("put the database back") && !path.exists(), "{refused}");
        std::fs::rename(&moved, &path).unwrap();
        Store::open(&url).await.unwrap().ping().await.unwrap();
    }

    // As after a disk that was full at the commit: SQLite has rolled back, the driver believes in a transaction.
    #[tokio::test]
    async fn a_commit_that_failed_does_not_spoil_the_only_writer() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::Sqlite(folder.path().join("grantor.db"))).await.unwrap();
        let Db::Sqlite { write, .. } = &store.db else { unreachable!("opened as SQLite") };
        let mut turn = write.turn().await.unwrap();
        turn.begin().await.unwrap().execute("ROLLBACK").await.unwrap();
        turn.commit().await.expect_err("there is no transaction to commit");
        for _ in 0..3 {
            store.purge_changes(0).await.unwrap();
        }
    }
}
