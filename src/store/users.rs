//! People: who they are and the password by which they sign in.

use super::{Store, StoreError, reading, unreadable};
use crate::types::clock::UnixTime;
use crate::types::id::{TenantId, UserId};
use crate::types::name::UserName;
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
}
