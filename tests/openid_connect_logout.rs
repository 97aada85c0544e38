//! OpenID Connect RP-Initiated Logout 1.0: signing out, asked for by a client or by the person.

use crate::support::answers::{fields, spoiled};
use crate::support::browser::{Ask, Browser, PASSWORD, main_id};
use crate::support::{API, Reply, TestApp, TestClient, claims};
use grantor::store::client_settings::SettingChanges;
use grantor::store::clients::ClientParts;
use grantor::types::policy::RefreshPolicy;
use serde_json::Value;

const LOGOUT: &str = "/oauth2/v2.0/logout";
const OUT: &str = "https://app.example.com/out?kept=1";
const COOKIE: &str = "__Host-grantor_session";

async fn with_logout_uri() -> (TestApp, TestClient) {
    let (test, web) = TestApp::with_people().await;
    for uri in [OUT, "http://127.0.0.1/out"] {
        let add_logout_uris = vec![uri.parse().unwrap()];
        test.update_client("web", ClientParts { add_logout_uris, ..ClientParts::default() }).await;
    }
    (test, web)
}

/// The ID token of a new authorization.
async fn id_token(browser: &Browser<'_>, web: &TestClient) -> String {
    browser.tokens(web, &Ask::web()).await["id_token"].as_str().unwrap().to_owned()
}

async fn leave(browser: &Browser<'_>, parameters: &[(&str, &str)]) -> Reply {
    browser.get(&format!("{LOGOUT}?{}", serde_urlencoded::to_string(parameters).unwrap())).await
}

/// Presses the button of the page that asks.
async fn confirm(browser: &Browser<'_>, page: &Reply) -> Reply {
    let given: Vec<(String, String)> = fields(page).into_iter().collect();
    let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(LOGOUT, &given).await
}

async fn is_signed_in(browser: &Browser<'_>) -> bool {
    main_id(&browser.get("/account").await).as_deref() == Some("grantor-account")
}

/// Asserts that the reply takes the cookie from the browser.
#[track_caller]
fn assert_cookie_taken(reply: &Reply) {
    let set = reply.header("set-cookie");
    assert!(set.starts_with(&format!("{COOKIE}=; ")) && set.ends_with("; Max-Age=0"), "{set}");
    for attribute in ["Path=/", "Secure", "HttpOnly"] {
        assert!(set.contains(attribute), "a browser takes it only with {attribute}: {set}");
    }
}

#[tokio::test]
async fn s2_an_id_token_of_this_session_signs_out_without_a_question() {
    let (test, web) = with_logout_uri().await;
    for post in [false, true] {
        let browser = test.browser();
        let hint = id_token(&browser, &web).await;
        let cookie = browser.cookie(COOKIE).unwrap();
        // One that has expired is as good.
        test.clock.advance(3601);
        let given = [("id_token_hint", hint.as_str())];
        let reply = if post { browser.post(LOGOUT, &given).await } else { leave(&browser, &given).await };
        reply.assert_page(200, "grantor-logged-out");
        assert_cookie_taken(&reply);
        assert!(browser.cookie(COOKIE).is_none() && !is_signed_in(&browser).await);
        browser.set_cookie(COOKIE, &cookie);
        assert!(!is_signed_in(&browser).await, "the cookie is worth nothing");
        leave(&browser, &given).await.assert_page(200, "grantor-logged-out");
    }
}

#[tokio::test]
async fn s2_without_one_the_person_is_asked() {
    let (test, web) = with_logout_uri().await;
    test.user_with("bob", PASSWORD).await;
    let (browser, elsewhere, theirs) = (test.browser(), test.browser(), test.browser());
    let other_session = id_token(&elsewhere, &web).await;
    theirs.sign_in("bob").await;
    let other_person = id_token(&theirs, &web).await;
    let own = id_token(&browser, &web).await;
    let access = browser.tokens(&web, &Ask::web()).await["access_token"].as_str().unwrap().to_owned();
    let broken = spoiled(&own);
    for hint in ["", "x", &broken, &access, &other_session, &other_person] {
        let page = leave(&browser, &[("id_token_hint", hint), ("state", "s")]).await;
        page.assert_page(200, "grantor-logout");
        assert!(page.text().contains("<bdi>alice</bdi>"));
        assert!(page.text().contains("<button class=\"button primary\" id=\"logout\" type=\"submit\">"));
        // A client that posts cannot confirm for the person.
        browser.post(LOGOUT, &[("id_token_hint", hint)]).await.assert_page(200, "grantor-logout");
        assert!(is_signed_in(&browser).await);
    }
    let page = browser.get(LOGOUT).await;
    for csrf in ["", "x", &fields(&theirs.get("/account").await)["csrf"]] {
        let reply = browser.post(LOGOUT, &[("csrf", csrf)]).await;
        match csrf {
            "" => reply.assert_page(200, "grantor-logout"),
            _ => reply.assert_error_page(400, 4214),
        }
        assert!(is_signed_in(&browser).await);
    }
    let reply = confirm(&browser, &page).await;
    reply.assert_page(200, "grantor-logged-out");
    assert_cookie_taken(&reply);
    assert!(!is_signed_in(&browser).await);
    assert!(is_signed_in(&elsewhere).await && is_signed_in(&theirs).await);
    // Nobody is there: nothing to ask.
    test.browser().get(LOGOUT).await.assert_page(200, "grantor-logged-out");
}

#[tokio::test]
async fn s3_a_registered_address_is_gone_to_with_state() {
    let (test, web) = with_logout_uri().await;
    let browser = test.browser();
    let state = "a b+c&%é\"<";
    let back = [("post_logout_redirect_uri", OUT), ("state", state)];
    let expected = format!("{OUT}&{}", serde_urlencoded::to_string([("state", state)]).unwrap());

    let hint = id_token(&browser, &web).await;
    let reply = leave(&browser, &[&back[..], &[("id_token_hint", &hint)]].concat()).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, expected.as_str()));
    assert_cookie_taken(&reply);

    // By the client's name alone the person is asked first, and goes there afterwards.
    browser.sign_in("alice").await;
    let page = leave(&browser, &[&back[..], &[("client_id", "web")]].concat()).await;
    page.assert_page(200, "grantor-logout");
    assert!(page.header("content-security-policy").contains("form-action 'self' https://app.example.com "));
    let reply = confirm(&browser, &page).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, expected.as_str()));

    // Nobody is signed in any more.
    let reply = leave(&browser, &[&back[..1], &[("client_id", "web")]].concat()).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, OUT));
    let port = [("post_logout_redirect_uri", "http://127.0.0.1:49152/out"), ("client_id", "web")];
    assert_eq!(leave(&browser, &port).await.header("location"), port[0].1);
}

// M142
#[tokio::test]
async fn s3_any_other_address_is_gone_to_by_nobody() {
    let (test, web) = with_logout_uri().await;
    test.web_client("other", &[], "https://other.example.com/cb").await;
    let browser = test.browser();
    let hint = id_token(&browser, &web).await;
    for uri in [
        "https://evil.example/",
        "https://app.example.com/out",
        "https://app.example.com/out?kept=1&more=2",
        "https://app.example.com/out?kept=1#x",
        "https://app.example.com/cb",
        "https://app.example.com.evil.example/out?kept=1",
        "//evil.example",
        "/account",
        "javascript:alert(1)",
        "http://localhost/out",
    ] {
        for who in [("client_id", "web"), ("client_id", "nobody"), ("client_id", "other"), ("x", "y")] {
            let stranger = test.browser();
            leave(&stranger, &[("post_logout_redirect_uri", uri), who]).await.assert_page(200, "grantor-logged-out");
            leave(&browser, &[("post_logout_redirect_uri", uri), who]).await.assert_page(200, "grantor-logout");
        }
    }
    // §2: hint and client_id must be of one client; and only that client's addresses count.
    let mixed = [("post_logout_redirect_uri", OUT), ("id_token_hint", hint.as_str()), ("client_id", "other")];
    leave(&browser, &mixed).await.assert_page(200, "grantor-logout");
    let same = [mixed[0], mixed[1], ("client_id", "web")];
    assert_eq!(leave(&browser, &same).await.header("location"), OUT);
    leave(&browser, &[mixed[0]]).await.assert_page(200, "grantor-logged-out");
    leave(&browser, &[mixed[0], ("client_id", "other")]).await.assert_page(200, "grantor-logged-out");
    test.delete_client("web").await;
    leave(&browser, &same).await.assert_page(200, "grantor-logged-out");
}

#[tokio::test]
async fn what_was_allowed_while_the_person_is_there_falls_and_the_rest_stays() {
    let (test, web) = with_logout_uri().await;
    let policy = SettingChanges { refresh_policy: Some(RefreshPolicy::Always), ..SettingChanges::default() };
    test.set_client("web", policy).await;
    let serving = test.serving_client("api-server", API).await;
    let (browser, elsewhere) = (test.browser(), test.browser());
    let here = Ask::web().with("scope", &format!("openid {API}/read"));
    let (online, offline) = (browser.tokens(&web, &here).await, browser.tokens(&web, &Ask::web()).await);
    let other = elsewhere.tokens(&web, &here).await;
    let active = async |tokens: &Value| {
        let token = tokens["access_token"].as_str().unwrap();
        let introspected = test.introspect(&serving, token).await["active"] == true;
        let user_info = test.get_as("/oauth2/v2.0/userinfo", token).await.status.as_u16() == 200;
        assert_eq!(introspected, user_info);
        introspected
    };
    for tokens in [&online, &offline, &other] {
        assert!(active(tokens).await && tokens["refresh_token"].is_string(), "{tokens}");
    }
    let code = browser.code(&here).await;
    let hint = online["id_token"].as_str().unwrap();
    leave(&browser, &[("id_token_hint", hint)]).await.assert_page(200, "grantor-logged-out");

    assert!(!active(&online).await && active(&offline).await && active(&other).await);
    let refresh = async |tokens: &Value| test.refresh(&web, tokens["refresh_token"].as_str().unwrap()).await;
    refresh(&online).await.assert_error(400, "invalid_grant", 4106);
    assert_eq!(refresh(&offline).await.status.as_u16(), 200);
    assert_eq!(refresh(&other).await.status.as_u16(), 200);
    // A code that nobody redeemed yet is no way around it.
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4101);
    let sid = |tokens: &Value| claims(tokens["id_token"].as_str().unwrap())["sid"].clone();
    assert!(sid(&online) == sid(&offline) && sid(&online) != sid(&other));
}
