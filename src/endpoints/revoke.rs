//! Token revocation (RFC 7009).

use crate::app::App;
use crate::client_auth::AuthenticatedClient;
use crate::error::{OAuthError, reason};
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::store::tenants::Tenant;
use crate::tokens::verify::{self, Read};
use crate::types::refresh_token::RefreshToken;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

/// Revokes a token of the calling client. `token_type_hint` only ever speeds a search up (§2.1); there is nothing to
/// search here, so it is not read.
///
/// # Errors
/// The client is not authenticated, the token is another client's or of a kind that cannot be revoked, or the
/// database cannot write it down.
pub async fn post(State(app): State<Arc<App>>, path: TenantPath, posted: PostedForm) -> Result<StatusCode, OAuthError> {
    let tenant = &*path.tenant;
    let caller = posted.authenticate(&app, tenant).await?;
    let token = posted.form.get("token").ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("token"))?;
    let now = app.clock.now();
    if let Ok(token) = token.parse::<RefreshToken>() {
        return revoke_refresh_token(&app, tenant, &caller, token).await;
    }
    match verify::read(&app, tenant, token).await? {
        // §2.2: a token that is not known is as good as revoked.
        Read::Unknown => Ok(StatusCode::OK),
        // §2.2.1.
        Read::OtherJwt => Err(reason::TOKEN_TYPE_UNSUPPORTED.into()),
        // §2.1: the token must have been issued to the client that revokes it.
        Read::AccessToken(token) if token.client_id != caller.client().client_id.as_str() => {
            Err(reason::TOKEN_OF_OTHER_CLIENT.into())
        }
        Read::AccessToken(token) => {
            if token.expires_at > now {
                app.store.revoke_token(tenant.id, &token.revocation(), now).await?;
                metrics::counter!("grantor_revocations_total").increment(1);
            }
            Ok(StatusCode::OK)
        }
    }
}

/// §2.1: with a refresh token falls the whole authorization, access tokens included. One that was used up belongs to it
/// like the newest.
async fn revoke_refresh_token(
    app: &App,
    tenant: &Tenant,
    caller: &AuthenticatedClient,
    token: RefreshToken,
) -> Result<StatusCode, OAuthError> {
    let found = app.store.find_refresh_token(tenant.id, token.grant(), (token.hash(), token.family())).await?;
    let Some(found) = found else { return Ok(StatusCode::OK) };
    if found.authorization.client != caller.client().oid {
        return Err(reason::TOKEN_OF_OTHER_CLIENT.into());
    }
    if app.store.revoke_grant(found.authorization.id, app.clock.now()).await? {
        metrics::counter!("grantor_revocations_total").increment(1);
    }
    Ok(StatusCode::OK)
}
