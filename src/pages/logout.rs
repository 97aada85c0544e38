//! Signing out (OpenID Connect RP-Initiated Logout): the page that asks, and the one that says that it is done.

use crate::app::App;
use crate::authorization::with_query;
use crate::error::OAuthError;
use crate::extract::browser::Browser;
use crate::extract::form::PostedForm;
use crate::extract::tenant::TenantPath;
use crate::pages::layout::{self, Frame, Page};
use crate::pages::visit::{self, Visit};
use crate::tokens::verify;
use crate::types::form::Form;
use crate::types::uri::may_redirect;
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The page that asks whether to sign out.
#[derive(Template)]
#[template(path = "logout.html")]
pub struct LogoutPage {
    /// What every page has.
    pub frame: Frame,
    /// Who is signed in.
    pub user: String,
    /// Where the form goes.
    pub action: String,
    /// What shows that the form came from this page.
    pub csrf: String,
    /// Further hidden fields, handed back with the form.
    pub fields: Vec<(String, String)>,
}

impl LogoutPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self, form_targets: Vec<String>) -> Result<Response, OAuthError> {
        layout::respond(Page { form_targets, ..Page::default() }, &self.frame.nonce, &self)
    }
}

/// The page that says that the person is signed out.
#[derive(Template)]
#[template(path = "logged_out.html")]
pub struct LoggedOutPage {
    /// What every page has.
    pub frame: Frame,
}

impl LoggedOutPage {
    /// The page with its headers.
    ///
    /// # Errors
    /// The template failed, which a test excludes.
    pub fn respond(self) -> Result<Response, OAuthError> {
        layout::respond(Page::default(), &self.frame.nonce, &self)
    }
}

/// Signing out, asked for by a client or by the person (`GET` and `POST /oauth2/v2.0/logout`).
///
/// # Errors
/// The form did not come from our page, or the database does not answer.
pub async fn get(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    RawQuery(query): RawQuery,
) -> Result<Response, OAuthError> {
    let form = visit::parse(query.as_deref().unwrap_or_default())?.0;
    Visit { app: &app, path: &path, browser: &browser }.sign_out(&form, false).await
}

/// See [`get`].
///
/// # Errors
/// See [`get`].
pub async fn post(
    State(app): State<Arc<App>>,
    path: TenantPath,
    browser: Browser,
    posted: PostedForm,
) -> Result<Response, OAuthError> {
    let form = &posted.form;
    // Only our own page sends a token; a client posts what it would otherwise write into the query (§2).
    let confirmed = form.get("csrf").is_some();
    if confirmed {
        browser.check_form(form)?;
    }
    Visit { app: &app, path: &path, browser: &browser }.sign_out(form, confirmed).await
}

/// What a client says of the logout.
struct Wish {
    /// Whose ID token came along.
    hint: Option<Map<String, Value>>,
    /// Where the person goes afterwards, with the name of the client; only what the client registered.
    back: Option<(String, String)>,
}

impl Visit<'_> {
    async fn sign_out(&self, form: &Form, confirmed: bool) -> Result<Response, OAuthError> {
        let wish = self.wish(form).await?;
        let Some(session) = self.session().await? else { return self.signed_out(wish.back) };
        // OpenID Connect RP-Initiated Logout §2: an ID token of this very session shows that its client may ask for it;
        // without one anybody could have, so the person is asked.
        let sid = wish.hint.as_ref().and_then(|claims| claims.get("sid")).and_then(Value::as_str);
        if !confirmed && sid != Some(session.id.to_string().as_str()) {
            let targets = wish.back.into_iter().flat_map(|(_, url)| [url, "https:".to_owned()]).collect();
            let page = LogoutPage {
                frame: Frame::new(&self.app.random),
                user: session.user.shown().to_owned(),
                action: self.at("/oauth2/v2.0/logout"),
                csrf: self.browser.form_token(),
                fields: kept(form),
            };
            return Ok(self.browser.keep(page.respond(targets)?));
        }
        self.app.store.end_session(session.user.id, session.id, self.app.clock.now()).await?;
        metrics::counter!("grantor_logouts_total").increment(1);
        self.signed_out(wish.back)
    }

    async fn wish(&self, form: &Form) -> Result<Wish, OAuthError> {
        let tenant = &*self.path.tenant;
        let hint = match form.get("id_token_hint") {
            Some(token) => verify::id_token_hint(self.app, tenant, token).await?,
            None => None,
        };
        let audience = hint.as_ref().and_then(|claims| claims.get("aud")).and_then(Value::as_str);
        let named = form.get("client_id");
        // §2: when both are there they must be of one client; otherwise neither is believed, and the person is asked.
        if audience.zip(named).is_some_and(|(audience, named)| audience != named) {
            return Ok(Wish { hint: None, back: None });
        }
        let client_id = audience.or(named);
        let back = match (client_id, form.get("post_logout_redirect_uri")) {
            (Some(client_id), Some(uri)) => {
                let client = self.app.directory.client(tenant.id, client_id).await?;
                // §3: never to an address that is not registered.
                let client = client.filter(|client| client.logout_uris.iter().any(|known| may_redirect(known, uri)));
                let state = form.get("state").map(|state| ("state", state));
                let url = state.map_or_else(|| uri.to_owned(), |pair| with_query(uri, &encoded(pair)));
                client.map(|client| (client.name.to_string(), url))
            }
            _ => None,
        };
        Ok(Wish { hint, back })
    }

    fn signed_out(&self, back: Option<(String, String)>) -> Result<Response, OAuthError> {
        let response = match back {
            Some((_, url)) => visit::see_other(&url)?,
            None => LoggedOutPage { frame: Frame::new(&self.app.random) }.respond()?,
        };
        Ok(self.browser.signed_out(response))
    }
}

fn encoded(pair: (&str, &str)) -> String {
    serde_urlencoded::to_string([pair]).unwrap_or_default()
}

/// What the page hands back of a client's request.
fn kept(form: &Form) -> Vec<(String, String)> {
    let names = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
    names.iter().filter_map(|name| form.get(name).map(|value| ((*name).to_owned(), value.to_owned()))).collect()
}
