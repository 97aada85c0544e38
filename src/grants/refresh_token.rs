//! Refreshing an access token (RFC 6749 §6), with rotation (RFC 9700 §4.14.2).

use super::{Answer, Exchange, Given, Grant, delegated};
use crate::error::{OAuthError, reason};
use crate::store::refresh_tokens::Use;
use crate::tokens::issue::Issued;
use crate::types::refresh_token::RefreshToken;

/// The grant.
pub const GRANT: Grant = Grant {
    name: "refresh_token",
    aliases: &[],
    for_public: true,
    by_default: Given::WithRedirectUri,
    exchange: |request| Box::pin(exchange(request)) as Answer<'_>,
};

async fn exchange(request: Exchange<'_>) -> Result<Issued, OAuthError> {
    let Exchange { app, tenant, client, form } = request;
    let client = client.client();
    let presented =
        form.get("refresh_token").ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("refresh_token"))?;
    let unknown = || OAuthError::from(reason::REFRESH_TOKEN_UNKNOWN);
    let token: RefreshToken = presented.parse().map_err(|_| unknown())?;
    let found = app.store.find_refresh_token(tenant.id, token.grant(), (token.hash(), token.family())).await?;
    // RFC 6749 §6: the token must have been issued to this client.
    let found = found.filter(|found| found.authorization.client == client.oid).ok_or_else(unknown)?;
    let authorization = &found.authorization;
    let now = app.clock.now();
    if authorization.revoked || authorization.expires_at <= now {
        return Err(unknown());
    }
    // Of this family, but the line went past it: somebody uses an old one.
    let Some((generation, expires_at)) = found.place else {
        app.store.revoke_grant(authorization.id, now).await?;
        return Err(reason::REFRESH_TOKEN_REPLAYED.into());
    };
    if expires_at <= now {
        return Err(unknown().because("not used for too long"));
    }
    let prepared = delegated::prepare(&request, authorization, false).await?;
    // RFC 9700 §2.2.2: a public client's refresh tokens are rotated, whatever an operator set.
    let next = (client.public || client.settings.refresh_rotation).then(|| token.next(&app.random));
    let row = delegated::row(next.as_ref().unwrap_or(&token), &request, authorization.expires_at);
    let step = Use {
        grant: authorization.id,
        hash: token.hash(),
        generation,
        token: prepared.minted.record,
        next: next.is_some().then_some(&row),
        expires_at: row.expires_at,
    };
    // OpenID Connect Core §12.2: an ID token of a refresh has no nonce.
    let mut answer = delegated::answer(&request, authorization, prepared, None).await?;
    if !app.store.use_refresh_token(&step, now).await? {
        return Err(reason::REFRESH_TOKEN_REPLAYED.into());
    }
    answer.refresh_token = Some(next.as_ref().unwrap_or(&token).to_secret().expose().to_owned());
    answer.issued()
}
