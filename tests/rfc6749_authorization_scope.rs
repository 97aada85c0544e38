//! RFC 6749 §3.3 and RFC 8707 §2.1 at the authorization endpoint: what a request means by its scope, and what comes of
//! it.

use crate::support::browser::{Ask, Browser, NATIVE, WEB_CALLBACK};
use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims};
use serde_json::Value;

const OTHER: &str = "https://other.example.com";

/// With a second resource; `web` may have all of both.
async fn with_two_resources() -> (TestApp, TestClient) {
    let test = TestApp::new().await;
    test.resource(OTHER, |_| ()).await;
    test.people().await;
    test.delete_client("web").await;
    let web = test.web_client("web", &[&format!("{API}/.default"), &format!("{OTHER}/.default")], WEB_CALLBACK).await;
    (test, web)
}

/// What a code for `scope` is worth.
async fn tokens(browser: &Browser<'_>, web: &TestClient, scope: &str) -> Value {
    browser.tokens(web, &Ask::web().with("scope", scope)).await
}

fn access(tokens: &Value) -> Value {
    claims(tokens["access_token"].as_str().unwrap())
}

/// What a refresh token is worth with further parameters.
async fn refreshed(test: &TestApp, web: &TestClient, token: &str, more: &[(&str, &str)]) -> crate::support::Reply {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(more);
    test.post_as("/oauth2/v2.0/token", web, &form).await
}

// M022 M023 M151
#[tokio::test]
async fn s3_3_scopes_of_several_resources_are_authorized_together_and_a_token_is_for_one() {
    let (test, web) = with_two_resources().await;
    let browser = test.browser();
    let tokens = tokens(&browser, &web, &format!("openid offline_access {OTHER}/write {API}/read {OTHER}/read")).await;
    let first = access(&tokens);
    assert_eq!((&first["aud"], &first["scope"]), (&OTHER.into(), &"read write".into()));
    assert_eq!(tokens["scope"], format!("openid offline_access {OTHER}/write {OTHER}/read"));

    let refresh = tokens["refresh_token"].as_str().unwrap();
    let scope = format!("{API}/read");
    let reply = refreshed(&test, &web, refresh, &[("scope", &scope)]).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    let second = access(&reply.json());
    assert_eq!((&second["aud"], &second["scope"]), (&API.into(), &"read".into()));
    let refresh = reply.json()["refresh_token"].as_str().map_or(refresh.to_owned(), str::to_owned);
    let wider = format!("{API}/write");
    refreshed(&test, &web, &refresh, &[("scope", &wider)]).await.assert_error(400, "invalid_scope", 4010);
}

// M085 M086 M087
#[tokio::test]
async fn rfc8707_s2_1_resource_may_be_repeated_and_names_what_is_asked_for() {
    let (test, web) = with_two_resources().await;
    let browser = test.browser();
    let ask = Ask::web().with("scope", "openid offline_access");
    browser.code(&ask).await;
    let path = ask.path_and(&format!("resource={OTHER}&resource={API}&resource={OTHER}"));
    let page = browser.get(&path).await;
    page.assert_page(200, "grantor-consent");
    for shown in [API, OTHER] {
        for value in ["read", "write"] {
            assert!(page.text().contains(&format!("<code>{shown}/{value}</code>")), "{shown}/{value}");
        }
    }
    let code = browser.decide(&page, "approve").await.assert_code();
    let tokens = test.redeem(&web, &code).await.json();
    assert_eq!((&access(&tokens)["aud"], &access(&tokens)["scope"]), (&OTHER.into(), &"read write".into()));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let reply = refreshed(&test, &web, refresh, &[("resource", API)]).await;
    assert_eq!(access(&reply.json())["aud"], API);

    for unknown in ["https://unknown.example.com", "relative", "https://api.example.com#fragment"] {
        let reply = browser.get(&Ask::web().with("resource", unknown).path()).await;
        reply.assert_refused("invalid_target", 4005);
    }
    browser.get(&Ask::web().with("resource", OTHER).path()).await.assert_refused("invalid_target", 4007);
    browser.get(&Ask::web().with("resource", API).path()).await.assert_page(200, "grantor-consent");
}

#[tokio::test]
async fn s3_3_default_is_all_that_the_client_may_have() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let all = tokens(&browser, &web, &format!("{API}/.default")).await;
    assert_eq!(access(&all)["scope"], "read write");
    assert!(all.get("id_token").is_none() && all.get("refresh_token").is_none(), "{all}");
    let one = test.web_client("one", &[&format!("{API}/read")], "https://one.example.com/cb").await;
    let ask = Ask::web().with("client_id", "one").with("redirect_uri", "https://one.example.com/cb");
    let code = browser.code(&ask.clone().with("scope", &format!("{API}/.default"))).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://one.example.com/cb"),
        ("code_verifier", crate::support::browser::VERIFIER),
    ];
    let reply = test.post_as("/oauth2/v2.0/token", &one, &form).await;
    assert_eq!(access(&reply.json())["scope"], "read");
    let reply = browser.get(&ask.with("scope", &format!("{API}/write")).path()).await;
    let location = reply.header("location");
    assert!(location.contains("error=invalid_scope") && location.contains("GRT4003"), "{location}");
}

// M024
#[tokio::test]
async fn s3_3_a_bare_scope_and_no_scope_mean_the_default_resource() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    browser.get(&Ask::web().with("scope", "openid read").path()).await.assert_refused("invalid_scope", 4006);
    browser.get(&Ask::web().without("scope").path()).await.assert_refused("invalid_scope", 4006);

    test.delete_client("web").await;
    test.delete_client(NATIVE).await;
    test.resource(OTHER, |settings| settings.is_default = true).await;
    let web_too = test.web_client("web", &[&format!("{OTHER}/.default")], WEB_CALLBACK).await;
    assert_ne!(web.secret, web_too.secret);
    let bare = access(&tokens(&browser, &web_too, "openid read").await);
    assert_eq!((&bare["aud"], &bare["scope"]), (&OTHER.into(), &"read".into()));
    let none = access(&browser.tokens(&web_too, &Ask::web().without("scope")).await);
    assert_eq!((&none["aud"], &none["scope"]), (&OTHER.into(), &"read write".into()));
    for unknown in ["READ", "read,write", "unknown"] {
        let reply = browser.get(&Ask::web().with("scope", unknown).path()).await;
        reply.assert_refused("invalid_scope", 4002);
    }
    // Beside `resource`, a bare scope is one of that resource.
    let mixed = Ask::web().with("scope", "read").with("resource", API);
    browser.get(&mixed.path()).await.assert_refused("invalid_scope", 4003);
}

#[tokio::test]
async fn s3_3_identity_alone_gives_a_token_for_this_server_and_userinfo_answers_it() {
    let (test, web) = TestApp::with_people().await;
    test.update_user("alice", Some("Alice A."), Some("alice@example.com")).await;
    let browser = test.browser();
    let tokens = tokens(&browser, &web, "openid email address phone").await;
    let access = access(&tokens);
    assert_eq!(access["aud"], PUBLIC_URL);
    assert_eq!(tokens["scope"], "openid email");
    let info = test.get_as("/oauth2/v2.0/userinfo", tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(info.status.as_u16(), 200, "{}", info.text());
    assert_eq!(info.json()["email"], "alice@example.com");
    assert!(info.json().get("name").is_none() && info.json().get("preferred_username").is_none());
    // It opens nothing else: whoever serves the API refuses it by its audience.
    assert_ne!(access["aud"], API);
    let serving = test.serving_client("api-server", API).await;
    assert_eq!(test.introspect(&serving, tokens["access_token"].as_str().unwrap()).await["active"], false);
}

#[tokio::test]
async fn s3_3_offline_access_gives_a_refresh_token_to_clients_that_may_use_one() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let scope = format!("openid offline_access {API}/read");
    assert!(tokens(&browser, &web, &scope).await["refresh_token"].is_string());
    assert!(tokens(&browser, &web, &format!("openid {API}/read")).await.get("refresh_token").is_none());
    test.set_grants("web", &["authorization_code"]).await;
    let without = tokens(&browser, &web, &scope).await;
    assert!(without.get("refresh_token").is_none(), "{without}");
}

// M151
#[tokio::test]
async fn s3_3_what_was_allowed_before_is_not_asked_for_again_and_what_is_new_is_marked() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let read = Ask::web().with("scope", &format!("openid {API}/read"));
    browser.code(&read).await;
    browser.get(&read.path()).await.assert_code();
    browser.get(&Ask::web().with("scope", "openid").path()).await.assert_code();
    let more = Ask::web().with("scope", &format!("openid {API}/read {API}/write"));
    let page = browser.get(&more.path()).await;
    page.assert_page(200, "grantor-consent");
    let text = page.text();
    let line =
        |value: &str| text.lines().find(|line| line.contains(&format!("{API}/{value}</code>"))).unwrap().to_owned();
    assert!(line("write").contains("badge") && !line("read").contains("badge"), "{text}");
    // Refusing it takes nothing back.
    browser.decide(&page, "deny").await.assert_refused("access_denied", 4213);
    browser.get(&read.path()).await.assert_code();
    browser.get(&more.path()).await.assert_page(200, "grantor-consent");
    // Another person is asked for themselves.
    test.user_with("bob", crate::support::browser::PASSWORD).await;
    let theirs = test.browser();
    theirs.sign_in("bob").await;
    theirs.get(&read.path()).await.assert_page(200, "grantor-consent");
}
