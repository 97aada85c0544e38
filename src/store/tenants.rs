//! Tenants: isolated directories, each with its own issuer, keys, clients, groups and resources.

use super::changes::Noun;
use super::keys::NewKey;
use super::{AdminError, Store, StoreError, announce, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use crate::types::name::TenantName;
use serde::Serialize;
use uuid::Uuid;

/// One tenant.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    /// The `tid` claim.
    pub id: TenantId,
    /// The first segment of its paths.
    pub name: TenantName,
    /// A disabled tenant issues nothing and its tokens are inactive.
    pub enabled: bool,
    /// When it was made.
    pub created_at: UnixTime,
}

type Row = (Uuid, String, bool, i64);

fn tenant((id, name, enabled, created_at): Row) -> Tenant {
    Tenant { id: id.into(), name: TenantName::stored(name), enabled, created_at }
}

impl Store {
    /// By name or UUID.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_tenant(&self, word: &str) -> Result<Option<Tenant>, StoreError> {
        let id = Uuid::try_parse(word).unwrap_or(Uuid::nil());
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as("SELECT id, name, enabled, created_at FROM tenants WHERE name = $1 OR id = $2")
                .bind(word)
                .bind(id)
                .fetch_optional(conn)
                .await?);
        Ok(row.map(tenant))
    }

    /// In order of name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_tenants(&self, after: &str, limit: i64) -> Result<Vec<Tenant>, StoreError> {
        let rows: Vec<Row> = reading!(self, conn =>
            sqlx::query_as("SELECT id, name, enabled, created_at FROM tenants WHERE name > $1 ORDER BY name LIMIT $2")
                .bind(after)
                .bind(limit)
                .fetch_all(conn)
                .await?);
        Ok(rows.into_iter().map(tenant).collect())
    }

    /// Makes a tenant together with its first signing key.
    ///
    /// # Errors
    /// Refused when the name is taken.
    pub async fn create_tenant(
        &self,
        id: TenantId,
        name: &TenantName,
        key: &NewKey,
        now: UnixTime,
    ) -> Result<(), AdminError> {
        writing!(self, tx => {
            announce!(tx, id, Noun::Tenant, name.as_str(), now);
            let made = sqlx::query(
                "INSERT INTO tenants (id, name, enabled, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING",
            )
            .bind(id.uuid())
            .bind(name.as_str())
            .bind(true)
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if made == 0 {
                return Err(AdminError::refused(format!("there is a tenant '{name}' already; see: grantor tenant show {name}")));
            }
            super::keys::insert_key!(tx, id, key);
        });
        Ok(())
    }

    /// Enables or disables; answers whether the tenant exists.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn set_tenant_enabled(&self, tenant: &Tenant, enabled: bool, now: UnixTime) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant.id, Noun::Tenant, tenant.name.as_str(), now);
            sqlx::query("UPDATE tenants SET enabled = $2 WHERE id = $1")
                .bind(tenant.id.uuid())
                .bind(enabled)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }

    /// Deletes a tenant and all that is in it; answers whether it existed.
    ///
    /// # Errors
    /// Refused for the default tenant.
    pub async fn delete_tenant(&self, tenant: &Tenant, now: UnixTime) -> Result<bool, AdminError> {
        if tenant.name.as_str() == TenantName::DEFAULT {
            return Err(AdminError::refused("the default tenant cannot be deleted; disable it instead"));
        }
        Ok(writing!(self, tx => {
            announce!(tx, tenant.id, Noun::Tenant, tenant.name.as_str(), now);
            announce!(tx, tenant.id, Noun::Key, "", now);
            announce!(tx, tenant.id, Noun::Resource, "", now);
            sqlx::query("DELETE FROM tenants WHERE id = $1").bind(tenant.id.uuid()).execute(&mut *tx).await?.rows_affected()
        }) > 0)
    }
}
