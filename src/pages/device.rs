//! Connecting a device (RFC 8628 §3.3): a person types the code that it shows, signs in, and is asked.

use crate::app::App;
use crate::authorization::decision;
use crate::authorization::device::{self, Found, Waiting};
use crate::error::OAuthError;
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::pages::consent::ConsentPage;
use crate::pages::layout::{self, Frame, Page};
use crate::pages::texts;
use crate::pages::visit::{self, Then, Visit, permissions};
use crate::store::sessions::Session;
use crate::types::user_code::UserCode;
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// What is kept of something typed that is no code.
const SHOWN: usize = 40;

/// The page on which the code is typed.
#[derive(Template)]
#[template(path = "device.html")]
pub struct DevicePage {
    /// What every page has.
    pub frame: Frame,
    /// The tenant, unless it is the default one.
    pub tenant: Option<String>,
    /// Where the form goes.
    pub action: String,
    /// What shows that the form came from this page.
    pub csrf: String,
    /// The code, when it came along or was typed before.
    pub code: String,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

impl DevicePage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}

/// The page at the end of the way.
#[derive(Template)]
#[template(path = "device_done.html")]
pub struct DeviceDonePage {
    /// What every page has.
    pub frame: Frame,
    /// The client's name.
    pub client: String,
    /// What the person said.
    pub approved: bool,
}

impl DeviceDonePage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}

/// Shows the page. A code that came along is shown and no more: the person compares it and goes on.
///
/// # Errors
/// The tenant is disabled, or the query cannot be read.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    RawQuery(query): RawQuery,
) -> Result<Response, OAuthError> {
    path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    let (form, _) = visit::parse(query.as_deref().unwrap_or_default())?;
    let typed = form.get("user_code").unwrap_or_default();
    match typed.parse() {
        Ok(code) if form.get("switch").is_some() => visit.ask_to_sign_in(None, &Then::Device(code), None),
        _ => ask_for_code(visit, typed, None),
    }
}

/// Takes the code, and then what the person said.
///
/// # Errors
/// The tenant is disabled, or the database does not answer.
pub async fn post(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    posted: PostedForm,
) -> Result<Response, OAuthError> {
    let tenant = path.enabled()?;
    let visit = Visit { app: &app, path: &path, browser: &browser };
    let (form, t) = (&posted.form, &texts::ENGLISH);
    // The page that asks carries the code on in the field in which it carries everything on.
    let (seen, carried) = form.get("then").and_then(|then| then.split_once('?')).unwrap_or_default();
    let typed = form.get("user_code").unwrap_or(carried);
    if browser.check_form(form).is_err() {
        let problem = if browser.has_cookies() { t.form_expired } else { t.login.cookies_needed };
        return ask_for_code(visit, typed, Some((StatusCode::BAD_REQUEST, problem)));
    }
    let nobody = (StatusCode::BAD_REQUEST, t.device.wrong);
    let waiting = match device::find(&app, tenant, typed, browser.address).await? {
        Found::Waiting(waiting) => waiting,
        Found::Nothing => return ask_for_code(visit, typed, Some(nobody)),
        Found::Throttled => {
            return ask_for_code(visit, typed, Some((StatusCode::TOO_MANY_REQUESTS, t.device.throttled)));
        }
    };
    let Ok(code) = typed.parse::<UserCode>() else { return ask_for_code(visit, typed, Some(nobody)) };
    let Some(session) = visit.session().await? else {
        return visit.ask_to_sign_in(None, &Then::Device(code), None);
    };
    let (approved, in_time) = match form.get("decision") {
        // Only what the page showed to this session can be approved.
        Some("approve") if seen == visit.digest(&waiting.client, &waiting.device.authorized, &session) => {
            (true, device::approve(&app, tenant, &waiting, &session).await?)
        }
        Some("deny") => (false, device::deny(&app, tenant, &waiting).await?),
        _ => return ask_for_consent(visit, &code, (&waiting, &session)).await,
    };
    if !in_time {
        return ask_for_code(visit, typed, Some(nobody));
    }
    let (frame, client) = (Frame::new(&app.random), waiting.client.name.to_string());
    DeviceDonePage { frame, client, approved }.respond()
}

fn ask_for_code(visit: Visit<'_>, typed: &str, problem: Option<(StatusCode, &str)>) -> Result<Response, OAuthError> {
    // As the device shows it, however it was typed.
    let code = typed.parse::<UserCode>().map(|code| code.to_string());
    let page = DevicePage {
        frame: Frame::new(&visit.app.random),
        tenant: visit.tenant_shown(),
        action: visit.at("/device"),
        csrf: visit.browser.form_token(),
        code: code.unwrap_or_else(|_| typed.chars().take(SHOWN).collect()),
        problem: problem.map(|(_, text)| text.to_owned()),
    };
    let mut response = visit.browser.keep(page.respond()?);
    if let Some((status, _)) = problem {
        *response.status_mut() = status;
    }
    Ok(response)
}

/// The page that every client's request ends at. RFC 8628 §5.4: nobody is known again here, whatever was allowed before.
async fn ask_for_consent(visit: Visit<'_>, code: &UserCode, who: (&Waiting, &Session)) -> Result<Response, OAuthError> {
    let (Waiting { device, client }, session) = who;
    let frame = Frame::new(&visit.app.random);
    let resources = visit.app.directory.resources(visit.path.tenant.id).await?;
    let remembered = visit.app.store.consents(session.user.id, client.oid).await?;
    let asked = decision::asked(&device.authorized);
    let page = ConsentPage {
        client: client.name.to_string(),
        client_id: client.client_id.to_string(),
        user: session.user.shown().to_owned(),
        destination: String::new(),
        code: Some(code.to_string()),
        unverified: client.public,
        action: visit.at("/device"),
        csrf: visit.browser.form_token(),
        then: format!("{}?{code}", visit.digest(client, &device.authorized, session)),
        permissions: permissions(&frame.t.consent, &resources, (&asked, &remembered)),
        switch: format!("{}&switch=1", Then::Device(code.clone()).path(&visit.path.base(visit.app))),
        frame,
    };
    page.respond(Vec::new())
}
