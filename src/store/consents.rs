//! What a person agreed to, remembered per client and scope; and taken back.

use super::grants::revoke_grants;
use super::users::hold_user;
use super::{Store, StoreError, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{ClientOid, ResourceId, TenantId, UserId};
use uuid::Uuid;

/// One thing agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Consent {
    /// The resource; the nil UUID for scopes of identity.
    pub resource: ResourceId,
    /// The scope there, or `.default` for the resource itself where roles alone count.
    pub value: String,
}

/// What a person agreed to with one client.
#[derive(Debug, Clone)]
pub struct ClientConsents {
    /// OAuth client identifier.
    pub client_id: String,
    /// What people call it.
    pub name: String,
    /// What was agreed to.
    pub consents: Vec<Consent>,
    /// When the first of it was.
    pub since: UnixTime,
}

/// Remembers consents; those that are there keep their time.
macro_rules! insert_consents {
    ($tx:ident, ($user:expr, $client:expr), $given:expr, $now:expr) => {
        for consent in $given {
            sqlx::query(
                "INSERT INTO consents (user_id, client_id, resource_id, value, granted_at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT DO NOTHING",
            )
            .bind($user.uuid())
            .bind($client.uuid())
            .bind(consent.resource.uuid())
            .bind(&consent.value)
            .bind($now)
            .execute(&mut *$tx)
            .await?;
        }
    };
}
pub(super) use insert_consents;

impl Store {
    /// What a person agreed to with a client.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn consents(&self, user: UserId, client: ClientOid) -> Result<Vec<Consent>, StoreError> {
        let rows: Vec<(Uuid, String)> = reading!(self, conn =>
            sqlx::query_as("SELECT resource_id, value FROM consents WHERE user_id = $1 AND client_id = $2")
                .bind(user.uuid())
                .bind(client.uuid())
                .fetch_all(conn)
                .await?);
        Ok(rows.into_iter().map(|(resource, value)| Consent { resource: resource.into(), value }).collect())
    }

    /// Everything that a person agreed to, by client, in order of the clients' names.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_consents(&self, tenant: TenantId, user: UserId) -> Result<Vec<ClientConsents>, StoreError> {
        let rows: Vec<(String, String, Uuid, String, i64)> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT c.client_id, c.name, n.resource_id, n.value, n.granted_at FROM consents n \
                 JOIN clients c ON c.id = n.client_id WHERE c.tenant_id = $1 AND n.user_id = $2 \
                 ORDER BY c.name, c.client_id, n.resource_id, n.value",
            )
            .bind(tenant.uuid())
            .bind(user.uuid())
            .fetch_all(conn)
            .await?);
        let mut found: Vec<ClientConsents> = Vec::new();
        for (client_id, name, resource, value, at) in rows {
            let consent = Consent { resource: resource.into(), value };
            match found.last_mut() {
                Some(last) if last.client_id == client_id => {
                    last.consents.push(consent);
                    last.since = last.since.min(at);
                }
                _ => found.push(ClientConsents { client_id, name, consents: vec![consent], since: at }),
            }
        }
        Ok(found)
    }

    /// Takes back everything that a person agreed to with a client, and all that came from it; answers whether there
    /// was anything.
    ///
    /// # Errors
    /// The database does not answer: then nothing is taken back.
    pub async fn withdraw_consents(&self, user: UserId, client: ClientOid, now: UnixTime) -> Result<bool, StoreError> {
        Ok(writing!(self, tx => {
            hold_user!(tx, user);
            let removed = sqlx::query("DELETE FROM consents WHERE user_id = $1 AND client_id = $2")
                .bind(user.uuid())
                .bind(client.uuid())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let grants: Vec<(Uuid,)> = sqlx::query_as(
                "SELECT id FROM grants WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL ORDER BY id",
            )
            .bind(user.uuid())
            .bind(client.uuid())
            .fetch_all(&mut *tx)
            .await?;
            for (grant,) in &grants {
                revoke_grants!(tx, *grant, now);
            }
            removed > 0 || !grants.is_empty()
        }))
    }
}
