//! RFC 8628: devices without a browser, from the request to the token.

use crate::support::browser::{Browser, NATIVE, PASSWORD, field, main_id};
use crate::support::{API, PUBLIC_URL, Reply, TestApp, TestClient, claims, holds_null};
use axum::http::StatusCode;
use grantor::grants::device_code::GRANT;
use grantor::store::client_settings::SettingChanges;
use grantor::store::clients::ClientParts;
use serde_json::{Value, json};

const ENDPOINT: &str = "/oauth2/v2.0/devicecode";
const TOKEN: &str = "/oauth2/v2.0/token";

/// What MSAL asks for, sorted as it sorts.
fn scope() -> String {
    format!("{API}/read offline_access openid profile")
}

impl TestApp {
    /// As [`TestApp::with_people`]; `native` and `web` are devices.
    async fn with_devices() -> (Self, TestClient) {
        let (test, web) = Self::with_people().await;
        test.set_grants(NATIVE, &[GRANT.name, "refresh_token"]).await;
        test.set_grants("web", &[GRANT.name, "refresh_token", "client_credentials"]).await;
        (test, web)
    }

    /// What `native` is told.
    async fn device(&self) -> Value {
        self.device_for(&scope()).await
    }

    async fn device_for(&self, scope: &str) -> Value {
        let reply = self.post(&self.at(ENDPOINT), &[("client_id", NATIVE), ("scope", scope)]).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    }

    /// A poll of `native`, as MSAL for Python sends it.
    async fn poll(&self, device: &Value) -> Reply {
        let code = device["device_code"].as_str().unwrap();
        let form = [
            ("client_id", NATIVE),
            ("grant_type", GRANT.name),
            ("client_info", "1"),
            ("code", code),
            ("device_code", code),
        ];
        self.post(&self.at(TOKEN), &form).await
    }
}

impl Browser<'_> {
    /// The page on which the code is typed, with this code typed into it.
    async fn type_code(&self, code: &str) -> Reply {
        let page = self.get(&self.test.at("/device")).await;
        assert_eq!(main_id(&page).as_deref(), Some("grantor-device"), "{}", page.text());
        self.send_code(&page, code).await
    }

    async fn send_code(&self, page: &Reply, code: &str) -> Reply {
        self.post(&self.test.at("/device"), &[("csrf", &field(page, "csrf")), ("user_code", code)]).await
    }

    /// The consent page of a device for `alice`.
    async fn asked(&self, code: &str) -> Reply {
        let mut page = self.type_code(code).await;
        if main_id(&page).as_deref() == Some("grantor-login") {
            let reply = self.log_in(&page, "alice", PASSWORD).await;
            assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text());
            let back = reply.header("location").to_owned();
            assert_eq!(back, format!("{}?user_code={code}", self.test.at("/device")));
            let again = self.get(&back).await;
            // The code came along, and is compared all the same.
            assert_eq!(main_id(&again).as_deref(), Some("grantor-device"));
            assert!(again.text().contains(&format!("value=\"{code}\"")), "{}", again.text());
            page = self.send_code(&again, code).await;
        }
        assert_eq!(main_id(&page).as_deref(), Some("grantor-consent"), "{}", page.text());
        page
    }

    async fn answer(&self, page: &Reply, decision: &str) -> Reply {
        let (csrf, then) = (field(page, "csrf"), field(page, "then"));
        self.post(&self.test.at("/device"), &[("csrf", &csrf), ("then", &then), ("decision", decision)]).await
    }

    /// Types the code of a device, and says yes or no.
    async fn settle(&self, device: &Value, decision: &str) {
        let page = self.asked(device["user_code"].as_str().unwrap()).await;
        let reply = self.answer(&page, decision).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        assert_eq!(main_id(&reply).as_deref(), Some("grantor-device-done"), "{}", reply.text());
    }
}

// M117 M118
#[tokio::test]
async fn s3_2_a_device_is_told_its_codes_and_where_to_type_one() {
    let (test, web) = TestApp::with_devices().await;
    let device = test.device().await;
    assert!(!holds_null(&device));
    let code = device["user_code"].as_str().unwrap();
    assert!(
        regex::Regex::new("^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$").unwrap().is_match(code),
        "{code}"
    );
    // M121: 256 random bits.
    assert_eq!(device["device_code"].as_str().unwrap().len(), "grdc_".len() + 43);
    let page = format!("{PUBLIC_URL}/device");
    assert_eq!(device["verification_uri"], page);
    assert_eq!(device["verification_uri_complete"], format!("{page}?user_code={code}"));
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(900), &json!(5)));
    let message = device["message"].as_str().unwrap();
    assert!(message.contains(&page) && message.contains(code), "{message}");

    // A confidential client proves itself; below a tenant's name everything is below it.
    let form = [("scope", "openid"), ("unknown", "ignored")];
    let reply = test.post_as(&format!("/default{ENDPOINT}"), &web, &form).await;
    assert_eq!(reply.json()["verification_uri"], format!("{PUBLIC_URL}/default/device"));
    assert_eq!(reply.header("cache-control"), "no-store");
    let document = test.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["device_authorization_endpoint"], format!("{PUBLIC_URL}{ENDPOINT}"));
    assert!(document["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT.name)));
}

// M117
#[tokio::test]
async fn s3_1_the_request_is_checked_as_at_the_other_endpoints() {
    let (test, web) = TestApp::with_devices().await;
    test.get(ENDPOINT).await.assert_error(405, "invalid_request", 1001);
    test.post(ENDPOINT, &[("client_id", "nobody")]).await.assert_error(401, "invalid_client", 2002);
    test.post(ENDPOINT, &[]).await.assert_error(401, "invalid_client", 2001);
    test.post(ENDPOINT, &[("client_id", &web.id)]).await.assert_error(401, "invalid_client", 2002);
    let wrong = TestClient { secret: "wrong".into(), ..web.clone() };
    test.post_as(ENDPOINT, &wrong, &[]).await.assert_error(401, "invalid_client", 2002);
    let twice = [("client_id", NATIVE), ("scope", "openid"), ("scope", "openid")];
    test.post(ENDPOINT, &twice).await.assert_error(400, "invalid_request", 1005);
    let ask = async |name: &str, value: &str| test.post(ENDPOINT, &[("client_id", NATIVE), (name, value)]).await;
    ask("scope", "ä").await.assert_error(400, "invalid_scope", 4001);
    ask("scope", "https://nobody.example.com/read").await.assert_error(400, "invalid_scope", 4002);
    ask("resource", "https://nobody.example.com").await.assert_error(400, "invalid_target", 4005);
    ask("scope", "").await.assert_error(400, "invalid_scope", 4006);
    ask("request", "eyJ").await.assert_error(400, "request_not_supported", 4209);
    // What has to do with redirects means nothing here.
    assert_eq!(ask("resource", API).await.status, StatusCode::OK);
    let ignored = [("client_id", NATIVE), ("scope", "openid"), ("response_mode", "?"), ("redirect_uri", "?")];
    assert_eq!(test.post(ENDPOINT, &ignored).await.status, StatusCode::OK);
    test.set_grants(NATIVE, &["authorization_code"]).await;
    ask("scope", "openid").await.assert_error(400, "unauthorized_client", 3002);
}

#[tokio::test]
async fn s3_4_a_person_says_yes_and_the_device_gets_every_token() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
    let browser = test.browser();
    let page = browser.asked(device["user_code"].as_str().unwrap()).await;
    for shown in
        ["native", &format!("{API}/read"), device["user_code"].as_str().unwrap(), "Check that you started this"]
    {
        assert!(page.text().contains(shown), "the page does not show {shown}: {}", page.text());
    }
    let done = browser.answer(&page, "approve").await;
    assert!(done.text().contains("Your device is connected"), "{}", done.text());

    let reply = test.poll(&device).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let tokens = reply.json();
    let user = test.app.store.find_user(test.tenant_id().await, "alice").await.unwrap().unwrap();
    let access = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!((&access["aud"], &access["scope"], &access["sub"]), (&json!(API), &json!("read"), &json!(user.id)));
    let id_token = claims(tokens["id_token"].as_str().unwrap());
    assert_eq!((&id_token["aud"], &id_token["sub"]), (&json!(NATIVE), &json!(user.id)));
    // MSAL for Node takes no nonce that it did not send.
    assert!(id_token.get("nonce").is_none());
    assert!(tokens["client_info"].is_string());
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let form = [("client_id", NATIVE), ("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let refreshed = test.post(TOKEN, &form).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.text());
    assert!(refreshed.json()["id_token"].is_string());
}

// MSAL for Node calls the grant by its short name; without offline_access there is no refresh token.
#[tokio::test]
async fn s3_4_the_short_name_of_the_grant_is_taken_and_less_is_given_where_less_was_asked_for() {
    let (test, web) = TestApp::with_devices().await;
    let asked = test.post_as(ENDPOINT, &web, &[("scope", &format!("{API}/read"))]).await.json();
    test.browser().settle(&asked, "approve").await;
    let form = [("grant_type", "device_code"), ("device_code", asked["device_code"].as_str().unwrap())];
    let tokens = test.post_as(TOKEN, &web, &form).await;
    assert_eq!(tokens.status, StatusCode::OK, "{}", tokens.text());
    assert!(tokens.json().get("refresh_token").is_none() && tokens.json().get("id_token").is_none());
}

// M119
#[tokio::test]
async fn s3_3_nothing_spares_the_person_the_question() {
    let (test, _) = TestApp::with_devices().await;
    let settings = SettingChanges { first_party: Some(true), ..SettingChanges::default() };
    test.update_client(NATIVE, ClientParts { settings, ..ClientParts::default() }).await;
    let browser = test.browser();
    browser.settle(&test.device().await, "approve").await;
    // Signed in, a client of ours, everything agreed to before, and the code in the address.
    let device = test.device().await;
    let complete = device["verification_uri_complete"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap().to_owned();
    let page = browser.get(&complete).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-device"), "{}", page.text());
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
    let page = browser.send_code(&page, device["user_code"].as_str().unwrap()).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-consent"), "{}", page.text());
    test.clock.advance(5);
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
    browser.answer(&page, "approve").await;
    assert_eq!(test.poll(&device).await.status, StatusCode::OK);
}

// RFC 8628 §6.1
#[tokio::test]
async fn s6_1_a_code_is_read_however_it_is_typed() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    let code = device["user_code"].as_str().unwrap();
    for typed in [code.to_lowercase(), code.replace('-', ""), format!("  {} ", code.replace('-', " - "))] {
        let page = test.browser().type_code(&typed).await;
        assert_eq!(main_id(&page).as_deref(), Some("grantor-login"), "{typed}");
        assert_eq!(field(&page, "then"), format!("device/{code}"));
    }
}

// M120
#[tokio::test]
async fn s3_5_who_asks_too_often_waits_five_seconds_longer_each_time() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
    test.clock.advance(4);
    test.poll(&device).await.assert_error(400, "slow_down", 4306); // now 10
    test.clock.advance(9);
    test.poll(&device).await.assert_error(400, "slow_down", 4306); // now 15
    test.clock.advance(15);
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
    // It is kept with the code, so another server knows.
    test.clock.advance(14);
    test.second_server().await.poll(&device).await.assert_error(400, "slow_down", 4306);
    // Who has an answer gets it, at whatever pace.
    test.browser().settle(&device, "approve").await;
    assert_eq!(test.poll(&device).await.status, StatusCode::OK);
}

// M120
#[tokio::test]
async fn s3_5_a_no_and_an_end_are_told() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    let browser = test.browser();
    browser.settle(&device, "deny").await;
    test.poll(&device).await.assert_error(400, "access_denied", 4303);
    test.poll(&device).await.assert_error(400, "access_denied", 4303);
    // A no is no consent.
    let user = test.app.store.find_user(test.tenant_id().await, "alice").await.unwrap().unwrap();
    let client = test.find_client(NATIVE).await;
    assert!(test.app.store.consents(user.id, client.oid).await.unwrap().is_empty());

    let (waiting, approved) = (test.device().await, test.device().await);
    let page = browser.asked(waiting["user_code"].as_str().unwrap()).await;
    browser.settle(&approved, "approve").await;
    test.clock.advance(900);
    let late = browser.answer(&page, "approve").await;
    assert_eq!((late.status.as_u16(), main_id(&late).as_deref()), (400, Some("grantor-device")));
    for device in [waiting, approved] {
        test.poll(&device).await.assert_error(400, "expired_token", 4304);
    }
}

// M122
#[tokio::test]
async fn s3_4_a_device_code_is_of_one_client_and_one_tenant_and_is_used_once() {
    let (test, web) = TestApp::with_devices().await;
    let device = test.device().await;
    let code = device["device_code"].as_str().unwrap();
    let form = [("grant_type", GRANT.name), ("device_code", code)];
    test.post_as(TOKEN, &web, &form).await.assert_error(400, "invalid_grant", 4301);
    let beside = test.beside("acme").await;
    beside.people().await;
    beside.set_grants(NATIVE, &[GRANT.name]).await;
    beside.poll(&device).await.assert_error(400, "invalid_grant", 4301);
    let page = beside.browser().type_code(device["user_code"].as_str().unwrap()).await;
    assert_eq!((page.status.as_u16(), main_id(&page).as_deref()), (400, Some("grantor-device")));
    test.poll(&json!({ "device_code": "grdc_unknown" })).await.assert_error(400, "invalid_grant", 4301);
    let form = [("client_id", NATIVE), ("grant_type", GRANT.name)];
    test.post(TOKEN, &form).await.assert_error(400, "invalid_request", 1006);

    test.browser().settle(&device, "approve").await;
    let tokens = test.poll(&device).await.json();
    test.poll(&device).await.assert_error(400, "invalid_grant", 4302);
    // A late poll of the device's own is no theft: what it got stays.
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let form = [("client_id", NATIVE), ("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(test.post(TOKEN, &form).await.status, StatusCode::OK);
}

// M122: whoever polls, on whichever server, one of them gets the tokens.
#[tokio::test]
async fn s3_4_parallel_polls_on_two_servers_bring_one_set_of_tokens() {
    let (test, _) = TestApp::with_devices().await;
    let second = test.second_server().await;
    for _ in 0..5 {
        let device = test.device().await;
        test.browser().settle(&device, "approve").await;
        let (a, b, c, d) =
            tokio::join!(test.poll(&device), second.poll(&device), test.poll(&device), second.poll(&device));
        let replies = [a, b, c, d];
        let given = replies.iter().filter(|reply| reply.status == StatusCode::OK).count();
        assert_eq!(given, 1);
        for reply in replies.iter().filter(|reply| reply.status != StatusCode::OK) {
            reply.assert_error(400, "invalid_grant", 4302);
        }
    }
}

#[tokio::test]
async fn s3_3_a_device_gets_one_answer() {
    let (test, _) = TestApp::with_devices().await;
    for _ in 0..5 {
        let device = test.device().await;
        let browser = test.browser();
        let page = browser.asked(device["user_code"].as_str().unwrap()).await;
        let (yes, no) = tokio::join!(browser.answer(&page, "approve"), browser.answer(&page, "deny"));
        let done = |reply: &Reply| main_id(reply).as_deref() == Some("grantor-device-done");
        assert!(done(&yes) != done(&no), "{}\n{}", yes.text(), no.text());
        let reply = test.poll(&device).await;
        assert_eq!(reply.status == StatusCode::OK, done(&yes), "{}", reply.text());
        // And nobody can answer again.
        let again = browser.type_code(device["user_code"].as_str().unwrap()).await;
        assert_eq!(main_id(&again).as_deref(), Some("grantor-device"));
    }
}

// M121
#[tokio::test]
async fn s5_1_wrong_codes_are_counted_and_right_ones_are_not() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    let code = device["user_code"].as_str().unwrap();
    let browser = test.browser();
    let page = browser.get("/device").await;
    for _ in 0..60 {
        assert_eq!(main_id(&browser.send_code(&page, code).await).as_deref(), Some("grantor-login"));
    }
    for wrong in ["BBBB-BBBB", "no code", ""].iter().cycle().take(50) {
        let reply = browser.send_code(&page, wrong).await;
        assert_eq!((reply.status.as_u16(), main_id(&reply).as_deref()), (400, Some("grantor-device")));
    }
    for _ in 0..2 {
        let reply = browser.send_code(&page, code).await;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(reply.text().contains("too many wrong codes"), "{}", reply.text());
    }
    test.clock.advance(301);
    assert_eq!(main_id(&browser.send_code(&page, code).await).as_deref(), Some("grantor-login"));
}

#[tokio::test]
async fn s5_4_a_form_of_another_site_is_not_taken() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    let browser = test.browser();
    let page = browser.asked(device["user_code"].as_str().unwrap()).await;
    let then = field(&page, "then");
    for csrf in ["", "wrong"] {
        let form = [("csrf", csrf), ("then", then.as_str()), ("decision", "approve")];
        let reply = browser.post("/device", &form).await;
        assert_eq!((reply.status.as_u16(), main_id(&reply).as_deref()), (400, Some("grantor-device")));
    }
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
}

#[tokio::test]
async fn s3_3_somebody_else_can_sign_in() {
    let (test, _) = TestApp::with_devices().await;
    test.user_with("bob", PASSWORD).await;
    let device = test.device().await;
    let browser = test.browser();
    let page = browser.asked(device["user_code"].as_str().unwrap()).await;
    let code = device["user_code"].as_str().unwrap();
    let switch = format!("/device?user_code={code}&switch=1");
    assert!(page.text().contains(&switch.replace('&', "&#38;")), "{}", page.text());
    let login = browser.get(&switch).await;
    assert_eq!(main_id(&login).as_deref(), Some("grantor-login"));
    assert_eq!(browser.log_in(&login, "bob", PASSWORD).await.status, StatusCode::SEE_OTHER);
    browser.settle(&device, "approve").await;
    let tokens = test.poll(&device).await.json();
    assert_eq!(claims(tokens["id_token"].as_str().unwrap())["preferred_username"], "bob");
}

#[tokio::test]
async fn what_was_approved_falls_with_client_and_person() {
    let (test, _) = TestApp::with_devices().await;
    let (first, second, third) = (test.device().await, test.device().await, test.device().await);
    let browser = test.browser();
    browser.settle(&first, "approve").await;
    let user = test.app.store.find_user(test.tenant_id().await, "alice").await.unwrap().unwrap();
    let client = test.find_client(NATIVE).await;
    test.app.store.withdraw_consents(user.id, client.oid, test.clock.now()).await.unwrap();
    test.poll(&first).await.assert_error(400, "invalid_grant", 4301);
    // A client that was disabled meanwhile asks for nothing.
    test.set_client_enabled(NATIVE, false).await;
    let page = browser.type_code(second["user_code"].as_str().unwrap()).await;
    assert_eq!((page.status.as_u16(), main_id(&page).as_deref()), (400, Some("grantor-device")));
    test.set_client_enabled(NATIVE, true).await;
    browser.settle(&second, "approve").await;
    test.delete_client(NATIVE).await;
    test.poll(&third).await.assert_error(401, "invalid_client", 2002);
    assert_eq!(test.number("SELECT COUNT(*) FROM device_codes").await, 0);
}

#[tokio::test]
async fn expired_codes_are_counted_and_purged_in_batches() {
    let (test, _) = TestApp::with_devices().await;
    let store = &test.app.store;
    let (old, now) = (test.device().await, test.clock.now());
    test.clock.advance(10);
    let device = test.device().await;
    assert_eq!(store.count_expired(now + 901).await.unwrap(), 1);
    assert_eq!(store.purge_device_codes(now + 900).await.unwrap(), 0);
    assert_eq!(store.purge_device_codes(now + 901).await.unwrap(), 1);
    assert_eq!(store.purge_device_codes(now + 901).await.unwrap(), 0);
    test.poll(&old).await.assert_error(400, "invalid_grant", 4301);
    test.poll(&device).await.assert_error(400, "authorization_pending", 4305);
}

// M121: the database holds neither code.
#[tokio::test]
async fn s5_2_codes_are_kept_as_hashes() {
    let (test, _) = TestApp::with_devices().await;
    let device = test.device().await;
    let code = device["device_code"].as_str().unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, code.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let sqlite = format!("SELECT COUNT(*) FROM device_codes WHERE hash = x'{hex}'");
    let postgres = format!("SELECT COUNT(*) FROM device_codes WHERE hash = '\\x{hex}'");
    let of_engine = match test.app.store.engine() {
        grantor::store::Engine::Sqlite => sqlite,
        grantor::store::Engine::Postgres => postgres,
    };
    assert_eq!(test.number(&of_engine).await, 1);
}

// A form for one device does not approve another, and none approves what no page showed.
#[tokio::test]
async fn s5_4_only_what_the_page_showed_is_approved() {
    let (test, _) = TestApp::with_devices().await;
    test.user_with("bob", PASSWORD).await;
    let device = test.device().await;
    let code = device["user_code"].as_str().unwrap();
    let browser = test.browser();
    let page = browser.asked(code).await;
    let (csrf, then) = (field(&page, "csrf"), field(&page, "then"));
    let seen = then.split_once('?').unwrap().0;
    let other = test.browser();
    other.authorize_as(&crate::support::browser::Ask::web(), "bob").await;
    let others = field(&other.asked(code).await, "then");
    for forged in [code.to_owned(), format!("?{code}"), format!("x{seen}?{code}"), others] {
        let form = [("csrf", csrf.as_str()), ("then", &forged), ("decision", "approve")];
        assert_ne!(main_id(&browser.post("/device", &form).await).as_deref(), Some("grantor-device-done"), "{forged}");
        test.poll(&device).await;
        test.clock.advance(60);
    }
    let reply = browser.answer(&page, "approve").await;
    assert_eq!(main_id(&reply).as_deref(), Some("grantor-device-done"), "{}", reply.text());
}
