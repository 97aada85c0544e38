//! A person at a browser, as far as the router sees one: cookies, pages, forms. And the two clients they come from.

use super::{API, Reply, TestApp, TestClient};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use grantor::store::clients::{Client, ClientParts};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Of RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge of [`VERIFIER`].
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where the client `web` is called back.
pub const WEB_CALLBACK: &str = "https://app.example.com/cb";
/// Where the client `native` is called back, at any port.
pub const NATIVE_CALLBACK: &str = "http://127.0.0.1/cb";

/// The password of every person in the tests.
pub const PASSWORD: &str = "correct horse battery";

/// The client `native` has no secret.
pub const NATIVE: &str = "native";

impl TestApp {
    /// As [`TestApp::with_client`], with the person `alice`, the confidential client `web` and the public one `native`.
    /// Both may have everything at [`API`].
    pub async fn with_people() -> (Self, TestClient) {
        let test = Self::new().await;
        let web = test.people().await;
        (test, web)
    }

    /// Sets up what [`TestApp::with_people`] promises in the tenant at hand.
    pub async fn people(&self) -> TestClient {
        self.resource(API, |_| ()).await;
        let all = format!("{API}/.default");
        let web = self.client("web", &[&all]).await;
        self.client_with(NATIVE, &[&all], None).await;
        self.redirects("web", WEB_CALLBACK).await;
        self.redirects(NATIVE, NATIVE_CALLBACK).await;
        self.set_grants("web", &["client_credentials", "authorization_code", "refresh_token"]).await;
        self.set_grants(NATIVE, &["authorization_code", "refresh_token"]).await;
        self.user_with("alice", PASSWORD).await;
        web
    }

    /// Registers a redirect URI.
    pub async fn redirects(&self, id: &str, uri: &str) {
        let parts = ClientParts { add_redirect_uris: vec![uri.parse().unwrap()], ..ClientParts::default() };
        self.update_client(id, parts).await;
    }

    /// Changes a client.
    pub async fn update_client(&self, id: &str, parts: ClientParts) -> Client {
        let (tenant, client) = (self.tenant_id().await, self.find_client(id).await);
        self.app.store.update_client(tenant, &client, (None, &parts), self.clock.now()).await.unwrap();
        self.sync().await;
        self.find_client(id).await
    }

    /// A new browser.
    pub fn browser(&self) -> Browser<'_> {
        Browser { test: self, cookies: Mutex::default() }
    }

    /// The token endpoint's answer to a code of `web`.
    pub async fn redeem(&self, web: &TestClient, code: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", WEB_CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post_as(&self.at("/oauth2/v2.0/token"), web, &form).await
    }

    /// The token endpoint's answer to a refresh token of `web`.
    pub async fn refresh(&self, web: &TestClient, token: &str) -> Reply {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post_as(&self.at("/oauth2/v2.0/token"), web, &form).await
    }
}

/// The parameters of an authorization request, to be changed by a test.
#[derive(Debug, Clone)]
pub struct Ask(BTreeMap<&'static str, String>);

impl Ask {
    /// What `web` asks for: identity, a refresh token and reading at [`API`].
    pub fn web() -> Self {
        let scope = format!("openid profile email offline_access {API}/read");
        Self(BTreeMap::from([
            ("client_id", "web".to_owned()),
            ("redirect_uri", WEB_CALLBACK.to_owned()),
            ("response_type", "code".to_owned()),
            ("scope", scope),
            ("state", "a state/&?".to_owned()),
            ("nonce", "n-0S6_WzA2Mj".to_owned()),
            ("code_challenge", CHALLENGE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ]))
    }

    /// The same by `native`.
    pub fn native() -> Self {
        Self::web().with("client_id", NATIVE).with("redirect_uri", "http://127.0.0.1:49152/cb")
    }

    /// With another value.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, value.to_owned());
        self
    }

    /// Without a parameter.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|known, _| *known != name);
        self
    }

    /// As a query.
    pub fn query(&self) -> String {
        serde_urlencoded::to_string(&self.0).unwrap()
    }

    /// As a path.
    pub fn path(&self) -> String {
        format!("/oauth2/v2.0/authorize?{}", self.query())
    }
}

/// A browser with its cookies. It follows no redirect by itself.
pub struct Browser<'a> {
    pub test: &'a TestApp,
    pub cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser<'_> {
    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path), Body::empty()).await
    }

    /// POST of a form.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(serde_urlencoded::to_string(form).unwrap())).await
    }

    /// Any request, with the cookies.
    pub async fn send(&self, request: axum::http::request::Builder, body: Body) -> Reply {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) };
        let reply = self.test.send(request.body(body).unwrap()).await;
        for set in reply.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut kept = self.cookies.lock().unwrap();
            if rest.contains("Max-Age=0") {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    /// Fills in the login page that `page` is.
    pub async fn log_in(&self, page: &Reply, username: &str, password: &str) -> Reply {
        let (csrf, then) = (field(page, "csrf"), field(page, "then"));
        let form = [("csrf", csrf.as_str()), ("then", &then), ("username", username), ("password", password)];
        self.post(&self.test.at("/login"), &form).await
    }

    /// Presses a button of the consent page that `page` is.
    pub async fn decide(&self, page: &Reply, decision: &str) -> Reply {
        let (csrf, then) = (field(page, "csrf"), field(page, "then"));
        let form = [("csrf", csrf.as_str()), ("then", &then), ("decision", decision)];
        self.post(&self.test.at("/consent"), &form).await
    }

    /// Asks, signs `alice` in and consents wherever that is asked for; the reply that goes to the client.
    pub async fn authorize(&self, ask: &Ask) -> Reply {
        self.authorize_as(ask, "alice").await
    }

    /// The same by somebody else.
    pub async fn authorize_as(&self, ask: &Ask, username: &str) -> Reply {
        let mut reply = self.get(&self.test.at(&ask.path())).await;
        for _ in 0..4 {
            reply = match main_id(&reply).as_deref() {
                Some("grantor-login") => self.log_in(&reply, username, PASSWORD).await,
                Some("grantor-consent") => self.decide(&reply, "approve").await,
                _ if reply.header("location").starts_with('/') => self.get(reply.header("location")).await,
                _ => break,
            };
        }
        reply
    }

    /// The code of [`Browser::authorize`], which must succeed.
    pub async fn code(&self, ask: &Ask) -> String {
        let reply = self.authorize(ask).await;
        answer(&reply)
            .remove("code")
            .unwrap_or_else(|| panic!("no code: {} {}", reply.header("location"), reply.text()))
    }

    /// What [`TestApp::redeem`] answers to a new code.
    pub async fn tokens(&self, web: &TestClient, ask: &Ask) -> serde_json::Value {
        let reply = self.test.redeem(web, &self.code(ask).await).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    }
}

/// The id of the page's `<main>`; none when the reply is no page.
pub fn main_id(reply: &Reply) -> Option<String> {
    let found = Regex::new(r#"<main[^>]* id="([^"]+)""#).unwrap();
    found.captures(&reply.text()).map(|found| found[1].to_owned())
}

/// The value of a hidden field.
#[track_caller]
pub fn field(page: &Reply, name: &str) -> String {
    let text = page.text();
    let found = Regex::new(&format!(r#"<input type="hidden" name="{name}" value="([^"]*)""#)).unwrap();
    let value = &found.captures(&text).unwrap_or_else(|| panic!("no field {name} in {text}"))[1];
    unescape(value)
}

/// HTML's character references, as askama writes them.
pub fn unescape(text: &str) -> String {
    let text = text.replace("&#38;", "&").replace("&#34;", "\"").replace("&#39;", "'");
    text.replace("&#60;", "<").replace("&#62;", ">").replace("&amp;", "&").replace("&quot;", "\"")
}

/// The parameters that a redirect brings to the client in its query.
pub fn answer(reply: &Reply) -> BTreeMap<String, String> {
    let location = reply.header("location");
    let query = location.split_once('?').map_or("", |(_, query)| query);
    serde_urlencoded::from_str(query).unwrap()
}
