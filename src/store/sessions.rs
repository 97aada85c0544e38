//! Sessions of people in browsers. The cookie's value is kept as its hash alone.

use super::grants::revoke_grants;
use super::users::{self, User, hold_user};
use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{SessionId, TenantId, UserId};
use crate::types::secret::SecretHash;
use uuid::Uuid;

/// A session that has not ended.
#[derive(Debug, Clone)]
pub struct Session {
    /// Row id; the `sid` claim.
    pub id: SessionId,
    /// Whose.
    pub user: User,
    /// When the person proved who they are.
    pub auth_time: UnixTime,
    /// When it was last used, give or take a minute.
    pub last_seen_at: UnixTime,
    /// Its absolute end.
    pub ends_at: UnixTime,
}

/// A session that is to be made.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// Row id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The stored password that was right a moment ago.
    pub password: &'a SecretHash,
    /// SHA-256 of the cookie's value.
    pub token_hash: [u8; 32],
    /// Its absolute end.
    pub ends_at: UnixTime,
    /// Its end when it is not used.
    pub expires_at: UnixTime,
    /// Where the browser is.
    pub address: &'a str,
    /// What the browser calls itself.
    pub user_agent: &'a str,
}

/// A line of a person's list of sessions.
#[derive(Debug, Clone)]
pub struct SessionLine {
    /// Row id.
    pub id: SessionId,
    /// When the person signed in.
    pub auth_time: UnixTime,
    /// When it was last used.
    pub last_seen_at: UnixTime,
    /// Where the browser was.
    pub address: String,
    /// What it called itself.
    pub user_agent: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    session_id: Uuid,
    auth_time: i64,
    last_seen_at: i64,
    ends_at: i64,
    #[sqlx(flatten)]
    user: users::Row,
}

/// Ends a session with what is bound to it, inside a transaction that holds the user; answers how many sessions ended.
macro_rules! end_session {
    ($tx:ident, $user:expr, $session:expr, $now:expr) => {{
        let ended = sqlx::query("DELETE FROM sessions WHERE id = $1 AND user_id = $2")
            .bind($session.uuid())
            .bind($user.uuid())
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        if ended > 0 {
            let bound: Vec<(Uuid,)> = sqlx::query_as(
                "SELECT id FROM grants WHERE session_id = $1 AND user_id = $2 AND NOT offline AND revoked_at IS NULL ORDER BY id",
            )
            .bind($session.uuid())
            .bind($user.uuid())
            .fetch_all(&mut *$tx)
            .await?;
            for (grant,) in &bound {
                revoke_grants!($tx, *grant, $now);
            }
        }
        ended
    }};
}

impl Store {
    /// Opens a session and notes the login; answers its id, or nothing when the person was disabled or got another
    /// password since theirs was checked: then nothing is opened that was to be ended. When the same person signs in again, the browser's session
    /// goes on under a new cookie: one that somebody may have planted or kept is worth nothing after a login. Another
    /// person's ends.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn create_session(
        &self,
        tenant: TenantId,
        new: &NewSession<'_>,
        previous: Option<&Session>,
        now: UnixTime,
    ) -> Result<Option<SessionId>, StoreError> {
        let same = previous.filter(|previous| previous.user.id == new.user);
        let another = previous.map(|previous| previous.user.id).filter(|user| *user != new.user);
        Ok(writing!(self, tx => {
            // Two people who sign in over each other's session must not wait for each other.
            if let Some(another) = another.filter(|another| another.uuid() < new.user.uuid()) {
                hold_user!(tx, another);
            }
            let still = sqlx::query("UPDATE users SET last_login_at = $2 WHERE id = $1 AND enabled AND password_hash = $3")
                .bind(new.user.uuid())
                .bind(now)
                .bind(new.password.to_stored())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if still == 0 {
                return Ok(None);
            }
            if let Some(other) = previous.filter(|previous| previous.user.id != new.user) {
                hold_user!(tx, other.user.id);
                end_session!(tx, other.user.id, other.id, now);
            }
            let renewed = match same {
                Some(same) => {
                    sqlx::query(
                        "UPDATE sessions SET token_hash = $2, auth_time = $3, last_seen_at = $3, ends_at = $4, expires_at = $5 \
                         WHERE id = $1",
                    )
                    .bind(same.id.uuid())
                    .bind(&new.token_hash[..])
                    .bind(now)
                    .bind(new.ends_at)
                    .bind(new.expires_at)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected()
                        > 0
                }
                None => false,
            };
            match same {
                Some(same) if renewed => Some(same.id),
                _ => {
                    sqlx::query(
                        "INSERT INTO sessions (id, tenant_id, user_id, token_hash, auth_time, last_seen_at, ends_at, expires_at, \
                         address, user_agent) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9)",
                    )
                    .bind(new.id.uuid())
                    .bind(tenant.uuid())
                    .bind(new.user.uuid())
                    .bind(&new.token_hash[..])
                    .bind(now)
                    .bind(new.ends_at)
                    .bind(new.expires_at)
                    .bind(new.address)
                    .bind(new.user_agent)
                    .execute(&mut *tx)
                    .await?;
                    Some(new.id)
                }
            }
        }))
    }

    /// The session of a cookie, unless it ended or its person may not sign in.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_session(
        &self,
        tenant: TenantId,
        token_hash: [u8; 32],
        now: UnixTime,
    ) -> Result<Option<Session>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT s.id AS session_id, s.auth_time, s.last_seen_at, s.ends_at, \
                 u.id, u.username, u.display_name, u.email, u.enabled, u.created_at, u.last_login_at \
                 FROM sessions s JOIN users u ON u.id = s.user_id \
                 WHERE s.tenant_id = $1 AND s.token_hash = $2 AND s.expires_at > $3 AND u.enabled",
            )
            .bind(tenant.uuid())
            .bind(&token_hash[..])
            .bind(now)
            .fetch_optional(conn)
            .await?);
        Ok(row.map(|row| Session {
            id: row.session_id.into(),
            user: row.user.user(),
            auth_time: row.auth_time,
            last_seen_at: row.last_seen_at,
            ends_at: row.ends_at,
        }))
    }

    /// Notes that a session is in use.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn touch_session(
        &self,
        session: SessionId,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        writing!(self, tx =>
            sqlx::query("UPDATE sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1 AND last_seen_at < $2")
                .bind(session.uuid())
                .bind(now)
                .bind(expires_at)
                .execute(tx)
                .await?
                .rows_affected());
        Ok(())
    }

    /// A person's sessions, the last used first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_sessions(&self, user: UserId, now: UnixTime) -> Result<Vec<SessionLine>, StoreError> {
        let rows: Vec<(Uuid, i64, i64, String, String)> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT id, auth_time, last_seen_at, address, user_agent FROM sessions \
                 WHERE user_id = $1 AND expires_at > $2 ORDER BY last_seen_at DESC, id LIMIT 100",
            )
            .bind(user.uuid())
            .bind(now)
            .fetch_all(conn)
            .await?);
        Ok(rows
            .into_iter()
            .map(|(id, auth_time, last_seen_at, address, user_agent)| SessionLine {
                id: id.into(),
                auth_time,
                last_seen_at,
                address,
                user_agent,
            })
            .collect())
    }

    /// Ends a session of a person. What a client was allowed only while the person is there (without
    /// `offline_access`) falls with it; answers whether there was such a session.
    ///
    /// # Errors
    /// The database does not answer: then the session goes on.
    pub async fn end_session(&self, user: UserId, session: SessionId, now: UnixTime) -> Result<bool, StoreError> {
        Ok(writing!(self, tx => {
            hold_user!(tx, user);
            end_session!(tx, user, session, now)
        }) > 0)
    }

    /// Removes sessions that ended before `before`, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_sessions(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT 500)")
                .bind(before)
                .execute(tx)
                .await?
                .rows_affected()))
    }
}
