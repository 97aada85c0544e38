//! OpenID Connect Core §5.3: UserInfo, and the bearer tokens that it takes (RFC 6750).

use crate::support::answers::spoiled;
use crate::support::browser::{Ask, field};
use crate::support::{API, TestApp, TestClient, claims};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

const USERINFO: &str = "/oauth2/v2.0/userinfo";

/// With alice's tokens for everything.
async fn with_tokens() -> (TestApp, TestClient, Value) {
    let (test, web) = TestApp::with_people().await;
    test.update_user("alice", Some("Alice A."), Some("alice@example.com")).await;
    let group = test.group("staff").await;
    test.add_user(&group, "alice").await;
    let scope = format!("openid profile email groups offline_access {API}/read");
    let tokens = test.browser().tokens(&web, &Ask::web().with("scope", &scope)).await;
    (test, web, tokens)
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name}: {tokens}"))
}

// M050 M052
#[tokio::test]
async fn core_s5_3_1_get_and_post_and_a_form_are_answered_alike() {
    let (test, _, tokens) = with_tokens().await;
    let token = text(&tokens, "access_token");
    let user = test.find_user("alice").await.id.to_string();
    let header = format!("Bearer {token}");
    let headers = [("authorization", header.as_str())];
    for reply in [
        test.get_as(USERINFO, token).await,
        test.get_as("/default/oauth2/v2.0/userinfo", token).await,
        test.post_raw(USERINFO, &headers, "").await,
        test.post_raw(USERINFO, &[], format!("access_token={token}")).await,
        test.send(Request::post(USERINFO).header("authorization", &header).body(Body::empty()).unwrap()).await,
    ] {
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
        assert!(reply.header("content-type").starts_with("application/json"));
        assert_eq!(reply.header("cache-control"), "no-store");
        let expected = json!({
            "sub": user,
            "oid": user,
            "tid": test.tenant_id().await,
            "preferred_username": "alice",
            "name": "Alice A.",
            "email": "alice@example.com",
            "groups": ["staff"],
        });
        assert_eq!(reply.json(), expected);
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).uri(USERINFO).header("authorization", &header);
        test.send(request.body(Body::empty()).unwrap()).await.assert_error(405, "invalid_request", 1001);
    }
}

#[tokio::test]
async fn core_s5_3_2_sub_is_the_one_of_the_id_token_and_claims_follow_the_scope() {
    let (test, web, tokens) = with_tokens().await;
    let id_token = claims(text(&tokens, "id_token"));
    assert_eq!(test.get_as(USERINFO, text(&tokens, "access_token")).await.json()["sub"], id_token["sub"]);
    for (scope, more) in [
        ("openid", vec![]),
        ("openid profile", vec!["preferred_username", "name"]),
        ("openid email", vec!["email"]),
        ("openid groups", vec!["groups"]),
    ] {
        let tokens = test.browser().tokens(&web, &Ask::web().with("scope", scope)).await;
        let info = test.get_as(USERINFO, text(&tokens, "access_token")).await.json();
        let names: Vec<_> = info.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, [vec!["sub", "oid", "tid"], more].concat(), "{scope}");
    }
    // It is who the person is now, not who they were.
    test.update_user("alice", Some("Alice B."), None).await;
    let info = test.get_as(USERINFO, text(&tokens, "access_token")).await.json();
    assert_eq!((&info["name"], info.get("email")), (&json!("Alice B."), None));
}

// M056
#[tokio::test]
async fn rfc6750_s3_1_a_token_without_openid_has_insufficient_scope() {
    let (test, web, tokens) = with_tokens().await;
    let without = test.browser().tokens(&web, &Ask::web().with("scope", &format!("profile {API}/read"))).await;
    let own = test.token(&web, &format!("{API}/.default")).await;
    for token in [text(&without, "access_token"), &own] {
        let reply = test.get_as(USERINFO, token).await;
        reply.assert_error(403, "insufficient_scope", 5006);
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=\"grantor\", error=\"insufficient_scope\", "), "{challenge}");
        assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1);
    }
    assert_eq!(test.get_as(USERINFO, text(&tokens, "access_token")).await.status.as_u16(), 200);
}

// M051 M053 M054 M055 M056
#[tokio::test]
async fn rfc6750_s3_a_token_that_is_missing_bad_or_sent_twice_is_refused_with_a_challenge() {
    let (test, _, tokens) = with_tokens().await;
    let token = text(&tokens, "access_token");
    let reply = test.get(USERINFO).await;
    reply.assert_error(401, "invalid_request", 5004);
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"grantor\"");
    test.get(&format!("{USERINFO}?access_token={token}")).await.assert_error(401, "invalid_request", 5004);
    let changed = spoiled(token);
    for bad in ["x", "a.b.c", &changed, text(&tokens, "id_token"), text(&tokens, "refresh_token")] {
        let reply = test.get_as(USERINFO, bad).await;
        reply.assert_error(401, "invalid_token", 5003);
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=\"grantor\", error=\"invalid_token\", "), "{challenge}");
    }
    let header = format!("Bearer {token}");
    let headers = [("authorization", header.as_str())];
    let twice = test.post_raw(USERINFO, &headers, format!("access_token={token}")).await;
    twice.assert_error(400, "invalid_request", 5005);
    // Who is signed in at the browser is no token.
    let browser = test.browser();
    browser.sign_in("alice").await;
    browser.get(USERINFO).await.assert_error(401, "invalid_request", 5004);
    assert_eq!(test.get_as(USERINFO, token).await.status.as_u16(), 200);
}

#[tokio::test]
async fn core_s5_3_3_a_token_that_ended_says_nothing_any_more() {
    for end in ["expired", "revoked", "user disabled", "user deleted", "password", "client", "withdrawn"] {
        let (test, web, tokens) = with_tokens().await;
        let token = text(&tokens, "access_token");
        assert_eq!(test.get_as(USERINFO, token).await.status.as_u16(), 200);
        match end {
            "expired" => {
                test.clock.advance(3599);
                assert_eq!(test.get_as(USERINFO, token).await.status.as_u16(), 200);
                test.clock.advance(1);
            }
            "revoked" => {
                assert_eq!(test.post_as("/revoke", &web, &[("token", token)]).await.status.as_u16(), 200);
            }
            "user disabled" => test.set_user_enabled("alice", false).await,
            "user deleted" => test.delete_user("alice").await,
            "password" => test.set_password("alice", "another password 1").await,
            "client" => test.set_client_enabled("web", false).await,
            _ => {
                let browser = test.browser();
                let page = browser.sign_in("alice").await;
                let csrf = field(&page, "csrf");
                browser.post("/account/consents", &[("csrf", &csrf), ("client_id", "web")]).await;
            }
        }
        test.get_as(USERINFO, token).await.assert_error(401, "invalid_token", 5003);
    }
}

#[tokio::test]
async fn core_s5_3_a_user_who_is_enabled_again_is_not_given_back_what_ended() {
    let (test, web, tokens) = with_tokens().await;
    test.set_user_enabled("alice", false).await;
    test.set_user_enabled("alice", true).await;
    test.get_as(USERINFO, text(&tokens, "access_token")).await.assert_error(401, "invalid_token", 5003);
    test.refresh(&web, text(&tokens, "refresh_token")).await.assert_error(400, "invalid_grant", 4106);
    let again = test.browser().tokens(&web, &Ask::web()).await;
    assert_eq!(test.get_as(USERINFO, text(&again, "access_token")).await.status.as_u16(), 200);
}

#[tokio::test]
async fn core_s5_3_a_database_that_is_away_is_no_reason_to_refuse_a_token() {
    let (test, _, tokens) = with_tokens().await;
    test.app.store.close().await;
    let reply = test.get_as(USERINFO, text(&tokens, "access_token")).await;
    reply.assert_error(503, "temporarily_unavailable", 9001);
    assert_eq!(reply.header("retry-after"), "5");
    assert!(!reply.headers.contains_key("www-authenticate"));
}
