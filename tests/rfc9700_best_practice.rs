//! RFC 9700: what the best current practice adds for the endpoints that people see. And tenants: a client, a session, a
//! person and a token of one are nothing in another.

use crate::support::answers::{fields, parameters};
use crate::support::browser::{Ask, PASSWORD, field};
use crate::support::{PUBLIC_URL, Reply, TestApp, claims};
use axum::body::Body;
use axum::http::Request;
use grantor::store::clients::ClientParts;

/// Addresses of elsewhere, and what might be taken for one of ours.
const ELSEWHERE: &[&str] = &[
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "/%2F/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "@evil.example",
    ".evil.example",
    "?//evil.example",
    "group///evil.example",
    "group/https://evil.example",
    "group/../../evil.example",
    "account/../../evil.example",
    "authorize",
    "authorize?",
    "authorize?https://evil.example/",
    "authorize?redirect_uri=https://evil.example/&client_id=web&response_type=code",
    "authorize?\r\nlocation: https://evil.example/",
    "authorize?#@evil.example",
    "",
];

/// Where a redirect leads must be below our own address; what cannot stand in a header leads nowhere.
#[track_caller]
fn assert_stays(what: &str, reply: &Reply) {
    let location = reply.header("location");
    if reply.status.is_redirection() {
        let ours = ["/account", "/oauth2/v2.0/authorize?"].iter().any(|start| location.starts_with(start));
        assert!(ours && !location.starts_with("//"), "{what}: {location}");
        assert!(!location.contains(['\\', '\r', '\n']), "{what}: {location}");
    } else {
        assert!(location.is_empty(), "{what}: {location}");
    }
}

// M048 M142
#[tokio::test]
async fn s4_11_2_a_login_leads_nowhere_but_to_pages_of_ours() {
    let (test, _) = TestApp::with_people().await;
    for (at, then) in ELSEWHERE.iter().enumerate() {
        // Each from another address, so that nobody has guessed too often.
        let browser = test.browser_at(&format!("192.0.2.{at}"));
        let csrf = field(&browser.get("/account").await, "csrf");
        let form = [("csrf", csrf.as_str()), ("then", then), ("username", "alice"), ("password", PASSWORD)];
        let reply = browser.post("/login", &form).await;
        assert_stays(then, &reply);
        assert_ne!(reply.status.as_u16(), 429);
        if reply.status.is_redirection() {
            let next = browser.follow(&reply).await;
            assert!(!next.header("location").contains("evil.example/"), "{then}: {}", next.header("location"));
            assert_stays(then, &next);
        }
        let wrong = [("csrf", csrf.as_str()), ("then", then), ("username", "alice"), ("password", "wrong password")];
        assert_stays(then, &browser.post("/login", &wrong).await);
        let decide = [("csrf", csrf.as_str()), ("then", then), ("decision", "deny")];
        assert_stays(then, &browser.post("/consent", &decide).await);
    }
    // The good way is there.
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    let reply = browser.log_in(&page, "alice", PASSWORD).await;
    assert!(reply.header("location").starts_with("/oauth2/v2.0/authorize?"));
}

// M142
#[tokio::test]
async fn s4_11_2_no_parameter_of_ours_names_an_address_to_go_to() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    for name in
        ["then", "next", "return_to", "redirect", "url", "continue", "target_link_uri", "post_logout_redirect_uri"]
    {
        for path in ["/", "/account", "/oauth2/v2.0/logout", "/oauth2/v2.0/authorize"] {
            let reply = browser.get(&format!("{path}?{name}=https%3A%2F%2Fevil.example%2F")).await;
            assert_stays(name, &reply);
            assert!(!reply.text().contains("href=\"https://evil.example"), "{path} {name}");
        }
    }
}

// M149
#[tokio::test]
async fn s4_12_every_redirect_is_303() {
    let (test, _) = TestApp::with_people().await;
    let logout_uris = vec!["https://app.example.com/out".parse().unwrap()];
    test.update_client("web", ClientParts { add_logout_uris: logout_uris, ..ClientParts::default() }).await;
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    let login = browser.log_in(&page, "alice", PASSWORD).await;
    let page = browser.follow(&login).await;
    let logout = "/oauth2/v2.0/logout?client_id=web&post_logout_redirect_uri=https://app.example.com/out";
    let consent = browser.decide(&page, "approve").await;
    let silent = browser.get(&Ask::web().path()).await;
    let leaving = browser.get(logout).await;
    let given: Vec<_> = fields(&leaving).into_iter().collect();
    let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (what, reply) in [
        ("login", login),
        ("consent", consent),
        ("silent", silent),
        ("error", browser.get(&Ask::web().with("response_type", "x").path()).await),
        ("post", test.post_raw("/oauth2/v2.0/authorize", &[], Ask::web().query()).await),
        ("logout", browser.post("/oauth2/v2.0/logout", &given).await),
    ] {
        assert_eq!(reply.status.as_u16(), 303, "{what}: {}", reply.text());
        assert!(!reply.header("location").is_empty(), "{what}");
        // Neither password nor token of a form goes on.
        assert!(!reply.header("location").contains("password") && !reply.header("location").contains("csrf"), "{what}");
    }
}

// M148
#[tokio::test]
async fn s2_6_no_script_of_another_site_reads_the_authorization_endpoint() {
    let (test, _) = TestApp::with_people().await;
    for (method, path) in [
        ("GET", Ask::web().path()),
        ("OPTIONS", Ask::web().path()),
        ("GET", Ask::web().with("client_id", "unknown").path()),
        ("GET", Ask::web().with("prompt", "none").path()),
        ("OPTIONS", "/login".to_owned()),
        ("OPTIONS", "/consent".to_owned()),
        ("GET", "/account".to_owned()),
        ("GET", "/oauth2/v2.0/logout".to_owned()),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "GET");
        let reply = test.send(request.body(Body::empty()).unwrap()).await;
        let names: Vec<_> = reply.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
        assert!(names.is_empty(), "{method} {path}: {names:?}");
    }
}

// M144 M146
#[tokio::test]
async fn s2_1_2_and_s2_4_there_is_no_implicit_and_no_password_grant() {
    let (test, web) = TestApp::with_people().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let document = test.get(path).await.json();
        assert_eq!(document["response_types_supported"], serde_json::json!(["code"]));
        let grants = document["grant_types_supported"].to_string();
        assert!(!grants.contains("password") && !grants.contains("implicit") && grants.contains("authorization_code"));
    }
    let form = [("grant_type", "password"), ("username", "alice"), ("password", PASSWORD)];
    test.post_as("/oauth2/v2.0/token", &web, &form).await.assert_error(400, "unsupported_grant_type", 3001);
    let browser = test.browser();
    browser.sign_in("alice").await;
    for implicit in ["token", "id_token token"] {
        let reply = browser.get(&Ask::web().with("response_type", implicit).path()).await;
        let told = reply.assert_refused("unsupported_response_type", 3004);
        assert!(!told.contains_key("access_token"));
    }
}

#[tokio::test]
async fn tenants_a_session_of_one_is_nothing_in_another() {
    let (test, _) = TestApp::with_people().await;
    let other = test.beside("t1").await;
    other.people().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let (name, theirs) = ("__Host-grantor_session", "__Host-grantor_session-t1");
    let session = browser.cookie(name).unwrap();
    browser.get("/t1/account").await.assert_page(200, "grantor-login");
    browser.get("/account").await.assert_page(200, "grantor-account");
    // Not even under the name that the other tenant's cookie has.
    browser.set_cookie(theirs, &session);
    browser.get("/t1/account").await.assert_page(200, "grantor-login");
    browser.get(&other.at(&Ask::web().path())).await.assert_page(200, "grantor-login");
    // Both beside each other in one browser.
    let page = browser.get("/t1/account").await;
    let (csrf, then) = (field(&page, "csrf"), field(&page, "then"));
    let form = [("csrf", csrf.as_str()), ("then", &then), ("username", "alice"), ("password", PASSWORD)];
    let reply = browser.post("/t1/login", &form).await;
    assert_eq!(reply.header("location"), "/t1/account");
    browser.get("/t1/account").await.assert_page(200, "grantor-account");
    browser.get("/account").await.assert_page(200, "grantor-account");
    assert_eq!(browser.cookie(name).unwrap(), session);
    assert_ne!(browser.cookie(theirs).unwrap(), session);
    // Leaving one does not leave the other.
    let page = browser.get("/t1/oauth2/v2.0/logout").await;
    browser.post("/t1/oauth2/v2.0/logout", &[("csrf", &field(&page, "csrf"))]).await;
    browser.get("/t1/account").await.assert_page(200, "grantor-login");
    browser.get("/account").await.assert_page(200, "grantor-account");
}

#[tokio::test]
async fn tenants_a_client_a_person_and_a_token_of_one_are_nothing_in_another() {
    let (test, web) = TestApp::with_people().await;
    let other = test.beside("t1").await;
    // Nobody and nothing is there yet.
    test.browser().get("/t1/oauth2/v2.0/authorize?client_id=web").await.assert_error_page(400, 4201);
    let stranger = test.browser();
    let page = stranger.get("/t1/account").await;
    let (csrf, then) = (field(&page, "csrf"), field(&page, "then"));
    let form = [("csrf", csrf.as_str()), ("then", &then), ("username", "alice"), ("password", PASSWORD)];
    stranger.post("/t1/login", &form).await.assert_page(400, "grantor-login");

    let their_web = other.people().await;
    let browser = test.browser();
    let code = browser.code(&Ask::web()).await;
    other.redeem(&their_web, &code).await.assert_error(400, "invalid_grant", 4101);
    other.redeem(&web, &code).await.assert_error(401, "invalid_client", 2002);
    let tokens = test.redeem(&web, &code).await.json();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    other.refresh(&their_web, refresh).await.assert_error(400, "invalid_grant", 4106);
    test.get_as("/t1/oauth2/v2.0/userinfo", access).await.assert_error(401, "invalid_token", 5003);
    assert_eq!(test.get_as("/oauth2/v2.0/userinfo", access).await.status.as_u16(), 200);
    assert_eq!(test.refresh(&web, refresh).await.status.as_u16(), 200);

    // The same names there are other people and other clients.
    let theirs = other.browser().tokens(&their_web, &Ask::web()).await;
    let (ours, theirs) = (claims(access), claims(theirs["access_token"].as_str().unwrap()));
    assert_eq!(
        (ours["iss"].as_str(), theirs["iss"].as_str()),
        (Some(PUBLIC_URL), Some("https://login.example.com/t1"))
    );
    for name in ["sub", "oid", "tid", "sid"] {
        assert_ne!(ours[name], theirs[name], "{name}");
    }
    // An ID token of the other tenant is no hint here.
    let hint = Ask::web().with("id_token_hint", tokens["id_token"].as_str().unwrap()).with("prompt", "none");
    let there = other.browser();
    there.authorize(&Ask::web()).await.assert_code();
    let told = parameters(&there.get(&other.at(&hint.path())).await);
    assert!(told.contains_key("code"), "a hint that is none of this issuer's is not looked at: {told:?}");
}
