//! People: who they are and the password by which they sign in.

use super::changes::Noun;
use super::grants::revoke_grants;
use super::{AdminError, Store, StoreError, announce, reading, unreadable, writing};
use crate::types::clock::UnixTime;
use crate::types::email::Email;
use crate::types::id::{TenantId, UserId};
use crate::types::name::{DisplayName, UserName};
use crate::types::secret::SecretHash;
use serde::Serialize;
use uuid::Uuid;

/// A person.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// Row id; the `sub` and `oid` of the person's tokens.
    pub id: UserId,
    /// What they type to sign in.
    pub username: UserName,
    /// What they are called.
    pub display_name: Option<String>,
    /// Where to write to them.
    pub email: Option<String>,
    /// May sign in.
    pub enabled: bool,
    /// When the row was made.
    pub created_at: UnixTime,
    /// When they last signed in.
    pub last_login_at: Option<UnixTime>,
}

impl User {
    /// The name that people read: the display name, or else the user name.
    pub fn shown(&self) -> &str {
        self.display_name.as_deref().unwrap_or(self.username.as_str())
    }
}

/// A user who is to be made.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Row id.
    pub id: UserId,
    /// What they type to sign in.
    pub username: &'a UserName,
    /// What they are called.
    pub display_name: Option<&'a DisplayName>,
    /// Where to write to them.
    pub email: Option<&'a Email>,
    /// Without one they cannot sign in.
    pub password: Option<&'a SecretHash>,
}

/// New values for a user: the outer `None` leaves a value as it is, the inner one removes it.
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    /// What they are called.
    pub display_name: Option<Option<DisplayName>>,
    /// Where to write to them.
    pub email: Option<Option<Email>>,
}

/// What hangs on a user, for showing it.
#[derive(Debug, Clone)]
pub struct UserDetails {
    /// A password is set.
    pub has_password: bool,
    /// Names of the groups that they are directly in.
    pub groups: Vec<String>,
    /// Names of the groups that they own.
    pub owns: Vec<String>,
}

/// What ended with a write: everything that the person had open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Sessions in browsers.
    pub sessions: u64,
    /// Authorizations of clients, with their refresh and access tokens.
    pub authorizations: u64,
}

/// Locks a person's row inside a transaction; answers how many there are of it. Whoever begins or ends something of a
/// person's does this first: so what begins is seen by what ends it, and no two of them wait for each other.
macro_rules! hold_user {
    ($tx:ident, $user:expr) => {
        sqlx::query("UPDATE users SET enabled = enabled WHERE id = $1")
            .bind($user.uuid())
            .execute(&mut *$tx)
            .await?
            .rows_affected()
    };
}
pub(super) use hold_user;

/// Ends everything that a user has open, inside a transaction that holds the user.
macro_rules! end_all {
    ($tx:ident, $user:expr, $now:expr) => {{
        let sessions = sqlx::query("DELETE FROM sessions WHERE user_id = $1")
            .bind($user.uuid())
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        let authorizations = revoke_grants!($tx, $user.uuid(), $now);
        Ended { sessions, authorizations }
    }};
}

fn gone(user: &User) -> AdminError {
    AdminError::refused(format!("there is no user '{}'; see: grantor user list", user.username))
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    username: String,
    display_name: Option<String>,
    email: Option<String>,
    enabled: bool,
    created_at: i64,
    last_login_at: Option<i64>,
}

impl Row {
    pub(super) fn user(self) -> User {
        User {
            id: self.id.into(),
            username: UserName::stored(self.username),
            display_name: self.display_name,
            email: self.email,
            enabled: self.enabled,
            created_at: self.created_at,
            last_login_at: self.last_login_at,
        }
    }
}

impl Store {
    /// The user of that UUID or name, in whatever case the name is written.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_user(&self, tenant: TenantId, word: &str) -> Result<Option<User>, StoreError> {
        let row: Option<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT id, username, display_name, email, enabled, created_at, last_login_at FROM users \
                 WHERE tenant_id = $1 AND (username = $2 OR id = $3)",
            )
            .bind(tenant.uuid())
            .bind(word.to_lowercase())
            .bind(Uuid::try_parse(word).unwrap_or(Uuid::nil()))
            .fetch_optional(conn)
            .await?);
        Ok(row.map(Row::user))
    }

    /// The user of that name with the stored form of the password, when there is one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_credentials(
        &self,
        tenant: TenantId,
        username: &UserName,
    ) -> Result<Option<(User, Option<SecretHash>)>, StoreError> {
        let found: Option<(Uuid, Option<String>)> = reading!(self, conn =>
            sqlx::query_as("SELECT id, password_hash FROM users WHERE tenant_id = $1 AND username = $2")
                .bind(tenant.uuid())
                .bind(username.as_str())
                .fetch_optional(conn)
                .await?);
        let Some((id, hash)) = found else { return Ok(None) };
        let Some(user) = self.find_user(tenant, &id.to_string()).await? else { return Ok(None) };
        let hash = hash.map(|text| SecretHash::from_stored(&text).ok_or_else(|| unreadable("password"))).transpose()?;
        Ok(Some((user, hash)))
    }

    /// In order of user name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_users(&self, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<User>, StoreError> {
        let rows: Vec<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT id, username, display_name, email, enabled, created_at, last_login_at FROM users \
                 WHERE tenant_id = $1 AND username > $2 ORDER BY username LIMIT $3",
            )
            .bind(tenant.uuid())
            .bind(after.to_lowercase())
            .bind(limit)
            .fetch_all(conn)
            .await?);
        Ok(rows.into_iter().map(Row::user).collect())
    }

    /// Password, direct groups and owned groups of a user.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn user_details(&self, user: UserId) -> Result<UserDetails, StoreError> {
        let (has_password, groups, owns) = reading!(self, conn => {
            let password: Option<(bool,)> = sqlx::query_as("SELECT password_hash IS NOT NULL FROM users WHERE id = $1")
                .bind(user.uuid())
                .fetch_optional(&mut *conn)
                .await?;
            let groups: Vec<(String,)> = sqlx::query_as(
                "SELECT g.name FROM group_users m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY g.name",
            )
            .bind(user.uuid())
            .fetch_all(&mut *conn)
            .await?;
            let owns: Vec<(String,)> = sqlx::query_as(
                "SELECT g.name FROM group_owner_users o JOIN groups g ON g.id = o.group_id WHERE o.user_id = $1 ORDER BY g.name",
            )
            .bind(user.uuid())
            .fetch_all(&mut *conn)
            .await?;
            (password.is_some_and(|(is_set,)| is_set), groups, owns)
        });
        let names = |rows: Vec<(String,)>| rows.into_iter().map(|(name,)| name).collect();
        Ok(UserDetails { has_password, groups: names(groups), owns: names(owns) })
    }

    // The writes below announce themselves as changes of groups: users are not kept in memory, but their memberships
    // are, and a noun of its own could not be read by a server of the previous version beside this one.

    /// Makes a user.
    ///
    /// # Errors
    /// Refused when the name is taken, by a user or as a client id.
    pub async fn create_user(&self, tenant: TenantId, new: &NewUser<'_>, now: UnixTime) -> Result<(), AdminError> {
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, new.username.as_str(), now);
            // RFC 9700 §4.15: who reads a name or a `sub` must not take a person for a client, in whatever case the
            // client id is written.
            // The id is asked for as well: for the client id alone SQLite goes through an index of all of the tenant's.
            let client: Option<(Uuid, String)> = sqlx::query_as(
                "SELECT id, client_id FROM clients WHERE tenant_id = $1 AND LOWER(client_id) = $2 \
                 UNION ALL SELECT id, client_id FROM clients WHERE tenant_id = $1 AND LOWER(client_id) = $3 \
                 UNION ALL SELECT id, client_id FROM clients WHERE tenant_id = $1 AND id = $4",
            )
            .bind(tenant.uuid())
            .bind(new.username.as_str())
            .bind(new.id.to_string())
            .bind(new.id.uuid())
            .fetch_optional(&mut *tx)
            .await?;
            if let Some((_, client_id)) = client {
                return Err(AdminError::refused(format!(
                    "'{}' means a client ('{client_id}'); choose another user name", new.username
                )));
            }
            let made = sqlx::query(
                "INSERT INTO users (id, tenant_id, username, display_name, email, password_hash, enabled, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, username) DO NOTHING",
            )
            .bind(new.id.uuid())
            .bind(tenant.uuid())
            .bind(new.username.as_str())
            .bind(new.display_name.map(DisplayName::as_str))
            .bind(new.email.map(Email::as_str))
            .bind(new.password.map(SecretHash::to_stored))
            .bind(true)
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if made == 0 {
                return Err(AdminError::refused(format!(
                    "there is a user '{0}' already; see: grantor user show {0}", new.username
                )));
            }
        });
        Ok(())
    }

    /// Changes what a user is called and where to write to them. What is not named stays.
    ///
    /// # Errors
    /// Refused when the user was deleted meanwhile.
    pub async fn update_user(
        &self,
        tenant: TenantId,
        user: &User,
        update: &UserUpdate,
        now: UnixTime,
    ) -> Result<(), AdminError> {
        let (display_name, email) = (&update.display_name, &update.email);
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, user.username.as_str(), now);
            let found = sqlx::query(
                "UPDATE users SET display_name = CASE WHEN $3 THEN $4 ELSE display_name END, \
                 email = CASE WHEN $5 THEN $6 ELSE email END WHERE tenant_id = $1 AND id = $2",
            )
            .bind(tenant.uuid())
            .bind(user.id.uuid())
            .bind(display_name.is_some())
            .bind(display_name.iter().flatten().next().map(DisplayName::as_str))
            .bind(email.is_some())
            .bind(email.iter().flatten().next().map(Email::as_str))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if found == 0 {
                return Err(gone(user));
            }
        });
        Ok(())
    }

    /// Enables or disables. Disabling ends everything that the person has open.
    ///
    /// # Errors
    /// Refused when the user was deleted meanwhile.
    pub async fn set_user_enabled(
        &self,
        tenant: TenantId,
        user: &User,
        enabled: bool,
        now: UnixTime,
    ) -> Result<Ended, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, user.username.as_str(), now);
            let found = sqlx::query("UPDATE users SET enabled = $3 WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(user.id.uuid())
                .bind(enabled)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if found == 0 {
                return Err(gone(user));
            }
            if enabled { Ended { sessions: 0, authorizations: 0 } } else { end_all!(tx, user.id, now) }
        }))
    }

    /// Sets a new password and ends everything that was opened with the old one.
    ///
    /// # Errors
    /// Refused when the user was deleted meanwhile.
    pub async fn set_password(
        &self,
        tenant: TenantId,
        user: &User,
        password: &SecretHash,
        now: UnixTime,
    ) -> Result<Ended, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, user.username.as_str(), now);
            let found = sqlx::query("UPDATE users SET password_hash = $3 WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(user.id.uuid())
                .bind(password.to_stored())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if found == 0 {
                return Err(gone(user));
            }
            end_all!(tx, user.id, now)
        }))
    }

    /// Deletes a user and ends everything that the person has open.
    ///
    /// # Errors
    /// Refused when the user was deleted meanwhile.
    pub async fn delete_user(&self, tenant: TenantId, user: &User, now: UnixTime) -> Result<Ended, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Group, user.username.as_str(), now);
            if hold_user!(tx, user.id) == 0 {
                return Err(gone(user));
            }
            // First, while the rows that tell which tokens came from the person are still there.
            let ended = end_all!(tx, user.id, now);
            let deleted = sqlx::query("DELETE FROM users WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(user.id.uuid())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if deleted == 0 {
                return Err(gone(user));
            }
            ended
        }))
    }
}
