//! Authorizations: who let whom do what, and everything that falls with one.

use super::consents::Consent;
use super::users::{self, User};
use super::{Store, StoreError, reading, unreadable, writing};
use crate::types::authorized::Authorized;
use crate::types::clock::UnixTime;
use crate::types::id::{ClientOid, GrantId, SessionId, TenantId, UserId};
use crate::types::status::StatusIndex;
use uuid::Uuid;

/// One authorization, whether it still holds or not.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Row id.
    pub id: GrantId,
    /// Who may.
    pub client: ClientOid,
    /// Who let them.
    pub user: User,
    /// The session in which they did.
    pub session: SessionId,
    /// What.
    pub authorized: Authorized,
    /// When the person signed in.
    pub auth_time: UnixTime,
    /// When it was made.
    pub created_at: UnixTime,
    /// Its absolute end.
    pub expires_at: UnixTime,
    /// It fell.
    pub revoked: bool,
    /// SHA-256 of what all refresh tokens of the family have in common.
    pub(super) family: Option<Vec<u8>>,
}

/// An authorization that is to be made.
#[derive(Debug)]
pub struct NewAuthorization<'a> {
    /// Row id.
    pub id: GrantId,
    /// Who may.
    pub client: ClientOid,
    /// Who let them.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// What.
    pub authorized: &'a Authorized,
    /// When the person signed in.
    pub auth_time: UnixTime,
    /// What they agreed to before, where they are not asked again: it must still stand.
    pub rests_on: &'a [Consent],
}

/// An access token as it is remembered with its grant.
#[derive(Debug, Clone, Copy)]
pub struct TokenRecord {
    /// Its `jti`.
    pub jti: Uuid,
    /// Its place in a status list.
    pub status: StatusIndex,
    /// Its `exp`.
    pub expires_at: UnixTime,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    grant_id: Uuid,
    client_id: Uuid,
    session_id: Uuid,
    authorized: String,
    auth_time: i64,
    family: Option<Vec<u8>>,
    granted_at: i64,
    grant_expires_at: i64,
    revoked_at: Option<i64>,
    #[sqlx(flatten)]
    user: users::Row,
}

impl Row {
    pub(super) fn authorization(self) -> Result<Authorization, StoreError> {
        Ok(Authorization {
            id: self.grant_id.into(),
            client: self.client_id.into(),
            user: self.user.user(),
            session: self.session_id.into(),
            authorized: serde_json::from_str(&self.authorized).map_err(|_| unreadable("authorization"))?,
            auth_time: self.auth_time,
            created_at: self.granted_at,
            expires_at: self.grant_expires_at,
            revoked: self.revoked_at.is_some(),
            family: self.family,
        })
    }
}

/// Revokes every grant that hangs on a grant, user or client (their ids share one space of UUIDs), with the access
/// tokens that came from it. The grants' rows are locked first: a token that is issued meanwhile is seen or refused.
macro_rules! revoke_grants {
    ($tx:ident, $of:expr, $now:expr) => {{
        let revoked = sqlx::query(
            "UPDATE grants SET revoked_at = $2 WHERE (id = $1 OR user_id = $1 OR client_id = $1) AND revoked_at IS NULL",
        )
        .bind($of)
        .bind($now)
        .execute(&mut *$tx)
        .await?
        .rows_affected();
        sqlx::query(
            "INSERT INTO revocations (tenant_id, jti, list_id, list_index, revoked_at, expires_at) \
             SELECT g.tenant_id, t.jti, t.list_id, t.list_index, $2, t.expires_at FROM grant_tokens t \
             JOIN grants g ON g.id = t.grant_id \
             WHERE (g.id = $1 OR g.user_id = $1 OR g.client_id = $1) AND t.expires_at > $2 \
             ON CONFLICT (tenant_id, jti) DO NOTHING",
        )
        .bind($of)
        .bind($now)
        .execute(&mut *$tx)
        .await?;
        revoked
    }};
}
pub(super) use revoke_grants;

/// Whether an authorization may begin: the session has not ended, and what it rests on was not taken back, since they
/// were looked at. The person's row is held from here on, so whatever ends either waits or was seen.
macro_rules! may_begin {
    ($tx:ident, $new:expr, $now:expr) => {{
        $crate::store::users::hold_user!($tx, $new.user);
        let session: Option<(Uuid,)> =
            sqlx::query_as("SELECT id FROM sessions WHERE id = $1 AND user_id = $2 AND expires_at > $3")
                .bind($new.session.uuid())
                .bind($new.user.uuid())
                .bind($now)
                .fetch_optional(&mut *$tx)
                .await?;
        let mut stands = session.is_some();
        for consent in $new.rests_on.iter().filter(|_| session.is_some()) {
            let found: Option<(Uuid,)> = sqlx::query_as(
                "SELECT user_id FROM consents WHERE user_id = $1 AND client_id = $2 AND resource_id = $3 AND value = $4",
            )
            .bind($new.user.uuid())
            .bind($new.client.uuid())
            .bind(consent.resource.uuid())
            .bind(&consent.value)
            .fetch_optional(&mut *$tx)
            .await?;
            stands &= found.is_some();
        }
        stands
    }};
}
pub(super) use may_begin;

/// Keeps an authorization that nothing came of yet: it ends with what stands for it.
macro_rules! insert_grant {
    ($tx:ident, $tenant:expr, $new:expr, ($expires_at:expr, $now:expr)) => {
        sqlx::query(
            "INSERT INTO grants (id, tenant_id, client_id, user_id, session_id, authorized, offline, auth_time, \
             generation, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind($new.id.uuid())
        .bind($tenant.uuid())
        .bind($new.client.uuid())
        .bind($new.user.uuid())
        .bind($new.session.uuid())
        .bind(serde_json::to_string($new.authorized).map_err(|_| $crate::store::unreadable("authorization"))?)
        .bind($new.authorized.is_offline())
        .bind($new.auth_time)
        .bind(0_i64)
        .bind($now)
        .bind($expires_at)
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use insert_grant;

/// Lets a grant bring forth its first tokens; answers whether it held.
macro_rules! begin_grant {
    ($tx:ident, $grant:expr, $redemption:expr, $now:expr) => {{
        let family = $redemption.refresh.map(|refresh| refresh.family.to_vec());
        let held = sqlx::query("UPDATE grants SET expires_at = $2, family = $3 WHERE id = $1 AND revoked_at IS NULL")
            .bind($grant)
            .bind($redemption.grant_expires_at)
            .bind(family)
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        if held > 0 {
            insert_token!($tx, $grant, $redemption.token);
            if let Some(refresh) = $redemption.refresh {
                insert_refresh_token!($tx, $grant, (refresh, 1_i64), $now);
            }
        }
        held > 0
    }};
}
pub(super) use begin_grant;

/// Remembers an access token with its grant.
macro_rules! insert_token {
    ($tx:ident, $grant:expr, $token:expr) => {
        sqlx::query(
            "INSERT INTO grant_tokens (jti, grant_id, list_id, list_index, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind($token.jti)
        .bind($grant)
        .bind($token.status.list.uuid())
        .bind(i64::from($token.status.index))
        .bind($token.expires_at)
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use insert_token;

impl Store {
    /// The grant that an access token came from.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn grant_of_token(&self, tenant: TenantId, jti: Uuid) -> Result<Option<Authorization>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT g.id AS grant_id, g.client_id, g.session_id, g.authorized, g.auth_time, g.family, \
                 g.created_at AS granted_at, g.expires_at AS grant_expires_at, g.revoked_at, \
                 u.id, u.username, u.display_name, u.email, u.enabled, u.created_at, u.last_login_at \
                 FROM grant_tokens t JOIN grants g ON g.id = t.grant_id JOIN users u ON u.id = g.user_id \
                 WHERE g.tenant_id = $1 AND t.jti = $2",
            )
            .bind(tenant.uuid())
            .bind(jti)
            .fetch_optional(conn)
            .await?);
        row.map(Row::authorization).transpose()
    }

    /// Revokes a grant, its refresh tokens and its access tokens; answers whether it held until now.
    ///
    /// # Errors
    /// The database does not answer: then nothing is revoked.
    pub async fn revoke_grant(&self, grant: GrantId, now: UnixTime) -> Result<bool, StoreError> {
        Ok(writing!(self, tx => revoke_grants!(tx, grant.uuid(), now)) > 0)
    }

    /// Removes grants that ended before `before` and none of whose tokens is remembered, at most one batch; answers
    /// how many. What hangs on them goes with them.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_grants(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query(
                "DELETE FROM grants WHERE id IN (SELECT g.id FROM grants g WHERE (g.expires_at < $1 OR g.revoked_at < $1) \
                 AND NOT EXISTS (SELECT 1 FROM grant_tokens t WHERE t.grant_id = g.id) LIMIT 500)",
            )
            .bind(before)
            .execute(tx)
            .await?
            .rows_affected()))
    }

    /// Forgets access tokens that expired before `before`, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_grant_tokens(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query("DELETE FROM grant_tokens WHERE jti IN (SELECT jti FROM grant_tokens WHERE expires_at < $1 LIMIT 500)")
                .bind(before)
                .execute(tx)
                .await?
                .rows_affected()))
    }
}
