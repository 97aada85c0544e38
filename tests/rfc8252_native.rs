//! RFC 8252: native applications, behind redirect URIs that any program on the machine may claim.

use crate::support::answers::parameters;
use crate::support::browser::{Ask, Browser, NATIVE, NATIVE_CALLBACK, VERIFIER, WEB_CALLBACK};
use crate::support::{Reply, TestApp};
use grantor::types::uri::RedirectUri;

const SCHEME: &str = "com.example.app:/oauth";
const CLAIMED: &str = "https://native.example.com/cb";

async fn with_every_kind() -> TestApp {
    let (test, _) = TestApp::with_people().await;
    for uri in ["http://localhost/cb", "http://[::1]/cb", SCHEME, CLAIMED] {
        test.redirects(NATIVE, uri).await;
    }
    test
}

fn to(uri: &str) -> Ask {
    Ask::native().with("redirect_uri", uri)
}

/// The token endpoint's answer to a code of `native`.
async fn redeem(test: &TestApp, code: &str, redirect_uri: &str) -> Reply {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", NATIVE),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    test.post("/oauth2/v2.0/token", &form).await
}

// M043 M141 M147
#[tokio::test]
async fn s7_3_the_port_of_a_loopback_redirect_is_free() {
    let test = with_every_kind().await;
    let browser = test.browser();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        for port in ["", ":1", ":80", ":49152", ":65535"] {
            let uri = format!("http://{host}{port}/cb");
            let reply = browser.authorize(&to(&uri)).await;
            assert!(
                reply.header("location").starts_with(&format!("{uri}?code=")),
                "{uri}: {}",
                reply.header("location")
            );
            let code = reply.assert_code();
            // The token request names the very same address.
            redeem(&test, &code, "http://127.0.0.1:2/cb").await.assert_error(400, "invalid_grant", 4103);
            assert_eq!(redeem(&test, &code, &uri).await.status.as_u16(), 200, "{uri}");
        }
    }
}

// M141
#[tokio::test]
async fn s7_3_nothing_but_the_port_is_free() {
    let (test, _) = TestApp::with_people().await;
    let browser = test.browser();
    for other in [
        "http://localhost:49152/cb",
        "http://[::1]:49152/cb",
        "http://127.0.0.2:49152/cb",
        "http://127.1:49152/cb",
        "http://0.0.0.0:49152/cb",
        "http://127.0.0.1:49152/",
        "http://127.0.0.1:49152/cb/",
        "http://127.0.0.1:49152/CB",
        "http://127.0.0.1:49152/cb?x=1",
        "http://127.0.0.1:49152/cb#x",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:-1/cb",
        "http://127.0.0.1:+1/cb",
        "http://127.0.0.1:1@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1:80.evil.example/cb",
        "https://127.0.0.1:49152/cb",
    ] {
        browser.get(&to(other).path()).await.assert_error_page(400, 4202);
    }
    browser.get(&to("http://127.0.0.1:49152/cb").path()).await.assert_page(200, "grantor-login");
    // An https address keeps its port, loopback or not.
    test.redirects(NATIVE, "https://localhost/cb").await;
    browser.get(&to("https://localhost:8443/cb").path()).await.assert_error_page(400, 4202);
    browser.get(&to("https://localhost/cb").path()).await.assert_page(200, "grantor-login");
}

#[tokio::test]
async fn s7_1_a_private_use_scheme_is_compared_as_it_stands() {
    let test = with_every_kind().await;
    let browser = test.browser();
    let reply = browser.authorize(&to(SCHEME)).await;
    assert!(reply.header("location").starts_with(&format!("{SCHEME}?code=")), "{}", reply.header("location"));
    assert_eq!(redeem(&test, &reply.assert_code(), SCHEME).await.status.as_u16(), 200);
    for other in ["com.example.app://oauth", "com.example.app:/oauth/", "com.example.app:/", "COM.example.app:/oauth"] {
        browser.get(&to(other).path()).await.assert_error_page(400, 4202);
    }
    for registered in ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "app:/cb", "http://10.0.0.1/cb"]
    {
        assert!(registered.parse::<RedirectUri>().is_err(), "{registered}");
    }
}

/// Asks a second time, where everything was allowed before.
async fn again(browser: &Browser<'_>, ask: &Ask) -> Reply {
    browser.authorize(ask).await.assert_code();
    browser.get(&ask.path()).await
}

// M002 M040
#[tokio::test]
async fn s8_6_whoever_may_be_behind_an_unclaimed_uri_asks_every_time() {
    let test = with_every_kind().await;
    let browser = test.browser();
    for uri in [NATIVE_CALLBACK, "http://localhost:49152/cb", "http://[::1]:1/cb", SCHEME] {
        let page = again(&browser, &to(uri)).await;
        page.assert_page(200, "grantor-consent");
        assert!(page.text().contains("id=\"unverified\""), "{uri}");
        let silent = browser.get(&to(uri).with("prompt", "none").path()).await;
        assert_eq!(parameters(&silent)["error"], "consent_required", "{uri}");
    }
    // The same public client behind an address of its own is known again, and so is a client with a secret.
    let page = test.browser();
    page.sign_in("alice").await;
    let asked = page.get(&to(CLAIMED).with("prompt", "consent").path()).await;
    asked.assert_page(200, "grantor-consent");
    assert!(!asked.text().contains("id=\"unverified\""));
    again(&browser, &to(CLAIMED)).await.assert_code();
    browser.get(&to(CLAIMED).with("prompt", "none").path()).await.assert_code();
    again(&browser, &Ask::web().with("redirect_uri", WEB_CALLBACK)).await.assert_code();
}

#[tokio::test]
async fn s8_6_a_client_of_ours_is_not_asked_for_at_all() {
    let test = with_every_kind().await;
    test.first_party(NATIVE).await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    for uri in [NATIVE_CALLBACK, SCHEME, CLAIMED] {
        browser.get(&to(uri).path()).await.assert_code();
        browser.get(&to(uri).with("prompt", "none").path()).await.assert_code();
        browser.get(&to(uri).with("prompt", "consent").path()).await.assert_page(200, "grantor-consent");
    }
    // Nothing is remembered that nobody said.
    assert!(browser.get("/account").await.text().contains("You have not given any application access"));
}

// M033
#[tokio::test]
async fn s8_5_a_public_client_gets_nothing_without_a_person() {
    let (test, web) = TestApp::with_people().await;
    test.set_grants(NATIVE, &["authorization_code", "client_credentials"]).await;
    let form =
        [("grant_type", "client_credentials"), ("client_id", NATIVE), ("scope", "https://api.example.com/.default")];
    assert!(test.post("/oauth2/v2.0/token", &form).await.status.is_client_error());
    assert_eq!(test.request_token(&web, "https://api.example.com/.default").await.status.as_u16(), 200);
}
