//! The client credentials grant (RFC 6749 §4.4): a client acts for itself.

use super::{Answer, Exchange, Given, Grant};
use crate::app::{App, Decided, DecisionKey};
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::tokens::issue::{self, Issuance, TokenAnswer};
use crate::tokens::scopes;
use crate::types::id::MemberId;
use crate::types::policy::TokenFormat;
use crate::types::scope::Scope;
use std::sync::Arc;

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
        issue(request, scope, &targets).await
    })
}

async fn issue(request: Exchange<'_>, scope: &str, targets: &[&str]) -> Result<TokenAnswer, OAuthError> {
    let Exchange { app, tenant, client, .. } = request;
    let resources = app.directory.resources(tenant.id).await?;
    let membership = app.directory.membership(tenant.id, MemberId::Client(client.client().oid)).await?;
    let key = (client.client().oid, scope.to_owned(), targets.iter().map(|target| (*target).to_owned()).collect());
    let remembered = app.decisions.get(&key);
    // The same request of the same client, resources and groups is decided in the same way.
    if let Some(decision) = remembered.filter(|last| last.from.is(client.shared(), &resources, &membership)) {
        return issue::mint_decided(app, tenant, &decision).await;
    }
    Box::pin(decide_anew(request, key, &resources, (scope, targets))).await
}

async fn decide_anew(
    request: Exchange<'_>,
    key: DecisionKey,
    resources: &Arc<Vec<Resource>>,
    asked: (&str, &[&str]),
) -> Result<TokenAnswer, OAuthError> {
    let Exchange { app, tenant, client, .. } = request;
    let wanted = Wanted { client: client.client(), resources, scope: asked.0, targets: asked.1 };
    let issuance = decide(app, tenant, wanted).await?;
    if issuance.resource.settings.token_format == TokenFormat::Opaque {
        return Ok(issue::mint(app, issuance).await?.into());
    }
    let (client, membership) = (client.shared().clone(), issuance.membership.clone());
    let from = Decided { client, resources: resources.clone(), membership };
    let decision = Arc::new(issue::decide(app, issuance, from)?);
    app.decisions.insert(key, decision.clone());
    issue::mint_decided(app, tenant, &decision).await
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
