//! Access tokens that are kept: opaque ones by their hash, and those that an operator issued so that they are listed.

use super::changes::Noun;
use super::grants::TokenRecord;
use super::users::User;
use super::{Store, StoreError, announce, reading, unreadable, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{ClientOid, ResourceId, SessionId, TenantId, UserId};
use crate::types::status::StatusIndex;
use serde::Serialize;
use uuid::Uuid;

/// An opaque token as it is kept. What it says is worked out anew whenever somebody asks.
#[derive(Debug, Clone)]
pub struct KeptToken {
    /// Its id, its place in a status list and its end.
    pub record: TokenRecord,
    /// The client it was issued to.
    pub client: ClientOid,
    /// Its OAuth client identifier.
    pub client_id: String,
    /// What it is for.
    pub resource: ResourceId,
    /// Scopes; `None` is all that the client may have.
    pub scopes: Option<Vec<String>>,
    /// The person behind it, the session and the time of their login.
    pub person: Option<(User, SessionId, UnixTime)>,
    /// When it was issued.
    pub issued_at: UnixTime,
}

/// A token that is to be kept.
#[derive(Debug)]
pub struct NewKeptToken<'a> {
    /// Its id, its place in a status list and its end.
    pub record: TokenRecord,
    /// The client it is issued to.
    pub client: ClientOid,
    /// What it is for.
    pub resource: ResourceId,
    /// Scopes; `None` is all that the client may have.
    pub scopes: Option<&'a [String]>,
    /// The person behind it, the session and the time of their login.
    pub person: Option<(UserId, SessionId, UnixTime)>,
    /// SHA-256 of an opaque token.
    pub hash: Option<[u8; 32]>,
    /// An operator issued it.
    pub by_operator: bool,
}

/// A line of the list of tokens that operators issued.
#[derive(Debug, Clone, Serialize)]
pub struct KeptTokenLine {
    /// Its `jti`.
    pub id: Uuid,
    /// The client it was issued to.
    pub client_id: String,
    /// What it is for.
    pub resource: String,
    /// Scopes; none is all that the client may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// `opaque` or `jwt`.
    pub format: &'static str,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Its end.
    pub expires_at: UnixTime,
    /// When it was last shown to this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<UnixTime>,
    /// It was revoked.
    pub revoked: bool,
}

/// Revokes the JWTs that operators issued to a client or for a resource, before their rows fall with it: nobody could
/// name them any more, and they live long.
macro_rules! revoke_kept {
    ($tx:ident, $of:expr, $now:expr) => {
        sqlx::query(
            "INSERT INTO revocations (tenant_id, jti, list_id, list_index, revoked_at, expires_at) \
             SELECT tenant_id, jti, list_id, list_index, $2, expires_at FROM kept_tokens \
             WHERE (client_id = $1 OR resource_id = $1) AND hash IS NULL AND expires_at > $2 \
             ON CONFLICT (tenant_id, jti) DO NOTHING",
        )
        .bind($of)
        .bind($now)
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use revoke_kept;

#[derive(sqlx::FromRow)]
struct Row {
    jti: Uuid,
    oid: Uuid,
    client_id: String,
    resource_id: Uuid,
    scopes: Option<String>,
    user_id: Option<Uuid>,
    session_id: Option<Uuid>,
    auth_time: Option<i64>,
    list_id: Uuid,
    list_index: i64,
    issued_at: i64,
    expires_at: i64,
}

/// The row of a revocation of a kept token.
type RevocationRow = (Uuid, Uuid, i64, i64);

impl Store {
    /// Keeps a token before it is handed out.
    ///
    /// # Errors
    /// The database does not answer: then the token must not be handed out.
    pub async fn keep_token(&self, tenant: TenantId, new: &NewKeptToken<'_>, now: UnixTime) -> Result<(), StoreError> {
        let (user, session, auth_time) = match new.person {
            Some((user, session, auth_time)) => (Some(user.uuid()), Some(session.uuid()), Some(auth_time)),
            None => (None, None, None),
        };
        writing!(self, tx => {
            if new.hash.is_none() {
                // The key that signed it stays published as long as it lives, also when its end is settled already.
                super::keys::cover_lifetime!(tx, tenant, new.record.expires_at - now, now);
            }
            sqlx::query(
                "INSERT INTO kept_tokens (jti, tenant_id, client_id, resource_id, user_id, session_id, auth_time, hash, \
                 scopes, list_id, list_index, by_operator, issued_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            )
            .bind(new.record.jti)
            .bind(tenant.uuid())
            .bind(new.client.uuid())
            .bind(new.resource.uuid())
            .bind(user)
            .bind(session)
            .bind(auth_time)
            .bind(new.hash.map(|hash| hash.to_vec()))
            .bind(new.scopes.map(|scopes| scopes.join(" ")))
            .bind(new.record.status.list.uuid())
            .bind(i64::from(new.record.status.index))
            .bind(new.by_operator)
            .bind(now)
            .bind(new.record.expires_at)
            .execute(&mut *tx)
            .await?;
        });
        Ok(())
    }

    /// An opaque token by its hash.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_kept_token(&self, tenant: TenantId, hash: [u8; 32]) -> Result<Option<KeptToken>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT t.jti, c.id AS oid, c.client_id, t.resource_id, t.scopes, t.user_id, t.session_id, t.auth_time, t.list_id, \
                 t.list_index, t.issued_at, t.expires_at FROM kept_tokens t JOIN clients c ON c.id = t.client_id \
                 WHERE t.tenant_id = $1 AND t.hash = $2",
            )
            .bind(tenant.uuid())
            .bind(&hash[..])
            .fetch_optional(conn)
            .await?);
        let Some(row) = row else { return Ok(None) };
        let person = match (row.user_id, row.session_id, row.auth_time) {
            (Some(user), Some(session), Some(auth_time)) => {
                let user = self.find_user(tenant, &user.to_string()).await?;
                let Some(user) = user else { return Ok(None) };
                Some((user, session.into(), auth_time))
            }
            _ => None,
        };
        let index = row.list_index.try_into().map_err(|_| unreadable("access token"))?;
        Ok(Some(KeptToken {
            record: TokenRecord {
                jti: row.jti,
                status: StatusIndex { list: row.list_id.into(), index },
                expires_at: row.expires_at,
            },
            client: row.oid.into(),
            client_id: row.client_id,
            resource: row.resource_id.into(),
            scopes: row
                .scopes
                .map(|scopes| scopes.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect()),
            person,
            issued_at: row.issued_at,
        }))
    }

    /// Tokens that operators issued, in order of id, after `after`, at most `limit`; of one client or of all.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_kept_tokens(
        &self,
        tenant: TenantId,
        client: Option<ClientOid>,
        page: (Uuid, i64),
    ) -> Result<Vec<KeptTokenLine>, StoreError> {
        type Line = (Uuid, String, String, Option<String>, bool, i64, i64, Option<i64>, bool);
        let (after, limit) = page;
        let rows: Vec<Line> = match client {
            None => reading!(self, conn =>
                sqlx::query_as(
                    "SELECT t.jti, c.client_id, r.identifier, t.scopes, t.hash IS NOT NULL, t.issued_at, t.expires_at, t.last_used_at, \
                     EXISTS (SELECT 1 FROM revocations v WHERE v.tenant_id = t.tenant_id AND v.jti = t.jti) \
                     FROM kept_tokens t JOIN clients c ON c.id = t.client_id JOIN resources r ON r.id = t.resource_id \
                     WHERE t.tenant_id = $1 AND t.by_operator = TRUE AND t.jti > $2 ORDER BY t.jti LIMIT $3",
                )
                .bind(tenant.uuid())
                .bind(after)
                .bind(limit)
                .fetch_all(conn)
                .await?),
            Some(client) => reading!(self, conn =>
                sqlx::query_as(
                    "SELECT t.jti, c.client_id, r.identifier, t.scopes, t.hash IS NOT NULL, t.issued_at, t.expires_at, t.last_used_at, \
                     EXISTS (SELECT 1 FROM revocations v WHERE v.tenant_id = t.tenant_id AND v.jti = t.jti) \
                     FROM kept_tokens t JOIN clients c ON c.id = t.client_id JOIN resources r ON r.id = t.resource_id \
                     WHERE c.tenant_id = $1 AND t.client_id = $4 AND t.by_operator = TRUE AND t.jti > $2 ORDER BY t.jti LIMIT $3",
                )
                .bind(tenant.uuid())
                .bind(after)
                .bind(limit)
                .bind(client.uuid())
                .fetch_all(conn)
                .await?),
        };
        Ok(rows
            .into_iter()
            .map(|(id, client_id, resource, scope, opaque, issued_at, expires_at, last_used_at, revoked)| {
                KeptTokenLine {
                    id,
                    client_id,
                    resource,
                    scope,
                    format: if opaque { "opaque" } else { "jwt" },
                    issued_at,
                    expires_at,
                    last_used_at,
                    revoked,
                }
            })
            .collect())
    }

    /// Id, place in a status list and end of a token that an operator issued.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_kept_record(&self, tenant: TenantId, jti: Uuid) -> Result<Option<TokenRecord>, StoreError> {
        let row: Option<RevocationRow> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT jti, list_id, list_index, expires_at FROM kept_tokens WHERE tenant_id = $1 AND jti = $2 AND by_operator",
            )
            .bind(tenant.uuid())
            .bind(jti)
            .fetch_optional(conn)
            .await?);
        let Some((jti, list, index, expires_at)) = row else { return Ok(None) };
        let index = index.try_into().map_err(|_| unreadable("access token"))?;
        Ok(Some(TokenRecord { jti, status: StatusIndex { list: list.into(), index }, expires_at }))
    }

    /// Writes down when kept tokens were last used; others are let be.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn record_token_uses(&self, uses: &[(Uuid, UnixTime)]) -> Result<(), StoreError> {
        writing!(self, tx => {
            for (jti, at) in uses {
                sqlx::query(
                    "UPDATE kept_tokens SET last_used_at = $2 WHERE jti = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
                )
                .bind(jti)
                .bind(at)
                .execute(&mut *tx)
                .await?;
            }
        });
        Ok(())
    }

    /// Removes kept tokens that expired before `before`, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_kept_tokens(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query("DELETE FROM kept_tokens WHERE jti IN (SELECT jti FROM kept_tokens WHERE expires_at < $1 LIMIT 500)")
                .bind(before)
                .execute(tx)
                .await?
                .rows_affected()))
    }
}
