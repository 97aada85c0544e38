//! The page that asks for username and password.

use crate::app::App;
use crate::error::OAuthError;
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::login::password::{self, Outcome};
use crate::login::session::{self, Device};
use crate::pages::layout::{self, Frame, Page};
use crate::pages::texts;
use crate::pages::visit::{self, Then, Visit};
use crate::types::secret::Secret;
use askama::Template;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use std::sync::Arc;

/// The page that asks for username and password.
#[derive(Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// What every page has.
    pub frame: Frame,
    /// The tenant, unless it is the default one.
    pub tenant: Option<String>,
    /// The name of the client that asks; none for the account page.
    pub client: Option<String>,
    /// Where the form goes.
    pub action: String,
    /// What shows that the form came from this page.
    pub csrf: String,
    /// Where to go afterwards; handed back with the form.
    pub then: String,
    /// What was entered before, or was named by the client. Unless empty, the focus starts on the password.
    pub username: String,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

impl LoginPage {
    /// The page with its headers. `form_targets` holds the redirect URI to which the way leads after the form.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self, form_targets: Vec<String>) -> Result<Response, OAuthError> {
        layout::respond(Page { form_targets, ..Page::default() }, &self.frame.nonce, &self)
    }
}

/// Signs a person in and leads them on (`POST /login`).
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
    let form = &posted.form;
    let then = Then::parse(form.get("then").unwrap_or_default());
    let username = form.get("username").unwrap_or_default();
    let t = &texts::ENGLISH;
    if browser.check_form(form).is_err() {
        let problem = if browser.has_cookies() { t.form_expired } else { t.login.cookies_needed };
        return visit.ask_again(&then, username, (StatusCode::BAD_REQUEST, problem)).await;
    }
    let password = Secret::from(form.get("password").unwrap_or_default().to_owned());
    let problem = match password::check(&app, tenant, (username, &password), browser.address).await? {
        Outcome::SignedIn(proven) => {
            let device = Device { address: browser.address, user_agent: &browser.user_agent };
            let previous = visit.session().await?;
            if let Some(session) = session::open(&app, tenant, (&proven, device), previous.as_ref()).await? {
                return Ok(browser.signed_in(visit::see_other(&then.path(&path.base(&app)))?, &session));
            }
            (StatusCode::BAD_REQUEST, t.login.wrong)
        }
        Outcome::Wrong => (StatusCode::BAD_REQUEST, t.login.wrong),
        Outcome::Disabled => (StatusCode::BAD_REQUEST, t.login.disabled),
        Outcome::Throttled => (StatusCode::TOO_MANY_REQUESTS, t.login.throttled),
    };
    let mut response = visit.ask_again(&then, username, problem).await?;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(password::WINDOW));
    }
    Ok(response)
}
