//! Groups: names, owners, claims and roles. Who is in them is in `members`.

use super::changes::Noun;
use super::{AdminError, Store, StoreError, announce, reading, writing};
use crate::types::claim::{ClaimName, ClaimValue};
use crate::types::clock::UnixTime;
use crate::types::id::{GroupId, MemberId, ResourceId, TenantId, UserId};
use crate::types::name::{GroupName, RoleName};
use serde::Serialize;
use uuid::Uuid;

/// A group.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Row id.
    pub id: GroupId,
    /// Unique in its tenant.
    pub name: GroupName,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created_at: UnixTime,
}

/// What hangs on a group, for showing it.
#[derive(Debug, Clone, Serialize)]
pub struct GroupDetails {
    /// Names of its owners: client ids and user names, each with its kind.
    pub owners: Vec<(String, String)>,
    /// Claims it stamps, as JSON text.
    pub claims: Vec<(String, String)>,
    /// Roles it gives: resource and role.
    pub roles: Vec<(String, String)>,
    /// Names of the groups that it is a direct member of.
    pub member_of: Vec<String>,
}

/// The members of a group that somebody owns are counted no further: a number on a page is not worth reading all of
/// a large group.
pub const COUNTED: i64 = 1000;

type Row = (Uuid, String, String, i64);

fn group((id, name, description, created_at): Row) -> Group {
    Group { id: id.into(), name: GroupName::stored(name), description, created_at }
}

impl Store {
    /// By name or UUID.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_group(&self, tenant: TenantId, word: &str) -> Result<Option<Group>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT id, name, description, created_at FROM groups WHERE tenant_id = $1 AND (name = $2 OR id = $3)",
            )
            .bind(tenant.uuid())
            .bind(word)
            .bind(Uuid::try_parse(word).unwrap_or(Uuid::nil()))
            .fetch_optional(conn)
            .await?);
        Ok(row.map(group))
    }

    /// In order of name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_groups(&self, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<Group>, StoreError> {
        let rows: Vec<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT id, name, description, created_at FROM groups WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
            )
            .bind(tenant.uuid())
            .bind(after)
            .bind(limit)
            .fetch_all(conn)
            .await?);
        Ok(rows.into_iter().map(group).collect())
    }

    /// Owners, claims, roles and parents of a group.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn group_details(&self, group: GroupId) -> Result<GroupDetails, StoreError> {
        Ok(reading!(self, conn => {
            let owners = sqlx::query_as(
                "SELECT 'client' AS kind, c.client_id AS name FROM group_owner_clients o JOIN clients c ON c.id = o.client_id \
                 WHERE o.group_id = $1 \
                 UNION ALL SELECT 'user', u.username FROM group_owner_users o JOIN users u ON u.id = o.user_id \
                 WHERE o.group_id = $1 ORDER BY 1, 2",
            )
            .bind(group.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let claims = sqlx::query_as("SELECT name, value FROM group_claims WHERE group_id = $1 ORDER BY name")
                .bind(group.uuid())
                .fetch_all(&mut *conn)
                .await?;
            let roles = sqlx::query_as(
                "SELECT r.identifier, o.name FROM group_roles g JOIN roles o ON o.id = g.role_id \
                 JOIN resources r ON r.id = o.resource_id WHERE g.group_id = $1 ORDER BY 1, 2",
            )
            .bind(group.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let parents: Vec<(String,)> = sqlx::query_as(
                "SELECT p.name FROM group_groups g JOIN groups p ON p.id = g.group_id WHERE g.member_id = $1 ORDER BY p.name",
            )
            .bind(group.uuid())
            .fetch_all(&mut *conn)
            .await?;
            GroupDetails { owners, claims, roles, member_of: parents.into_iter().map(|(name,)| name).collect() }
        }))
    }

    /// The groups that a person owns, in order of name, each with the number of its direct members, counted up to
    /// [`COUNTED`] and one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn owned_groups(&self, tenant: TenantId, owner: UserId) -> Result<Vec<(Group, i64)>, StoreError> {
        let rows: Vec<(Uuid, String, String, i64, i64)> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT g.id, g.name, g.description, g.created_at, \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM group_clients m WHERE m.group_id = g.id LIMIT $3) AS counted) + \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM group_users m WHERE m.group_id = g.id LIMIT $3) AS counted) + \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM group_groups m WHERE m.group_id = g.id LIMIT $3) AS counted) \
                 FROM group_owner_users o CROSS JOIN groups g \
                 WHERE g.id = o.group_id AND g.tenant_id = $1 AND o.user_id = $2 ORDER BY g.name LIMIT 1000",
            )
            .bind(tenant.uuid())
            .bind(owner.uuid())
            .bind(COUNTED + 1)
            .fetch_all(conn)
            .await?);
        let counted = |members: i64| members.min(COUNTED + 1);
        Ok(rows
            .into_iter()
            .map(|(id, name, text, at, members)| (group((id, name, text, at)), counted(members)))
            .collect())
    }

    /// A group, if the person is one of its owners.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_owned_group(
        &self,
        tenant: TenantId,
        owner: UserId,
        id: GroupId,
    ) -> Result<Option<Group>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT g.id, g.name, g.description, g.created_at FROM groups g \
                 JOIN group_owner_users o ON o.group_id = g.id WHERE g.tenant_id = $1 AND o.user_id = $2 AND g.id = $3",
            )
            .bind(tenant.uuid())
            .bind(owner.uuid())
            .bind(id.uuid())
            .fetch_optional(conn)
            .await?);
        Ok(row.map(group))
    }

    /// Makes a group.
    ///
    /// # Errors
    /// Refused when the name is taken.
    pub async fn create_group(&self, tenant: TenantId, new: &Group) -> Result<(), AdminError> {
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, new.name.as_str(), new.created_at);
            let made = sqlx::query(
                "INSERT INTO groups (id, tenant_id, name, description, created_at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (tenant_id, name) DO NOTHING",
            )
            .bind(new.id.uuid())
            .bind(tenant.uuid())
            .bind(new.name.as_str())
            .bind(&new.description)
            .bind(new.created_at)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if made == 0 {
                return Err(AdminError::refused(format!(
                    "there is a group '{0}' already; see: grantor group show '{0}'", new.name
                )));
            }
        });
        Ok(())
    }

    /// Deletes a group; answers whether it existed.
    ///
    /// # Errors
    /// Refused while a resource requires the group: the resource would be open to everybody without it.
    pub async fn delete_group(&self, tenant: TenantId, group: &Group, now: UnixTime) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            let required: Option<(String,)> = sqlx::query_as(
                "SELECT r.identifier FROM resource_required_groups q JOIN resources r ON r.id = q.resource_id \
                 WHERE q.group_id = $1 ORDER BY r.identifier LIMIT 1",
            )
            .bind(group.id.uuid())
            .fetch_optional(&mut *tx)
            .await?;
            if let Some((resource,)) = required {
                return Err(AdminError::refused(format!(
                    "the resource '{resource}' requires the group '{0}'; first run \
                     'grantor resource update {resource} --remove-require-group {0}'", group.name
                )));
            }
            sqlx::query("DELETE FROM groups WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(group.id.uuid())
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }

    /// Makes a client or user an owner; answers whether that is new.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn add_owner(
        &self,
        tenant: TenantId,
        group: &Group,
        owner: MemberId,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            match owner {
                MemberId::Client(_) => {
                    sqlx::query("INSERT INTO group_owner_clients (group_id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                }
                MemberId::User(_) => {
                    sqlx::query("INSERT INTO group_owner_users (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                }
            }
            .bind(group.id.uuid())
            .bind(owner.uuid())
            .execute(&mut *tx)
            .await?
            .rows_affected()
        }) > 0)
    }

    /// Ends an ownership; answers whether there was one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn remove_owner(
        &self,
        tenant: TenantId,
        group: &Group,
        owner: MemberId,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            match owner {
                MemberId::Client(_) => sqlx::query("DELETE FROM group_owner_clients WHERE group_id = $1 AND client_id = $2"),
                MemberId::User(_) => sqlx::query("DELETE FROM group_owner_users WHERE group_id = $1 AND user_id = $2"),
            }
            .bind(group.id.uuid())
            .bind(owner.uuid())
            .execute(&mut *tx)
            .await?
            .rows_affected()
        }) > 0)
    }

    /// Sets a claim that the group stamps into its members' tokens.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn set_claim(
        &self,
        tenant: TenantId,
        group: &Group,
        claim: (&ClaimName, &ClaimValue),
        now: UnixTime,
    ) -> Result<(), AdminError> {
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            sqlx::query(
                "INSERT INTO group_claims (group_id, name, value) VALUES ($1, $2, $3) \
                 ON CONFLICT (group_id, name) DO UPDATE SET value = excluded.value",
            )
            .bind(group.id.uuid())
            .bind(claim.0.as_str())
            .bind(claim.1.json().to_string())
            .execute(&mut *tx)
            .await?;
        });
        Ok(())
    }

    /// Removes a claim; answers whether the group had it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn unset_claim(
        &self,
        tenant: TenantId,
        group: &Group,
        name: &str,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            sqlx::query("DELETE FROM group_claims WHERE group_id = $1 AND name = $2")
                .bind(group.id.uuid())
                .bind(name)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }

    /// Gives the group's members a role on a resource; answers whether that is new.
    ///
    /// # Errors
    /// Refused when the resource has no such role.
    pub async fn grant_role(
        &self,
        tenant: TenantId,
        group: &Group,
        role: (ResourceId, &RoleName),
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            let found: Option<(Uuid,)> = sqlx::query_as("SELECT id FROM roles WHERE resource_id = $1 AND name = $2")
                .bind(role.0.uuid())
                .bind(role.1.as_str())
                .fetch_optional(&mut *tx)
                .await?;
            let Some((role_id,)) = found else {
                return Err(AdminError::refused(format!(
                    "the resource has no role '{}'; add it with 'grantor resource update --role'", role.1
                )));
            };
            sqlx::query("INSERT INTO group_roles (group_id, role_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(group.id.uuid())
                .bind(role_id)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }

    /// Takes a role from the group; answers whether it gave it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn revoke_role(
        &self,
        tenant: TenantId,
        group: &Group,
        role: (ResourceId, &RoleName),
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            sqlx::query(
                "DELETE FROM group_roles WHERE group_id = $1 AND role_id IN (SELECT id FROM roles WHERE resource_id = $2 AND name = $3)",
            )
            .bind(group.id.uuid())
            .bind(role.0.uuid())
            .bind(role.1.as_str())
            .execute(&mut *tx)
            .await?
            .rows_affected()
        }) > 0)
    }
}
