//! What the grants have in common by which a client acts for a person (RFC 6749 §4.1.4, §6; OpenID Connect Core
//! §3.1.3.3): the token of what was authorized, the ID token, and what MSAL wants to know.

use super::Exchange;
use crate::error::{OAuthError, reason};
use crate::store::codes::Redemption;
use crate::store::grants::{Authorization, TokenRecord};
use crate::store::members::Membership;
use crate::store::refresh_tokens::NewRefreshToken;
use crate::tokens::claims::Login;
use crate::tokens::id_token::{self, Statement};
use crate::tokens::issue::{self, Issuance, Minted, TokenAnswer};
use crate::tokens::scopes::{self, Choice};
use crate::types::clock::UnixTime;
use crate::types::id::MemberId;
use crate::types::policy::RefreshPolicy;
use crate::types::refresh_token::RefreshToken;
use crate::types::scope::Scope;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::sync::Arc;

/// The access token of an exchange and what its answer will say beside it.
pub(super) struct Prepared {
    pub(super) minted: Minted,
    membership: Arc<(u64, Membership)>,
}

/// Makes the access token that the request asks for out of what was authorized. `first` as in [`Choice`].
pub(super) async fn prepare(
    request: &Exchange<'_>,
    authorization: &Authorization,
    first: bool,
) -> Result<Prepared, OAuthError> {
    let Exchange { app, tenant, client, form } = *request;
    if !authorization.user.enabled {
        return Err(reason::USER_DISABLED.into());
    }
    let scope: Scope = form.get("scope").unwrap_or_default().parse().map_err(|_| reason::SCOPE_MALFORMED)?;
    let targets: Vec<&str> = form.all("resource").collect();
    let resources = app.directory.resources(tenant.id).await?;
    let choice = Choice { scope: &scope, targets: &targets, first };
    let chosen = scopes::choose(client.client(), &resources, &authorization.authorized, choice)?;
    let own = id_token::resource(&app.issuer(tenant));
    let membership = app.directory.membership(tenant.id, MemberId::User(authorization.user.id)).await?;
    let issuance = Issuance {
        tenant,
        client: client.client(),
        login: Some(login(authorization)),
        resource: chosen.resource.unwrap_or(&own),
        granted: chosen.granted,
        membership: membership.clone(),
    };
    Ok(Prepared { minted: issue::mint(app, issuance).await?, membership })
}

/// The answer, with an ID token whenever `openid` was authorized.
pub(super) async fn answer(
    request: &Exchange<'_>,
    authorization: &Authorization,
    prepared: Prepared,
    nonce: Option<&str>,
) -> Result<TokenAnswer, OAuthError> {
    let Exchange { app, tenant, client, form } = *request;
    let Prepared { minted, membership } = prepared;
    let mut answer = TokenAnswer::from(minted);
    if authorization.authorized.has("openid") {
        let statement = Statement {
            client: client.client(),
            login: login(authorization),
            authorized: &authorization.authorized,
            nonce,
            access_token: &answer.access_token,
            membership: &membership.1,
        };
        answer.id_token = Some(id_token::sign(app, tenant, statement).await?);
    }
    if form.get("client_info") == Some("1") {
        let info = json!({ "uid": authorization.user.id, "utid": tenant.id });
        answer.client_info = Some(URL_SAFE_NO_PAD.encode(info.to_string()));
    }
    Ok(answer)
}

/// What an authorization brings forth the first time.
pub(super) struct FirstTokens {
    token: TokenRecord,
    refresh: Option<(RefreshToken, NewRefreshToken)>,
    grant_expires_at: UnixTime,
}

impl FirstTokens {
    pub(super) fn redemption(&self) -> Redemption<'_> {
        let refresh = self.refresh.as_ref().map(|(_, row)| row);
        Redemption { token: self.token, refresh, grant_expires_at: self.grant_expires_at }
    }

    /// The refresh token, for the answer.
    pub(super) fn refresh_token(&self) -> Option<String> {
        self.refresh.as_ref().map(|(token, _)| token.to_secret().expose().to_owned())
    }
}

/// The access token that was prepared, and a refresh token when the client gets one: then the authorization lives on.
pub(super) fn first_tokens(request: &Exchange<'_>, authorization: &Authorization, prepared: &Prepared) -> FirstTokens {
    let client = request.client.client();
    let may = client.grants.iter().any(|grant| grant == super::refresh_token::GRANT.name);
    let wanted = authorization.authorized.is_offline() || client.settings.refresh_policy == RefreshPolicy::Always;
    let refreshes = may && wanted;
    let lifetime = if refreshes { client.settings.refresh_lifetime } else { prepared.minted.expires_in };
    let grant_expires_at = request.app.clock.now() + lifetime;
    let refresh = refreshes.then(|| {
        let token = RefreshToken::first(authorization.id, &request.app.random);
        let row = row(&token, request, grant_expires_at);
        (token, row)
    });
    FirstTokens { token: prepared.minted.record, refresh, grant_expires_at }
}

/// The row of a refresh token. It ends when it is not used for long, and with its authorization.
pub(super) fn row(token: &RefreshToken, request: &Exchange<'_>, grant_expires_at: UnixTime) -> NewRefreshToken {
    let idle = request.client.client().settings.refresh_idle;
    let expires_at = (request.app.clock.now() + idle).min(grant_expires_at);
    NewRefreshToken { hash: token.hash(), family: token.family(), expires_at }
}

fn login(authorization: &Authorization) -> Login<'_> {
    Login { user: &authorization.user, auth_time: authorization.auth_time, session: authorization.session }
}
