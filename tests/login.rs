//! Signing in: the cookies of a session, how it is renewed and ends, and passwords (NIST SP 800-63B §3.1.1, RFC 6749
//! §10.10).

use crate::support::browser::{Ask, Browser, PASSWORD, field, main_id};
use crate::support::{Reply, START, TestApp, claims, fresh_database};
use axum::body::Body;
use axum::http::Request;
use grantor::types::clock::Clock;
use regex::Regex;

const SESSION: &str = "__Host-grantor_session";
const FORM: &str = "__Host-grantor_form";
const WRONG: &str = "wrong password";

async fn with_alice() -> TestApp {
    let test = TestApp::new().await;
    test.user_with("alice", PASSWORD).await;
    test
}

async fn is_signed_in(browser: &Browser<'_>) -> bool {
    main_id(&browser.get("/account").await).as_deref() == Some("grantor-account")
}

/// Tries to sign in on a fresh page.
async fn try_login(browser: &Browser<'_>, username: &str, password: &str) -> Reply {
    let page = browser.get(&browser.test.at("/account")).await;
    browser.log_in(&page, username, password).await
}

/// The name, the value and the attributes of each cookie that is set.
fn cookies(reply: &Reply) -> Vec<(String, String, Vec<String>)> {
    let parts = |set: &str| {
        let mut parts = set.split("; ").map(str::to_owned);
        let (name, value) = parts.next().unwrap().split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        (name, value, parts.collect())
    };
    reply.headers.get_all("set-cookie").iter().map(|set| parts(set.to_str().unwrap())).collect()
}

#[tokio::test]
async fn rfc6265bis_s4_1_cookies_are_for_this_host_alone_and_for_no_script() {
    let test = with_alice().await;
    let browser = test.browser();
    let page = browser.get("/account").await;
    let reply = browser.log_in(&page, "alice", PASSWORD).await;
    for (reply, name, start) in [(&page, FORM, "grfo_"), (&reply, SESSION, "grse_")] {
        let [(found, value, attributes)] = &cookies(reply)[..] else { panic!("{:?}", reply.headers) };
        assert_eq!(found, name);
        // 256 random bits.
        assert!(value.starts_with(start) && value.len() == start.len() + 43, "{value}");
        assert_eq!(attributes, &["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]);
    }
    // Nothing is set again that the browser has.
    assert!(cookies(&browser.get("/account").await).is_empty());
}

#[tokio::test]
async fn rfc6265bis_s4_1_3_without_https_there_is_no_prefix_and_a_path_changes_nothing() {
    for (public_url, base, prefix, attributes) in [
        ("http://127.0.0.1:8080", "", "grantor", &["Path=/", "HttpOnly", "SameSite=Lax"].map(str::to_owned)[..]),
        (
            "https://example.com/sso",
            "/sso",
            "__Host-grantor",
            &["Path=/", "HttpOnly", "SameSite=Lax", "Secure"].map(str::to_owned),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let database = fresh_database(&folder).await;
        let test = TestApp::open(folder, database, Clock::manual(START), public_url).await;
        test.user_with("alice", PASSWORD).await;
        let browser = test.browser();
        let page = browser.get("/account").await;
        assert!(page.text().contains(&format!("action=\"{base}/login\"")), "{}", page.text());
        let reply = browser.log_in(&page, "alice", PASSWORD).await;
        assert_eq!(reply.header("location"), format!("{base}/account"));
        for (reply, name) in [(&page, "form"), (&reply, "session")] {
            let (found, _, written) = &cookies(reply)[0];
            assert_eq!((found, &written[..]), (&format!("{prefix}_{name}"), attributes));
        }
        browser.get(&format!("{base}/account")).await.assert_page(200, "grantor-account");
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_is_no_session() {
    let test = with_alice().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let session = browser.cookie(SESSION).unwrap();
    let (other, long) = (session.to_uppercase(), "x".repeat(20_000));
    for bad in ["", "grse_", "x", &session[..session.len() - 1], &other, &format!("{session}x"), &long, "\"", "a%00b"] {
        browser.set_cookie(SESSION, bad);
        assert!(!is_signed_in(&browser).await, "{bad}");
    }
    browser.set_cookie(SESSION, &session);
    assert!(is_signed_in(&browser).await);
    // Somebody set a second one: neither is believed.
    let request = Request::get("/account").header("cookie", format!("{SESSION}={session}; {SESSION}=grse_x"));
    test.send(request.body(Body::empty()).unwrap()).await.assert_page(200, "grantor-login");
    let request = Request::get("/account").header("cookie", format!("{SESSION}={session}"));
    test.send(request.body(Body::empty()).unwrap()).await.assert_page(200, "grantor-account");
}

#[tokio::test]
async fn sp800_63b_s5_1_a_login_renews_the_cookie_and_keeps_the_session_of_the_same_person() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let sid = async || claims(browser.tokens(&web, &Ask::web()).await["id_token"].as_str().unwrap())["sid"].clone();
    let first = sid().await;
    let old = browser.cookie(SESSION).unwrap();
    let page = browser.get(&Ask::web().with("prompt", "login").path()).await;
    assert_eq!(browser.log_in(&page, "alice", PASSWORD).await.status.as_u16(), 303);
    assert_ne!(browser.cookie(SESSION).unwrap(), old);
    assert_eq!(sid().await, first);
    assert_eq!(browser.get("/account").await.text().matches("This browser").count(), 1);
    // Whoever planted or kept the old cookie has nothing.
    let thief = test.browser();
    thief.set_cookie(SESSION, &old);
    assert!(!is_signed_in(&thief).await && is_signed_in(&browser).await);
    // A wrong password renews nothing.
    let now = browser.cookie(SESSION).unwrap();
    let page = browser.get(&Ask::web().with("prompt", "login").path()).await;
    browser.log_in(&page, "alice", WRONG).await.assert_page(400, "grantor-login");
    assert_eq!(browser.cookie(SESSION).unwrap(), now);
    assert!(is_signed_in(&browser).await);
}

#[tokio::test]
async fn sp800_63b_s5_1_another_persons_login_ends_the_first_session() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let (browser, elsewhere) = (test.browser(), test.browser());
    elsewhere.sign_in("alice").await;
    let online = Ask::web().with("scope", "openid https://api.example.com/read");
    let tokens = browser.tokens(&web, &online).await;
    let old = browser.cookie(SESSION).unwrap();
    let page = browser.get(&Ask::web().with("prompt", "login").path()).await;
    browser.log_in(&page, "bob", PASSWORD).await;
    assert!(browser.get("/account").await.text().contains("bob"));
    let thief = test.browser();
    thief.set_cookie(SESSION, &old);
    assert!(!is_signed_in(&thief).await && is_signed_in(&elsewhere).await);
    // What the first person allowed while they are there is over.
    let token = tokens["access_token"].as_str().unwrap();
    test.get_as("/oauth2/v2.0/userinfo", token).await.assert_error(401, "invalid_token", 5003);
}

#[tokio::test]
async fn sp800_63b_s5_2_a_session_ends_when_it_is_not_used() {
    let test = with_alice().await;
    let idle = test.app.config.sessions.idle;
    let browser = test.browser();
    browser.sign_in("alice").await;
    for _ in 0..3 {
        test.clock.advance(idle - 1);
        assert!(is_signed_in(&browser).await);
    }
    test.clock.advance(idle);
    assert!(!is_signed_in(&browser).await);
    // A client that redirects silently uses it too.
    browser.sign_in("alice").await;
    test.clock.advance(idle - 1);
    browser.get("/oauth2/v2.0/logout").await.assert_page(200, "grantor-logout");
    test.clock.advance(idle - 1);
    assert!(is_signed_in(&browser).await);
}

#[tokio::test]
async fn sp800_63b_s5_2_a_session_ends_at_its_age_however_much_it_is_used() {
    let test = with_alice().await;
    let lifetime = test.app.config.sessions.lifetime;
    let browser = test.browser();
    browser.sign_in("alice").await;
    let step = test.app.config.sessions.idle / 2;
    while test.clock.now() + step < START + lifetime {
        test.clock.advance(step);
        assert!(is_signed_in(&browser).await);
    }
    test.clock.advance(START + lifetime - 1 - test.clock.now());
    assert!(is_signed_in(&browser).await);
    test.clock.advance(1);
    assert!(!is_signed_in(&browser).await);
    browser.sign_in("alice").await;
    assert!(is_signed_in(&browser).await);
}

#[tokio::test]
async fn a_session_ends_with_its_user_and_with_the_password() {
    for end in ["disabled", "deleted", "password"] {
        let test = with_alice().await;
        test.user_with("bob", PASSWORD).await;
        let (browser, other) = (test.browser(), test.browser());
        browser.sign_in("alice").await;
        other.sign_in("bob").await;
        let page = browser.get("/account").await;
        match end {
            "disabled" => test.set_user_enabled("alice", false).await,
            "deleted" => test.delete_user("alice").await,
            _ => test.set_password("alice", "another password 1").await,
        }
        assert!(!is_signed_in(&browser).await && is_signed_in(&other).await, "{end}");
        let csrf = field(&page, "csrf");
        let reply = browser.post("/account/sessions", &[("csrf", &csrf), ("id", "x")]).await;
        reply.assert_page(200, "grantor-login");
        try_login(&browser, "alice", PASSWORD).await.assert_page(400, "grantor-login");
        match end {
            "disabled" => {
                test.set_user_enabled("alice", true).await;
                assert!(!is_signed_in(&browser).await, "what ended stays ended");
                assert_eq!(try_login(&browser, "alice", PASSWORD).await.status.as_u16(), 303);
            }
            "deleted" => {
                test.user_with("alice", PASSWORD).await;
                assert!(!is_signed_in(&browser).await, "it is another person of that name");
            }
            _ => assert_eq!(try_login(&browser, "alice", "another password 1").await.status.as_u16(), 303),
        }
    }
}

/// The page without what differs between any two of them.
fn comparable(page: &Reply, username: &str) -> String {
    let text = page.text().replace(username, "NAME");
    Regex::new(r#"nonce="[^"]*"|name="csrf" value="[^"]*""#).unwrap().replace_all(&text, "").into_owned()
}

// M008 M032 M044
#[tokio::test]
async fn rfc6749_s10_10_nothing_tells_a_missing_user_from_a_wrong_password() {
    let test = with_alice().await;
    test.user("nopassword").await;
    test.user_with("disabled", PASSWORD).await;
    test.set_user_enabled("disabled", false).await;
    let browser = test.browser();
    let expected = comparable(&try_login(&browser, "alice", WRONG).await, "alice");
    assert!(expected.contains("The username or the password is not right."));
    let (long, longer) = ("x".repeat(121), "y".repeat(20_000));
    for name in [
        "missing",
        "nopassword",
        "disabled",
        "nul\0in-it",
        "with space",
        "colon:comma,",
        "5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2",
        "ÄÖÜ🔑\u{202e}",
        "%00%0d%0a",
        "' OR 1=1 --",
        &long,
        &longer,
    ] {
        let reply = try_login(&browser, name, WRONG).await;
        reply.assert_page(400, "grantor-login");
        let name = name.replace('\'', "&#39;");
        assert_eq!(comparable(&reply, &name), expected, "{name:?}");
    }
    for (name, password) in [("alice", ""), ("", PASSWORD), ("", ""), ("nopassword", ""), ("missing", PASSWORD)] {
        let reply = try_login(&browser, name, password).await;
        reply.assert_page(400, "grantor-login");
        assert!(reply.text().contains("The username or the password is not right."), "{name} {password}");
    }
    for password in ["\0", "correct horse battery\0", "Correct horse battery", " correct horse battery"] {
        try_login(&test.browser_at("192.0.2.1"), "alice", password).await.assert_page(400, "grantor-login");
    }
    // Who knows the password is told that the account is disabled.
    let reply = try_login(&browser, "disabled", PASSWORD).await;
    reply.assert_page(400, "grantor-login");
    assert!(reply.text().contains("This account is disabled."));
    assert_eq!(try_login(&browser, "alice", PASSWORD).await.status.as_u16(), 303);
}

#[tokio::test]
async fn a_user_name_has_no_case() {
    let test = TestApp::new().await;
    test.user_with("Jürgen", PASSWORD).await;
    for name in ["jürgen", "JÜRGEN", "Jürgen", " jürgen "] {
        let reply = try_login(&test.browser(), name, PASSWORD).await;
        assert_eq!(reply.status.as_u16(), 303, "{name}: {}", reply.text());
    }
    try_login(&test.browser(), "jurgen", PASSWORD).await.assert_page(400, "grantor-login");
}

// M006 M032
#[tokio::test]
async fn rfc6749_s10_10_ten_wrong_passwords_are_enough_for_a_while() {
    let test = with_alice().await;
    test.user_with("bob", PASSWORD).await;
    let other = test.beside("t1").await;
    other.user_with("alice", PASSWORD).await;
    let (browser, elsewhere) = (test.browser_at("192.0.2.1"), test.browser_at("192.0.2.2"));
    // However the name is written.
    for name in ["alice", "ALICE", " alice", "Alice ", "alice", "aLICE", "alice", "alice", "alice", "alice"] {
        try_login(&browser, name, WRONG).await.assert_page(400, "grantor-login");
    }
    for password in [PASSWORD, WRONG] {
        let reply = try_login(&browser, "alice", password).await;
        reply.assert_page(429, "grantor-login");
        assert!(reply.text().contains("There were too many attempts."));
    }
    // Nobody else is kept out: not from elsewhere, not another person, not the same name in another tenant.
    assert_eq!(try_login(&elsewhere, "alice", PASSWORD).await.status.as_u16(), 303);
    assert_eq!(try_login(&test.browser_at("192.0.2.1"), "bob", PASSWORD).await.status.as_u16(), 303);
    assert_eq!(try_login(&other.browser_at("192.0.2.1"), "alice", PASSWORD).await.status.as_u16(), 303);

    test.clock.advance(299);
    try_login(&browser, "alice", PASSWORD).await.assert_page(429, "grantor-login");
    test.clock.advance(1);
    assert_eq!(try_login(&browser, "alice", PASSWORD).await.status.as_u16(), 303);
}

#[tokio::test]
async fn rfc6749_s10_10_a_name_that_is_not_there_is_counted_too() {
    let test = with_alice().await;
    for _ in 0..10 {
        try_login(&test.browser(), "missing", WRONG).await.assert_page(400, "grantor-login");
    }
    try_login(&test.browser(), "missing", WRONG).await.assert_page(429, "grantor-login");
}

#[tokio::test]
async fn rfc6749_s10_10_right_passwords_and_refused_forms_are_not_counted() {
    let test = with_alice().await;
    test.user_with("disabled", PASSWORD).await;
    test.set_user_enabled("disabled", false).await;
    let browser = test.browser();
    for _ in 0..9 {
        try_login(&browser, "alice", WRONG).await.assert_page(400, "grantor-login");
    }
    for _ in 0..12 {
        assert_eq!(try_login(&test.browser(), "alice", PASSWORD).await.status.as_u16(), 303);
        try_login(&test.browser(), "disabled", PASSWORD).await.assert_page(400, "grantor-login");
        let form = [("csrf", "x"), ("username", "alice"), ("password", WRONG)];
        browser.post("/login", &form).await.assert_page(400, "grantor-login");
    }
    let reply = try_login(&test.browser(), "alice", PASSWORD).await;
    assert_eq!(reply.status.as_u16(), 303);
    try_login(&test.browser(), "alice", WRONG).await.assert_page(400, "grantor-login");
    try_login(&test.browser(), "alice", PASSWORD).await.assert_page(429, "grantor-login");
}

#[tokio::test]
async fn rfc6749_s10_10_guesses_from_everywhere_do_not_keep_the_owner_out() {
    let test = with_alice().await;
    let home = test.browser_at("2001:db8::1");
    assert_eq!(try_login(&home, "alice", PASSWORD).await.status.as_u16(), 303);
    for from in 0..10 {
        let attacker = test.browser_at(&format!("198.51.100.{from}"));
        for _ in 0..10 {
            try_login(&attacker, "alice", WRONG).await.assert_page(400, "grantor-login");
        }
    }
    let new = test.browser_at("203.0.113.1");
    try_login(&new, "alice", WRONG).await.assert_page(429, "grantor-login");
    let again = test.browser_at("2001:db8::1");
    assert_eq!(try_login(&again, "alice", PASSWORD).await.status.as_u16(), 303);
    test.clock.advance(300);
    assert_eq!(try_login(&new, "alice", PASSWORD).await.status.as_u16(), 303);
}
