//! People. Only what groups need of them.

use super::{Store, StoreError, reading};
use crate::types::id::{TenantId, UserId};
use uuid::Uuid;

impl Store {
    /// The id of the user of that UUID or name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_user(&self, tenant: TenantId, word: &str) -> Result<Option<UserId>, StoreError> {
        let row: Option<(Uuid,)> = reading!(self, conn =>
            sqlx::query_as("SELECT id FROM users WHERE tenant_id = $1 AND (username = $2 OR id = $3)")
                .bind(tenant.uuid())
                .bind(word)
                .bind(Uuid::try_parse(word).unwrap_or(Uuid::nil()))
                .fetch_optional(conn)
                .await?);
        Ok(row.map(|(id,)| id.into()))
    }
}
