//! The authorization request (RFC 6749 §4.1.1): read, checked, decided, answered. Knows nothing of HTTP, so that other
//! doors to the same decision run the same list of checks.

mod checks;
pub mod decision;
pub mod device;
mod redirect;

pub use checks::{AFTER_LOGIN, AuthorizationRequest, CHECKS, Door, PROMPTS, Prompt, Refusal, read};
pub use redirect::{Delivery, Redirect, ResponseMode, with_query};

use crate::app::App;
use crate::error::OAuthError;
use crate::store::codes::NewCode;
use crate::store::consents::Consent;
use crate::store::grants::NewAuthorization;
use crate::store::sessions::Session;
use crate::store::tenants::Tenant;
use crate::types::id::GrantId;
use crate::types::secret::{CODE_PREFIX, Secret, sha256};

/// Seconds within which a code must be redeemed (RFC 6749 §4.1.2 recommends ten minutes at most).
const CODE_LIFETIME: i64 = 60;

/// Issues a code for what the person of the session authorized, and remembers the consents that were given for it. A
/// person who was not asked agreed before. Nothing is issued when the session ended or that was taken back meanwhile.
///
/// # Errors
/// The database does not answer.
pub async fn issue_code(
    app: &App,
    tenant: &Tenant,
    request: &AuthorizationRequest,
    by: (&Session, &[Consent]),
) -> Result<Option<Delivery>, OAuthError> {
    let (session, consents) = by;
    let silent = consents.is_empty() && !request.client.settings.first_party;
    let rests_on = if silent { decision::asked(&request.authorized) } else { Vec::new() };
    let now = app.clock.now();
    let code = Secret::generate(CODE_PREFIX, &app.random);
    let authorization = NewAuthorization {
        id: GrantId::from(app.random.uuid_v7(&app.clock)),
        client: request.client.oid,
        user: session.user.id,
        session: session.id,
        authorized: &request.authorized,
        auth_time: session.auth_time,
        rests_on: &rests_on,
    };
    let new = NewCode {
        hash: sha256(code.expose().as_bytes()),
        redirect_uri: request.redirect.uri(),
        redirect_uri_sent: request.redirect_uri_sent,
        challenge: request.challenge.as_ref(),
        nonce: request.nonce.as_deref(),
        expires_at: now + CODE_LIFETIME,
    };
    if !app.store.create_code(tenant.id, &authorization, &new, (consents, now)).await? {
        return Ok(None);
    }
    metrics::counter!("grantor_authorizations_total", "outcome" => "code").increment(1);
    Ok(Some(request.redirect.code(&code)))
}
