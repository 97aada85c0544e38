//! Device codes (RFC 8628): kept as hashes with the code that a person types, decided once, spent once.

use super::codes::{Redeemed, Redemption};
use super::consents::{Consent, insert_consents};
use super::grants::{self, Authorization, NewAuthorization, begin_grant, insert_grant, insert_token, may_begin};
use super::refresh_tokens::insert_refresh_token;
use super::{Store, StoreError, reading, unreadable, writing};
use crate::types::authorized::Authorized;
use crate::types::clock::UnixTime;
use crate::types::id::{ClientOid, TenantId};
use uuid::Uuid;

/// Seconds by which a device that asks too often has to wait longer (RFC 8628 §3.5).
const SLOWER: i64 = 5;

/// A device code that is to be kept.
#[derive(Debug)]
pub struct NewDeviceCode<'a> {
    /// SHA-256 of the device code.
    pub hash: [u8; 32],
    /// SHA-256 of the user code.
    pub user_hash: [u8; 32],
    /// Whose device it is.
    pub client: ClientOid,
    /// What it asks for.
    pub authorized: &'a Authorized,
    /// Seconds between two polls.
    pub interval: i64,
    /// After it the code is worth nothing.
    pub expires_at: UnixTime,
}

/// A device that waits for somebody's answer.
#[derive(Debug)]
pub struct WaitingDevice {
    /// SHA-256 of its code.
    pub hash: [u8; 32],
    /// OAuth client identifier.
    pub client_id: String,
    /// What it asks for.
    pub authorized: Authorized,
    /// After it nobody can answer any more.
    pub expires_at: UnixTime,
}

/// What became of a device's request.
#[derive(Debug)]
pub enum Decision {
    /// Nobody answered yet.
    Pending,
    /// No.
    Denied,
    /// Yes.
    Approved(Box<Authorization>),
    /// Yes, and it brought forth its tokens.
    Spent,
}

/// A device code as it is polled.
#[derive(Debug)]
pub struct DeviceCode {
    /// To whom it was issued.
    pub client: ClientOid,
    /// After it the code is worth nothing.
    pub expires_at: UnixTime,
    /// What became of it.
    pub decision: Decision,
}

/// Takes the one answer that a device gets; answers whether it was taken.
macro_rules! decide {
    ($tx:ident, $tenant:expr, $device:expr, $now:expr) => {
        sqlx::query(
            "UPDATE device_codes SET decided_at = $3 WHERE tenant_id = $1 AND hash = $2 AND decided_at IS NULL \
             AND expires_at > $3",
        )
        .bind($tenant.uuid())
        .bind(&$device.hash[..])
        .bind($now)
        .execute(&mut *$tx)
        .await?
        .rows_affected()
            > 0
    };
}

type Row = (Uuid, Option<i64>, Option<Uuid>, Option<i64>, i64);

impl Store {
    /// Keeps a device code; answers false when another device of the tenant has the same user code.
    ///
    /// # Errors
    /// The database does not answer, or the client was deleted meanwhile.
    pub async fn create_device_code(&self, tenant: TenantId, new: &NewDeviceCode<'_>) -> Result<bool, StoreError> {
        let authorized = serde_json::to_string(new.authorized).map_err(|_| unreadable("authorization"))?;
        Ok(writing!(self, tx =>
            sqlx::query(
                "INSERT INTO device_codes (hash, tenant_id, client_id, user_hash, authorized, poll_interval, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(&new.hash[..])
            .bind(tenant.uuid())
            .bind(new.client.uuid())
            .bind(&new.user_hash[..])
            .bind(&authorized)
            .bind(new.interval)
            .bind(new.expires_at)
            .execute(tx)
            .await?
            .rows_affected())
            > 0)
    }

    /// The device that waits behind a user code.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_waiting_device(
        &self,
        tenant: TenantId,
        user_hash: [u8; 32],
        now: UnixTime,
    ) -> Result<Option<WaitingDevice>, StoreError> {
        let row: Option<(Vec<u8>, String, String, i64)> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT d.hash, c.client_id, d.authorized, d.expires_at FROM device_codes d \
                 JOIN clients c ON c.id = d.client_id \
                 WHERE d.tenant_id = $1 AND d.user_hash = $2 AND d.decided_at IS NULL AND d.expires_at > $3",
            )
            .bind(tenant.uuid())
            .bind(&user_hash[..])
            .bind(now)
            .fetch_optional(conn)
            .await?);
        row.map(|(hash, client_id, authorized, expires_at)| {
            Ok(WaitingDevice {
                hash: hash.try_into().map_err(|_| unreadable("device code"))?,
                client_id,
                authorized: serde_json::from_str(&authorized).map_err(|_| unreadable("authorization"))?,
                expires_at,
            })
        })
        .transpose()
    }

    /// Says yes for a device and remembers what was agreed to; answers false when somebody answered before, or too late.
    ///
    /// # Errors
    /// The database does not answer, or client or user were deleted meanwhile: then nothing is decided.
    pub async fn approve_device(
        &self,
        tenant: TenantId,
        device: &WaitingDevice,
        new: &NewAuthorization<'_>,
        consents: (&[Consent], UnixTime),
    ) -> Result<bool, StoreError> {
        let (given, now) = consents;
        Ok(writing!(self, tx => {
            let decided = may_begin!(tx, new, now) && decide!(tx, tenant, device, now);
            if decided {
                insert_consents!(tx, (new.user, new.client), given, now);
                insert_grant!(tx, tenant, new, (device.expires_at, now));
                sqlx::query("UPDATE device_codes SET grant_id = $2 WHERE hash = $1")
                    .bind(&device.hash[..])
                    .bind(new.id.uuid())
                    .execute(&mut *tx)
                    .await?;
            }
            decided
        }))
    }

    /// Says no for a device; answers false when somebody answered before, or too late.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn deny_device(
        &self,
        tenant: TenantId,
        device: &WaitingDevice,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        Ok(writing!(self, tx => decide!(tx, tenant, device, now)))
    }

    /// A device code by its hash, with what became of it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_device_code(&self, tenant: TenantId, hash: [u8; 32]) -> Result<Option<DeviceCode>, StoreError> {
        let (row, grant): (Option<Row>, Option<grants::Row>) = reading!(self, conn => {
            let row: Option<Row> = sqlx::query_as(
                "SELECT client_id, decided_at, grant_id, spent_at, expires_at FROM device_codes \
                 WHERE tenant_id = $1 AND hash = $2",
            )
            .bind(tenant.uuid())
            .bind(&hash[..])
            .fetch_optional(&mut *conn)
            .await?;
            let grant: Option<grants::Row> = sqlx::query_as(
                "SELECT g.id AS grant_id, g.client_id, g.session_id, g.authorized, g.auth_time, g.family, \
                 g.created_at AS granted_at, g.expires_at AS grant_expires_at, g.revoked_at, \
                 u.id, u.username, u.display_name, u.email, u.enabled, u.created_at, u.last_login_at \
                 FROM grants g JOIN users u ON u.id = g.user_id WHERE g.id = $1",
            )
            .bind(row.as_ref().and_then(|row| row.2))
            .fetch_optional(&mut *conn)
            .await?;
            (row, grant)
        });
        let Some((client, decided_at, grant_id, spent_at, expires_at)) = row else { return Ok(None) };
        let decision = match (spent_at, decided_at, grant_id.and(grant)) {
            (Some(_), _, _) => Decision::Spent,
            (None, None, _) => Decision::Pending,
            (None, Some(_), Some(grant)) => Decision::Approved(Box::new(grant.authorization()?)),
            (None, Some(_), None) => Decision::Denied,
        };
        Ok(Some(DeviceCode { client: client.into(), expires_at, decision }))
    }

    /// Notes that a device asked; answers false when it asked too soon after the last time, and lets it wait longer from
    /// now on (RFC 8628 §3.5).
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn poll_device_code(&self, hash: [u8; 32], now: UnixTime) -> Result<bool, StoreError> {
        Ok(writing!(self, tx => {
            let too_soon = sqlx::query(
                "UPDATE device_codes SET poll_interval = poll_interval + $3, polled_at = $2 \
                 WHERE hash = $1 AND polled_at + poll_interval > $2",
            )
            .bind(&hash[..])
            .bind(now)
            .bind(SLOWER)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if too_soon == 0 {
                sqlx::query("UPDATE device_codes SET polled_at = $2 WHERE hash = $1")
                    .bind(&hash[..])
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            too_soon == 0
        }))
    }

    /// Spends a device code, once, whoever else polls at the same moment.
    ///
    /// # Errors
    /// The database does not answer: then the code is not spent.
    pub async fn redeem_device_code(
        &self,
        hash: [u8; 32],
        redemption: &Redemption<'_>,
        now: UnixTime,
    ) -> Result<Redeemed, StoreError> {
        Ok(writing!(self, tx => {
            // The grant before its code, as everything that ends grants has it.
            sqlx::query("UPDATE grants SET expires_at = expires_at WHERE id = (SELECT grant_id FROM device_codes WHERE hash = $1)")
                .bind(&hash[..])
                .execute(&mut *tx)
                .await?;
            let spent: Option<(Uuid,)> = sqlx::query_as(
                "UPDATE device_codes SET spent_at = $2 WHERE hash = $1 AND spent_at IS NULL AND grant_id IS NOT NULL \
                 AND expires_at > $2 RETURNING grant_id",
            )
            .bind(&hash[..])
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
            match spent {
                Some((grant,)) if begin_grant!(tx, grant, redemption, now) => Redeemed::Now,
                Some(_) => Redeemed::Gone,
                None => Redeemed::Before,
            }
        }))
    }

    /// Removes device codes that expired before `before`, at most one batch; answers how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn purge_device_codes(&self, before: UnixTime) -> Result<u64, StoreError> {
        Ok(writing!(self, tx =>
            sqlx::query(
                "DELETE FROM device_codes WHERE hash IN (SELECT hash FROM device_codes WHERE expires_at < $1 LIMIT 500)",
            )
            .bind(before)
            .execute(tx)
            .await?
            .rows_affected()))
    }
}
