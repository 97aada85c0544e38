//! Protected resources: their scopes and roles, and what they decide about their tokens.

use super::changes::Noun;
use super::{AdminError, Store, StoreError, announce, reading, unreadable, writing};
use crate::types::alg::Alg;
use crate::types::clock::UnixTime;
use crate::types::id::{GroupId, ResourceId, TenantId};
use crate::types::name::RoleName;
use crate::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy, TokenFormat};
use crate::types::scope::ScopeValue;
use crate::types::uri::ResourceIdentifier;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a resource decides about its tokens.
#[derive(Debug, Clone, Serialize)]
pub struct ResourceSettings {
    /// Used when a request names no resource.
    pub is_default: bool,
    /// Signature algorithm.
    pub alg: Alg,
    /// Seconds that an access token lives.
    pub lifetime: i64,
    /// Which groups are stamped.
    pub groups: GroupsPolicy,
    /// How they are written.
    pub group_format: GroupFormat,
    /// Above this many, the token carries a pointer to the whole list instead.
    pub group_limit: i64,
    /// Shape of the claims.
    pub claims_profile: ClaimsProfile,
    /// What its tokens look like.
    pub token_format: TokenFormat,
}

/// New values for what a resource decides; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct SettingChanges {
    /// Used when a request names no resource.
    pub is_default: Option<bool>,
    /// Signature algorithm.
    pub alg: Option<Alg>,
    /// Seconds that an access token lives.
    pub lifetime: Option<i64>,
    /// Which groups are stamped.
    pub groups: Option<GroupsPolicy>,
    /// How they are written.
    pub group_format: Option<GroupFormat>,
    /// How many fit into a token.
    pub group_limit: Option<i64>,
    /// Shape of the claims.
    pub claims_profile: Option<ClaimsProfile>,
    /// What its tokens look like.
    pub token_format: Option<TokenFormat>,
}

/// A change to a resource.
#[derive(Debug)]
pub struct ResourceUpdate<'a> {
    /// New values.
    pub settings: &'a SettingChanges,
    /// Scopes, roles and required groups to add or remove.
    pub parts: &'a ResourceParts,
    /// A row id for each role that is added.
    pub role_ids: &'a [Uuid],
}

/// A protected resource.
#[derive(Debug, Clone, Serialize)]
pub struct Resource {
    /// Row id.
    pub id: ResourceId,
    /// The `aud` of its tokens.
    pub identifier: ResourceIdentifier,
    /// What it decides.
    #[serde(flatten)]
    pub settings: ResourceSettings,
    /// Its scopes, sorted.
    pub scopes: Vec<String>,
    /// What people read about a scope, for those that were described.
    pub descriptions: BTreeMap<String, String>,
    /// Its roles, sorted.
    pub roles: Vec<String>,
    /// Groups of which a subject must be in at least one; empty means anybody.
    pub required_groups: Vec<RequiredGroup>,
    /// When it was made.
    pub created_at: UnixTime,
}

/// A group that a resource requires.
#[derive(Debug, Clone, Serialize)]
pub struct RequiredGroup {
    /// Row id.
    pub id: GroupId,
    /// Name.
    pub name: String,
}

/// What is added to and taken from a resource by one write.
#[derive(Debug, Clone, Default)]
pub struct ResourceParts {
    /// Scopes to add.
    pub add_scopes: Vec<ScopeValue>,
    /// Scopes to remove, with every client's permission for them.
    pub remove_scopes: Vec<ScopeValue>,
    /// Roles to add.
    pub add_roles: Vec<RoleName>,
    /// Roles to remove, from every group that gave them too.
    pub remove_roles: Vec<RoleName>,
    /// Groups to require.
    pub add_required: Vec<GroupId>,
    /// Groups to require no longer.
    pub remove_required: Vec<GroupId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    identifier: String,
    is_default: bool,
    alg: String,
    lifetime: i64,
    groups_policy: String,
    group_format: String,
    group_limit: i64,
    claims_profile: String,
    token_format: String,
    created_at: i64,
}

impl Row {
    fn resource(self) -> Result<Resource, StoreError> {
        let bad = |_| unreadable("resource");
        Ok(Resource {
            id: self.id.into(),
            identifier: ResourceIdentifier::stored(self.identifier),
            settings: ResourceSettings {
                is_default: self.is_default,
                alg: self.alg.parse().map_err(bad)?,
                lifetime: self.lifetime,
                groups: self.groups_policy.parse().map_err(bad)?,
                group_format: self.group_format.parse().map_err(bad)?,
                group_limit: self.group_limit,
                claims_profile: self.claims_profile.parse().map_err(bad)?,
                token_format: self.token_format.parse().map_err(bad)?,
            },
            scopes: Vec::new(),
            descriptions: BTreeMap::new(),
            roles: Vec::new(),
            required_groups: Vec::new(),
            created_at: self.created_at,
        })
    }
}

/// Applies [`ResourceParts`] to a resource inside a transaction. Role ids are passed in: ids are made by the caller.
macro_rules! apply_parts {
    ($tx:ident, $tenant:expr, $id:expr, $parts:expr, $role_ids:expr, $now:expr) => {{
        for scope in &$parts.remove_scopes {
            // A client that stayed in memory with the permission would have it again when the scope is made again.
            let holders: Vec<(String,)> = sqlx::query_as(
                "SELECT c.client_id FROM client_scopes s JOIN clients c ON c.id = s.client_id \
                 WHERE s.resource_id = $1 AND s.value = $2 ORDER BY c.client_id",
            )
            .bind($id.uuid())
            .bind(scope.as_str())
            .fetch_all(&mut *$tx)
            .await?;
            for (holder,) in &holders {
                announce!($tx, $tenant, Noun::Client, holder.as_str(), $now);
            }
            sqlx::query("DELETE FROM client_scopes WHERE resource_id = $1 AND value = $2")
                .bind($id.uuid())
                .bind(scope.as_str())
                .execute(&mut *$tx)
                .await?;
            sqlx::query("DELETE FROM scopes WHERE resource_id = $1 AND value = $2")
                .bind($id.uuid())
                .bind(scope.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for scope in &$parts.add_scopes {
            sqlx::query("INSERT INTO scopes (resource_id, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind($id.uuid())
                .bind(scope.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for role in &$parts.remove_roles {
            sqlx::query("DELETE FROM roles WHERE resource_id = $1 AND name = $2")
                .bind($id.uuid())
                .bind(role.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for (role, role_id) in $parts.add_roles.iter().zip($role_ids) {
            sqlx::query("INSERT INTO roles (id, resource_id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(*role_id)
                .bind($id.uuid())
                .bind(role.as_str())
                .execute(&mut *$tx)
                .await?;
        }
        for group in &$parts.remove_required {
            sqlx::query("DELETE FROM resource_required_groups WHERE resource_id = $1 AND group_id = $2")
                .bind($id.uuid())
                .bind(group.uuid())
                .execute(&mut *$tx)
                .await?;
        }
        for group in &$parts.add_required {
            sqlx::query(
                "INSERT INTO resource_required_groups (resource_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind($id.uuid())
            .bind(group.uuid())
            .execute(&mut *$tx)
            .await?;
        }
    }};
}

/// Takes the mark of the default resource from whichever has it, when another claims it.
macro_rules! yield_default {
    ($tx:ident, $tenant:expr, $claimed:expr) => {
        if $claimed {
            sqlx::query("UPDATE resources SET is_default = $2 WHERE tenant_id = $1 AND is_default")
                .bind($tenant.uuid())
                .bind(false)
                .execute(&mut *$tx)
                .await?;
        }
    };
}

/// A resource that is to be made.
#[derive(Debug)]
pub struct NewResource<'a> {
    /// Row id.
    pub id: ResourceId,
    /// The `aud` of its tokens.
    pub identifier: &'a ResourceIdentifier,
    /// What it decides.
    pub settings: &'a ResourceSettings,
    /// Scopes, roles and required groups it starts with.
    pub parts: &'a ResourceParts,
    /// A row id for each role that is added.
    pub role_ids: &'a [Uuid],
}

impl Store {
    /// Every resource of the tenant with its scopes, roles and required groups, in order of identifier.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_resources(&self, tenant: TenantId) -> Result<Vec<Resource>, StoreError> {
        let (rows, scopes, roles, required) = reading!(self, conn => {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT id, identifier, is_default, alg, lifetime, groups_policy, group_format, group_limit, \
                 claims_profile, token_format, created_at FROM resources WHERE tenant_id = $1 ORDER BY identifier",
            )
            .bind(tenant.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let scopes: Vec<(Uuid, String, String)> = sqlx::query_as(
                "SELECT s.resource_id, s.value, s.description FROM scopes s JOIN resources r ON r.id = s.resource_id \
                 WHERE r.tenant_id = $1 ORDER BY s.value",
            )
            .bind(tenant.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let roles: Vec<(Uuid, String)> = sqlx::query_as(
                "SELECT o.resource_id, o.name FROM roles o JOIN resources r ON r.id = o.resource_id \
                 WHERE r.tenant_id = $1 ORDER BY o.name",
            )
            .bind(tenant.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let required: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
                "SELECT q.resource_id, q.group_id, g.name FROM resources r CROSS JOIN resource_required_groups q \
                 CROSS JOIN groups g WHERE r.tenant_id = $1 AND q.resource_id = r.id AND g.id = q.group_id ORDER BY g.name",
            )
            .bind(tenant.uuid())
            .fetch_all(&mut *conn)
            .await?;
            (rows, scopes, roles, required)
        });
        let mut resources = rows.into_iter().map(Row::resource).collect::<Result<Vec<_>, _>>()?;
        let mut places: std::collections::HashMap<Uuid, &mut Resource> =
            resources.iter_mut().map(|resource| (resource.id.uuid(), resource)).collect();
        for (resource, value, description) in scopes {
            if let Some(place) = places.get_mut(&resource) {
                if !description.is_empty() {
                    place.descriptions.insert(value.clone(), description);
                }
                place.scopes.push(value);
            }
        }
        for (resource, name) in roles {
            if let Some(place) = places.get_mut(&resource) {
                place.roles.push(name);
            }
        }
        for (resource, group, name) in required {
            if let Some(place) = places.get_mut(&resource) {
                place.required_groups.push(RequiredGroup { id: group.into(), name });
            }
        }
        Ok(resources)
    }

    /// Makes a resource.
    ///
    /// # Errors
    /// Refused when the identifier is taken.
    pub async fn create_resource(
        &self,
        tenant: TenantId,
        new: &NewResource<'_>,
        now: UnixTime,
    ) -> Result<(), AdminError> {
        let settings = new.settings;
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Resource, new.identifier.as_str(), now);
            yield_default!(tx, tenant, settings.is_default);
            let made = sqlx::query(
                "INSERT INTO resources (id, tenant_id, identifier, is_default, alg, lifetime, groups_policy, group_format, \
                 group_limit, claims_profile, token_format, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
                 ON CONFLICT (tenant_id, identifier) DO NOTHING",
            )
            .bind(new.id.uuid())
            .bind(tenant.uuid())
            .bind(new.identifier.as_str())
            .bind(settings.is_default)
            .bind(settings.alg.as_str())
            .bind(settings.lifetime)
            .bind(settings.groups.as_str())
            .bind(settings.group_format.as_str())
            .bind(settings.group_limit)
            .bind(settings.claims_profile.as_str())
            .bind(settings.token_format.as_str())
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if made == 0 {
                return Err(AdminError::refused(format!(
                    "there is a resource '{}' already; change it with 'grantor resource update'", new.identifier
                )));
            }
            super::keys::cover_lifetime!(tx, tenant, settings.lifetime, now);
            apply_parts!(tx, tenant, new.id, new.parts, new.role_ids, now);
        });
        Ok(())
    }

    /// Changes what the resource decides and adds or removes parts of it. What is not named stays.
    ///
    /// # Errors
    /// Refused when the resource was deleted meanwhile.
    pub async fn update_resource(
        &self,
        tenant: TenantId,
        resource: &Resource,
        update: &ResourceUpdate<'_>,
        now: UnixTime,
    ) -> Result<(), AdminError> {
        let settings = update.settings;
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Resource, resource.identifier.as_str(), now);
            // A removed role leaves the groups that gave it.
            announce!(tx, tenant, Noun::Group, "", now);
            yield_default!(tx, tenant, settings.is_default == Some(true));
            let found = sqlx::query(
                "UPDATE resources SET is_default = COALESCE($3, is_default), alg = COALESCE($4, alg), \
                 lifetime = COALESCE($5, lifetime), groups_policy = COALESCE($6, groups_policy), \
                 group_format = COALESCE($7, group_format), group_limit = COALESCE($8, group_limit), \
                 claims_profile = COALESCE($9, claims_profile), token_format = COALESCE($10, token_format) WHERE tenant_id = $1 AND id = $2",
            )
            .bind(tenant.uuid())
            .bind(resource.id.uuid())
            .bind(settings.is_default)
            .bind(settings.alg.map(Alg::as_str))
            .bind(settings.lifetime)
            .bind(settings.groups.map(GroupsPolicy::as_str))
            .bind(settings.group_format.map(GroupFormat::as_str))
            .bind(settings.group_limit)
            .bind(settings.claims_profile.map(ClaimsProfile::as_str))
            .bind(settings.token_format.map(TokenFormat::as_str))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if found == 0 {
                return Err(AdminError::refused(format!("there is no resource '{}'", resource.identifier)));
            }
            if let Some(lifetime) = settings.lifetime {
                super::keys::cover_lifetime!(tx, tenant, lifetime, now);
            }
            apply_parts!(tx, tenant, resource.id, update.parts, update.role_ids, now);
        });
        Ok(())
    }

    /// Deletes a resource; answers whether it existed.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn delete_resource(
        &self,
        tenant: TenantId,
        resource: &Resource,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Resource, resource.identifier.as_str(), now);
            announce!(tx, tenant, Noun::Group, "", now);
            super::kept_tokens::revoke_kept!(tx, resource.id.uuid(), now);
            sqlx::query("DELETE FROM resources WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(resource.id.uuid())
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }
}
