//! OpenID Connect Core §3.1.2.1 to §3.1.2.6: what the person is asked, and when.

use crate::support::answers::{STATE, link, parameters, spoiled};
use crate::support::browser::{Ask, Browser, PASSWORD, field, main_id, unescape};
use crate::support::{PUBLIC_URL, Reply, START, TestApp, TestClient, claims};

/// Whose code it is that the reply brings, and when they signed in.
async fn who(test: &TestApp, web: &TestClient, reply: &Reply) -> (String, i64) {
    let tokens = test.redeem(web, &reply.assert_code()).await.json();
    let token = claims(tokens["id_token"].as_str().unwrap());
    (token["preferred_username"].as_str().unwrap().to_owned(), token["auth_time"].as_i64().unwrap())
}

/// Which page comes, by its id; `code` for the answer to the client.
async fn comes(browser: &Browser<'_>, ask: &Ask) -> String {
    let reply = browser.get(&ask.path()).await;
    main_id(&reply).unwrap_or_else(|| if reply.assert_code().is_empty() { "" } else { "code" }.to_owned())
}

fn prompt(value: &str) -> Ask {
    Ask::web().with("prompt", value)
}

#[tokio::test]
async fn core_s3_1_2_6_none_never_shows_a_page() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let none = prompt("none");
    browser.get(&none.path()).await.assert_refused("login_required", 4211);
    browser.sign_in("alice").await;
    browser.get(&none.path()).await.assert_refused("consent_required", 4212);
    browser.code(&Ask::web()).await;
    assert_eq!(comes(&browser, &none).await, "code");
    test.clock.advance(8 * 3600 + 1);
    browser.get(&none.path()).await.assert_refused("login_required", 4211);
    test.first_party("web").await;
    let fresh = test.browser();
    fresh.get(&none.path()).await.assert_refused("login_required", 4211);
    test.user_with("bob", PASSWORD).await;
    fresh.sign_in("bob").await;
    assert_eq!(comes(&fresh, &none).await, "code");
}

#[tokio::test]
async fn core_s3_1_2_1_login_asks_again_even_who_is_signed_in() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    assert_eq!(comes(&browser, &Ask::web()).await, "code");
    test.clock.advance(50);
    let page = browser.get(&prompt("login").path()).await;
    page.assert_page(200, "grantor-login");
    // A page that was left is no login.
    assert_eq!(comes(&browser, &prompt("login")).await, "grantor-login");
    let reply = browser.log_in(&page, "alice", PASSWORD).await;
    let reply = browser.follow(&reply).await;
    assert_eq!(who(&test, &web, &reply).await, ("alice".into(), START + 50));
    // Once was enough: the way back does not ask for it for ever. The next request does.
    assert_eq!(comes(&browser, &prompt("login")).await, "grantor-login");

    let page = browser.get(&prompt("login").path()).await;
    let reply = browser.log_in(&page, "bob", PASSWORD).await;
    let page = browser.follow(&reply).await;
    page.assert_page(200, "grantor-consent");
    assert_eq!(who(&test, &web, &browser.decide(&page, "approve").await).await.0, "bob");
}

#[tokio::test]
async fn core_s3_1_2_1_consent_asks_again_what_was_allowed_before() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    let page = browser.get(&prompt("consent").path()).await;
    page.assert_page(200, "grantor-consent");
    browser.decide(&page, "approve").await.assert_code();
    assert_eq!(comes(&browser, &prompt("consent")).await, "grantor-consent");
    assert_eq!(comes(&browser, &Ask::web()).await, "code");
    test.first_party("web").await;
    assert_eq!(comes(&browser, &prompt("consent")).await, "grantor-consent");
}

#[tokio::test]
async fn core_s3_1_2_1_select_account_lets_choose() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let browser = test.browser();
    assert_eq!(comes(&browser, &prompt("select_account")).await, "grantor-login");
    browser.code(&Ask::web()).await;
    let page = browser.get(&prompt("select_account").path()).await;
    page.assert_page(200, "grantor-select");
    assert!(page.text().contains("<bdi>alice</bdi>"));
    let stay = browser.get(&link(&page, "continue")).await;
    assert_eq!(who(&test, &web, &stay).await.0, "alice");
    let login = browser.get(&link(&page, "switch")).await;
    login.assert_page(200, "grantor-login");
    let reply = browser.log_in(&login, "bob", PASSWORD).await;
    let consent = browser.follow(&reply).await;
    assert_eq!(who(&test, &web, &browser.decide(&consent, "approve").await).await.0, "bob");
    // State, nonce and challenge came along through all of it.
    let reply = browser.get(&prompt("select_account").path()).await;
    let told = parameters(&browser.get(&link(&reply, "continue")).await);
    assert_eq!(told["state"], STATE);
}

#[tokio::test]
async fn core_s3_1_2_1_several_values_are_each_obeyed_in_any_order() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    for both in ["login consent", "consent login", " consent  login ", "login select_account consent"] {
        let page = browser.get(&prompt(both).path()).await;
        page.assert_page(200, "grantor-login");
        let reply = browser.log_in(&page, "alice", PASSWORD).await;
        let page = browser.follow(&reply).await;
        page.assert_page(200, "grantor-consent");
        browser.decide(&page, "approve").await.assert_code();
    }
    for both in ["select_account consent", "consent select_account"] {
        let page = browser.get(&prompt(both).path()).await;
        page.assert_page(200, "grantor-select");
        browser.get(&link(&page, "continue")).await.assert_page(200, "grantor-consent");
        let login = browser.get(&link(&page, "switch")).await;
        let reply = browser.log_in(&login, "alice", PASSWORD).await;
        browser.follow(&reply).await.assert_page(200, "grantor-consent");
    }
    for (bad, twin) in [("none login", "login"), ("consent none", "consent"), ("none select_account", "select_account")]
    {
        browser.get(&prompt(bad).path()).await.assert_refused("invalid_request", 4207);
        assert_ne!(comes(&browser, &prompt(twin)).await, "code");
    }
    for unknown in ["create", "LOGIN", "login,consent", "none\0", "login create"] {
        browser.get(&prompt(unknown).path()).await.assert_refused("invalid_request", 4207);
    }
    assert_eq!(comes(&browser, &prompt("none none")).await, "code");
}

#[tokio::test]
async fn core_s3_1_2_1_max_age_asks_who_signed_in_too_long_ago() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    let aged = Ask::web().with("max_age", "300");
    test.clock.advance(300);
    let reply = browser.get(&aged.path()).await;
    assert_eq!(who(&test, &web, &reply).await, ("alice".into(), START));
    test.clock.advance(1);
    browser.get(&aged.clone().with("prompt", "none").path()).await.assert_refused("login_required", 4211);
    assert_eq!(comes(&browser, &Ask::web().with("max_age", "301")).await, "code");
    let page = browser.get(&aged.path()).await;
    page.assert_page(200, "grantor-login");
    let reply = browser.log_in(&page, "alice", PASSWORD).await;
    let reply = browser.follow(&reply).await;
    assert_eq!(who(&test, &web, &reply).await, ("alice".into(), START + 301));
    assert_eq!(comes(&browser, &aged).await, "code");
    for bad in ["x", "-1", "1.5", "99999999999999999999", "0x10", "1 "] {
        browser.get(&Ask::web().with("max_age", bad).path()).await.assert_refused("invalid_request", 4208);
    }
}

#[tokio::test]
async fn core_s3_1_2_1_max_age_0_is_prompt_login() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    // Within the very second of the login, too.
    let ask = Ask::web().with("max_age", "0");
    let page = browser.get(&ask.path()).await;
    page.assert_page(200, "grantor-login");
    browser.get(&ask.with("prompt", "none").path()).await.assert_refused("login_required", 4211);
    let reply = browser.log_in(&page, "alice", PASSWORD).await;
    browser.follow(&reply).await.assert_code();
}

#[tokio::test]
async fn core_s3_1_2_1_login_hint_fills_in_the_name_and_asks_for_another_person() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    test.update_user("alice", None, Some("Alice@Example.com")).await;
    let hint = |hint: &str| Ask::web().with("login_hint", hint);
    let browser = test.browser();
    let nasty = "\"><script>alert(1)</script>";
    for name in ["bob", "nobody", nasty] {
        let page = browser.get(&hint(name).path()).await;
        page.assert_page(200, "grantor-login");
        let text = unescape(&page.text());
        assert!(text.contains(&format!("name=\"username\" type=\"text\" value=\"{name}\"")), "{text}");
        assert!(!page.text().contains("<script>"));
    }
    browser.code(&Ask::web()).await;
    let id = test.find_user("alice").await.id.to_string();
    for hers in ["alice", "ALICE", "alice@example.com", &id] {
        assert_eq!(comes(&browser, &hint(hers)).await, "code", "{hers}");
    }
    for other in ["bob", "nobody", "alice2"] {
        assert_eq!(comes(&browser, &hint(other)).await, "grantor-login", "{other}");
        browser.get(&hint(other).with("prompt", "none").path()).await.assert_refused("login_required", 4211);
    }
    // It is a hint: who signs in decides.
    let page = browser.get(&hint("bob").path()).await;
    let reply = browser.log_in(&page, "alice", PASSWORD).await;
    let reply = browser.follow(&reply).await;
    assert_eq!(who(&test, &web, &reply).await.0, "alice");
}

#[tokio::test]
async fn core_s3_1_2_1_id_token_hint_names_the_person_who_must_be_there() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let (alices, bobs) = (test.browser(), test.browser());
    let tokens = alices.tokens(&web, &Ask::web()).await;
    bobs.sign_in("bob").await;
    bobs.code(&Ask::web()).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let ask = Ask::web().with("id_token_hint", hint);
    assert_eq!(comes(&alices, &ask).await, "code");
    assert_eq!(comes(&alices, &ask.clone().with("prompt", "none")).await, "code");
    assert_eq!(comes(&bobs, &ask).await, "grantor-login");
    bobs.get(&ask.clone().with("prompt", "none").path()).await.assert_refused("login_required", 4211);
    // Who signs in then must be that person; anybody else is reported to the client, and not asked for ever.
    let page = bobs.get(&ask.path()).await;
    let reply = bobs.log_in(&page, "bob", PASSWORD).await;
    bobs.follow(&reply).await.assert_refused("login_required", 4217);
    let reply = alices.get(&ask.clone().with("prompt", "login").path()).await;
    let reply = alices.log_in(&reply, "alice", PASSWORD).await;
    alices.follow(&reply).await.assert_code();
    let select = alices.get(&ask.clone().with("prompt", "select_account").path()).await;
    let page = alices.get(&link(&select, "switch")).await;
    let third = test.browser();
    third.code(&Ask::web()).await;
    assert_eq!(comes(&third, &ask).await, "code");
    let reply = alices.log_in(&page, "bob", PASSWORD).await;
    alices.follow(&reply).await.assert_refused("login_required", 4217);
    // A person who is not signed in yet is asked, also where somebody was before.
    let stranger = test.browser();
    let page = stranger.get(&ask.path()).await;
    page.assert_page(200, "grantor-login");
    let page = stranger.log_in(&page, "bob", "wrong password").await;
    let reply = stranger.log_in(&page, "alice", PASSWORD).await;
    stranger.follow(&reply).await.assert_code();
    let alices = third;
    // One that has expired says who it was all the same.
    test.clock.advance(3601);
    assert_eq!(comes(&alices, &ask).await, "code");
    assert_eq!(comes(&bobs, &ask).await, "grantor-login");
    // What is no ID token of ours says nothing.
    let long = "x".repeat(10_000);
    let access = tokens["access_token"].as_str().unwrap();
    for none in ["x", "a.b.c", &hint[..hint.len() - 3], &spoiled(hint), access, &long] {
        assert_eq!(comes(&bobs, &Ask::web().with("id_token_hint", none)).await, "code");
    }
}

#[tokio::test]
async fn core_s6_request_objects_are_refused_and_not_fetched() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.code(&Ask::web()).await;
    let object = "eyJhbGciOiJub25lIn0.eyJzY29wZSI6Im9wZW5pZCJ9.";
    browser.get(&Ask::web().with("request", object).path()).await.assert_refused("request_not_supported", 4209);
    let uri = format!("{PUBLIC_URL}/r");
    browser.get(&Ask::web().with("request_uri", &uri).path()).await.assert_refused("request_uri_not_supported", 4210);
    assert_eq!(comes(&browser, &Ask::web()).await, "code");
}

#[tokio::test]
async fn core_s3_1_2_3_a_login_page_says_for_whom_it_is_and_a_form_brings_it_back() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    assert!(page.text().contains("to continue to <strong><bdi>web</bdi></strong>"), "{}", page.text());
    assert_eq!(field(&page, "then"), format!("authorize?{}", Ask::web().query()));
    let page = browser.log_in(&page, "alice", "wrong password").await;
    page.assert_page(400, "grantor-login");
    assert!(page.text().contains("to continue to <strong><bdi>web</bdi></strong>"));
    assert_eq!(field(&page, "then"), format!("authorize?{}", Ask::web().query()));
    assert!(browser.get("/account").await.text().contains("to manage your account"));
}
