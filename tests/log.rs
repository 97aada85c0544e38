//! The log: it finds what happened, and holds nothing that opens anything (RFC 9700 §4.3, §4.11).

use crate::support::browser::{Ask, PASSWORD, VERIFIER, answer, field};
use crate::support::{Reply, TestApp, TestClient};
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
