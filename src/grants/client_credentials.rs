//! The client credentials grant (RFC 6749 §4.4): a client acts for itself.

use super::{Answer, Exchange, Given, Grant};
use crate::app::{App, Decided, Decision, DecisionKey};
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::members::Membership;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::tokens::issue::{self, Issuance, Issued, TokenAnswer};
use crate::tokens::scopes;
use crate::types::id::MemberId;
use crate::types::policy::TokenFormat;
use crate::types::scope::Scope;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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

async fn issue(request: Exchange<'_>, scope: &str, targets: &[&str]) -> Result<Issued, OAuthError> {
    let Exchange { app, tenant, client, .. } = request;
    let settled = app.directory.applied().settled();
    let key = (client.client().oid, scope.to_owned(), targets.iter().map(|target| (*target).to_owned()).collect());
    let last = app.decisions.get(&key);
    if let Some(last) = last.as_ref().filter(|last| last.stands(client.shared(), settled)) {
        return issue::mint_decided(app, tenant.id, last).await;
    }
    // In a box of its own: what is seldom done must not make every request carry room for it.
    Box::pin(decide_anew(request, (key, last), settled)).await
}

/// Decides, unless all that the last decision was made from is the same after all.
async fn decide_anew(
    request: Exchange<'_>,
    (key, last): (DecisionKey, Option<Arc<Decision>>),
    settled: i64,
) -> Result<Issued, OAuthError> {
    let Exchange { app, tenant, client, form } = request;
    let resources = app.directory.resources(tenant.id).await?;
    let membership = app.directory.membership(tenant.id, MemberId::Client(client.client().oid)).await?;
    let keys = app.key_ring(tenant.id).await?;
    let from = Decided { client: client.shared().clone(), resources: resources.clone(), membership, keys };
    if let Some(last) = last.filter(|last| last.from.is(&from)) {
        last.seen_at.store(settled, Ordering::SeqCst);
        return issue::mint_decided(app, tenant.id, &last).await;
    }
    let targets: Vec<&str> = form.all("resource").collect();
    let wanted = Wanted { client: client.client(), resources: &resources, scope: &key.1, targets: &targets };
    let issuance = decide_with(tenant, wanted, from.membership.clone())?;
    if issuance.resource.settings.token_format == TokenFormat::Opaque {
        return TokenAnswer::from(issue::mint(app, issuance).await?).issued();
    }
    let decision = Arc::new(issue::decide(app, issuance, (from, settled))?);
    app.decisions.insert(key, decision.clone());
    issue::mint_decided(app, tenant.id, &decision).await
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
    let membership = app.directory.membership(tenant.id, MemberId::Client(wanted.client.oid)).await?;
    decide_with(tenant, wanted, membership)
}

fn decide_with<'a>(
    tenant: &'a Tenant,
    wanted: Wanted<'a>,
    membership: Arc<(u64, Membership)>,
) -> Result<Issuance<'a>, OAuthError> {
    let scope: Scope = wanted.scope.parse().map_err(|_| reason::SCOPE_MALFORMED)?;
    let asked = scopes::resolve(wanted.resources, &scope, wanted.targets)?;
    let granted = scopes::grant_to_client(wanted.client, &membership.1, &asked)?;
    Ok(Issuance { tenant, client: wanted.client, login: None, resource: asked.resource, granted, membership })
}
