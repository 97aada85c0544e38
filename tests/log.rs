//! The log: it finds what happened, and holds nothing that opens anything (RFC 9700 §4.3, §4.11).

use crate::support::browser::{Ask, NATIVE, PASSWORD, VERIFIER, answer, field};
use crate::support::{API, Reply, TestApp, TestClient, basic};
use grantor::types::id::GrantId;
use grantor::types::random::Random;
use grantor::types::refresh_token::RefreshToken;
use grantor::types::secret::{PREFIXES, REFRESH_TOKEN_PREFIX, Secret};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that is logged, at every level, while the guard lives.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let captured = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(captured.clone())
            .finish();
        (captured, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn neither_passwords_nor_cookies_nor_codes_nor_tokens_are_in_it() {
    let (test, web) = TestApp::with_people().await;
    let (log, _guard) = Captured::start();
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    let typed = "a-password-in-the-wrong-field";
    let wrong = "a-wrong-password";
    browser.log_in(&page, typed, wrong).await.assert_page(400, "grantor-login");
    browser.log_in(&page, "alice", wrong).await.assert_page(400, "grantor-login");
    let reply = browser.authorize(&Ask::web()).await;
    let code = answer(&reply)["code"].clone();
    let stranger = TestClient { secret: "grcs_a-wrong-secret".into(), ..web.clone() };
    test.redeem(&stranger, &code).await.assert_error(401, "invalid_client", 2002);
    let tokens = test.redeem(&web, &code).await.json();
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    test.redeem(&web, "grac_an-unknown-code").await.assert_error(400, "invalid_grant", 4101);
    test.get_as("/oauth2/v2.0/userinfo", &token("access_token")).await.json();
    test.get_as("/oauth2/v2.0/userinfo", &token("refresh_token")).await.assert_error(401, "invalid_token", 5003);
    let refreshed = test.refresh(&web, &token("refresh_token")).await.json();
    test.refresh(&web, "grrt_an-unknown-token").await.assert_error(400, "invalid_grant", 4106);
    browser.get(&Ask::web().with("id_token_hint", &token("id_token")).with("scope", "x").path()).await;
    let consents = [("csrf", "a-wrong-csrf-token"), ("client_id", "web")];
    browser.post("/account/consents", &consents).await.assert_error_page(400, 4214);
    let (session, bound) = ("__Host-grantor_session", "__Host-grantor_form");
    let cookies = [browser.cookie(session).unwrap(), browser.cookie(bound).unwrap()];
    let hint = serde_urlencoded::to_string([("id_token_hint", token("id_token"))]).unwrap();
    browser.get(&format!("/oauth2/v2.0/logout?{hint}")).await.assert_page(200, "grantor-logged-out");
    // The second use of a code is an incident.
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4102);

    let text = log.text();
    let signature = |token: String| token.rsplit('.').next().unwrap().to_owned();
    for secret in [
        PASSWORD,
        wrong,
        typed,
        &web.secret,
        &stranger.secret,
        &code,
        VERIFIER,
        &cookies[0],
        &cookies[1],
        &field(&page, "csrf"),
        "a-wrong-csrf-token",
        "grac_",
        "grrt_",
        "grse_",
        "grfo_",
        "grcs_",
        &signature(token("access_token")),
        &signature(token("id_token")),
        &signature(refreshed["access_token"].as_str().unwrap().to_owned()),
    ] {
        assert!(!text.contains(secret), "{secret} is in the log:\n{text}");
    }
    for told in ["a login failed: name or password is wrong", "code=4102", "code=4214", "code=2002", "code=5003"] {
        assert!(text.contains(told), "{told} is not in the log:\n{text}");
    }
}

/// The one line about a reply.
#[track_caller]
fn line(log: &Captured, reply: &Reply) -> String {
    let (text, trace) = (log.text(), reply.header("x-request-id"));
    let lines: Vec<_> = text.lines().filter(|line| line.contains(trace)).collect();
    assert_eq!(lines.len(), 1, "{trace}:\n{text}");
    lines[0].to_owned()
}

#[tokio::test]
async fn an_error_is_logged_once_wherever_it_is_shown() {
    let (test, _) = TestApp::with_people().await;
    let (log, _guard) = Captured::start();
    let browser = test.browser();
    let page = browser.get(&Ask::web().with("client_id", "nobody").path()).await;
    let redirect = browser.get(&Ask::web().with("response_type", "token").path()).await;
    let form_post = Ask::web().with("response_mode", "form_post").with("prompt", "none");
    let posted = browser.get(&form_post.path()).await;
    let json = test.get("/oauth2/v2.0/userinfo").await;
    for (reply, code) in [(&page, 4201), (&redirect, 3004), (&posted, 4211), (&json, 5004)] {
        let line = line(&log, reply);
        assert!(line.contains(&format!("code={code}")) && line.contains("INFO"), "{line}");
    }
    test.app.store.close().await;
    let away = browser.get(&Ask::web().with("client_id", "another").path()).await;
    assert!(line(&log, &away).contains("ERROR"));
    let fine = test.browser().get(&Ask::web().path()).await;
    assert!(!log.text().contains(fine.header("x-request-id")));
}

/// Where a value can be put that an error or the log is about.
const PLACES: &[Place] = &[
    Place::Token("scope"),
    Place::Token("resource"),
    Place::Token("grant_type"),
    Place::Token("client_id"),
    Place::ScopeOfApi,
    Place::TokenTwice,
    Place::Device("scope"),
    Place::Device("client_id"),
    Place::Authorize("client_id"),
    Place::Authorize("redirect_uri"),
    Place::Authorize("response_type"),
    Place::Authorize("response_mode"),
    Place::Authorize("prompt"),
    Place::Authorize("scope"),
    Place::Authorize("resource"),
    Place::Authorize("code_challenge_method"),
    Place::AuthorizeTwice(""),
    Place::AuthorizeTwice("&response_mode=form_post"),
    Place::Path("/{}/jwks"),
    Place::Path("/{}/oauth2/v2.0/authorize"),
    Place::Path("/nothing/{}/here"),
    Place::Path("/statuslists/{}"),
    Place::Path("/common/discovery/instance?authorization_endpoint={}"),
    Place::Gateway("{}=x"),
    Place::Gateway("scope={}"),
];

#[derive(Debug, Clone, Copy)]
enum Place {
    /// A parameter of a token request.
    Token(&'static str),
    /// Behind a resource that is there.
    ScopeOfApi,
    /// The name of a parameter that stands twice.
    TokenTwice,
    /// A parameter of a device's request.
    Device(&'static str),
    /// A parameter of an authorization request.
    Authorize(&'static str),
    /// The name of one that stands twice, and what else is asked.
    AuthorizeTwice(&'static str),
    /// Part of an address.
    Path(&'static str),
    /// What a gateway requires.
    Gateway(&'static str),
}

impl Place {
    async fn send(self, test: &TestApp, web: &TestClient, value: &str) -> Reply {
        let authorization = basic(&web.id, &web.secret);
        let token = async |parameters: &[(&str, &str)]| {
            let rest = serde_urlencoded::to_string(parameters).unwrap();
            test.post_raw("/oauth2/v2.0/token", &[("authorization", &authorization)], rest).await
        };
        let grant = ("grant_type", "client_credentials");
        let browser = test.browser();
        match self {
            Self::Token("client_id") => {
                test.post("/oauth2/v2.0/token", &[grant, ("client_id", value), ("client_secret", "x")]).await
            }
            Self::Token("grant_type") => token(&[("grant_type", value)]).await,
            Self::Token(name) => token(&[grant, (name, value)]).await,
            Self::ScopeOfApi => token(&[grant, ("scope", &format!("{API}/{value}"))]).await,
            Self::TokenTwice => token(&[grant, (value, "1"), (value, "2")]).await,
            Self::Device("client_id") => test.post("/oauth2/v2.0/devicecode", &[("client_id", value)]).await,
            Self::Device(name) => test.post("/oauth2/v2.0/devicecode", &[("client_id", NATIVE), (name, value)]).await,
            Self::Authorize(name) => browser.get(&Ask::web().with(name, value).path()).await,
            Self::AuthorizeTwice(more) => {
                browser.get(&format!("{}&{value}=1&{value}=2{more}", Ask::web().path())).await
            }
            Self::Path(path) => test.get(&path.replace("{}", value)).await,
            Self::Gateway(query) => {
                let token = test.token(web, &format!("{API}/.default")).await;
                test.get_as(&format!("/gateway/check?{}", query.replace("{}", value)), &token).await
            }
        }
    }
}

/// One of each kind that the server makes.
async fn one_secret_of_each_kind(test: &TestApp, web: &TestClient) -> Vec<String> {
    let random = Random::system();
    let refresh = RefreshToken::first(GrantId::from(random.uuid_v4()), &random).to_secret();
    let simple = PREFIXES.iter().filter(|prefix| **prefix != REFRESH_TOKEN_PREFIX);
    let made = simple.map(|prefix| Secret::generate(prefix, &random)).chain([refresh]);
    let token = test.token(web, &format!("{API}/.default")).await;
    made.map(|secret| secret.expose().to_owned()).chain([token]).collect()
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_neither_told_nor_logged() {
    let (test, web) = TestApp::with_people().await;
    test.set_grants(NATIVE, &["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]).await;
    let secrets = one_secret_of_each_kind(&test, &web).await;
    for place in PLACES {
        let (log, _guard) = Captured::start();
        // What only begins like one is a word, and helps whoever looks for the mistake.
        for word in ["raed", "grat_is", "grcs_of-the-tenant"] {
            let reply = place.send(&test, &web, word).await;
            assert!(line(&log, &reply).contains(word), "{place:?} {word}: {}", line(&log, &reply));
        }
        for secret in &secrets {
            let reply = place.send(&test, &web, secret).await;
            assert!(line(&log, &reply).contains("(a secret)"), "{place:?}: {}", line(&log, &reply));
            let told = format!("{:?}{}{}", reply.headers, reply.text(), log.text());
            // Not in part either: a description is cut short.
            for part in [&secret[8..28], &secret[secret.len() - 20..]] {
                assert!(!told.contains(part), "{place:?} {secret}: {told}");
            }
        }
    }
    // Nor where an encoder that knows no better has encoded what needs none.
    let (log, _guard) = Captured::start();
    let encoded = |text: &str| text.replace('_', "%5F").replace('.', "%2E").replace('-', "%2D");
    for secret in &secrets {
        let reply = test.get(&format!("/{}/jwks", encoded(secret))).await;
        let told = format!("{}{}", reply.text(), log.text());
        assert!(!told.contains(&secret[..28]) && !told.contains(&encoded(&secret[..28])), "{told}");
    }
    assert!(line(&log, &test.get("/a%20b/jwks").await).contains("/a%20b/jwks"));
    let metrics = test.get("/metrics").await.text();
    assert!(metrics.contains("grantor_token_requests_total"), "{metrics}");
    assert!(PREFIXES.iter().chain(&["eyJ"]).all(|prefix| !metrics.contains(prefix)), "{metrics}");
}

#[tokio::test]
async fn what_a_client_is_told_holds_the_word_but_not_the_secret() {
    let (test, web) = TestApp::with_people().await;
    let secret = &web.secret;
    let told = async |value: &str| {
        let scope = [("grant_type", "client_credentials"), ("scope", value)];
        let json = test.post_as("/oauth2/v2.0/token", &web, &scope).await.json();
        let page = test.browser().get(&Ask::web().with("redirect_uri", value).path()).await;
        let redirect = test.browser().get(&Ask::web().with("prompt", value).path()).await;
        let posted = Ask::web().with("prompt", value).with("response_mode", "form_post");
        let posted = test.browser().get(&posted.path()).await;
        page.assert_error_page(400, 4202);
        let redirect = redirect.assert_refused("invalid_request", 4207);
        [json.to_string(), page.text(), redirect["error_description"].clone(), posted.text()]
    };
    let (words, secrets) = (told("https://api.example.com/raed").await, told(&format!("https://{secret}/x")).await);
    assert!(words.iter().all(|text| text.contains("api.example.com/raed")), "{words:?}");
    assert!(secrets.iter().all(|text| text.contains("https://(a secret)/x")), "{secrets:?}");
    assert!(secrets.iter().all(|text| !text.contains(&secret[5..20])), "{secrets:?}");
}

#[test]
fn every_prefix_is_among_those_by_which_secrets_are_known() {
    let made = regex::Regex::new(r#"_PREFIX: &str = "(\w+)";"#).unwrap();
    let text = include_str!("../src/types/secret.rs");
    let made: BTreeSet<&str> = made.captures_iter(text).map(|found| found.extract::<1>().1[0]).collect();
    assert_eq!(made, PREFIXES.iter().copied().collect());
    assert!(made.len() >= 7, "the rule must find what it is about");
}
