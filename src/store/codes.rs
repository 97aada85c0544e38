//! Authorization codes (RFC 6749 §4.1.2): kept as hashes, spent once.

use super::consents::{Consent, insert_consents};
use super::grants::{
    self, Authorization, NewAuthorization, TokenRecord, begin_grant, insert_grant, insert_token, may_begin,
    revoke_grants,
};
use super::refresh_tokens::{NewRefreshToken, insert_refresh_token};
use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use crate::types::pkce::Challenge;
use uuid::Uuid;

/// A code with what it is bound to, spent or not.
#[derive(Debug)]
pub struct Code {
    /// What it stands for.
    pub authorization: Authorization,
    /// Where it was sent to.
    pub redirect_uri: String,
    /// The authorization request named that URI itself.
    pub redirect_uri_sent: bool,
    /// The challenge that a verifier has to answer.
    pub challenge: Option<Challenge>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// After it the code is worth nothing.
    pub expires_at: UnixTime,
    /// It was redeemed.
    pub spent: bool,
}

/// A code that is to be kept.
#[derive(Debug)]
pub struct NewCode<'a> {
    /// SHA-256 of the code.
    pub hash: [u8; 32],
    /// Where it is sent to.
    pub redirect_uri: &'a str,
    /// The authorization request named that URI itself.
    pub redirect_uri_sent: bool,
    /// PKCE.
    pub challenge: Option<&'a Challenge>,
    /// For the ID token.
    pub nonce: Option<&'a str>,
    /// After it the code is worth nothing.
    pub expires_at: UnixTime,
}

/// What a redemption brings forth.
#[derive(Debug)]
pub struct Redemption<'a> {
    /// The access token.
    pub token: TokenRecord,
    /// The first refresh token of the family.
    pub refresh: Option<&'a NewRefreshToken>,
    /// When the authorization ends.
    pub grant_expires_at: UnixTime,
}

/// What became of an attempt to redeem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redeemed {
    /// This attempt spent the code.
    Now,
    /// It was spent before; all that came from it is revoked.
    Before,
    /// It expired, or what it stands for was revoked.
    Gone,
}

#[derive(sqlx::FromRow)]
struct Row {
    redirect_uri: String,
    redirect_uri_sent: bool,
    challenge: Option<String>,
    nonce: Option<String>,
    code_expires_at: i64,
    spent_at: Option<i64>,
    #[sqlx(flatten)]
    grant: grants::Row,
}

impl Store {
    /// Keeps an authorization with its code, and the consents that were given for it; unless the session ended or a
    /// consent that it rests on was taken back since they were looked at. Answers whether it is kept.
    ///
    /// # Errors
    /// The database does not answer, or client or user were deleted meanwhile.
    pub async fn create_code(
        &self,
        tenant: TenantId,
        new: &NewAuthorization<'_>,
        code: &NewCode<'_>,
        consents: (&[Consent], UnixTime),
    ) -> Result<bool, StoreError> {
        let (given, now) = consents;
        Ok(writing!(self, tx => {
            if !may_begin!(tx, new, now) {
                return Ok(false);
            }
            insert_consents!(tx, (new.user, new.client), given, now);
            insert_grant!(tx, tenant, new, (code.expires_at, now));
            sqlx::query(
                "INSERT INTO codes (hash, grant_id, redirect_uri, redirect_uri_sent, challenge, nonce, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&code.hash[..])
            .bind(new.id.uuid())
            .bind(code.redirect_uri)
            .bind(code.redirect_uri_sent)
            .bind(code.challenge.map(Challenge::as_str))
            .bind(code.nonce)
            .bind(code.expires_at)
            .execute(&mut *tx)
            .await?;
            true
        }))
    }

    /// A code by its hash.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_code(&self, tenant: TenantId, hash: [u8; 32]) -> Result<Option<Code>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT c.redirect_uri, c.redirect_uri_sent, c.challenge, c.nonce, c.expires_at AS code_expires_at, c.spent_at, \
                 g.id AS grant_id, g.client_id, g.session_id, g.authorized, g.auth_time, g.family, \
                 g.created_at AS granted_at, g.expires_at AS grant_expires_at, g.revoked_at, \
                 u.id, u.username, u.display_name, u.email, u.enabled, u.created_at, u.last_login_at \
                 FROM codes c JOIN grants g ON g.id = c.grant_id JOIN users u ON u.id = g.user_id \
                 WHERE c.hash = $2 AND g.tenant_id = $1",
            )
            .bind(tenant.uuid())
            .bind(&hash[..])
            .fetch_optional(conn)
            .await?);
        row.map(|row| {
            Ok(Code {
                authorization: row.grant.authorization()?,
                redirect_uri: row.redirect_uri,
                redirect_uri_sent: row.redirect_uri_sent,
                challenge: row.challenge.map(Challenge::stored),
                nonce: row.nonce,
                expires_at: row.code_expires_at,
                spent: row.spent_at.is_some(),
            })
        })
        .transpose()
    }

    /// Spends a code, once, whoever else tries at the same moment. RFC 6749 §4.1.2: a second use revokes all that
    /// came from the first.
    ///
    /// # Errors
    /// The database does not answer: then the code is not spent.
    pub async fn redeem_code(
        &self,
        hash: [u8; 32],
        redemption: &Redemption<'_>,
        now: UnixTime,
    ) -> Result<Redeemed, StoreError> {
        Ok(writing!(self, tx => {
            // The grant before its code, as everything that ends grants has it.
            sqlx::query("UPDATE grants SET expires_at = expires_at WHERE id = (SELECT grant_id FROM codes WHERE hash = $1)")
                .bind(&hash[..])
                .execute(&mut *tx)
                .await?;
            let spent: Option<(Uuid,)> = sqlx::query_as(
                "UPDATE codes SET spent_at = $2 WHERE hash = $1 AND spent_at IS NULL AND expires_at > $2 RETURNING grant_id",
            )
            .bind(&hash[..])
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
            match spent {
                Some((grant,)) => {
                    if begin_grant!(tx, grant, redemption, now) {
                        Redeemed::Now
                    } else {
                        Redeemed::Gone
                    }
                }
                None => {
                    let replayed: Option<(Uuid,)> =
                        sqlx::query_as("SELECT grant_id FROM codes WHERE hash = $1 AND spent_at IS NOT NULL")
                            .bind(&hash[..])
                            .fetch_optional(&mut *tx)
                            .await?;
                    match replayed {
                        Some((grant,)) => {
                            revoke_grants!(tx, grant, now);
                            Redeemed::Before
                        }
                        None => Redeemed::Gone,
                    }
                }
            }
        }))
    }

    /// Removes codes that expired before `before`, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_codes(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query("DELETE FROM codes WHERE hash IN (SELECT hash FROM codes WHERE expires_at < $1 LIMIT 500)")
                .bind(before)
                .execute(tx)
                .await?
                .rows_affected()))
    }
}
