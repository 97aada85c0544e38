//! Client secrets: several per client, each with an expiry and a last use.

use super::changes::Noun;
use super::clients::Client;
use super::{AdminError, Store, StoreError, announce, reading, unreadable, writing};
use crate::types::clock::{UnixTime, is_before};
use crate::types::id::{SecretId, TenantId};
use crate::types::secret::SecretHash;
use uuid::Uuid;

/// A client may have this many secrets at once.
pub const MAX_SECRETS: i64 = 10;

/// A secret as stored.
#[derive(Debug, Clone)]
pub struct StoredSecret {
    /// Row id.
    pub id: SecretId,
    /// What is compared.
    pub hash: SecretHash,
    /// First characters, to tell secrets apart; empty for one that a person chose.
    pub hint: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// From when on it no longer counts.
    pub expires_at: Option<UnixTime>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<UnixTime>,
}

impl StoredSecret {
    /// True while the secret counts.
    pub fn is_live(&self, now: UnixTime) -> bool {
        is_before(self.expires_at, now)
    }

    pub(super) fn read((id, hash, hint, created_at, expires_at, last_used_at): Row) -> Result<Self, StoreError> {
        let hash = SecretHash::from_stored(&hash).ok_or_else(|| unreadable("client secret"))?;
        Ok(Self { id: id.into(), hash, hint, created_at, expires_at, last_used_at })
    }
}

/// A secret that is to be stored.
#[derive(Debug)]
pub struct NewSecret {
    /// Row id.
    pub id: SecretId,
    /// What is compared.
    pub hash: SecretHash,
    /// First characters.
    pub hint: String,
    /// From when on it no longer counts.
    pub expires_at: Option<UnixTime>,
}

pub(super) type Row = (Uuid, String, String, i64, Option<i64>, Option<i64>);

macro_rules! insert_secret {
    ($tx:ident, $oid:expr, $secret:expr, $now:expr) => {
        sqlx::query(
            "INSERT INTO client_secrets (id, client_id, hash, hint, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind($secret.id.uuid())
        .bind($oid.uuid())
        .bind($secret.hash.to_stored())
        .bind(&$secret.hint)
        .bind($now)
        .bind($secret.expires_at)
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use insert_secret;

impl Store {
    /// Gives the client one more secret.
    ///
    /// # Errors
    /// Refused for a public client, and when it has [`MAX_SECRETS`] already.
    pub async fn add_secret(
        &self,
        tenant: TenantId,
        client: &Client,
        secret: &NewSecret,
        now: UnixTime,
    ) -> Result<(), AdminError> {
        if client.public {
            return Err(AdminError::refused(format!(
                "'{}' is a public client and has no secrets; make a client without --public instead",
                client.client_id
            )));
        }
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM client_secrets WHERE client_id = $1")
                .bind(client.oid.uuid())
                .fetch_one(&mut *tx)
                .await?;
            if count >= MAX_SECRETS {
                return Err(AdminError::refused(format!(
                    "'{}' has {MAX_SECRETS} secrets already; retire one with 'grantor client secret retire'", client.client_id
                )));
            }
            insert_secret!(tx, client.oid, secret, now);
        });
        Ok(())
    }

    /// Ends a secret: at once, or at `expires_at` unless it ends sooner; answers whether that changed anything.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn retire_secret(
        &self,
        tenant: TenantId,
        client: &Client,
        retired: (SecretId, Option<UnixTime>),
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        let (secret, expires_at) = retired;
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            match expires_at {
                Some(end) => sqlx::query(
                    "UPDATE client_secrets SET expires_at = $3 WHERE client_id = $1 AND id = $2 \
                     AND (expires_at IS NULL OR expires_at > $3)",
                )
                .bind(client.oid.uuid())
                .bind(secret.uuid())
                .bind(end)
                .execute(&mut *tx)
                .await?
                .rows_affected(),
                None => sqlx::query("DELETE FROM client_secrets WHERE client_id = $1 AND id = $2")
                    .bind(client.oid.uuid())
                    .bind(secret.uuid())
                    .execute(&mut *tx)
                    .await?
                    .rows_affected(),
            }
        }) > 0)
    }

    /// Writes down when secrets were last used. Not an administrative write: nothing that is cached depends on it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn record_secret_uses(&self, uses: &[(SecretId, UnixTime)]) -> Result<(), StoreError> {
        writing!(self, tx => {
            for (secret, at) in uses {
                sqlx::query(
                    "UPDATE client_secrets SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
                )
                .bind(secret.uuid())
                .bind(*at)
                .execute(&mut *tx)
                .await?;
            }
        });
        Ok(())
    }

    /// Secrets of enabled clients that end before `before` or have ended, soonest first: client id, hint, end.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn expiring_secrets(
        &self,
        tenant: TenantId,
        before: UnixTime,
    ) -> Result<Vec<(String, String, UnixTime)>, StoreError> {
        Ok(reading!(self, conn =>
            sqlx::query_as(
                "SELECT c.client_id, s.hint, s.expires_at FROM client_secrets s CROSS JOIN clients c \
                 WHERE c.id = s.client_id AND c.tenant_id = $1 AND c.enabled AND s.expires_at < $2 ORDER BY s.expires_at LIMIT 100",
            )
            .bind(tenant.uuid())
            .bind(before)
            .fetch_all(conn)
            .await?))
    }
}
