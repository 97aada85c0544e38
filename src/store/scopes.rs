//! Scopes of a resource: what people read about them when they are asked to consent.

use super::changes::Noun;
use super::resources::Resource;
use super::{AdminError, Store, announce, writing};
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use crate::types::scope::{ScopeDescription, ScopeValue};

impl Store {
    /// Says what a scope means, or with an empty description nothing any more; answers whether that is new.
    ///
    /// # Errors
    /// Refused when the resource has no such scope.
    pub async fn describe_scope(
        &self,
        tenant: TenantId,
        resource: &Resource,
        what: (&ScopeValue, &ScopeDescription),
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        let (scope, description) = what;
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Resource, resource.identifier.as_str(), now);
            let held: Option<(String,)> =
                sqlx::query_as("SELECT description FROM scopes WHERE resource_id = $1 AND value = $2")
                    .bind(resource.id.uuid())
                    .bind(scope.as_str())
                    .fetch_optional(&mut *tx)
                    .await?;
            let Some((held,)) = held else {
                return Err(AdminError::refused(format!(
                    "the resource has no scope '{}'; see: grantor resource show {}", scope.as_str(), resource.identifier
                )));
            };
            sqlx::query("UPDATE scopes SET description = $3 WHERE resource_id = $1 AND value = $2")
                .bind(resource.id.uuid())
                .bind(scope.as_str())
                .bind(description.as_str())
                .execute(&mut *tx)
                .await?;
            held != description.as_str()
        }))
    }
}
