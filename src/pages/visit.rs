//! A person's way through the pages: where they want to go, and each step of an authorization request until its answer.

use super::consent::{ConsentPage, Permission, PermissionLine};
use super::form_post::FormPostPage;
use super::layout::Frame;
use super::login::LoginPage;
use super::select::SelectPage;
use super::texts::ConsentTexts;
use crate::app::App;
use crate::authorization::decision::{self, Situation, Step};
use crate::authorization::{self, AFTER_LOGIN, AuthorizationRequest, Delivery, Refusal};
use crate::error::{OAuthError, reason};
use crate::extract::browser::Browser;
use crate::extract::tenant::TenantPath;
use crate::login::session;
use crate::store::clients::Client;
use crate::store::consents::Consent;
use crate::store::resources::Resource;
use crate::store::sessions::Session;
use crate::tokens::verify;
use crate::types::authorized::Authorized;
use crate::types::form::{Form, FormError};
use crate::types::id::GroupId;
use crate::types::name::TenantName;
use crate::types::scope::DEFAULT;
use crate::types::secret::sha256;
use crate::types::user_code::UserCode;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use uuid::Uuid;

/// Parameters that ask for what a login or a choice of account just did. Left in, they would ask for it for ever.
const DONE_BY_LOGIN: &[&str] = &["prompt", "max_age", "login_hint", AFTER_LOGIN];

/// The longest authorization request, encoded. A head may have twice as much.
const LONGEST: usize = 16 * 1024;

/// Where a person goes after signing in. Written into forms as text; it can never name another site (RFC 9700 §4.11.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// On with an authorization request: its query.
    Authorize(String),
    /// To the account page.
    Account,
    /// To a group's page.
    Group(GroupId),
    /// To the page on which a device's code stands.
    Device(UserCode),
}

impl Then {
    /// Reads what a form brought back.
    pub fn parse(text: &str) -> Self {
        match text.split_once('?') {
            Some(("authorize", query)) => Self::Authorize(query.to_owned()),
            _ => match text.split_once('/') {
                Some(("group", id)) => Uuid::try_parse(id).map_or(Self::Account, |id| Self::Group(id.into())),
                Some(("device", code)) => code.parse().map_or(Self::Account, Self::Device),
                _ => Self::Account,
            },
        }
    }

    /// As it stands in a form.
    pub fn text(&self) -> String {
        match self {
            Self::Authorize(query) => format!("authorize?{query}"),
            Self::Account => "account".to_owned(),
            Self::Group(id) => format!("group/{id}"),
            Self::Device(code) => format!("device/{code}"),
        }
    }

    /// Its address below a tenant's base path.
    pub fn path(&self, base: &str) -> String {
        match self {
            Self::Authorize(query) => format!("{base}/oauth2/v2.0/authorize?{query}"),
            Self::Account => format!("{base}/account"),
            Self::Group(id) => format!("{base}/account/groups/{id}"),
            Self::Device(code) => format!("{base}/device?user_code={code}"),
        }
    }
}

/// A request of a person's browser.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    /// The application.
    pub app: &'a App,
    /// The tenant.
    pub path: &'a TenantPath,
    /// The browser.
    pub browser: &'a Browser,
}

/// What the person said to the consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Nothing yet.
    None,
    /// Yes, to what the page with this digest showed.
    Approve(&'a str),
    /// No.
    Deny,
}

impl Visit<'_> {
    /// A path of the tenant's.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.path.base(self.app))
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn session(&self) -> Result<Option<Session>, OAuthError> {
        session::resume(self.app, &self.path.tenant, self.browser.session.as_ref()).await
    }

    /// What a consent page showed, in short: what is approved later must be the same, whatever an operator changed since
    /// and whoever signed in meanwhile in another window. The session's cookie is in it, so nobody else can make one.
    pub fn digest(&self, client: &Client, authorized: &Authorized, session: &Session) -> String {
        let cookie = self.browser.session.as_ref().map_or("", |cookie| cookie.expose());
        let mut text = format!("{cookie} {} {}", session.user.id, client.oid);
        for consent in decision::asked(authorized) {
            text.push_str(&format!(" {} {}", consent.resource, consent.value));
        }
        URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()))
    }

    /// Takes an authorization request one step further: a page, or its answer.
    ///
    /// # Errors
    /// What is shown to the person because nothing can be sent anywhere.
    pub async fn advance(&self, query: &str, answer: Answer<'_>) -> Result<Response, OAuthError> {
        let tenant = self.path.enabled()?;
        let form = parse(query)?;
        check_length(&form.0)?;
        let mut read = authorization::read(self.app, tenant, (&form.0, &form.1)).await;
        // What rests on memory is looked at once more before it is refused.
        if let Err(Refusal::Page(error) | Refusal::Redirect(_, error)) = &read
            && error.rests_on_directory()
            && self.app.catch_up().await?
        {
            read = authorization::read(self.app, tenant, (&form.0, &form.1)).await;
        }
        let request = match read {
            Ok(request) => request,
            Err(Refusal::Page(error)) => return Err(error),
            Err(Refusal::Redirect(redirect, error)) => {
                return Ok(error.clone().sent(self.deliver(redirect.error(&error))?));
            }
        };
        match self.step(&request, &form.0, answer).await {
            Ok(response) => Ok(self.browser.keep(response)),
            // A server that fails says so to the person, who can try again.
            Err(error) if error.reason().status >= 500 => Err(error),
            Err(error) => Ok(error.clone().sent(self.deliver(request.redirect.error(&error))?)),
        }
    }

    async fn step(
        &self,
        request: &AuthorizationRequest,
        form: &Form,
        answer: Answer<'_>,
    ) -> Result<Response, OAuthError> {
        let tenant = &*self.path.tenant;
        let session = self.session().await?;
        let hint = match &request.id_token_hint {
            Some(token) => verify::id_token_hint(self.app, tenant, token).await?,
            None => None,
        };
        let expected = hint.as_ref().and_then(|claims| claims.get("sub")).and_then(Value::as_str);
        let remembered = match &session {
            Some(session) => self.app.store.consents(session.user.id, request.client.oid).await?,
            None => Vec::new(),
        };
        let now = self.app.clock.now();
        let situation = Situation { session: session.as_ref(), expected, remembered: &remembered, now };
        let step = decision::next(request, situation)?;
        let known = session.as_ref().map(|session| session.user.username.to_string());
        let username = form.get("login_hint").map(str::to_owned).or(known);
        // Without a session the only step is to sign in.
        let Some(session) = session.filter(|_| step != Step::Login) else {
            return self.ask_to_sign_in(Some(request), &Then::Authorize(continued(form)), username.as_deref());
        };
        match (step, answer) {
            (Step::SelectAccount, _) => self.ask_for_account(request, form, &session),
            (_, Answer::Deny) => Err(reason::CONSENT_DENIED.into()),
            (Step::Consent, Answer::Approve(seen))
                if seen == self.digest(&request.client, &request.authorized, &session) =>
            {
                let consents = decision::asked(&request.authorized);
                self.issue(request, form, (&session, &consents)).await
            }
            (Step::Consent, _) => self.ask_for_consent(request, form, (&session, &remembered)).await,
            (Step::Issue | Step::Login, _) => self.issue(request, form, (&session, &[])).await,
        }
    }

    async fn issue(
        &self,
        request: &AuthorizationRequest,
        form: &Form,
        by: (&Session, &[Consent]),
    ) -> Result<Response, OAuthError> {
        match authorization::issue_code(self.app, &self.path.tenant, request, by).await? {
            Some(delivery) => self.deliver(delivery),
            // What the step was decided on is not so any more: everything is looked at once more.
            None => see_other(&self.at(&Then::Authorize(form.query_without(&[])).path(""))),
        }
    }

    /// The login page. `request` is the one that waits behind it.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn ask_to_sign_in(
        &self,
        request: Option<&AuthorizationRequest>,
        then: &Then,
        username: Option<&str>,
    ) -> Result<Response, OAuthError> {
        let page = self.login_page(request, then, username.unwrap_or_default());
        Ok(self.browser.keep(page.respond(targets(request))?))
    }

    /// The login page with what went wrong.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub async fn ask_again(
        &self,
        then: &Then,
        username: &str,
        problem: (StatusCode, &str),
    ) -> Result<Response, OAuthError> {
        let tenant = self.path.enabled()?;
        let request = match then {
            Then::Authorize(query) => {
                let form = parse(query)?;
                authorization::read(self.app, tenant, (&form.0, &form.1)).await.ok()
            }
            _ => None,
        };
        let mut page = self.login_page(request.as_ref(), then, username);
        page.problem = Some(problem.1.to_owned());
        let mut response = self.browser.keep(page.respond(targets(request.as_ref()))?);
        *response.status_mut() = problem.0;
        Ok(response)
    }

    fn login_page(&self, request: Option<&AuthorizationRequest>, then: &Then, username: &str) -> LoginPage {
        let frame = Frame::new(&self.app.random);
        let device = matches!(then, Then::Device(_)).then(|| frame.t.device.your_device.to_owned());
        LoginPage {
            tenant: self.tenant_shown(),
            client: request.map(|request| request.client.name.to_string()).or(device),
            action: self.at("/login"),
            csrf: self.browser.form_token(),
            then: then.text(),
            username: username.to_owned(),
            problem: None,
            frame,
        }
    }

    /// The tenant's name, unless it is the default one.
    pub(super) fn tenant_shown(&self) -> Option<String> {
        let tenant = self.path.tenant.name.as_str();
        (tenant != TenantName::DEFAULT).then(|| tenant.to_owned())
    }

    fn ask_for_account(
        &self,
        request: &AuthorizationRequest,
        form: &Form,
        session: &Session,
    ) -> Result<Response, OAuthError> {
        SelectPage {
            frame: Frame::new(&self.app.random),
            client: Some(request.client.name.to_string()),
            user: session.user.shown().to_owned(),
            username: session.user.username.to_string(),
            go_on: Then::Authorize(continued(form)).path(&self.path.base(self.app)),
            switch: self.switch(form),
        }
        .respond()
    }

    /// The address at which the same request is made by somebody else.
    fn switch(&self, form: &Form) -> String {
        let query = form.query_without(DONE_BY_LOGIN);
        let prompt = if asks_for_consent(form) { "login+consent" } else { "login" };
        Then::Authorize(format!("{query}&prompt={prompt}")).path(&self.path.base(self.app))
    }

    async fn ask_for_consent(
        &self,
        request: &AuthorizationRequest,
        form: &Form,
        who: (&Session, &[Consent]),
    ) -> Result<Response, OAuthError> {
        let (session, remembered) = who;
        let frame = Frame::new(&self.app.random);
        let resources = self.app.directory.resources(self.path.tenant.id).await?;
        let asked = decision::asked(&request.authorized);
        let page = ConsentPage {
            client: request.client.name.to_string(),
            client_id: request.client.client_id.to_string(),
            user: session.user.shown().to_owned(),
            destination: request.redirect.destination(),
            code: None,
            unverified: !decision::is_known_again(&request.client, request.redirect.uri()),
            action: self.at("/consent"),
            csrf: self.browser.form_token(),
            then: format!("{}?{}", self.digest(&request.client, &request.authorized, session), form.query_without(&[])),
            permissions: permissions(&frame.t.consent, &resources, (&asked, remembered)),
            switch: self.switch(form),
            frame,
        };
        page.respond(targets(Some(request)))
    }

    /// Sends the answer of an authorization request.
    fn deliver(&self, delivery: Delivery) -> Result<Response, OAuthError> {
        match delivery {
            Delivery::Location(url) => see_other(&url),
            Delivery::FormPost { action, fields } => {
                FormPostPage { frame: Frame::new(&self.app.random), action, fields }.respond()
            }
        }
    }
}

/// Parameters of a query; errors are for the person, because nothing is proven yet.
///
/// # Errors
/// It is no form, or holds too many parameters.
pub fn parse(query: &str) -> Result<(Form, Vec<String>), OAuthError> {
    Form::parse_with_repeats(query.as_bytes()).map_err(|error| match error {
        FormError::TooMany => reason::TOO_MANY_PARAMETERS.into(),
        FormError::Repeated(name) => OAuthError::from(reason::PARAMETER_REPEATED).about(&name),
        FormError::Unreadable => reason::BODY_UNREADABLE.into(),
    })
}

/// The request travels as a query and in a form, encoded by us: what could not come back is refused at the start.
///
/// # Errors
/// [`reason::REQUEST_TOO_LONG`].
pub fn check_length(form: &Form) -> Result<(), OAuthError> {
    if form.query_without(&[]).len() > LONGEST { Err(reason::REQUEST_TOO_LONG.into()) } else { Ok(()) }
}

/// RFC 9700 §4.12: 303, so that no browser ever sends a form with a password on to somebody else.
///
/// # Errors
/// The address cannot stand in a header, which parsing excludes.
pub fn see_other(url: &str) -> Result<Response, OAuthError> {
    let location = HeaderValue::from_str(url).map_err(|error| OAuthError::from(reason::INTERNAL).because(error))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

/// The request as it goes on once the person has signed in or chosen: without what asked for that.
fn continued(form: &Form) -> String {
    let consent = if asks_for_consent(form) { "&prompt=consent" } else { "" };
    let expecting = if form.get("id_token_hint").is_some() { format!("&{AFTER_LOGIN}=1") } else { String::new() };
    format!("{}{consent}{expecting}", form.query_without(DONE_BY_LOGIN))
}

fn asks_for_consent(form: &Form) -> bool {
    form.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|value| value == "consent"))
}

/// Where forms of a page end. Chromium holds redirects after a form against the policy too, those of the client
/// included: some send the person on to a page on the web.
fn targets(request: Option<&AuthorizationRequest>) -> Vec<String> {
    request.into_iter().flat_map(|request| [request.redirect.uri().to_owned(), "https:".to_owned()]).collect()
}

/// What is asked for, in words, by resource.
pub(super) fn permissions(
    t: &ConsentTexts,
    resources: &[Resource],
    asked: (&[Consent], &[Consent]),
) -> Vec<Permission> {
    let (asked, remembered) = asked;
    let mut shown: Vec<(Uuid, Permission)> = Vec::new();
    for consent in asked {
        let resource = resources.iter().find(|resource| resource.id == consent.resource);
        let line = PermissionLine {
            text: in_words(t, resource, &consent.value),
            code: resource.map(|resource| format!("{}/{}", resource.identifier, consent.value)),
            new: !remembered.is_empty() && !remembered.contains(consent),
        };
        let key = consent.resource.uuid();
        match shown.iter_mut().find(|(at, _)| *at == key) {
            Some((_, permission)) => permission.lines.push(line),
            None => {
                let resource = resource.map(|resource| resource.identifier.to_string());
                shown.push((key, Permission { resource, lines: vec![line] }));
            }
        }
    }
    shown.into_iter().map(|(_, permission)| permission).collect()
}

/// One scope in words: what the operator wrote, or what is known of it.
pub fn in_words(t: &ConsentTexts, resource: Option<&Resource>, value: &str) -> String {
    if let Some(resource) = resource {
        let described = resource.descriptions.get(value).cloned();
        let plain = || if value == DEFAULT { t.scope_default.to_owned() } else { t.scope_other.with(value) };
        return described.unwrap_or_else(plain);
    }
    match value {
        "openid" => t.scope_openid.to_owned(),
        "profile" => t.scope_profile.to_owned(),
        "email" => t.scope_email.to_owned(),
        "groups" => t.scope_groups.to_owned(),
        "offline_access" => t.scope_offline_access.to_owned(),
        other => t.scope_other.with(other),
    }
}
