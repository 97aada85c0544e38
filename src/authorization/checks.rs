//! Reading an authorization request: first what must be proven before anything may be sent back, then one list of
//! checks, in order. A device proves its client instead and runs those of the checks that mean something to it.

use super::redirect::{Redirect, ResponseMode, Unproven};
use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::grants::{authorization_code, device_code};
use crate::store::clients::Client;
use crate::store::resources::Resource;
use crate::store::tenants::Tenant;
use crate::tokens::scopes;
use crate::types::authorized::Authorized;
use crate::types::form::Form;
use crate::types::pkce::Challenge;
use crate::types::scope::Scope;
use std::sync::Arc;

/// The longest `nonce` that is kept.
const LONGEST_NONCE: usize = 1024;

/// A parameter of ours: set once somebody signed in for a request that expects a certain person.
pub const AFTER_LOGIN: &str = "grantor_after_login";

/// What the client wants the person to be asked (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prompt {
    /// Nothing may be asked.
    pub none: bool,
    /// The person signs in again.
    pub login: bool,
    /// The person consents again.
    pub consent: bool,
    /// The person chooses an account.
    pub select_account: bool,
}

/// Values of `prompt`, for metadata.
pub const PROMPTS: &[&str] = &["none", "login", "consent", "select_account"];

/// An authorization request that passed every check.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client: Arc<Client>,
    /// Where the answer goes.
    pub redirect: Redirect,
    /// The request named that URI itself.
    pub redirect_uri_sent: bool,
    /// PKCE.
    pub challenge: Option<Challenge>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What the person is to be asked.
    pub prompt: Prompt,
    /// Seconds since the login, at most.
    pub max_age: Option<i64>,
    /// Who the client thinks will sign in.
    pub login_hint: Option<String>,
    /// An ID token of the person whom the client expects.
    pub id_token_hint: Option<String>,
    /// Somebody signed in for this very request already.
    pub after_login: bool,
    /// What is asked for, as far as the client may have it.
    pub authorized: Authorized,
}

/// An authorization request that did not pass.
#[derive(Debug)]
pub enum Refusal {
    /// RFC 6749 §4.1.2.1: nothing is proven, so the person is told and nothing is sent anywhere.
    Page(OAuthError),
    /// The client is told.
    Redirect(Box<Redirect>, OAuthError),
}

/// What the checks look at and what they find.
struct Draft<'a> {
    door: Door,
    client: &'a Client,
    form: &'a Form,
    repeated: &'a [String],
    resources: &'a [Resource],
    challenge: Option<Challenge>,
    prompt: Prompt,
    max_age: Option<i64>,
    authorized: Authorized,
}

/// Where a request comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The authorization endpoint, with a browser and a redirect URI that is proven.
    Browser,
    /// The device authorization endpoint (RFC 8628 §3.1), with a client that is authenticated.
    Device,
}

const BROWSER: &[Door] = &[Door::Browser];
const EVERY: &[Door] = &[Door::Browser, Door::Device];

/// A named check.
pub struct Check {
    /// What it looks at.
    pub name: &'static str,
    /// The doors that run it. What has to do with redirects and browsers has no meaning for a device.
    pub doors: &'static [Door],
    run: fn(&mut Draft<'_>) -> Result<(), OAuthError>,
}

/// Every check, in order. Every door to an authorization runs those of this list that are its own.
pub const CHECKS: &[Check] = &[
    Check { name: "repeated parameters", doors: EVERY, run: repeated_parameters },
    Check { name: "request objects", doors: EVERY, run: request_objects },
    Check { name: "response_type", doors: BROWSER, run: response_type },
    Check { name: "response_mode", doors: BROWSER, run: response_mode },
    Check { name: "grant type of the client", doors: EVERY, run: grant_type },
    Check { name: "code_challenge", doors: BROWSER, run: code_challenge },
    Check { name: "prompt", doors: BROWSER, run: prompt },
    Check { name: "max_age", doors: BROWSER, run: max_age },
    Check { name: "nonce", doors: BROWSER, run: nonce },
    Check { name: "scope and resource", doors: EVERY, run: scope_and_resource },
];

impl<'a> Draft<'a> {
    fn new(door: Door, client: &'a Client, parameters: (&'a Form, &'a [String]), resources: &'a [Resource]) -> Self {
        let (form, repeated) = parameters;
        Self {
            door,
            client,
            form,
            repeated,
            resources,
            challenge: None,
            prompt: Prompt::default(),
            max_age: None,
            authorized: Authorized::default(),
        }
    }

    /// Runs the checks of its door.
    fn check(&mut self) -> Result<(), OAuthError> {
        for check in CHECKS {
            if !check.doors.contains(&self.door) {
                continue;
            }
            (check.run)(self).map_err(|error| {
                error.because_unless_known(|| format!("client {:?}", self.client.client_id.as_str()))
            })?;
        }
        Ok(())
    }
}

/// Runs the checks of a device's request, whose client is authenticated and whose parameters stand once.
///
/// # Errors
/// The check that says no, or the database does not answer.
pub async fn read_of_device(
    app: &App,
    tenant: &Tenant,
    client: &Client,
    form: &Form,
) -> Result<Authorized, OAuthError> {
    let resources = app.directory.resources(tenant.id).await?;
    let mut draft = Draft::new(Door::Device, client, (form, &[]), &resources);
    draft.check()?;
    Ok(draft.authorized)
}

/// Reads a request and runs every check.
///
/// # Errors
/// [`Refusal`].
pub async fn read(app: &App, tenant: &Tenant, parameters: (&Form, &[String])) -> Result<AuthorizationRequest, Refusal> {
    let form = parameters.0;
    let (client, redirect) = prove(app, tenant, parameters).await.map_err(Refusal::Page)?;
    let refuse = |error: OAuthError| {
        // A server that fails says so to the person, who can try again; the client could only give up.
        if error.reason().status >= 500 {
            Refusal::Page(error)
        } else {
            Refusal::Redirect(Box::new(redirect.clone()), error)
        }
    };
    let resources = app.directory.resources(tenant.id).await.map_err(|error| refuse(error.into()))?;
    let mut draft = Draft::new(Door::Browser, &client, parameters, &resources);
    draft.check().map_err(refuse)?;
    let text = |name: &str| form.get(name).map(str::to_owned);
    let Draft { challenge, prompt, max_age, authorized, .. } = draft;
    Ok(AuthorizationRequest {
        redirect_uri_sent: form.get("redirect_uri").is_some(),
        challenge,
        nonce: text("nonce"),
        prompt,
        max_age,
        login_hint: text("login_hint"),
        id_token_hint: text("id_token_hint"),
        after_login: form.get(AFTER_LOGIN).is_some(),
        authorized,
        client,
        redirect,
    })
}

/// Client and redirect URI (RFC 6749 §4.1.2.1): until both are right there is nobody to send an error to.
async fn prove(
    app: &App,
    tenant: &Tenant,
    parameters: (&Form, &[String]),
) -> Result<(Arc<Client>, Redirect), OAuthError> {
    let (form, repeated) = parameters;
    let decisive = ["client_id", "redirect_uri"];
    if let Some(name) = repeated.iter().find(|name| decisive.contains(&name.as_str())) {
        return Err(OAuthError::from(reason::PARAMETER_REPEATED).about(name));
    }
    let client_id =
        form.get("client_id").ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("client_id"))?;
    let unknown = || OAuthError::from(reason::AUTHORIZATION_CLIENT_UNKNOWN).about(client_id);
    let client = app.directory.client(tenant.id, client_id).await?.ok_or_else(unknown)?;
    if !client.enabled {
        return Err(unknown().because("the client is disabled"));
    }
    let asked = form.get("redirect_uri");
    let redirect = Redirect::prove(&client, asked, app.issuer(tenant)).map_err(|unproven| match unproven {
        Unproven::Unregistered => OAuthError::from(reason::REDIRECT_URI_UNREGISTERED).about(asked.unwrap_or_default()),
        Unproven::Missing => reason::REDIRECT_URI_MISSING.into(),
    })?;
    // A mode that is not known is refused by its check; that refusal has to travel somehow.
    // One that stands twice says nothing, and a state that does cannot be given back.
    let once = |name: &str| form.get(name).filter(|_| !repeated.iter().any(|other| other == name));
    let mode = once("response_mode").and_then(|mode| mode.parse().ok()).unwrap_or(ResponseMode::Query);
    Ok((client, redirect.with(mode, once("state"))))
}

// RFC 6749 §3.1: no parameter more than once.
fn repeated_parameters(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    draft.repeated.first().map_or(Ok(()), |name| Err(OAuthError::from(reason::PARAMETER_REPEATED).about(name)))
}

// OpenID Connect Core §6: a server that does not support them says so.
fn request_objects(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    if draft.form.get("request").is_some() {
        return Err(reason::REQUEST_UNSUPPORTED.into());
    }
    if draft.form.get("request_uri").is_some() {
        return Err(reason::REQUEST_URI_UNSUPPORTED.into());
    }
    Ok(())
}

// RFC 6749 §3.1.1: not guessed when it is missing.
fn response_type(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    let asked = draft.form.get("response_type");
    let asked = asked.ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("response_type"))?;
    let mut values = asked.split(' ').filter(|value| !value.is_empty());
    if (values.next(), values.next()) == (Some("code"), None) {
        Ok(())
    } else {
        Err(OAuthError::from(reason::RESPONSE_TYPE_UNSUPPORTED).about(asked))
    }
}

fn response_mode(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    match draft.form.get("response_mode") {
        Some(mode) if mode.parse::<ResponseMode>().is_err() => {
            Err(OAuthError::from(reason::RESPONSE_MODE_UNSUPPORTED).about(mode))
        }
        _ => Ok(()),
    }
}

// RFC 6749 §4.1.2.1: unauthorized_client.
fn grant_type(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    let name = match draft.door {
        Door::Browser => authorization_code::GRANT.name,
        Door::Device => device_code::GRANT.name,
    };
    if draft.client.grants.iter().any(|held| held == name) {
        return Ok(());
    }
    Err(OAuthError::from(reason::GRANT_NOT_ALLOWED).about(name))
}

// RFC 7636 §4.3, §4.4.1: an absent method means plain, and plain is refused.
fn code_challenge(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    let method = draft.form.get("code_challenge_method");
    let Some(challenge) = draft.form.get("code_challenge") else {
        let required = draft.client.public || draft.client.settings.require_pkce;
        return match method {
            None if !required => Ok(()),
            _ => Err(reason::CHALLENGE_MISSING.into()),
        };
    };
    if method != Some("S256") {
        return Err(OAuthError::from(reason::CHALLENGE_UNUSABLE).about(method.unwrap_or("no method means plain")));
    }
    let challenge = challenge.parse().map_err(|error| OAuthError::from(reason::CHALLENGE_UNUSABLE).because(error))?;
    draft.challenge = Some(challenge);
    Ok(())
}

// OpenID Connect Core §3.1.2.1: none stands alone.
fn prompt(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    let asked = draft.form.get("prompt").unwrap_or_default();
    for value in asked.split(' ').filter(|value| !value.is_empty()) {
        match value {
            "none" => draft.prompt.none = true,
            "login" => draft.prompt.login = true,
            "consent" => draft.prompt.consent = true,
            "select_account" => draft.prompt.select_account = true,
            _ => return Err(OAuthError::from(reason::PROMPT_UNUSABLE).about(value)),
        }
    }
    let Prompt { none, login, consent, select_account } = draft.prompt;
    if none && (login || consent || select_account) {
        return Err(OAuthError::from(reason::PROMPT_UNUSABLE).about(asked));
    }
    Ok(())
}

fn max_age(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    let Some(asked) = draft.form.get("max_age") else { return Ok(()) };
    let seconds = asked.parse::<u32>().map_err(|_| OAuthError::from(reason::PARAMETER_UNUSABLE).about("max_age"))?;
    draft.max_age = Some(seconds.into());
    Ok(())
}

fn nonce(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    match draft.form.get("nonce") {
        // PostgreSQL cannot keep a NUL.
        Some(nonce) if nonce.len() > LONGEST_NONCE || nonce.contains('\0') => {
            Err(OAuthError::from(reason::PARAMETER_UNUSABLE).about("nonce"))
        }
        _ => Ok(()),
    }
}

// RFC 6749 §3.3, RFC 8707 §2.1.
fn scope_and_resource(draft: &mut Draft<'_>) -> Result<(), OAuthError> {
    let scope: Scope = draft.form.get("scope").unwrap_or_default().parse().map_err(|_| reason::SCOPE_MALFORMED)?;
    let targets: Vec<&str> = draft.form.all("resource").collect();
    draft.authorized = scopes::authorize(draft.client, draft.resources, &scope, &targets)?;
    Ok(())
}
