//! RFC 7009: revocation, as far as access tokens go.

use crate::support::browser::{Ask, NATIVE};
use crate::support::grants::Tokens;
use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims};
use serde_json::json;

const REVOKE: &str = "/oauth2/v2.0/revoke";

async fn with_token() -> (TestApp, TestClient, String) {
    let (test, client) = TestApp::with_client().await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    (test, client, token)
}

// M058
#[tokio::test]
async fn s2_1_a_client_revokes_its_token_and_no_other_one() {
    let (test, client, token) = with_token().await;
    let second = test.token(&client, &format!("{API}/.default")).await;
    for path in [REVOKE, "/revoke", "/default/revoke", "/default/oauth2/v2.0/revoke"] {
        let token = test.token(&client, &format!("{API}/.default")).await;
        assert_eq!(test.introspect(&client, &token).await["active"], true);
        let reply = test.post_as(path, &client, &[("token", &token)]).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""), "{path}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(test.introspect(&client, &token).await, json!({ "active": false }), "{path}");
    }
    let credentials = [("client_id", client.id.as_str()), ("client_secret", &client.secret), ("token", &token)];
    assert_eq!(test.post(REVOKE, &credentials).await.status.as_u16(), 200);
    assert_eq!(test.introspect(&client, &token).await["active"], false);
    assert_eq!(test.introspect(&client, &second).await["active"], true);
}

// M060 M065
#[tokio::test]
async fn s2_1_the_client_authenticates_first() {
    let (test, client, token) = with_token().await;
    let wrong = TestClient { secret: "grcs_wrong".into(), ..client.clone() };
    test.post(REVOKE, &[("token", &token)]).await.assert_error(401, "invalid_client", 2001);
    test.post_as(REVOKE, &wrong, &[("token", &token)]).await.assert_error(401, "invalid_client", 2002);
    test.post(REVOKE, &[("token", &token), ("client_id", &client.id)]).await.assert_error(401, "invalid_client", 2002);
    let in_query = format!("{REVOKE}?client_id={}&client_secret={}", client.id, client.secret);
    test.post(&in_query, &[("token", &token)]).await.assert_error(401, "invalid_client", 2001);
    assert_eq!(test.introspect(&client, &token).await["active"], true);
    assert_eq!(test.post_as(REVOKE, &client, &[("token", &token)]).await.status.as_u16(), 200);
    assert_eq!(test.introspect(&client, &token).await["active"], false);
}

// M060
#[tokio::test]
async fn s2_1_the_token_of_another_client_is_refused() {
    let (test, client, token) = with_token().await;
    let stranger = test.client("stranger", &[]).await;
    let server = test.serving_client("server", API).await;
    test.client_with("public", &[], None).await;
    for other in [&stranger, &server] {
        let reply = test.post_as(REVOKE, other, &[("token", &token)]).await;
        reply.assert_error(400, "unauthorized_client", 5001);
    }
    let public = [("client_id", "public"), ("token", &token)];
    test.post(REVOKE, &public).await.assert_error(400, "unauthorized_client", 5001);
    assert_eq!(test.introspect(&client, &token).await["active"], true);
}

// M061
#[tokio::test]
async fn s2_1_a_wrong_hint_changes_nothing() {
    let (test, client, _) = with_token().await;
    for hint in ["access_token", "refresh_token", "no_such_kind"] {
        let token = test.token(&client, &format!("{API}/.default")).await;
        let reply = test.post_as(REVOKE, &client, &[("token_type_hint", hint), ("token", &token)]).await;
        assert_eq!(reply.status.as_u16(), 200, "{hint}");
        assert_eq!(test.introspect(&client, &token).await["active"], false, "{hint}");
    }
}

// M063
#[tokio::test]
async fn s2_2_an_unknown_malformed_expired_or_revoked_token_answers_200() {
    let (test, client, token) = with_token().await;
    let beside = test.beside("other").await;
    beside.resource(API, |_| ()).await;
    let others = beside.client("app", &[&format!("{API}/.default")]).await;
    let foreign = beside.token(&others, &format!("{API}/.default")).await;
    let changed = token.replace('.', "x.");
    for unknown in ["x", "a.b.c", "\0", "grcr_looks-like-a-refresh-token", &changed, &foreign] {
        let reply = test.post_as(REVOKE, &client, &[("token", unknown)]).await;
        assert_eq!(reply.status.as_u16(), 200, "{unknown}: {}", reply.text());
    }
    // What is another tenant's stays untouched.
    assert_eq!(beside.introspect(&others, &foreign).await["active"], true);
    for _ in 0..2 {
        assert_eq!(test.post_as(REVOKE, &client, &[("token", &token)]).await.status.as_u16(), 200);
    }
    let expired = test.token(&client, &format!("{API}/.default")).await;
    test.clock.advance(3600);
    assert_eq!(test.post_as(REVOKE, &client, &[("token", &expired)]).await.status.as_u16(), 200);
}

// M013 M036
#[tokio::test]
async fn s2_1_the_token_is_required_once() {
    let (test, client, token) = with_token().await;
    test.post_as(REVOKE, &client, &[]).await.assert_error(400, "invalid_request", 1006);
    test.post_as(REVOKE, &client, &[("token", "")]).await.assert_error(400, "invalid_request", 1006);
    let twice = [("token", token.as_str()), ("token", token.as_str())];
    test.post_as(REVOKE, &client, &twice).await.assert_error(400, "invalid_request", 1005);
    assert_eq!(test.introspect(&client, &token).await["active"], true);
}

// M064
#[tokio::test]
async fn s2_2_1_a_kind_of_token_that_cannot_be_revoked_is_named() {
    let (test, client, token) = with_token().await;
    let uri = claims(&token)["status"]["status_list"]["uri"].as_str().unwrap().to_owned();
    let list = test.get(uri.strip_prefix(PUBLIC_URL).unwrap()).await.text();
    test.post_as(REVOKE, &client, &[("token", &list)]).await.assert_error(400, "unsupported_token_type", 5002);
    assert_eq!(test.post_as(REVOKE, &client, &[("token", &token)]).await.status.as_u16(), 200);
}

/// A person's token of `web`, and another of `native`.
async fn with_peoples_tokens() -> (TestApp, TestClient, Tokens, Tokens) {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let tokens = browser.web_tokens(&web, &Ask::web()).await;
    let native = browser.native_tokens(&Ask::native()).await;
    (test, web, tokens, native)
}

// M058 M062: one access token; what else the person authorized goes on.
#[tokio::test]
async fn s2_1_an_access_token_of_a_person_is_revoked_alone() {
    let (test, web, tokens, native) = with_peoples_tokens().await;
    let sibling = test.refresh(&web, &tokens.refresh).await.tokens();
    assert_eq!(test.post_as(REVOKE, &web, &[("token", &tokens.access)]).await.status.as_u16(), 200);
    test.assert_alive(&web, &tokens.access, false).await;
    test.get_as("/oauth2/v2.0/userinfo", &tokens.access).await.assert_error(401, "invalid_token", 5003);
    for alive in [&sibling.access, &native.access] {
        assert!(!test.bit(alive).await);
        assert_eq!(test.get_as("/oauth2/v2.0/userinfo", alive).await.status.as_u16(), 200);
    }
    test.refresh(&web, &sibling.refresh).await.tokens();
}

// M060
#[tokio::test]
async fn s2_1_a_persons_token_is_revoked_by_the_client_it_was_issued_to_alone() {
    let (test, web, tokens, native) = with_peoples_tokens().await;
    let reply = test.post_as(REVOKE, &web, &[("token", &native.access)]).await;
    reply.assert_error(400, "unauthorized_client", 5001);
    let by_native = |token| [("client_id", NATIVE), ("token", token)];
    test.post(REVOKE, &by_native(&tokens.access)).await.assert_error(400, "unauthorized_client", 5001);
    for access in [&tokens.access, &native.access] {
        assert!(!test.bit(access).await);
        assert_eq!(test.get_as("/oauth2/v2.0/userinfo", access).await.status.as_u16(), 200);
    }
    // A public client has nothing to prove but its name.
    assert_eq!(test.post(REVOKE, &by_native(&native.access)).await.status.as_u16(), 200);
    assert!(test.bit(&native.access).await);
    test.get_as("/oauth2/v2.0/userinfo", &native.access).await.assert_error(401, "invalid_token", 5003);
}

#[tokio::test]
async fn s2_1_a_token_that_was_revoked_before_its_authorization_fell_stays_revoked() {
    let (test, web, tokens, _) = with_peoples_tokens().await;
    assert_eq!(test.post_as(REVOKE, &web, &[("token", &tokens.access)]).await.status.as_u16(), 200);
    test.withdraw("web").await;
    test.assert_alive(&web, &tokens.access, false).await;
    assert_eq!(test.post_as(REVOKE, &web, &[("token", &tokens.access)]).await.status.as_u16(), 200);
    assert_eq!(test.count("revocations").await, 1);
}
