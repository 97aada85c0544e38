//! Who is in which group, directly and by way of other groups.

use super::changes::Noun;
use super::groups::Group;
use super::{AdminError, Store, StoreError, announce, reading, unreadable, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{GroupId, MemberId, ResourceId, TenantId};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use uuid::Uuid;

/// Something that can be a member of a group.
#[derive(Debug, Clone, Copy)]
pub enum Member<'a> {
    /// A client or a user.
    Subject(MemberId),
    /// Another group.
    Group(&'a Group),
}

/// Every group that a subject is in, at any depth, in order of name.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// The groups.
    pub groups: Vec<MemberGroup>,
}

/// A group that a subject is in, with what it brings.
#[derive(Debug, Clone)]
pub struct MemberGroup {
    /// Row id.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Roles it gives.
    pub roles: Vec<(ResourceId, String)>,
    /// Claims it stamps.
    pub claims: Vec<(String, Value)>,
}

/// Paths from a subject to the groups it is in.
#[derive(Debug, Default)]
pub struct MemberPaths(HashMap<GroupId, Vec<String>>);

impl MemberPaths {
    /// Names from the group that the subject is in directly to `group`, both included; shortest path. Empty when the
    /// subject is not in it.
    pub fn to(&self, group: GroupId) -> &[String] {
        self.0.get(&group).map_or(&[], Vec::as_slice)
    }
}

/// A line of the list of members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberLine {
    /// `client`, `user` or `group`.
    pub kind: String,
    /// Row id.
    pub id: Uuid,
    /// Client id, user name or group name.
    pub name: String,
    /// What people call it: a client's name, a person's display name.
    #[serde(skip)]
    pub shown: String,
}

impl MemberLine {
    /// What people look a member up by in a list: its kind, then its name.
    pub fn place(&self) -> (&str, &str) {
        (&self.kind, &self.name)
    }
}

type MemberRow = (String, Uuid, String, String);

fn line((kind, id, name, shown): MemberRow) -> MemberLine {
    MemberLine { kind, id, name, shown }
}

/// What it is (0 a group, 1 a role, 2 a claim), the group, the resource of a role, name and value.
type MembershipRow = (i32, Uuid, Uuid, String, String);

impl Store {
    /// The groups that a client or user is in, with the roles and claims they bring.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn membership(&self, tenant: TenantId, member: MemberId) -> Result<Membership, StoreError> {
        let mut rows: Vec<MembershipRow> = reading!(self, conn =>
            // Client and user ids are UUIDs of one space, so one statement serves both.
            sqlx::query_as(
                "WITH RECURSIVE mine (id) AS (SELECT group_id FROM group_clients WHERE client_id = $1 \
                 UNION SELECT group_id FROM group_users WHERE user_id = $1 \
                 UNION SELECT g.group_id FROM group_groups g JOIN mine ON g.member_id = mine.id) \
                 SELECT 0 AS part, g.id, g.id AS resource, g.name, '' AS value FROM mine CROSS JOIN groups g \
                 WHERE g.id = mine.id AND g.tenant_id = $2 \
                 UNION ALL SELECT 1, gr.group_id, o.resource_id, o.name, '' FROM mine CROSS JOIN group_roles gr \
                 JOIN roles o ON o.id = gr.role_id WHERE gr.group_id = mine.id \
                 UNION ALL SELECT 2, gc.group_id, gc.group_id, gc.name, gc.value FROM mine CROSS JOIN group_claims gc \
                 WHERE gc.group_id = mine.id",
            )
            .bind(member.uuid())
            .bind(tenant.uuid())
            .fetch_all(conn)
            .await?);
        // The groups first: what they bring is put to them.
        rows.sort_unstable_by_key(|row| row.0);
        let mut groups: HashMap<Uuid, MemberGroup> = HashMap::new();
        for (part, id, resource, name, value) in rows {
            if part == 0 {
                groups.insert(id, MemberGroup { id: id.into(), name, roles: Vec::new(), claims: Vec::new() });
            } else if let Some(group) = groups.get_mut(&id) {
                if part == 1 {
                    group.roles.push((resource.into(), name));
                } else {
                    let value = serde_json::from_str(&value).map_err(|_| unreadable("group claim"))?;
                    group.claims.push((name, value));
                }
            }
        }
        // In one order on every engine and under every collation: it is the order in tokens.
        let mut groups: Vec<MemberGroup> = groups.into_values().collect();
        groups.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for group in &mut groups {
            group.roles.sort_unstable_by(|one, other| (&one.1, one.0.uuid()).cmp(&(&other.1, other.0.uuid())));
            group.claims.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        }
        Ok(Membership { groups })
    }

    /// How a client or user came into each of its groups.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn member_paths(&self, member: MemberId) -> Result<MemberPaths, StoreError> {
        let (direct, edges) = reading!(self, conn => {
            let direct: Vec<(Uuid, String)> = sqlx::query_as(
                "SELECT g.id, g.name FROM groups g JOIN group_clients m ON m.group_id = g.id WHERE m.client_id = $1 \
                 UNION SELECT g.id, g.name FROM groups g JOIN group_users m ON m.group_id = g.id WHERE m.user_id = $1 ORDER BY 2",
            )
            .bind(member.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let edges: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
                "WITH RECURSIVE mine (id) AS (SELECT group_id FROM group_clients WHERE client_id = $1 \
                 UNION SELECT group_id FROM group_users WHERE user_id = $1 \
                 UNION SELECT g.group_id FROM group_groups g JOIN mine ON g.member_id = mine.id) \
                 SELECT e.member_id, e.group_id, g.name FROM mine CROSS JOIN group_groups e \
                 JOIN groups g ON g.id = e.group_id WHERE e.member_id = mine.id ORDER BY g.name",
            )
            .bind(member.uuid())
            .fetch_all(&mut *conn)
            .await?;
            (direct, edges)
        });
        let mut parents: BTreeMap<Uuid, Vec<(Uuid, String)>> = BTreeMap::new();
        for (child, parent, name) in edges {
            parents.entry(child).or_default().push((parent, name));
        }
        let mut paths: HashMap<GroupId, Vec<String>> = HashMap::new();
        let mut queue: VecDeque<(Uuid, Vec<String>)> = direct.into_iter().map(|(id, name)| (id, vec![name])).collect();
        while let Some((group, path)) = queue.pop_front() {
            if paths.contains_key(&group.into()) {
                continue;
            }
            for (parent, name) in parents.get(&group).into_iter().flatten() {
                queue.push_back((*parent, path.iter().cloned().chain([name.clone()]).collect()));
            }
            paths.insert(group.into(), path);
        }
        Ok(MemberPaths(paths))
    }

    /// Direct members of a group in order of their ids, which is that in which they were made; after `after`, at most
    /// `limit`. What a group has more does not make it slower.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_members(&self, group: GroupId, page: (Uuid, i64)) -> Result<Vec<MemberLine>, StoreError> {
        let rows: Vec<MemberRow> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT kind, id, name, shown FROM (SELECT 'client' AS kind, c.id, c.client_id AS name, c.name AS shown \
                 FROM group_clients m JOIN clients c ON c.id = m.client_id \
                 WHERE m.group_id = $1 AND m.client_id > $2 ORDER BY m.client_id LIMIT $3) AS page \
                 UNION ALL SELECT kind, id, name, shown FROM (SELECT 'user' AS kind, u.id, u.username AS name, \
                 COALESCE(u.display_name, u.username) AS shown FROM group_users m JOIN users u ON u.id = m.user_id \
                 WHERE m.group_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3) AS page \
                 UNION ALL SELECT kind, id, name, shown FROM (SELECT 'group' AS kind, g.id, g.name, g.name AS shown \
                 FROM group_groups m JOIN groups g ON g.id = m.member_id \
                 WHERE m.group_id = $1 AND m.member_id > $2 ORDER BY m.member_id LIMIT $3) AS page ORDER BY 2 LIMIT $3",
            )
            .bind(group.uuid())
            .bind(page.0)
            .bind(page.1)
            .fetch_all(conn)
            .await?);
        Ok(rows.into_iter().map(line).collect())
    }

    /// A direct member of a group by its id.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_member(&self, group: GroupId, member: Uuid) -> Result<Option<MemberLine>, StoreError> {
        let row: Option<MemberRow> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT 'client' AS kind, c.id, c.client_id AS name, c.name AS shown FROM group_clients m \
                 JOIN clients c ON c.id = m.client_id WHERE m.group_id = $1 AND m.client_id = $2 \
                 UNION ALL SELECT 'user', u.id, u.username, COALESCE(u.display_name, u.username) FROM group_users m \
                 JOIN users u ON u.id = m.user_id WHERE m.group_id = $1 AND m.user_id = $2 \
                 UNION ALL SELECT 'group', g.id, g.name, g.name FROM group_groups m JOIN groups g ON g.id = m.member_id \
                 WHERE m.group_id = $1 AND m.member_id = $2",
            )
            .bind(group.uuid())
            .bind(member)
            .fetch_optional(conn)
            .await?);
        Ok(row.map(line))
    }

    /// Adds a member; answers whether that is new.
    ///
    /// # Errors
    /// Refused when a group would come to be inside itself.
    pub async fn add_member(
        &self,
        tenant: TenantId,
        group: &Group,
        member: Member<'_>,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            match member {
                Member::Subject(MemberId::Client(client)) => {
                    sqlx::query("INSERT INTO group_clients (group_id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(group.id.uuid())
                        .bind(client.uuid())
                        .execute(&mut *tx)
                        .await?
                        .rows_affected()
                }
                Member::Subject(MemberId::User(user)) => {
                    sqlx::query("INSERT INTO group_users (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(group.id.uuid())
                        .bind(user.uuid())
                        .execute(&mut *tx)
                        .await?
                        .rows_affected()
                }
                Member::Group(inner) => {
                    // No other writer can close the circle meanwhile: announcing took the lock that orders them all.
                    let circle: Option<(Uuid,)> = sqlx::query_as(
                        "WITH RECURSIVE inside (id) AS (SELECT id FROM groups WHERE id = $1 \
                         UNION SELECT g.member_id FROM group_groups g JOIN inside ON g.group_id = inside.id) \
                         SELECT id FROM inside WHERE id = $2",
                    )
                    .bind(inner.id.uuid())
                    .bind(group.id.uuid())
                    .fetch_optional(&mut *tx)
                    .await?;
                    if circle.is_some() {
                        return Err(AdminError::refused(format!(
                            "'{0}' cannot be a member of '{1}': the group would be inside itself; see: grantor group members '{0}' \
                             --transitive", inner.name, group.name
                        )));
                    }
                    sqlx::query("INSERT INTO group_groups (group_id, member_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(group.id.uuid())
                        .bind(inner.id.uuid())
                        .execute(&mut *tx)
                        .await?
                        .rows_affected()
                }
            }
        }) > 0)
    }

    /// Removes a direct member; answers whether it was one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn remove_member(
        &self,
        tenant: TenantId,
        group: &Group,
        member: Member<'_>,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, group.name.as_str(), now);
            let (statement, id) = match member {
                Member::Subject(MemberId::Client(client)) => {
                    (sqlx::query("DELETE FROM group_clients WHERE group_id = $1 AND client_id = $2"), client.uuid())
                }
                Member::Subject(MemberId::User(user)) => {
                    (sqlx::query("DELETE FROM group_users WHERE group_id = $1 AND user_id = $2"), user.uuid())
                }
                Member::Group(inner) => {
                    (sqlx::query("DELETE FROM group_groups WHERE group_id = $1 AND member_id = $2"), inner.id.uuid())
                }
            };
            statement.bind(group.id.uuid()).bind(id).execute(&mut *tx).await?.rows_affected()
        }) > 0)
    }
}
