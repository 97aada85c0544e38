//! Signing keys as stored: the private half sealed under the key-encryption key.

use super::changes::Noun;
use super::{AdminError, Store, StoreError, announce, reading, unreadable, writing};
use crate::types::alg::Alg;
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use uuid::Uuid;

/// A key that is to be stored.
#[derive(Clone)]
pub struct NewKey {
    /// Key id: unique over all tenants.
    pub kid: String,
    /// What it signs.
    pub alg: Alg,
    /// The private half (PKCS #8), sealed.
    pub sealed: Vec<u8>,
    /// When it was made and published.
    pub created_at: UnixTime,
    /// From when on it signs.
    pub activates_at: UnixTime,
}

/// A stored key with the times of its life: published from `created_at`, signing from `activates_at` to `retires_at`,
/// taken out of the JWKS at `expires_at`.
#[derive(Clone)]
pub struct StoredKey {
    /// Key id.
    pub kid: String,
    /// What it signs.
    pub alg: Alg,
    /// The private half, sealed.
    pub sealed: Vec<u8>,
    /// When it was made and published.
    pub created_at: UnixTime,
    /// From when on it signs.
    pub activates_at: UnixTime,
    /// Until when it signs; `None` while it has no successor.
    pub retires_at: Option<UnixTime>,
    /// Until when it is published.
    pub expires_at: Option<UnixTime>,
}

/// A key stays published this long beyond the expiry of the last token it signed, for clocks that go wrong.
pub const MARGIN: i64 = 3600;

/// How a new key takes over.
#[derive(Debug, Clone, Copy)]
pub struct Succession {
    /// The predecessor must have begun to sign at or before this; otherwise somebody else rotated already and
    /// nothing is done. `UnixTime::MAX` rotates in any case.
    pub active_before: UnixTime,
    /// How long the predecessor stays published after it stops to sign, at least: as long as its tokens live.
    pub overlap: i64,
}

macro_rules! insert_key {
    ($tx:ident, $tenant:expr, $key:expr) => {
        sqlx::query(
            "INSERT INTO signing_keys (kid, tenant_id, alg, sealed, created_at, activates_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&$key.kid)
        .bind($tenant.uuid())
        .bind($key.alg.as_str())
        .bind(&$key.sealed)
        .bind($key.created_at)
        .bind($key.activates_at)
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use insert_key;

/// Keeps keys published that still sign and whose end is settled already, long enough for tokens of `lifetime`.
macro_rules! cover_lifetime {
    ($tx:ident, $tenant:expr, $lifetime:expr, $now:expr) => {{
        let covered = sqlx::query(
            "UPDATE signing_keys SET expires_at = retires_at + $2 \
             WHERE tenant_id = $1 AND retires_at > $3 AND expires_at > $3 AND expires_at < retires_at + $2",
        )
        .bind($tenant.uuid())
        .bind($lifetime + $crate::store::keys::MARGIN)
        .bind($now)
        .execute(&mut *$tx)
        .await?
        .rows_affected();
        if covered > 0 {
            announce!($tx, $tenant, Noun::Key, "", $now);
        }
    }};
}
pub(super) use cover_lifetime;

type Row = (String, String, Vec<u8>, i64, i64, Option<i64>, Option<i64>);

fn key((kid, alg, sealed, created_at, activates_at, retires_at, expires_at): Row) -> Result<StoredKey, StoreError> {
    let alg = alg.parse().map_err(|_| unreadable("signing key"))?;
    Ok(StoredKey { kid, alg, sealed, created_at, activates_at, retires_at, expires_at })
}

impl Store {
    /// Every key of the tenant that is still published, oldest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_keys(&self, tenant: TenantId, now: UnixTime) -> Result<Vec<StoredKey>, StoreError> {
        let rows: Vec<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT kid, alg, sealed, created_at, activates_at, retires_at, expires_at FROM signing_keys \
                 WHERE tenant_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY activates_at, kid",
            )
            .bind(tenant.uuid())
            .bind(now)
            .fetch_all(conn)
            .await?);
        rows.into_iter().map(key).collect()
    }

    /// The oldest key of all tenants: tells whether there are keys, and under which key-encryption key.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn oldest_key(&self) -> Result<Option<(TenantId, StoredKey)>, StoreError> {
        let found: Option<(Uuid, String)> = reading!(self, conn =>
            sqlx::query_as("SELECT tenant_id, kid FROM signing_keys ORDER BY created_at, kid LIMIT 1")
                .fetch_optional(conn)
                .await?);
        let Some((tenant, kid)) = found else { return Ok(None) };
        let tenant = TenantId::from(tenant);
        let keys = self.list_keys(tenant, UnixTime::MIN).await?;
        Ok(keys.into_iter().find(|key| key.kid == kid).map(|key| (tenant, key)))
    }

    /// Stores `new` as the first key of its algorithm; answers false when there is one already.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn ensure_key(&self, tenant: TenantId, new: &NewKey, now: UnixTime) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Key, "", now);
            let found: Option<(String,)> = sqlx::query_as(
                "SELECT kid FROM signing_keys WHERE tenant_id = $1 AND alg = $2 AND retires_at IS NULL",
            )
            .bind(tenant.uuid())
            .bind(new.alg.as_str())
            .fetch_optional(&mut *tx)
            .await?;
            if found.is_some() {
                return Ok(false);
            }
            insert_key!(tx, tenant, new);
            true
        }))
    }

    /// Stores `new` as the successor of the key that has none; answers false when the succession no longer fits.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn succeed_key(
        &self,
        tenant: TenantId,
        new: &NewKey,
        succession: Succession,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Key, "", now);
            let (lifetime, last_expiry): (Option<i64>, Option<i64>) = sqlx::query_as(
                "SELECT (SELECT MAX(lifetime) FROM resources WHERE tenant_id = $1), \
                 (SELECT MAX(keep_until) FROM status_lists WHERE tenant_id = $1)",
            )
            .bind(tenant.uuid())
            .fetch_one(&mut *tx)
            .await?;
            // Status lists know of tokens whose resource gives shorter ones by now, or is gone.
            let issued = last_expiry.unwrap_or(0) - new.activates_at;
            let overlap = succession.overlap.max(lifetime.unwrap_or(0)).max(issued) + MARGIN;
            // A key that was announced and has not begun to sign gives way altogether: it never signed anything.
            let replaced = sqlx::query(
                "UPDATE signing_keys SET retires_at = CASE WHEN activates_at > $3 THEN activates_at ELSE $3 END, \
                 expires_at = CASE WHEN activates_at > $3 THEN $6 ELSE $3 + $4 END \
                 WHERE tenant_id = $1 AND alg = $2 AND retires_at IS NULL AND activates_at <= $5",
            )
            .bind(tenant.uuid())
            .bind(new.alg.as_str())
            .bind(new.activates_at)
            .bind(overlap)
            .bind(succession.active_before)
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if replaced == 0 {
                return Ok(false);
            }
            // When a rotation comes sooner than one that was announced, the key that still signs ends with it too, and
            // of several that were announced none comes after it.
            sqlx::query(
                "UPDATE signing_keys SET retires_at = $3, expires_at = CASE WHEN activates_at > $3 THEN $5 ELSE $3 + $4 END \
                 WHERE tenant_id = $1 AND alg = $2 AND retires_at > $3",
            )
            .bind(tenant.uuid())
            .bind(new.alg.as_str())
            .bind(new.activates_at)
            .bind(overlap)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            insert_key!(tx, tenant, new);
            true
        }))
    }

    /// Takes a key out of the JWKS now; answers whether there was such a key. The caller has made sure that it no
    /// longer signs.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn expire_key(&self, tenant: TenantId, kid: &str, now: UnixTime) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Key, kid, now);
            sqlx::query(
                "UPDATE signing_keys SET expires_at = $3 WHERE tenant_id = $1 AND kid = $2 AND retires_at IS NOT NULL AND retires_at <= $3",
            )
            .bind(tenant.uuid())
            .bind(kid)
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected()
        }) > 0)
    }

    /// Tenants whose key of some algorithm has no successor and began to sign at or before `active_before`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn keys_due(&self, active_before: UnixTime) -> Result<Vec<(TenantId, Alg)>, StoreError> {
        let rows: Vec<(Uuid, String)> = reading!(self, conn =>
            sqlx::query_as("SELECT tenant_id, alg FROM signing_keys WHERE retires_at IS NULL AND activates_at <= $1 LIMIT 100")
                .bind(active_before)
                .fetch_all(conn)
                .await?);
        rows.into_iter()
            .map(|(tenant, alg)| Ok((tenant.into(), alg.parse().map_err(|_| unreadable("signing key"))?)))
            .collect()
    }

    /// Removes keys that are no longer published, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_keys(&self, now: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query("DELETE FROM signing_keys WHERE kid IN (SELECT kid FROM signing_keys WHERE expires_at < $1 LIMIT 500)")
                .bind(now)
                .execute(tx)
                .await?
                .rows_affected()))
    }
}
