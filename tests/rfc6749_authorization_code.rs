//! RFC 6749 §4.1: the authorization code grant from the request to the token.

use crate::support::browser::{Ask, VERIFIER, WEB_CALLBACK, answer, main_id};
use crate::support::{API, PUBLIC_URL, TestApp, claims};

#[tokio::test]
async fn s4_1_a_person_signs_in_consents_and_the_client_gets_tokens() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let page = browser.get(&Ask::web().path()).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-login"), "{}", page.text());
    let reply = browser.log_in(&page, "alice", "wrong password").await;
    assert_eq!(main_id(&reply).as_deref(), Some("grantor-login"));
    let reply = browser.log_in(&page, "Alice", crate::support::browser::PASSWORD).await;
    assert_eq!(reply.status.as_u16(), 303, "{}", reply.text());
    let page = browser.get(reply.header("location")).await;
    assert_eq!(main_id(&page).as_deref(), Some("grantor-consent"), "{}", page.text());
    let reply = browser.decide(&page, "approve").await;
    assert_eq!(reply.status.as_u16(), 303, "{}", reply.text());
    assert!(reply.header("location").starts_with(&format!("{WEB_CALLBACK}?code=")), "{}", reply.header("location"));
    let mut answer = answer(&reply);
    assert_eq!(answer["state"], "a state/&?");
    assert_eq!(answer["iss"], PUBLIC_URL);
    let code = answer.remove("code").unwrap();

    let tokens = test.redeem(&web, &code).await;
    assert_eq!(tokens.status.as_u16(), 200, "{}", tokens.text());
    let tokens = tokens.json();
    let user = test.app.store.find_user(test.tenant_id().await, "alice").await.unwrap().unwrap();
    let access = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(access["sub"], user.id.to_string());
    assert_eq!(access["aud"], API);
    assert_eq!(access["scope"], "read");
    let id_token = claims(tokens["id_token"].as_str().unwrap());
    assert_eq!((&id_token["aud"], &id_token["nonce"]), (&"web".into(), &"n-0S6_WzA2Mj".into()));

    let refreshed = test.refresh(&web, tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(refreshed.status.as_u16(), 200, "{}", refreshed.text());
    assert_eq!(claims(refreshed.json()["access_token"].as_str().unwrap())["sub"], user.id.to_string());
    let info = test.get_as("/oauth2/v2.0/userinfo", refreshed.json()["access_token"].as_str().unwrap()).await;
    assert_eq!(info.json()["preferred_username"], "alice");
    let _ = VERIFIER;
}
