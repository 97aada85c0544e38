//! OAuth clients: who they are and what they may have.

use super::changes::Noun;
use super::client_settings::{self, ClientSettings, SettingChanges, apply_settings};
use super::permissions::AllowedScope;
use super::secrets::StoredSecret;
use super::{AdminError, Store, StoreError, announce, reading, writing};
use crate::types::clock::UnixTime;
use crate::types::id::{ClientOid, ResourceId, TenantId};
use crate::types::name::{ClientId, DisplayName};
use crate::types::uri::{Origin, RedirectUri};
use serde::Serialize;
use uuid::Uuid;

/// A client with all that a token request needs to know about it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Row id; the `oid` claim.
    pub oid: ClientOid,
    /// OAuth client identifier.
    pub client_id: ClientId,
    /// What people call it.
    pub name: DisplayName,
    /// A public client has no secret (RFC 6749 §2.1).
    pub public: bool,
    /// A disabled client gets no token, and its tokens are inactive.
    pub enabled: bool,
    /// Grant types it may use.
    pub grants: Vec<String>,
    /// Registered redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Where a browser may be sent after signing out.
    pub logout_uris: Vec<String>,
    /// Origins of web pages that may call this server.
    pub origins: Vec<String>,
    /// What else was decided for it.
    pub settings: ClientSettings,
    /// What it may ask for.
    pub allowed: Vec<AllowedScope>,
    /// Resources whose tokens it may introspect.
    pub serves: Vec<ResourceId>,
    /// Its secrets, oldest first.
    pub secrets: Vec<StoredSecret>,
    /// When it was made.
    pub created_at: UnixTime,
}

impl Client {
    /// True when the client may introspect tokens for `resource`.
    pub fn serves(&self, resource: ResourceId) -> bool {
        self.serves.contains(&resource)
    }
}

/// A line of the list of clients.
#[derive(Debug, Clone, Serialize)]
pub struct ClientSummary {
    /// OAuth client identifier.
    pub client_id: ClientId,
    /// Row id.
    pub oid: ClientOid,
    /// What people call it.
    pub name: DisplayName,
    /// Without secret.
    pub public: bool,
    /// May get tokens.
    pub enabled: bool,
    /// When it was made.
    pub created_at: UnixTime,
}

/// What is added to and taken from a client by one write. What is not named stays, so that two administrators who
/// change different things do not undo each other.
#[derive(Debug, Clone, Default)]
pub struct ClientParts {
    /// Grant types to allow.
    pub add_grants: Vec<String>,
    /// Grant types to allow no longer.
    pub remove_grants: Vec<String>,
    /// Redirect URIs to register.
    pub add_redirect_uris: Vec<RedirectUri>,
    /// Redirect URIs to forget.
    pub remove_redirect_uris: Vec<RedirectUri>,
    /// Resources to serve.
    pub add_serves: Vec<ResourceId>,
    /// Resources to serve no longer.
    pub remove_serves: Vec<ResourceId>,
    /// URIs to which a browser may be sent after signing out.
    pub add_logout_uris: Vec<RedirectUri>,
    /// URIs to which it may be sent no longer.
    pub remove_logout_uris: Vec<RedirectUri>,
    /// Origins to register.
    pub add_origins: Vec<Origin>,
    /// Origins to forget.
    pub remove_origins: Vec<Origin>,
    /// What else is decided anew.
    pub settings: SettingChanges,
}

/// A client that is to be made.
#[derive(Debug)]
pub struct NewClient<'a> {
    /// Row id.
    pub oid: ClientOid,
    /// OAuth client identifier.
    pub client_id: &'a ClientId,
    /// Without secret.
    pub public: bool,
    /// What people call it.
    pub name: &'a DisplayName,
    /// What it consists of.
    pub parts: &'a ClientParts,
    /// What it may ask for.
    pub allowed: &'a [AllowedScope],
    /// Its first secret.
    pub secret: Option<&'a super::secrets::NewSecret>,
}

type Row = (Uuid, String, String, bool, bool, i64);

/// A row of one of a client's lists: which list, the resource where there is one, the value.
type Part = (String, Uuid, String);

#[derive(sqlx::FromRow)]
struct FullRow {
    id: Uuid,
    client_id: String,
    name: String,
    enabled: bool,
    created_at: i64,
    #[sqlx(flatten)]
    settings: client_settings::Row,
}

impl FullRow {
    /// The client without what stands in its lists.
    fn client(self, secrets: Vec<StoredSecret>) -> Result<Client, StoreError> {
        Ok(Client {
            oid: self.id.into(),
            client_id: ClientId::stored(self.client_id),
            name: DisplayName::stored(self.name),
            public: self.settings.is_public,
            enabled: self.enabled,
            grants: Vec::new(),
            redirect_uris: Vec::new(),
            logout_uris: Vec::new(),
            origins: Vec::new(),
            settings: self.settings.settings()?,
            allowed: Vec::new(),
            serves: Vec::new(),
            secrets,
            created_at: self.created_at,
        })
    }
}

impl Store {
    /// By OAuth client identifier.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find_client(&self, tenant: TenantId, client_id: &str) -> Result<Option<Client>, StoreError> {
        let found = reading!(self, conn => {
            let row: Option<FullRow> = sqlx::query_as(
                "SELECT id, client_id, name, is_public, enabled, created_at, first_party, require_pkce, refresh_policy, \
                 refresh_rotation, refresh_idle, refresh_lifetime FROM clients WHERE tenant_id = $1 AND client_id = $2",
            )
            .bind(tenant.uuid())
            .bind(client_id)
            .fetch_optional(&mut *conn)
            .await?;
            match row {
                None => None,
                Some(row) => {
                    // One statement for all lists: on a server far away each one more is a way there and back.
                    let parts: Vec<Part> = sqlx::query_as(
                        "SELECT 'grant' AS part, client_id AS id, grant_type AS value FROM client_grants WHERE client_id = $1 \
                         UNION ALL SELECT 'redirect', client_id, uri FROM client_redirect_uris WHERE client_id = $1 \
                         UNION ALL SELECT 'logout', client_id, uri FROM client_logout_uris WHERE client_id = $1 \
                         UNION ALL SELECT 'origin', client_id, origin FROM client_origins WHERE client_id = $1 \
                         UNION ALL SELECT 'scope', resource_id, value FROM client_scopes WHERE client_id = $1 \
                         UNION ALL SELECT 'serves', resource_id, '' FROM client_serves WHERE client_id = $1",
                    )
                    .bind(row.id)
                    .fetch_all(&mut *conn)
                    .await?;
                    let secrets: Vec<super::secrets::Row> = sqlx::query_as(
                        "SELECT id, hash, hint, created_at, expires_at, last_used_at FROM client_secrets \
                         WHERE client_id = $1 ORDER BY created_at, id",
                    )
                    .bind(row.id)
                    .fetch_all(&mut *conn)
                    .await?;
                    Some((row, parts, secrets))
                }
            }
        });
        let Some((row, mut parts, secrets)) = found else { return Ok(None) };
        parts.sort_unstable();
        let secrets = secrets.into_iter().map(StoredSecret::read).collect::<Result<_, _>>()?;
        let mut client = row.client(secrets)?;
        for (part, id, value) in parts {
            match part.as_str() {
                "grant" => client.grants.push(value),
                "redirect" => client.redirect_uris.push(value),
                "logout" => client.logout_uris.push(value),
                "origin" => client.origins.push(value),
                "scope" => client.allowed.push(AllowedScope { resource: id.into(), value }),
                _ => client.serves.push(id.into()),
            }
        }
        Ok(Some(client))
    }

    /// True when an enabled client of the tenant registered the origin.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn knows_origin(&self, tenant: TenantId, origin: &str) -> Result<bool, StoreError> {
        let found: Option<(Uuid,)> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT c.id FROM client_origins o CROSS JOIN clients c \
                 WHERE c.id = o.client_id AND c.tenant_id = $1 AND o.origin = $2 AND c.enabled LIMIT 1",
            )
            .bind(tenant.uuid())
            .bind(origin)
            .fetch_optional(conn)
            .await?);
        Ok(found.is_some())
    }

    /// In order of client id, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_clients(
        &self,
        tenant: TenantId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ClientSummary>, StoreError> {
        let rows: Vec<Row> = reading!(self, conn =>
            sqlx::query_as(
                "SELECT id, client_id, name, is_public, enabled, created_at FROM clients \
                 WHERE tenant_id = $1 AND client_id > $2 ORDER BY client_id LIMIT $3",
            )
            .bind(tenant.uuid())
            .bind(after)
            .bind(limit)
            .fetch_all(conn)
            .await?);
        Ok(rows
            .into_iter()
            .map(|(oid, client_id, name, public, enabled, created_at)| ClientSummary {
                client_id: ClientId::stored(client_id),
                oid: oid.into(),
                name: DisplayName::stored(name),
                public,
                enabled,
                created_at,
            })
            .collect())
    }

    /// Makes a client.
    ///
    /// # Errors
    /// Refused when the client id is taken, by a client or as the id or name of a user, or the settings do not go
    /// together.
    pub async fn create_client(&self, tenant: TenantId, new: &NewClient<'_>, now: UnixTime) -> Result<(), AdminError> {
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, new.client_id.as_str(), now);
            // RFC 9700 §4.15: a client id becomes a `sub`; it must not be one that means somebody else: a user, or a
            // client whose tokens name it by its object id.
            let user: Option<(Uuid,)> = sqlx::query_as(
                "SELECT id FROM users WHERE tenant_id = $1 AND (username = $2 OR id = $3) \
                 UNION SELECT id FROM clients WHERE tenant_id = $1 AND id = $3",
            )
                .bind(tenant.uuid())
                .bind(new.client_id.as_str().to_lowercase())
                .bind(Uuid::try_parse(new.client_id.as_str()).unwrap_or(Uuid::nil()))
                .fetch_optional(&mut *tx)
                .await?;
            if user.is_some() {
                return Err(AdminError::refused(format!("'{}' means a user or another client; choose another client id", new.client_id)));
            }
            let made = sqlx::query(
                "INSERT INTO clients (id, tenant_id, client_id, name, is_public, enabled, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, client_id) DO NOTHING",
            )
            .bind(new.oid.uuid())
            .bind(tenant.uuid())
            .bind(new.client_id.as_str())
            .bind(new.name.as_str())
            .bind(new.public)
            .bind(true)
            .bind(now)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if made == 0 {
                return Err(AdminError::refused(format!(
                    "there is a client '{}' already; change it with 'grantor client update'", new.client_id
                )));
            }
            super::client_parts::apply_parts!(tx, new.oid, new.parts);
            for allowed in new.allowed {
                super::permissions::insert_allowed!(tx, new.oid, allowed);
            }
            if let Some(secret) = new.secret {
                super::secrets::insert_secret!(tx, new.oid, secret, now);
            }
        });
        Ok(())
    }

    /// Renames the client and adds or removes parts of it.
    ///
    /// # Errors
    /// Refused when the client was deleted meanwhile or the settings do not go together.
    pub async fn update_client(
        &self,
        tenant: TenantId,
        client: &Client,
        changes: (Option<&DisplayName>, &ClientParts),
        now: UnixTime,
    ) -> Result<(), AdminError> {
        let (name, parts) = changes;
        writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            let found = sqlx::query("UPDATE clients SET name = COALESCE($3, name) WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(client.oid.uuid())
                .bind(name.map(DisplayName::as_str))
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if found == 0 {
                return Err(AdminError::refused(format!("there is no client '{}'", client.client_id)));
            }
            super::client_parts::apply_parts!(tx, client.oid, parts);
        });
        Ok(())
    }

    /// Enables or disables; answers whether the client exists.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn set_client_enabled(
        &self,
        tenant: TenantId,
        client: &Client,
        enabled: bool,
        now: UnixTime,
    ) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            sqlx::query("UPDATE clients SET enabled = $3 WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(client.oid.uuid())
                .bind(enabled)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }

    /// Deletes a client; answers whether it existed.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn delete_client(&self, tenant: TenantId, client: &Client, now: UnixTime) -> Result<bool, AdminError> {
        Ok(writing!(self, tx => {
            announce!(tx, tenant, Noun::Client, client.client_id.as_str(), now);
            // A client of the same id that is made later must not bring tokens of this one back to life.
            super::grants::revoke_grants!(tx, client.oid.uuid(), now);
            super::kept_tokens::revoke_kept!(tx, client.oid.uuid(), now);
            sqlx::query("DELETE FROM clients WHERE tenant_id = $1 AND id = $2")
                .bind(tenant.uuid())
                .bind(client.oid.uuid())
                .execute(&mut *tx)
                .await?
                .rows_affected()
        }) > 0)
    }
}
