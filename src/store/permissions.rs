//! Which scopes a client may ask for.

use super::changes::Noun;
use super::clients::Client;
use super::{AdminError, Store, announce, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{ResourceId, TenantId};
use crate::types::scope;

/// A permission of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedScope {
    /// Where.
    pub resource: ResourceId,
    /// One scope of the resource, or `.default` for all of them, later ones too.
    pub value: String,
}

impl AllowedScope {
    /// True when it stands for every scope of its resource.
    pub fn is_all(&self) -> bool {
        self.value == scope::DEFAULT
    }
}

macro_rules! insert_allowed {
    ($tx:ident, $oid:expr, $allowed:expr) => {
        sqlx::query(
            "INSERT INTO client_scopes (client_id, resource_id, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind($oid.uuid())
        .bind($allowed.resource.uuid())
        .bind(&$allowed.value)
        .execute(&mut *$tx)
        .await?
        .rows_affected()
    };
}
pub(super) use insert_allowed;

impl Store {
    /// Lets the client have scopes, all or none of them; answers whether any is new.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn allow_scopes(
        &self,
        tenant: TenantId,
        client: &Client,
        allowed: &[AllowedScope],
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            let mut made = 0;
            for allowed in allowed {
                made += insert_allowed!(tx, client.oid, allowed);
            }
            made
        }) > 0)
    }

    /// Takes scopes from the client, with `.default` every scope of the resource; answers whether it had any.
    ///
    /// # Errors
    /// Refused, and nothing taken, when it has every scope of a resource and should lose one of them by name: that
    /// would change nothing.
    pub async fn deny_scopes(
        &self,
        tenant: TenantId,
        client: &Client,
        denied: &[AllowedScope],
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            let mut taken = 0;
            for denied in denied {
                taken += sqlx::query("DELETE FROM client_scopes WHERE client_id = $1 AND resource_id = $2 AND (value = $3 OR $4)")
                    .bind(client.oid.uuid())
                    .bind(denied.resource.uuid())
                    .bind(&denied.value)
                    .bind(denied.is_all())
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
                let all: Option<(String,)> = sqlx::query_as(
                    "SELECT value FROM client_scopes WHERE client_id = $1 AND resource_id = $2 AND value = $3",
                )
                .bind(client.oid.uuid())
                .bind(denied.resource.uuid())
                .bind(scope::DEFAULT)
                .fetch_optional(&mut *tx)
                .await?;
                if all.is_some() {
                    return Err(AdminError::refused(
                        "the client may have every scope of the resource; deny '<resource>/.default' first and allow those \
                         that it shall keep",
                    ));
                }
            }
            taken
        }) > 0)
    }
}
