//! The client credentials grant (RFC 6749 §4.4): a client acts for itself.

use super::{Answer, Exchange, Given, Grant};
use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::tokens::issue::{self, Issuance};
use crate::tokens::scopes;
use crate::types::id::MemberId;
use crate::types::scope::Scope;

/// The grant.
pub const GRANT: Grant =
    Grant { name: "client_credentials", aliases: &[], for_public: false, by_default: Given::Confidential, exchange };

fn exchange(request: Exchange<'_>) -> Answer<'_> {
    Box::pin(async move {
        // RFC 6749 §4.4: for confidential clients only; no refresh token.
        if !request.client.is_proven() {
            return Err(reason::GRANT_NEEDS_SECRET.into());
        }
        let scope = request.form.get("scope").unwrap_or_default();
        let targets: Vec<&str> = request.form.all("resource").collect();
        let resources = request.app.directory.resources(request.tenant.id).await?;
        let request_of = Wanted { client: request.client.client(), resources: &resources, scope, targets: &targets };
        let issuance = decide(request.app, request.tenant, request_of).await?;
        Ok(issue::mint(request.app, issuance).await?.into())
    })
}

/// What a client asks for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// The tenant's resources.
    pub resources: &'a [Resource],
    /// The `scope` parameter.
    pub scope: &'a str,
    /// The `resource` parameters.
    pub targets: &'a [&'a str],
}

/// Decides what a client gets for what it asks. `grantor explain` asks here too, so that it cannot differ.
///
/// # Errors
/// The rule that says no.
pub async fn decide<'a>(app: &App, tenant: &'a Tenant, wanted: Wanted<'a>) -> Result<Issuance<'a>, OAuthError> {
    let scope: Scope = wanted.scope.parse().map_err(|_| reason::SCOPE_MALFORMED)?;
    let asked = scopes::resolve(wanted.resources, &scope, wanted.targets)?;
    let membership = app.directory.membership(tenant.id, MemberId::Client(wanted.client.oid)).await?;
    let granted = scopes::grant_to_client(wanted.client, &membership.1, &asked)?;
    Ok(Issuance { tenant, client: wanted.client, login: None, resource: asked.resource, granted, membership })
}
