//! Durable commits: the rows of one refresh in one transaction, as fast as SQLite writes them one after the other.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor, SqliteConnection};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a refresh writes: the grant's line moves on, the access token is remembered, the successor takes the place of
/// the token that was used.
const STATEMENTS: [&str; 5] = [
    "UPDATE grants SET generation = generation + 1, current = randomblob(32) \
     WHERE id = (SELECT id FROM grants ORDER BY id LIMIT 1)",
    "INSERT INTO grant_tokens (jti, grant_id, list_id, list_index, expires_at) \
     SELECT randomblob(16), id, randomblob(16), generation, 4000000000 FROM grants ORDER BY id LIMIT 1",
    "INSERT INTO refresh_tokens (hash, grant_id, generation, issued_at, expires_at) \
     SELECT randomblob(32), id, generation + 1, generation, 4000000000 FROM grants ORDER BY id LIMIT 1",
    "DELETE FROM refresh_tokens WHERE grant_id = (SELECT id FROM grants ORDER BY id LIMIT 1) \
     AND generation <= (SELECT generation FROM grants ORDER BY id LIMIT 1)",
    "COMMIT",
];

/// Measures in `database`, which has at least one grant.
pub async fn per_second(database: &Path, seconds: f64) -> f64 {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let (started, mut made) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs_f64(seconds) {
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        for statement in STATEMENTS {
            let touched = connection.execute(statement).await.unwrap().rows_affected();
            assert!(statement == "COMMIT" || touched > 0, "{statement} touched nothing");
        }
        made += 1;
    }
    f64::from(made) / started.elapsed().as_secs_f64()
}
