//! The only place that speaks SQL: one file per noun, one method per unit of work.
//!
//! A method opens and commits its own transaction. Reads answer with `Option` where there may be nothing; writes made
//! by administrators answer with [`AdminError`], which tells a refusal (the person can mend it) from a failure.

mod db;
mod file;
mod remote;

pub mod all_members;
pub mod cache;
pub mod changes;
mod client_parts;
pub mod client_settings;
pub mod clients;
pub mod codes;
pub mod consents;
pub mod device_codes;
pub mod grants;
pub mod groups;
pub mod joint;
pub mod kept_tokens;
pub mod keys;
pub mod leases;
pub mod members;
pub mod permissions;
pub mod refresh_tokens;
pub mod resources;
pub mod revocations;
pub mod scopes;
pub mod secrets;
pub mod sessions;
pub mod status;
pub mod tenants;
pub mod token_states;
pub mod users;
mod writer;

pub use db::{DatabaseUrl, Engine, Store};
pub use remote::SESSION;

/// A failure of the database. Never the requester's fault, so never an OAuth 4xx.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Away, overloaded, full or locked: the same request may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// PostgreSQL takes no writes on this connection: it is a standby, or its operator wants it so.
    #[error("the database is not available: {0}")]
    ReadOnly(String),
    /// A defect in the program or in the data.
    #[error("the database cannot be used: {0}")]
    Internal(String),
}

/// What an administrative write answers when it did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The rule that said no, and what to do instead.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a unit of work fails with, as far as the store has to know.
pub(crate) trait UnitError: From<StoreError> {
    /// The failure of the database, where it is one.
    fn store_error(&self) -> Option<&StoreError>;
}

impl UnitError for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl UnitError for AdminError {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl AdminError {
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}

impl From<sqlx::Error> for AdminError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(cause) if cause.is_foreign_key_violation() => {
                Self::refused("something that the command names was deleted meanwhile; look again and repeat it")
            }
            _ => Self::Store(error.into()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let away = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // Whoever closes a new connection unread, as a proxy with nothing behind it does, is not understood.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed => true,
            sqlx::Error::Database(cause) => cause.code().is_some_and(|code| is_away(&code)),
            _ => false,
        };
        let text = match &error {
            sqlx::Error::Database(cause) => {
                let hint =
                    cause.code().and_then(|code| hint(&code)).map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("{}{hint}", cause.message())
            }
            _ => error.to_string(),
        };
        let read_only = error.as_database_error().and_then(|cause| cause.code()).is_some_and(|code| code == READ_ONLY);
        match (read_only, away) {
            (true, _) => Self::ReadOnly(text),
            (false, true) => Self::Unavailable(text),
            (false, false) => Self::Internal(text),
        }
    }
}

/// SQLSTATE of a write that PostgreSQL does not take.
const READ_ONLY: &str = "25006";

/// SQLSTATE classes of PostgreSQL and primary result codes of SQLite that mean "not now" rather than "never".
fn is_away(code: &str) -> bool {
    // 08 connection, 28 who may connect, 3D no such database, 40 rollback, 53 resources, 55 not in that state (locks
    // among them), 57 operator intervention, 58 system.
    if code.len() == 5 {
        let classes = ["08", "28", "3D", "40", "53", "55", "57", "58"];
        return classes.iter().any(|class| code.starts_with(class));
    }
    // SQLITE_BUSY, LOCKED, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
    code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 9 | 10 | 13 | 14 | 15))
}

/// What a person can do about the commoner codes.
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "28000" | "28P01" => Some("check user and password in the postgres:// URL"),
        "3D000" => Some("make it first: createdb NAME"),
        "42501" => Some("the user needs the right to make and change tables there"),
        "26" => Some("name another file with --database"),
        _ => None,
    }
}

/// A row that this version of the program cannot read.
pub(crate) fn unreadable(what: &str) -> StoreError {
    StoreError::Internal(format!("a stored {what} cannot be read; was the row written by a newer version?"))
}

/// Runs one body on a pooled reading connection of whichever engine is in use. What a body answers early is what the
/// function answers.
macro_rules! reading {
    ($store:expr, $conn:ident => $body:expr) => {
        match &$store.db {
            $crate::store::db::Db::Sqlite { read, .. } => {
                let mut pooled = read.acquire().await?;
                let $conn = &mut *pooled;
                $body
            }
            $crate::store::db::Db::Postgres(remote) => {
                let mut pooled = remote.acquire().await?;
                let unit = async {
                    let $conn = &mut *pooled;
                    Ok($body)
                };
                let answered = tokio::time::timeout($crate::store::remote::ANSWER, unit).await;
                match remote.settle(pooled, answered) {
                    Ok(answer) => answer,
                    Err(error) => return Err(error),
                }
            }
        }
    };
}

/// Runs one body in a transaction that may write, and commits it. Leaving the body early rolls everything back; what is
/// answered then is what the function answers.
macro_rules! writing {
    ($store:expr, $tx:ident => $body:expr) => {
        match &$store.db {
            $crate::store::db::Db::Sqlite { write, .. } => {
                let mut turn = write.turn().await?;
                let $tx = turn.begin().await?;
                let answer = $body;
                turn.commit().await?;
                answer
            }
            $crate::store::db::Db::Postgres(remote) => {
                let mut pooled = remote.acquire().await?;
                let unit = async {
                    let mut transaction = sqlx::Connection::begin(&mut *pooled).await?;
                    let $tx = &mut *transaction;
                    let answer = $body;
                    transaction.commit().await?;
                    Ok(answer)
                };
                let answered = tokio::time::timeout($crate::store::remote::ANSWER, unit).await;
                match remote.settle(pooled, answered) {
                    Ok(answer) => answer,
                    Err(error) => return Err(error),
                }
            }
        }
    };
}

/// Takes the next revision number inside a transaction and says what changed. The row lock it takes orders all
/// administrative writes, so put it first: what is checked after it cannot be changed by another writer.
macro_rules! announce {
    ($tx:ident, $tenant:expr, $noun:expr, $subject:expr, $now:expr) => {{
        let (revision,): (i64,) =
            sqlx::query_as("UPDATE revisions SET revision = revision + 1 WHERE id = 1 RETURNING revision")
                .fetch_one(&mut *$tx)
                .await?;
        sqlx::query("INSERT INTO changes (revision, tenant_id, noun, subject, changed_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(revision)
            .bind($tenant.uuid())
            .bind($crate::store::changes::Noun::as_str($noun))
            .bind($subject)
            .bind($now)
            .execute(&mut *$tx)
            .await?;
    }};
}

pub(crate) use {announce, reading, writing};
