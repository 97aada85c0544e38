//! The tenant that the path names; without one it is `default`.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::store::tenants::Tenant;
use crate::types::name::TenantName;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use std::sync::Arc;

/// A tenant, enabled or not.
#[derive(Debug, Clone)]
pub struct TenantPath {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The segment of the path that named it, when one did.
    pub segment: Option<String>,
}

impl TenantPath {
    /// The path in front of a tenant's paths, as browsers see it: without host, and without slash at the end.
    pub fn base(&self, app: &App) -> String {
        let segment = self.segment.as_ref().map(|segment| format!("/{segment}")).unwrap_or_default();
        format!("{}{segment}", app.public_url.path())
    }

    /// Where a tenant's paths begin, as the request named it.
    pub fn url(&self, app: &App) -> String {
        match &self.segment {
            Some(segment) => format!("{}/{segment}", app.public_url),
            None => app.public_url.to_string(),
        }
    }

    /// The tenant, for endpoints that need it enabled.
    ///
    /// # Errors
    /// It is disabled.
    pub fn enabled(&self) -> Result<&Tenant, OAuthError> {
        if self.tenant.enabled { Ok(&self.tenant) } else { Err(reason::TENANT_DISABLED.into()) }
    }
}

impl FromRequestParts<Arc<App>> for TenantPath {
    type Rejection = OAuthError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, OAuthError> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| reason::NOT_FOUND)?;
        let segment = params.iter().find(|(name, _)| *name == "tenant").map(|(_, value)| value.to_owned());
        let word = segment.as_deref().unwrap_or(TenantName::DEFAULT);
        let tenant =
            app.directory.tenant(word).await?.ok_or_else(|| OAuthError::from(reason::TENANT_UNKNOWN).about(word))?;
        Ok(Self { tenant, segment })
    }
}
