//! What comes next for the person at the browser: sign in, choose an account, consent, or nothing any more.

use super::AuthorizationRequest;
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::consents::Consent;
use crate::store::sessions::Session;
use crate::types::authorized::Authorized;
use crate::types::clock::UnixTime;
use crate::types::scope::DEFAULT;
use uuid::Uuid;

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The person signs in.
    Login,
    /// The person chooses an account.
    SelectAccount,
    /// The person is asked.
    Consent,
    /// The code is issued.
    Issue,
}

/// What is known when a step is decided.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Who is signed in.
    pub session: Option<&'a Session>,
    /// The subject of the `id_token_hint`.
    pub expected: Option<&'a str>,
    /// What the person agreed to before.
    pub remembered: &'a [Consent],
    /// Now.
    pub now: UnixTime,
}

/// Decides the next step (OpenID Connect Core §3.1.2.3, §3.1.2.4).
///
/// # Errors
/// `prompt=none` forbids the step that would come next, or it was not the expected person who signed in.
pub fn next(request: &AuthorizationRequest, situation: Situation<'_>) -> Result<Step, OAuthError> {
    let prompt = request.prompt;
    // OpenID Connect Core §3.1.2.1: it is the person of the id_token_hint who signs in, or the client gets an error.
    if request.after_login && situation.session.is_some_and(|session| is_another(session, situation)) {
        return Err(reason::ANOTHER_PERSON.into());
    }
    let Some(session) = situation.session.filter(|session| !must_sign_in(request, session, situation)) else {
        return if prompt.none { Err(reason::LOGIN_REQUIRED.into()) } else { Ok(Step::Login) };
    };
    if prompt.select_account {
        return Ok(Step::SelectAccount);
    }
    let agreed = asked(&request.authorized).iter().all(|wanted| situation.remembered.contains(wanted));
    let known_again = is_known_again(&request.client, request.redirect.uri());
    let silent = request.client.settings.first_party || (agreed && known_again);
    if silent && !prompt.consent {
        return Ok(Step::Issue);
    }
    tracing::debug!(client = %request.client.client_id, user = %session.user.id, "consent is asked for");
    if prompt.none { Err(reason::CONSENT_REQUIRED.into()) } else { Ok(Step::Consent) }
}

/// RFC 6749 §10.2, RFC 8252 §8.6: a public client behind a redirect URI that any program can claim is not known again.
pub fn is_known_again(client: &Client, redirect_uri: &str) -> bool {
    !client.public || redirect_uri.starts_with("https://")
}

fn must_sign_in(request: &AuthorizationRequest, session: &Session, situation: Situation<'_>) -> bool {
    // OpenID Connect Core §3.1.2.1: 0 is the same as prompt=login, within the second of the login too.
    let too_old = request.max_age.is_some_and(|max_age| max_age == 0 || situation.now - session.auth_time > max_age);
    let is_this = |hint: &str| {
        let hint = hint.to_lowercase();
        hint == session.user.username.as_str()
            || session.user.email.as_ref().is_some_and(|email| email.to_lowercase() == hint)
            || hint == session.user.id.to_string()
    };
    let hinted_at_another = request.login_hint.as_deref().is_some_and(|hint| !is_this(hint));
    request.prompt.login || too_old || is_another(session, situation) || hinted_at_another
}

fn is_another(session: &Session, situation: Situation<'_>) -> bool {
    situation.expected.is_some_and(|expected| expected != session.user.id.to_string())
}

/// Everything that a person agrees to by authorizing this.
pub fn asked(authorized: &Authorized) -> Vec<Consent> {
    let identity =
        authorized.identity.iter().map(|scope| Consent { resource: Uuid::nil().into(), value: scope.clone() });
    let resources = authorized.resources.iter().flat_map(|held| {
        let whole = held.values.is_empty().then(|| DEFAULT.to_owned());
        let values = held.values.iter().cloned().chain(whole);
        values.map(|value| Consent { resource: held.resource, value })
    });
    identity.chain(resources).collect()
}
