//! RFC 7636: proof key for code exchange, with what RFC 9700 §2.1.1 adds.

use crate::support::answers::parameters;
use crate::support::browser::{Ask, Browser, CHALLENGE, NATIVE, VERIFIER, WEB_CALLBACK};
use crate::support::{Reply, TestApp, TestClient};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::store::client_settings::SettingChanges;
use grantor::store::clients::ClientParts;
use grantor::types::secret::sha256;

const TOKEN: &str = "/oauth2/v2.0/token";

/// The token request of `web` with this verifier, or with none.
async fn redeem(test: &TestApp, web: &TestClient, code: &str, verifier: Option<&str>) -> Reply {
    let mut form = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", WEB_CALLBACK)];
    form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    test.post_as(TOKEN, web, &form).await
}

/// The error and the reason code that the client is told.
fn told(reply: &Reply) -> (String, String) {
    let told = parameters(reply);
    (told["error"].clone(), told["error_description"].split(':').next().unwrap().to_owned())
}

fn refused(code: u32) -> (String, String) {
    ("invalid_request".into(), format!("GRT{code}"))
}

async fn require(test: &TestApp, required: bool) {
    let settings = SettingChanges { require_pkce: Some(required), ..SettingChanges::default() };
    test.set_client("web", settings).await;
}

fn bare(ask: Ask) -> Ask {
    ask.without("code_challenge").without("code_challenge_method")
}

// M068
#[tokio::test]
async fn s4_4_1_a_challenge_is_required_of_public_clients_always_and_of_others_by_default() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    for ask in [Ask::web(), Ask::native()] {
        assert_eq!(told(&browser.get(&bare(ask.clone()).path()).await), refused(4205));
        browser.get(&ask.path()).await.assert_page(200, "grantor-login");
    }
    require(&test, false).await;
    assert_eq!(told(&browser.get(&bare(Ask::native()).path()).await), refused(4205));
    let code = browser.code(&bare(Ask::web())).await;
    assert_eq!(redeem(&test, &web, &code, None).await.status.as_u16(), 200);
    require(&test, true).await;
    assert_eq!(told(&browser.get(&bare(Ask::web()).path()).await), refused(4205));

    let client = test.find_client(NATIVE).await;
    let settings = SettingChanges { require_pkce: Some(false), ..SettingChanges::default() };
    let parts = ClientParts { settings, ..ClientParts::default() };
    let now = test.clock.now();
    assert!(test.app.store.update_client(test.tenant_id().await, &client, (None, &parts), now).await.is_err());
}

// M068 M069 M071
#[tokio::test]
async fn s4_3_plain_an_absent_and_an_unknown_method_are_refused() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    for required in [true, false] {
        require(&test, required).await;
        for method in ["plain", "S512", "s256", "S256 ", "none"] {
            let reply = browser.get(&Ask::web().with("code_challenge_method", method).path()).await;
            assert_eq!(told(&reply), refused(4206), "{method}");
        }
        let absent = Ask::web().without("code_challenge_method");
        assert_eq!(told(&browser.get(&absent.path()).await), refused(4206));
        // A method without a challenge is half of one.
        let half = Ask::web().without("code_challenge");
        assert_eq!(told(&browser.get(&half.path()).await), refused(4205));
        browser.get(&Ask::web().path()).await.assert_page(200, "grantor-login");
    }
}

// M066
#[tokio::test]
async fn s4_2_a_challenge_is_43_to_128_unreserved_characters() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    for bad in [
        CHALLENGE[..42].to_owned(),
        "a".repeat(129),
        format!("{}+", &CHALLENGE[..42]),
        format!("{}=", &CHALLENGE[..42]),
        format!("{}é", &CHALLENGE[..42]),
        format!("{CHALLENGE}\0"),
        format!("{CHALLENGE} "),
    ] {
        let reply = browser.get(&Ask::web().with("code_challenge", &bad).path()).await;
        assert_eq!(told(&reply), refused(4206), "{bad}");
    }
    for good in [CHALLENGE.to_owned(), "a".repeat(43), "-._~".repeat(32)] {
        browser.get(&Ask::web().with("code_challenge", &good).path()).await.assert_page(200, "grantor-login");
    }
}

// M066 M070 M143
#[tokio::test]
async fn s4_6_a_wrong_missing_or_malformed_verifier_is_invalid_grant_and_the_code_stays_usable() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    for required in [true, false] {
        require(&test, required).await;
        let code = browser.code(&Ask::web()).await;
        let other = format!("{}l", &VERIFIER[..42]);
        let long = "a".repeat(129);
        for wrong in [
            None,
            Some(""),
            Some(CHALLENGE),
            Some(&other),
            Some(&VERIFIER[..42]),
            Some(&long),
            Some(&format!("{VERIFIER}=")),
            Some(&format!(" {VERIFIER}")),
            Some(&VERIFIER.to_lowercase()),
        ] {
            redeem(&test, &web, &code, wrong).await.assert_error(400, "invalid_grant", 4104);
        }
        assert_eq!(redeem(&test, &web, &code, Some(VERIFIER)).await.status.as_u16(), 200);
    }
    for verifier in ["~".repeat(128), "-._~".repeat(11)] {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        let code = browser.code(&Ask::web().with("code_challenge", &challenge)).await;
        redeem(&test, &web, &code, Some(VERIFIER)).await.assert_error(400, "invalid_grant", 4104);
        assert_eq!(redeem(&test, &web, &code, Some(&verifier)).await.status.as_u16(), 200);
    }
}

// M143
#[tokio::test]
async fn rfc9700_s2_1_1_a_verifier_without_a_challenge_is_a_downgrade() {
    let (test, web) = TestApp::with_people().await;
    require(&test, false).await;
    let code = test.browser().code(&bare(Ask::web())).await;
    redeem(&test, &web, &code, Some(VERIFIER)).await.assert_error(400, "invalid_grant", 4105);
    redeem(&test, &web, &code, Some("short")).await.assert_error(400, "invalid_grant", 4105);
    assert_eq!(redeem(&test, &web, &code, None).await.status.as_u16(), 200);
}

// M067
#[tokio::test]
async fn s4_4_a_challenge_belongs_to_its_code_and_is_not_in_it() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let verifier = "b".repeat(43);
    let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    let first = browser.code(&Ask::web()).await;
    let second = browser.code(&Ask::web().with("code_challenge", &challenge)).await;
    assert!(first.len() == second.len() && first != second);
    for code in [&first, &second] {
        assert!(!code.contains(&CHALLENGE[..8]) && !code.contains(&challenge[..8]) && !code.contains("S256"));
    }
    redeem(&test, &web, &first, Some(&verifier)).await.assert_error(400, "invalid_grant", 4104);
    redeem(&test, &web, &second, Some(VERIFIER)).await.assert_error(400, "invalid_grant", 4104);
    assert_eq!(redeem(&test, &web, &first, Some(VERIFIER)).await.status.as_u16(), 200);
    assert_eq!(redeem(&test, &web, &second, Some(&verifier)).await.status.as_u16(), 200);
}

#[tokio::test]
async fn s4_5_a_public_client_proves_itself_by_the_verifier_alone() {
    let (test, _) = TestApp::with_people().await;
    let browser: Browser<'_> = test.browser();
    let code = browser.code(&Ask::native()).await;
    let redeem = async |verifier: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", NATIVE),
            ("code", code.as_str()),
            ("redirect_uri", "http://127.0.0.1:49152/cb"),
            ("code_verifier", verifier),
        ];
        test.post(TOKEN, &form).await
    };
    redeem("").await.assert_error(400, "invalid_grant", 4104);
    redeem(CHALLENGE).await.assert_error(400, "invalid_grant", 4104);
    assert_eq!(redeem(VERIFIER).await.status.as_u16(), 200);
}

// M071 M144
#[tokio::test]
async fn s4_2_metadata_announces_s256_alone() {
    let test = TestApp::new().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let document = test.get(path).await.json();
        assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    }
}
