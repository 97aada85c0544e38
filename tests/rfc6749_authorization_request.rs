//! RFC 6749 §3.1 and §4.1.2.1: the authorization request, who is told what is wrong with it, and what comes back.

use crate::support::answers::{may_stand_in_a_description, parameters};
use crate::support::browser::{Ask, NATIVE, PASSWORD, WEB_CALLBACK, field};
use crate::support::{API, PUBLIC_URL, TestApp};
use axum::body::Body;
use axum::http::Request;
use grantor::authorization::CHECKS;
use grantor::store::clients::ClientParts;

const AUTHORIZE: &str = "/oauth2/v2.0/authorize";

fn encoded(value: &str) -> String {
    serde_urlencoded::to_string([("v", value)]).unwrap()[2..].to_owned()
}

// M010
#[tokio::test]
async fn s3_1_get_and_post_are_served_and_nothing_else() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.get(&Ask::web().path()).await.assert_page(200, "grantor-login");
    let posted = test.post_raw(AUTHORIZE, &[], Ask::web().query()).await;
    assert_eq!(posted.status.as_u16(), 303, "{}", posted.text());
    assert_eq!(posted.header("location"), Ask::web().path());
    browser.get(posted.header("location")).await.assert_page(200, "grantor-login");
    // What stands in the URL of a POST is no part of it.
    let request = Request::post(Ask::web().path()).header("content-type", "application/x-www-form-urlencoded");
    let posted = test.send(request.body(Body::empty()).unwrap()).await;
    browser.follow(&posted).await.assert_error_page(400, 1006);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = Request::builder().method(method).uri(Ask::web().path());
        let reply = test.send(request.body(Body::empty()).unwrap()).await;
        reply.assert_error_page(405, 1001);
        assert_eq!(reply.header("allow"), "GET, HEAD, POST", "{method}");
    }
}

// M013
#[tokio::test]
async fn s3_1_a_repeated_parameter_is_refused() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    for name in [
        "response_type",
        "scope",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "login_hint",
        "id_token_hint",
        "unknown",
    ] {
        let reply = browser.get(&Ask::web().path_and(&format!("{name}=1&{name}=1"))).await;
        reply.assert_refused("invalid_request", 1005);
    }
    // Twice the same is a repeat too; a repeat without a value is none; `resource` may repeat (RFC 8707 §2).
    browser.get(&Ask::web().path_and("response_type=code")).await.assert_refused("invalid_request", 1005);
    browser.get(&Ask::web().path_and("response_type=&scope=")).await.assert_page(200, "grantor-login");
    let twice = format!("resource={API}&resource={API}");
    browser.get(&Ask::web().path_and(&twice)).await.assert_page(200, "grantor-login");
    test.post_raw(AUTHORIZE, &[], format!("{}&scope=x", Ask::web().query())).await.assert_error_page(400, 1005);
}

// M011 M012
#[tokio::test]
async fn s3_1_an_empty_parameter_is_absent_and_an_unknown_one_ignored() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let empty = "prompt=&max_age=&login_hint=&id_token_hint=&resource=&request=&request_uri=&response_mode=";
    browser.get(&Ask::web().path_and(empty)).await.assert_page(200, "grantor-login");
    browser.get(&Ask::web().with("client_id", "").path()).await.assert_error_page(400, 1006);
    let reply = browser.get(&Ask::web().with("response_type", "").path()).await;
    assert!(reply.assert_refused("invalid_request", 1006)["error_description"].contains("response_type"));
    let unknown = "foo=bar&display=popup&ui_locales=de&claims_locales=de&acr_values=1&%F0%9F%94%91=%00&registration=x";
    browser.get(&Ask::web().path_and(unknown)).await.assert_page(200, "grantor-login");
    // M018: empty is absent, and one address alone is registered. M028: no state was sent.
    let ask = Ask::web().with("redirect_uri", "").with("state", "");
    let told = parameters(&browser.authorize(&ask).await);
    assert_eq!(told.keys().collect::<Vec<_>>(), ["code", "iss"]);
}

#[tokio::test]
async fn s3_1_a_flood_of_parameters_is_refused() {
    let (test, _) = TestApp::with_people().await;
    let more = |count: usize| (0..count).map(|at| format!("p{at}=1")).collect::<Vec<_>>().join("&");
    test.browser().get(&Ask::web().path_and(&more(92))).await.assert_page(200, "grantor-login");
    test.browser().get(&Ask::web().path_and(&more(93))).await.assert_error_page(400, 1007);
}

// M014
#[tokio::test]
async fn s3_1_1_a_missing_or_unknown_response_type_is_not_guessed() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.get(&Ask::web().without("response_type").path()).await.assert_refused("invalid_request", 1006);
    for unknown in ["token", "id_token", "code id_token", "id_token code", "CODE", "code code", "none", "cod", "code,"]
    {
        let reply = browser.get(&Ask::web().with("response_type", unknown).path()).await;
        reply.assert_refused("unsupported_response_type", 3004);
    }
    browser.get(&Ask::web().with("response_type", "code").path()).await.assert_page(200, "grantor-login");
}

// M015 M017 M019 M048 M141
#[tokio::test]
async fn s3_1_2_3_a_redirect_uri_is_the_registered_one_character_by_character() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    for other in [
        "https://app.example.com/cb/",
        "https://app.example.com/CB",
        "https://APP.example.com/cb",
        "HTTPS://app.example.com/cb",
        "https://app.example.com/cb?x=1",
        "https://app.example.com/cb?",
        "https://app.example.com/cb#",
        "https://app.example.com/cb#fragment",
        "https://app.example.com:443/cb",
        "https://app.example.com/%63b",
        "https://app.example.com/x/../cb",
        "https://app.example.com/cb\0",
        "https://app.example.com/cb\r\nx: y",
        " https://app.example.com/cb",
        "http://app.example.com/cb",
        "https://sub.app.example.com/cb",
        "https://app.example.com.evil.example/cb",
        "https://app.example.com@evil.example/cb",
        "https://user@app.example.com/cb",
        "https://evil.example/?https://app.example.com/cb",
        "//app.example.com/cb",
        "/cb",
        "app.example.com/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://127.0.0.1/cb",
    ] {
        for prompt in ["login", "none"] {
            let reply = browser.get(&Ask::web().with("redirect_uri", other).with("prompt", prompt).path()).await;
            reply.assert_error_page(400, 4202);
        }
    }
    let reply = browser.authorize(&Ask::web()).await;
    assert!(reply.header("location").starts_with(&format!("{WEB_CALLBACK}?code=")));
}

// M016 M018
#[tokio::test]
async fn s3_1_2_3_without_exactly_one_registered_uri_the_request_must_name_it() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let ask = Ask::web().without("redirect_uri");
    assert!(browser.authorize(&ask).await.header("location").starts_with(&format!("{WEB_CALLBACK}?code=")));

    let second = "https://app.example.com/second";
    test.redirects("web", second).await;
    browser.get(&ask.path()).await.assert_error_page(400, 4203);
    for uri in [WEB_CALLBACK, second] {
        let reply = browser.authorize(&Ask::web().with("redirect_uri", uri)).await;
        assert!(reply.header("location").starts_with(&format!("{uri}?code=")), "{}", reply.header("location"));
    }
    let remove_redirect_uris = vec![WEB_CALLBACK.parse().unwrap(), second.parse().unwrap()];
    test.update_client("web", ClientParts { remove_redirect_uris, ..ClientParts::default() }).await;
    browser.get(&ask.path()).await.assert_error_page(400, 4203);
    browser.get(&Ask::web().path()).await.assert_error_page(400, 4202);
}

// M009 M015
#[tokio::test]
async fn s3_1_2_the_query_of_a_redirect_uri_is_kept() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    for (uri, separator) in [
        ("https://app.example.com/q?a=b%20c&d", "&"),
        ("https://app.example.com/q?a=b&", ""),
        ("https://app.example.com/q?", ""),
        ("https://app.example.com/q;a=b", "?"),
    ] {
        test.redirects("web", uri).await;
        let ask = Ask::web().with("redirect_uri", uri);
        let reply = browser.authorize(&ask).await;
        let start = format!("{uri}{separator}code=");
        assert!(reply.header("location").starts_with(&start), "{}", reply.header("location"));
        let reply = browser.get(&ask.with("response_type", "token").path()).await;
        let start = format!("{uri}{separator}error=unsupported_response_type&");
        assert!(reply.header("location").starts_with(&start), "{}", reply.header("location"));
    }
}

// M019 M047
#[tokio::test]
async fn s4_1_2_1_the_person_is_told_while_client_or_redirect_uri_are_not_proven() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let long = "x".repeat(5000);
    for unknown in ["nobody", "WEB", "web ", "web\0", "<script>alert(1)</script>", "é", &long] {
        let reply = browser.get(&Ask::web().with("client_id", unknown).with("prompt", "none").path()).await;
        reply.assert_error_page(400, 4201);
        assert!(!reply.text().contains("<script>alert"));
    }
    browser.get(&Ask::web().without("client_id").path()).await.assert_error_page(400, 1006);
    browser.get(AUTHORIZE).await.assert_error_page(400, 1006);
    for name in ["client_id=web", &format!("redirect_uri={WEB_CALLBACK}")] {
        browser.get(&Ask::web().path_and(name)).await.assert_error_page(400, 1005);
    }
    // Too long to be carried through the pages, by GET and by POST; one that fits is carried.
    let long = Ask::web().with("state", &"/".repeat(6000));
    browser.get(&long.path()).await.assert_error_page(400, 4218);
    let posted = test.post_raw(AUTHORIZE, &[], long.query()).await;
    posted.assert_error_page(400, 4218);
    browser.get(&Ask::web().with("state", &"/".repeat(4000)).path()).await.assert_page(200, "grantor-login");
    // A redirect URI of another client is none of this one.
    let theirs = Ask::web().with("client_id", NATIVE);
    browser.get(&theirs.path()).await.assert_error_page(400, 4202);

    test.set_client_enabled("web", false).await;
    browser.get(&Ask::web().path()).await.assert_error_page(400, 4201);
    test.set_client_enabled("web", true).await;
    browser.get(&Ask::web().path()).await.assert_page(200, "grantor-login");
    test.delete_client("web").await;
    browser.get(&Ask::web().path()).await.assert_error_page(400, 4201);
}

// M028 M036 M093
#[tokio::test]
async fn s4_1_2_1_afterwards_the_client_is_told_with_state_and_issuer() {
    let (test, _) = TestApp::with_people().await;
    test.resource("https://closed.example.com", |_| ()).await;
    let browser = test.browser();
    for (name, value, error, code) in [
        ("response_type", "token", "unsupported_response_type", 3004),
        ("response_mode", "jwt", "invalid_request", 4204),
        ("code_challenge", "short", "invalid_request", 4206),
        ("code_challenge_method", "plain", "invalid_request", 4206),
        ("prompt", "create", "invalid_request", 4207),
        ("max_age", "soon", "invalid_request", 4208),
        ("max_age", "-1", "invalid_request", 4208),
        ("nonce", "a\0b", "invalid_request", 4208),
        ("request", "eyJ", "request_not_supported", 4209),
        ("request_uri", "https://app.example.com/r", "request_uri_not_supported", 4210),
        ("scope", "a\"b", "invalid_scope", 4001),
        ("scope", "https://api.example.com/unknown", "invalid_scope", 4002),
        ("scope", "https://closed.example.com/read", "invalid_scope", 4003),
        ("scope", "read", "invalid_scope", 4006),
        ("resource", "https://unknown.example.com", "invalid_target", 4005),
        ("resource", "https://closed.example.com", "invalid_target", 4007),
        ("prompt", "none", "login_required", 4211),
    ] {
        let reply = browser.get(&Ask::web().with(name, value).path()).await;
        reply.assert_refused(error, code);
    }
    browser.get(&Ask::web().without("code_challenge").path()).await.assert_refused("invalid_request", 4205);
    browser.get(&Ask::web().path()).await.assert_page(200, "grantor-login");

    browser.sign_in("alice").await;
    browser.get(&Ask::web().with("prompt", "none").path()).await.assert_refused("consent_required", 4212);
    let page = browser.get(&Ask::web().path()).await;
    browser.decide(&page, "deny").await.assert_refused("access_denied", 4213);
    browser.decide(&page, "approve").await.assert_code();

    test.set_grants("web", &["client_credentials", "refresh_token"]).await;
    browser.get(&Ask::web().path()).await.assert_refused("unauthorized_client", 3002);
}

// M028
#[tokio::test]
async fn s4_1_2_state_comes_back_unchanged() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    browser.authorize(&Ask::web()).await.assert_code();
    let long = "x".repeat(4000);
    for state in [
        "x",
        " ",
        "+",
        "%",
        "%2B",
        "%00",
        "\0",
        "a b+c",
        "a;b",
        "&code=1&state=2",
        "#fragment",
        "=?",
        "{\"a\":[1]}",
        "\"'<script>\\",
        "\r\nset-cookie: x=y",
        "é🔑",
        "..",
        &long,
    ] {
        let ask = Ask::web().with("state", state);
        let told = parameters(&browser.get(&ask.path()).await);
        assert_eq!((told["state"].as_str(), told.contains_key("code")), (state, true));
        let reply = browser.get(&ask.with("response_type", "token").path()).await;
        assert!(reply.header("location").starts_with(&format!("{WEB_CALLBACK}?error=")));
        assert_eq!(parameters(&reply)["state"], state);
    }
    // Through both pages as well.
    let state = "a b+c%2B é\"'<&\0";
    let told = parameters(&test.browser().authorize(&Ask::web().with("state", state).with("prompt", "consent")).await);
    assert_eq!((told["state"].as_str(), told.contains_key("code")), (state, true));
}

// M029 M047
#[tokio::test]
async fn s4_1_2_1_a_description_holds_only_the_allowed_characters() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let hostile = "\"\\\0\r\n\u{1b}\u{7f}é🔑<script>";
    for name in ["response_type", "response_mode", "prompt", "max_age", "code_challenge_method", "scope", "resource"] {
        let reply = browser.get(&Ask::web().with(name, hostile).path()).await;
        let description = &parameters(&reply)["error_description"];
        assert!(description.chars().all(may_stand_in_a_description), "{name}: {description}");
        assert!(description.starts_with("GRT"), "{description}");
    }
    let twice = format!("{0}=1&{0}=1", encoded(hostile));
    let told = browser.get(&Ask::web().path_and(&twice)).await.assert_refused("invalid_request", 1005);
    assert!(told["error_description"].ends_with("<script>)"), "{told:?}");
}

#[tokio::test]
async fn s4_1_1_a_disabled_tenant_asks_nobody_to_sign_in() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    test.set_tenant_enabled(false).await;
    browser.get(&Ask::web().path()).await.assert_error_page(400, 1009);
    browser.get(&Ask::web().with("prompt", "none").path()).await.assert_error_page(400, 1009);
    browser.get("/account").await.assert_error_page(400, 1009);
    browser.log_in(&page, "alice", PASSWORD).await.assert_error_page(400, 1009);
    test.set_tenant_enabled(true).await;
    browser.authorize(&Ask::web()).await.assert_code();
    test.get("/nobody/oauth2/v2.0/authorize?client_id=web").await.assert_error_page(404, 1008);
}

#[tokio::test]
async fn s4_1_2_1_a_database_that_is_away_is_a_page_with_503_and_never_an_answer_to_the_client() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let login = browser.get(&Ask::web().path()).await;
    browser.sign_in("alice").await;
    let consent = browser.get(&Ask::web().path()).await;
    consent.assert_page(200, "grantor-consent");
    let cold = test.second_server().await;
    for server in [&test, &cold] {
        server.app.store.close().await;
    }
    let away = [
        browser.get(&Ask::web().path()).await,
        browser.get(&Ask::web().with("prompt", "none").path()).await,
        browser.decide(&consent, "approve").await,
        browser.decide(&consent, "deny").await,
        browser.log_in(&login, "alice", PASSWORD).await,
        browser.get("/account").await,
        browser.get("/oauth2/v2.0/logout").await,
        // Maybe it was made a moment ago.
        test.get(&Ask::web().with("client_id", "unknown").path()).await,
        test.get(&Ask::web().with("redirect_uri", "https://new.example.com").path()).await,
        test.get(&Ask::web().with("scope", "https://new.example.com/x").path()).await,
        cold.get(&Ask::web().path()).await,
        cold.get(&Ask::web().with("prompt", "none").path()).await,
    ];
    for reply in away {
        reply.assert_error_page(503, 9001);
        assert_eq!(reply.header("retry-after"), "5");
    }
    // What nobody has to look up is refused as ever.
    test.get(&Ask::web().with("response_type", "token").path()).await.assert_refused("unsupported_response_type", 3004);
}

#[test]
fn s4_1_1_every_door_runs_the_same_list_of_checks() {
    let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(
        names,
        [
            "repeated parameters",
            "request objects",
            "response_type",
            "response_mode",
            "grant type of the client",
            "code_challenge",
            "prompt",
            "max_age",
            "nonce",
            "scope and resource"
        ]
    );
}

// M008 M025
#[tokio::test]
async fn s4_1_2_nothing_is_granted_before_the_person_is_known() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    for _ in 0..2 {
        let reply = browser.log_in(&page, "alice", "wrong password").await;
        reply.assert_page(400, "grantor-login");
    }
    // Without a login there is no consent page, so there is nothing to approve.
    let (csrf, then) = (field(&page, "csrf"), format!("x?{}", Ask::web().query()));
    let form = [("csrf", csrf.as_str()), ("then", &then), ("decision", "approve")];
    browser.post("/consent", &form).await.assert_page(200, "grantor-login");

    let code = browser.code(&Ask::web()).await;
    test.clock.advance(60);
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4101);
    let code = browser.code(&Ask::web()).await;
    test.clock.advance(59);
    assert_eq!(test.redeem(&web, &code).await.status.as_u16(), 200);
}

// §3.1: a repeat makes the request invalid. What stands twice cannot be given back or followed.
#[tokio::test]
async fn s3_1_a_repeated_state_or_response_mode_is_told_to_the_client() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    let reply = browser.get(&Ask::web().path_and("state=x")).await;
    let told = parameters(&reply);
    assert_eq!((told["error"].as_str(), told.get("state")), ("invalid_request", None), "{told:?}");
    assert_eq!(told["iss"], PUBLIC_URL);
    let reply = browser.get(&Ask::web().path_and("response_mode=fragment&response_mode=form_post")).await;
    reply.assert_refused("invalid_request", 1005);
}
