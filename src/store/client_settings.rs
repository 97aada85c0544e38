//! What an operator decides about a client that acts for people: PKCE, consent, refresh tokens.

use super::{AdminError, StoreError, unreadable};
use crate::types::duration::Seconds;
use crate::types::policy::RefreshPolicy;
use serde::Serialize;

/// What an operator decides about a client that acts for people.
#[derive(Debug, Clone, Serialize)]
pub struct ClientSettings {
    /// Ours: people are not asked for consent.
    pub first_party: bool,
    /// PKCE is demanded. A public client needs it whatever stands here.
    pub require_pkce: bool,
    /// When it gets a refresh token.
    pub refresh_policy: RefreshPolicy,
    /// Each use of a refresh token gives a new one. A public client's are rotated whatever stands here.
    pub refresh_rotation: bool,
    /// Seconds after which an unused refresh token ends.
    pub refresh_idle: i64,
    /// Seconds after which an authorization ends, however much it is used.
    pub refresh_lifetime: i64,
}

impl ClientSettings {
    /// Whether what is decided goes together, and suits the type of client.
    fn check(&self, public: bool) -> Result<(), AdminError> {
        // RFC 9700 §2.1.1: public clients MUST use PKCE.
        if public && !self.require_pkce {
            return Err(AdminError::refused(
                "a public client must use PKCE (RFC 9700 §2.1.1); leave --require-pkce=false away",
            ));
        }
        // RFC 9700 §2.2.2: refresh tokens for public clients MUST be sender-constrained or use refresh token rotation.
        if public && !self.refresh_rotation {
            return Err(AdminError::refused(
                "the refresh tokens of a public client must be rotated (RFC 9700 §2.2.2); leave \
                 --refresh-rotation=false away, or make a client without --public",
            ));
        }
        if self.refresh_idle > self.refresh_lifetime {
            return Err(AdminError::refused(format!(
                "a refresh token cannot be unused for {} in an authorization that ends after {}; give a shorter \
                 --refresh-idle or a longer --refresh-lifetime",
                Seconds::stored(self.refresh_idle),
                Seconds::stored(self.refresh_lifetime)
            )));
        }
        Ok(())
    }
}

/// New values for what is decided about a client; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct SettingChanges {
    /// Ours: people are not asked for consent.
    pub first_party: Option<bool>,
    /// PKCE is demanded.
    pub require_pkce: Option<bool>,
    /// When it gets a refresh token.
    pub refresh_policy: Option<RefreshPolicy>,
    /// Each use of a refresh token gives a new one.
    pub refresh_rotation: Option<bool>,
    /// After which time an unused refresh token ends.
    pub refresh_idle: Option<Seconds>,
    /// After which time an authorization ends.
    pub refresh_lifetime: Option<Seconds>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) is_public: bool,
    first_party: bool,
    require_pkce: bool,
    refresh_policy: String,
    refresh_rotation: bool,
    refresh_idle: i64,
    refresh_lifetime: i64,
}

impl Row {
    pub(super) fn check(self) -> Result<(), AdminError> {
        let public = self.is_public;
        self.settings()?.check(public)
    }

    pub(super) fn settings(self) -> Result<ClientSettings, StoreError> {
        Ok(ClientSettings {
            first_party: self.first_party,
            require_pkce: self.require_pkce,
            refresh_policy: self.refresh_policy.parse().map_err(|_| unreadable("client"))?,
            refresh_rotation: self.refresh_rotation,
            refresh_idle: self.refresh_idle,
            refresh_lifetime: self.refresh_lifetime,
        })
    }
}

/// Applies [`SettingChanges`] to a client inside a transaction. Whether values go together is asked of what came out:
/// somebody else may have changed another one since the person looked.
macro_rules! apply_settings {
    ($tx:ident, $oid:expr, $changes:expr) => {{
        let changes = $changes;
        let row: $crate::store::client_settings::Row = sqlx::query_as(
            "UPDATE clients SET first_party = COALESCE($2, first_party), require_pkce = COALESCE($3, require_pkce), \
             refresh_policy = COALESCE($4, refresh_policy), refresh_rotation = COALESCE($5, refresh_rotation), \
             refresh_idle = COALESCE($6, refresh_idle), refresh_lifetime = COALESCE($7, refresh_lifetime) \
             WHERE id = $1 RETURNING is_public, first_party, require_pkce, refresh_policy, refresh_rotation, \
             refresh_idle, refresh_lifetime",
        )
        .bind($oid.uuid())
        .bind(changes.first_party)
        .bind(changes.require_pkce)
        .bind(changes.refresh_policy.map($crate::types::policy::RefreshPolicy::as_str))
        .bind(changes.refresh_rotation)
        .bind(changes.refresh_idle.map($crate::types::duration::Seconds::get))
        .bind(changes.refresh_lifetime.map($crate::types::duration::Seconds::get))
        .fetch_one(&mut *$tx)
        .await?;
        row.check()?;
    }};
}
pub(super) use apply_settings;
