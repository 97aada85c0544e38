//! The authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636 §4.5).

use super::{Answer, Exchange, Given, Grant, delegated};
use crate::error::{OAuthError, reason};
use crate::store::codes::{Code, Redeemed};
use crate::tokens::issue::Issued;
use crate::types::form::Form;
use crate::types::pkce::Verifier;
use crate::types::secret::sha256;

/// The grant.
pub const GRANT: Grant = Grant {
    name: "authorization_code",
    aliases: &[],
    for_public: true,
    by_default: Given::WithRedirectUri,
    exchange: |request| Box::pin(exchange(request)) as Answer<'_>,
};

async fn exchange(request: Exchange<'_>) -> Result<Issued, OAuthError> {
    let Exchange { app, tenant, client, form } = request;
    let client = client.client();
    let presented = form.get("code").ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("code"))?;
    let hash = sha256(presented.as_bytes());
    // RFC 6749 §4.1.3: the code must have been issued to this client.
    let code = app.store.find_code(tenant.id, hash).await?.filter(|code| code.authorization.client == client.oid);
    let code = code.ok_or(reason::CODE_UNKNOWN)?;
    let authorization = &code.authorization;
    let now = app.clock.now();
    // RFC 6749 §4.1.2: a second use, however it is made, revokes what came from the first.
    if code.spent {
        app.store.revoke_grant(authorization.id, now).await?;
        return Err(reason::CODE_SPENT.into());
    }
    if code.expires_at <= now || authorization.revoked {
        return Err(reason::CODE_UNKNOWN.into());
    }
    check_redirect_uri(&code, form)?;
    check_verifier(&code, form)?;

    let prepared = delegated::prepare(&request, authorization, true).await?;
    let first = delegated::first_tokens(&request, authorization, &prepared);
    let mut answer = delegated::answer(&request, authorization, prepared, code.nonce.as_deref()).await?;
    match app.store.redeem_code(hash, &first.redemption(), now).await? {
        Redeemed::Now => {}
        Redeemed::Before => return Err(reason::CODE_SPENT.into()),
        Redeemed::Gone => return Err(reason::CODE_UNKNOWN.into()),
    }
    answer.refresh_token = first.refresh_token();
    answer.issued()
}

/// RFC 6749 §4.1.3: present and identical when it stood in the authorization request. Where it did not, one that is
/// sent all the same must be the one that was used.
fn check_redirect_uri(code: &Code, form: &Form) -> Result<(), OAuthError> {
    match form.get("redirect_uri") {
        Some(sent) if sent == code.redirect_uri => Ok(()),
        None if !code.redirect_uri_sent => Ok(()),
        None => Err(OAuthError::from(reason::PARAMETER_MISSING).about("redirect_uri")),
        Some(_) => Err(reason::REDIRECT_URI_DIFFERS.into()),
    }
}

/// RFC 7636 §4.6; RFC 9700 §2.1.1: a verifier without a challenge is a downgrade.
fn check_verifier(code: &Code, form: &Form) -> Result<(), OAuthError> {
    match (&code.challenge, form.get("code_verifier")) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(reason::VERIFIER_UNEXPECTED.into()),
        (Some(_), None) => Err(reason::VERIFIER_WRONG.into()),
        (Some(challenge), Some(sent)) => {
            let verifier: Verifier = sent.parse().map_err(|_| reason::VERIFIER_WRONG)?;
            if challenge.is_of(&verifier) { Ok(()) } else { Err(reason::VERIFIER_WRONG.into()) }
        }
    }
}
