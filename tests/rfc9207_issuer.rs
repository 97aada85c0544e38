//! RFC 9207: every answer of the authorization endpoint says who gives it. And how answers travel: OAuth 2.0 Multiple
//! Response Types §2.1, Form Post Response Mode.

use crate::support::answers::{fields, parameters};
use crate::support::browser::{Ask, PASSWORD, WEB_CALLBACK};
use crate::support::{PUBLIC_URL, Reply, TestApp};

const MODES: &[&str] = &["query", "fragment", "form_post"];

/// Asserts that an answer travels as it was asked to.
#[track_caller]
fn assert_mode(mode: &str, reply: &Reply) {
    let start = match mode {
        "fragment" => format!("{WEB_CALLBACK}#"),
        "form_post" => return reply.assert_page(200, "grantor-form-post"),
        _ => format!("{WEB_CALLBACK}?"),
    };
    assert_eq!(reply.status.as_u16(), 303, "{}", reply.text());
    assert!(reply.header("location").starts_with(&start), "{mode}: {}", reply.header("location"));
}

// M093 M094 M095
#[tokio::test]
async fn s2_success_and_every_error_carry_the_issuer_of_the_metadata() {
    let (test, _) = TestApp::with_people().await;
    let other = test.beside("t1").await;
    other.people().await;
    for (at, path, issuer) in [(&test, "", PUBLIC_URL.to_owned()), (&other, "/t1", format!("{PUBLIC_URL}/t1"))] {
        let document = at.get(&format!("{path}/.well-known/oauth-authorization-server")).await.json();
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        for mode in MODES {
            let browser = at.browser();
            let ask = Ask::web().with("response_mode", mode);
            let mut replies = Vec::new();
            for (name, value, error) in [
                ("response_type", "token", "unsupported_response_type"),
                ("code_challenge_method", "plain", "invalid_request"),
                ("scope", "https://unknown.example.com/x", "invalid_scope"),
                ("resource", "https://unknown.example.com", "invalid_target"),
                ("request", "x", "request_not_supported"),
                ("prompt", "none", "login_required"),
            ] {
                replies.push((error, browser.get(&at.at(&ask.clone().with(name, value).path())).await));
            }
            at.user_with(mode, PASSWORD).await;
            browser.sign_in(mode).await;
            let silent = ask.clone().with("prompt", "none");
            replies.push(("consent_required", browser.get(&at.at(&silent.path())).await));
            let page = browser.get(&at.at(&ask.path())).await;
            replies.push(("access_denied", browser.decide(&page, "deny").await));
            for (error, reply) in &replies {
                assert_mode(mode, reply);
                let told = parameters(reply);
                assert_eq!((told["error"].as_str(), &told["iss"]), (*error, &issuer), "{mode}");
                assert!(!told.contains_key("code"));
            }
            for reply in [browser.decide(&page, "approve").await, browser.get(&at.at(&silent.path())).await] {
                assert_mode(mode, &reply);
                let told = parameters(&reply);
                assert_eq!(told.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
                assert_eq!(told["iss"], issuer);
            }
        }
    }
}

// M094
#[tokio::test]
async fn s2_the_issuer_does_not_depend_on_how_the_server_was_reached() {
    let (test, _) = TestApp::with_people().await;
    let tenant = test.tenant_id().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    for segment in ["", "/default", &format!("/{tenant}")] {
        let told = parameters(&browser.get(&format!("{segment}{}", Ask::web().path())).await);
        assert_eq!((told["iss"].as_str(), told.contains_key("code")), (PUBLIC_URL, true), "{segment}");
    }
    let request = axum::http::Request::get(Ask::web().path())
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example;proto=http");
    let reply = browser.send(request, axum::body::Body::empty()).await;
    assert_eq!(parameters(&reply)["iss"], PUBLIC_URL);
    assert!(!PUBLIC_URL.contains(['?', '#']) && PUBLIC_URL.starts_with("https://"));
}

#[tokio::test]
async fn multiple_response_types_s2_1_query_is_the_default_and_an_unknown_mode_is_refused() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let reply = browser.authorize(&Ask::web()).await;
    assert_mode("query", &reply);
    for mode in MODES {
        let reply = browser.get(&Ask::web().with("response_mode", mode).path()).await;
        assert_mode(mode, &reply);
        let redeemed = test.redeem(&web, &reply.assert_code()).await;
        assert_eq!(redeemed.status.as_u16(), 200, "{mode}: {}", redeemed.text());
    }
    for unknown in ["QUERY", "jwt", "query.jwt", "web_message", "query fragment"] {
        let reply = browser.get(&Ask::web().with("response_mode", unknown).path()).await;
        reply.assert_refused("invalid_request", 4204);
    }
    let document = test.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["response_modes_supported"], serde_json::json!(MODES));
}

#[tokio::test]
async fn form_post_s2_the_page_submits_itself_and_has_a_button_where_scripts_do_not_run() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let state = "\"'><script>alert(1)</script>&amp; é+\r\n%";
    let ask = Ask::web().with("response_mode", "form_post").with("state", state);
    let page = browser.authorize(&ask).await;
    page.assert_page(200, "grantor-form-post");
    let text = page.text();
    assert!(text.contains(&format!("<form method=\"post\" action=\"{WEB_CALLBACK}\">")), "{text}");
    assert!(text.contains("<button class=\"button primary\" id=\"continue\" type=\"submit\">"));
    let told = fields(&page);
    assert_eq!(told.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
    assert_eq!(told["state"], state);
    assert!(!text.contains("<script>"), "{text}");
    let policy = page.header("content-security-policy");
    let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert!(text.contains(&format!("<script nonce=\"{nonce}\">")), "{policy}");
    assert!(policy.contains("form-action 'self' https://app.example.com"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    // No other page has a script.
    let account = browser.get("/account").await;
    assert!(!account.text().contains("<script") && !account.header("content-security-policy").contains("script-src"));
}
