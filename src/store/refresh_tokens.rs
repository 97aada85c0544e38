//! Refresh tokens (RFC 6749 §6, RFC 9700 §4.14.2): one line per grant, each use one step along it.
//!
//! A grant knows how far its line was used: `generation`, and the hash of the token of that generation that was used
//! (`current`). A token of generation `n` may be used when the line stands at `n - 1` (it is the first of its
//! generation to be used), or when it is itself the current one: then its answer was lost or a second tab asked, and
//! nothing that came from it was ever used. Everything else is a replay and ends the family. All of that is decided by
//! one statement on one row, so any number of requests and servers agree on it.

use super::grants::{self, Authorization, TokenRecord, insert_token, revoke_grants};
use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{GrantId, TenantId};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Unused successors that are kept of one token: more than any client asks for at once.
const SUCCESSORS: i64 = 128;

/// A refresh token that is to be kept.
#[derive(Debug)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// SHA-256 of what all tokens of the family have in common.
    pub family: [u8; 32],
    /// When it ends if it is not used.
    pub expires_at: UnixTime,
}

/// A refresh token that was presented and belongs to a family that is known.
#[derive(Debug)]
pub struct RefreshToken {
    /// What it stands for.
    pub authorization: Authorization,
    /// Its place in the line and its end; `None` when the line went past it.
    pub place: Option<(i64, UnixTime)>,
}

/// A use of a refresh token.
#[derive(Debug)]
pub struct Use<'a> {
    /// The grant.
    pub grant: GrantId,
    /// SHA-256 of the presented token.
    pub hash: [u8; 32],
    /// Its place in the line.
    pub generation: i64,
    /// The access token that is issued.
    pub token: TokenRecord,
    /// The successor; without one the presented token stays.
    pub next: Option<&'a NewRefreshToken>,
    /// When the presented token ends if it is not used again.
    pub expires_at: UnixTime,
}

/// Keeps a refresh token with its generation.
macro_rules! insert_refresh_token {
    ($tx:ident, $grant:expr, ($refresh:expr, $generation:expr), $now:expr) => {
        sqlx::query(
            "INSERT INTO refresh_tokens (hash, grant_id, generation, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&$refresh.hash[..])
        .bind($grant)
        .bind($generation)
        .bind($now)
        .bind($refresh.expires_at)
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use insert_refresh_token;

#[derive(sqlx::FromRow)]
struct Row {
    token_generation: Option<i64>,
    token_expires_at: Option<i64>,
    #[sqlx(flatten)]
    grant: grants::Row,
}

impl Store {
    /// A presented token, when its family is that of the grant: `family` is SHA-256 of the part that the family has in
    /// common, by which a token is known even after the line went past it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_refresh_token(
        &self,
        tenant: TenantId,
        grant: GrantId,
        presented: ([u8; 32], [u8; 32]),
    ) -> Result<Option<RefreshToken>, StoreError> {
        let (hash, family) = presented;
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT t.generation AS token_generation, t.expires_at AS token_expires_at, \
                 g.id AS grant_id, g.client_id, g.session_id, g.authorized, g.auth_time, g.family, \
                 g.created_at AS granted_at, g.expires_at AS grant_expires_at, g.revoked_at, \
                 u.id, u.username, u.display_name, u.email, u.enabled, u.created_at, u.last_login_at \
                 FROM grants g JOIN users u ON u.id = g.user_id \
                 LEFT JOIN refresh_tokens t ON t.grant_id = g.id AND t.hash = $3 \
                 WHERE g.id = $2 AND g.tenant_id = $1",
            )
            .bind(tenant.uuid())
            .bind(grant.uuid())
            .bind(&hash[..])
            .fetch_optional(conn)
            .await?);
        let Some(row) = row else { return Ok(None) };
        let place = row.token_generation.zip(row.token_expires_at);
        let authorization = row.grant.authorization()?;
        let known = authorization.family.as_ref().is_some_and(|stored| bool::from(stored.as_slice().ct_eq(&family)));
        Ok(known.then_some(RefreshToken { authorization, place }))
    }

    /// Takes one step along the line of a grant, or ends the family when that step is a replay. Answers whether the
    /// step was taken.
    ///
    /// # Errors
    /// The database does not answer: then nothing happened.
    pub async fn use_refresh_token(&self, step: &Use<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let grant = step.grant.uuid();
        Ok(writing!(self, tx => {
            let taken = sqlx::query(
                "UPDATE grants SET generation = $3, current = $2 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $4 \
                 AND (generation = $3 - 1 OR current = $2)",
            )
            .bind(grant)
            .bind(&step.hash[..])
            .bind(step.generation)
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected()
                > 0;
            if taken {
                insert_token!(tx, grant, step.token);
                match step.next {
                    Some(next) => {
                        insert_refresh_token!(tx, grant, (next, step.generation + 1), now);
                        // What the line went past is known by its family; it needs no row any more.
                        sqlx::query(
                            "DELETE FROM refresh_tokens WHERE grant_id = $1 AND (generation < $3 \
                             OR (generation = $3 AND hash <> $2) OR (generation > $3 AND hash <> $5 AND hash NOT IN \
                             (SELECT hash FROM refresh_tokens WHERE grant_id = $1 AND generation > $3 \
                             ORDER BY issued_at DESC, hash LIMIT $4)))",
                        )
                        .bind(grant)
                        .bind(&step.hash[..])
                        .bind(step.generation)
                        .bind(SUCCESSORS)
                        .bind(&next.hash[..])
                        .execute(&mut *tx)
                        .await?;
                    }
                    None => {
                        sqlx::query("UPDATE refresh_tokens SET expires_at = $2 WHERE hash = $1")
                            .bind(&step.hash[..])
                            .bind(step.expires_at)
                            .execute(&mut *tx)
                            .await?;
                    }
                }
            } else {
                revoke_grants!(tx, grant, now);
            }
            taken
        }))
    }

    /// Removes refresh tokens that ended unused before `before`, at most one batch, and ends grants that have no other:
    /// nobody can use those any more. Answers how many grants were looked at.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_refresh_tokens(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx => {
            let grants: Vec<(Uuid,)> = sqlx::query_as(
                "SELECT DISTINCT grant_id FROM (SELECT grant_id FROM refresh_tokens WHERE expires_at < $1 LIMIT 500) AS ended \
                 ORDER BY grant_id",
            )
            .bind(before)
            .fetch_all(&mut *tx)
            .await?;
            // The grant before its tokens, as everywhere.
            for (grant,) in &grants {
                sqlx::query(
                    "UPDATE grants SET expires_at = CASE WHEN expires_at > $2 AND NOT EXISTS \
                     (SELECT 1 FROM refresh_tokens WHERE grant_id = $1 AND expires_at >= $2) THEN $2 ELSE expires_at END \
                     WHERE id = $1",
                )
                .bind(grant)
                .bind(before)
                .execute(&mut *tx)
                .await?;
                sqlx::query("DELETE FROM refresh_tokens WHERE grant_id = $1 AND expires_at < $2")
                    .bind(grant)
                    .bind(before)
                    .execute(&mut *tx)
                    .await?;
            }
            u64::try_from(grants.len()).unwrap_or_default()
        }))
    }
}
