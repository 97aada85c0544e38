//! A person's browser: the cookies that came along and those that go back (RFC 6265bis), and forms that must have come
//! from a page of ours (RFC 6749 §10.12).

use super::peer::Peer;
use super::tenant::TenantPath;
use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::types::form::Form;
use crate::types::name::TenantName;
use crate::types::secret::{FORM_PREFIX, Secret, sha256};
use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// A browser as far as a request shows it.
pub struct Browser {
    /// Where it is.
    pub address: IpAddr,
    /// What it calls itself.
    pub user_agent: String,
    /// The cookie of its session.
    pub session: Option<Secret>,
    form_cookie: Secret,
    form_cookie_is_new: bool,
    from_elsewhere: bool,
    names: Names,
}

/// What the cookies are called.
struct Names {
    session: String,
    form: String,
    secure: bool,
}

impl Names {
    // Over https a prefix makes the browser vouch that this host alone set the cookie. Tenants share a host, so the name
    // tells their sessions apart.
    fn new(app: &App, tenant: &TenantName) -> Self {
        let secure = app.public_url.is_https();
        let prefix = if secure { "__Host-grantor" } else { "grantor" };
        let tenant =
            if tenant.as_str() == TenantName::DEFAULT { String::new() } else { format!("-{}", tenant.as_str()) };
        Self { session: format!("{prefix}_session{tenant}"), form: format!("{prefix}_form"), secure }
    }

    fn set(&self, name: &str, value: &str, more: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}")).ok()
    }
}

impl Browser {
    /// What a form carries so that it is known as ours.
    pub fn form_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(format!("form {}", self.form_cookie.expose()).as_bytes()))
    }

    /// Refuses a form that did not come from a page that this browser was shown.
    ///
    /// # Errors
    /// [`reason::FORM_EXPIRED`].
    pub fn check_form(&self, form: &Form) -> Result<(), OAuthError> {
        let sent = form.get("csrf").unwrap_or_default();
        let right = bool::from(sent.as_bytes().ct_eq(self.form_token().as_bytes()));
        if self.form_cookie_is_new || self.from_elsewhere || !right {
            let why = if self.from_elsewhere { "sent by a page of another site" } else { "not of this browser" };
            return Err(OAuthError::from(reason::FORM_EXPIRED).because(why));
        }
        Ok(())
    }

    /// False when it sent nothing of what it was given.
    pub fn has_cookies(&self) -> bool {
        !self.form_cookie_is_new
    }

    /// Adds the cookie to which forms are bound, where the browser has none yet.
    #[must_use]
    pub fn keep(&self, mut response: Response) -> Response {
        if self.form_cookie_is_new && !response.headers().contains_key(SET_COOKIE) {
            let cookie = self.names.set(&self.names.form, self.form_cookie.expose(), "");
            response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        }
        response
    }

    /// Gives the browser the cookie of its session.
    #[must_use]
    pub fn signed_in(&self, mut response: Response, session: &Secret) -> Response {
        let cookie = self.names.set(&self.names.session, session.expose(), "");
        response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    /// Takes the cookie of its session from the browser.
    #[must_use]
    pub fn signed_out(&self, mut response: Response) -> Response {
        let cookie = self.names.set(&self.names.session, "", "; Max-Age=0");
        response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response
    }
}

impl FromRequestParts<Arc<App>> for Browser {
    type Rejection = OAuthError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, OAuthError> {
        let path = TenantPath::from_request_parts(parts, app).await?;
        let Ok(Peer(address)) = Peer::from_request_parts(parts, app).await;
        let names = Names::new(app, &path.tenant.name);
        let form_cookie = cookie(&parts.headers, &names.form).filter(|value| value.starts_with(FORM_PREFIX));
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Self {
            address,
            user_agent: header(USER_AGENT.as_str()).unwrap_or_default().to_owned(),
            session: cookie(&parts.headers, &names.session).map(Secret::from),
            form_cookie_is_new: form_cookie.is_none(),
            form_cookie: form_cookie.map_or_else(|| Secret::generate(FORM_PREFIX, &app.random), Secret::from),
            // Fetch Metadata: what the browser itself says of where a request comes from.
            from_elsewhere: header("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")),
            names,
        })
    }
}

/// The value of a cookie. One that stands twice was set by somebody else too, so it is not believed.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned());
    let value = found.next()?;
    found.next().is_none().then_some(value)
}
