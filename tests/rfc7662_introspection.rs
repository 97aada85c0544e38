//! RFC 7662: introspection.

use crate::support::browser::{Ask, PASSWORD};
use crate::support::status::set_bits;
use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims, holds_null};
use grantor::types::policy::ClaimsProfile;
use serde_json::json;

const INTROSPECT: &str = "/oauth2/v2.0/introspect";

/// A client with a token, and a client that serves the token's resource.
async fn with_token() -> (TestApp, TestClient, TestClient, String) {
    let (test, client) = TestApp::with_client().await;
    let server = test.serving_client("server", API).await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    (test, client, server, token)
}

// M072
#[tokio::test]
async fn s2_2_an_active_token_is_described() {
    let (test, client, server, token) = with_token().await;
    let group = test.group("kafka-rest").await;
    test.add_client(&group, &client.id).await;
    let token_with_group = test.token(&client, &format!("{API}/.default")).await;
    for path in [INTROSPECT, "/introspect", "/default/introspect", "/default/oauth2/v2.0/introspect"] {
        let reply = test.post_as(path, &server, &[("token", &token)]).await;
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.header("content-type").starts_with("application/json"));
        assert_eq!(reply.json()["active"], true, "{path}");
    }
    let answer = test.introspect(&server, &token_with_group).await;
    insta::assert_json_snapshot!(answer, {
        ".jti" => "[jti]", ".tid" => "[tid]", ".oid" => "[oid]", ".status.status_list" => "[place]",
    }, @r#"
    {
      "active": true,
      "token_type": "Bearer",
      "username": "app",
      "nbf": 1795219200,
      "iss": "https://login.example.com",
      "sub": "app",
      "aud": "https://api.example.com",
      "client_id": "app",
      "azp": "app",
      "tid": "[tid]",
      "oid": "[oid]",
      "scope": "read write",
      "groups": [
        "kafka-rest"
      ],
      "typ": "Bearer",
      "iat": 1795219200,
      "exp": 1795222800,
      "jti": "[jti]",
      "status": {
        "status_list": "[place]"
      }
    }
    "#);
}

// M072: what Kong and Strimzi read, whatever the profile of the resource.
#[tokio::test]
async fn s2_2_every_answer_has_the_members_that_resource_servers_read() {
    let (test, ..) = with_token().await;
    test.resource("https://entra.example.com", |settings| settings.claims_profile = ClaimsProfile::Entra).await;
    let client = test.client("both", &["https://entra.example.com/.default", &format!("{API}/.default")]).await;
    for resource in ["https://entra.example.com", API] {
        let token = test.token(&client, &format!("{resource}/.default")).await;
        let answer = test.introspect(&client, &token).await;
        for text in ["username", "client_id", "sub", "iss", "jti"] {
            assert!(answer[text].as_str().is_some_and(|text| !text.is_empty()), "{text} in {answer}");
        }
        for number in ["exp", "iat", "nbf"] {
            assert!(answer[number].is_i64(), "{number} in {answer}");
        }
        assert_eq!(answer["active"], true);
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["scope"], "read write");
        assert_eq!(answer["aud"], resource);
        assert_eq!((&answer["username"], &answer["iss"]), (&json!("both"), &json!(PUBLIC_URL)));
        assert!(!holds_null(&answer), "{answer}");
        // Nothing of the token is changed.
        for (name, value) in claims(&token).as_object().unwrap() {
            assert_eq!(&answer[name], value, "{name}");
        }
    }
}

// M076 M078
#[tokio::test]
async fn s2_3_a_caller_that_is_not_authenticated_gets_401_and_learns_nothing() {
    let (test, client, server, token) = with_token().await;
    test.client_with("public", &[], None).await;
    let wrong = TestClient { secret: "grcs_wrong".into(), ..server.clone() };
    let token = [("token", token.as_str())];
    let reply = test.post(INTROSPECT, &token).await;
    reply.assert_error(401, "invalid_client", 2001);
    assert!(reply.header("www-authenticate").starts_with("Basic "));
    test.post_as(INTROSPECT, &wrong, &token).await.assert_error(401, "invalid_client", 2002);
    let bearer = format!("Bearer {}", token[0].1);
    let body = serde_urlencoded::to_string(token).unwrap();
    test.post_raw(INTROSPECT, &[("authorization", &bearer)], body).await.assert_error(401, "invalid_client", 2008);
    for id in [client.id.as_str(), "public"] {
        let reply = test.post(INTROSPECT, &[token[0], ("client_id", id)]).await;
        assert_eq!((reply.status.as_u16(), reply.json()["active"].is_null()), (401, true), "{id}");
    }
    test.set_client_enabled(&server.id, false).await;
    test.post_as(INTROSPECT, &server, &token).await.assert_error(401, "invalid_client", 2005);
    assert_eq!(test.introspect(&client, token[0].1).await["active"], true);
}

// M013 M036
#[tokio::test]
async fn s2_1_the_token_is_required_once() {
    let (test, _, server, token) = with_token().await;
    test.post_as(INTROSPECT, &server, &[]).await.assert_error(400, "invalid_request", 1006);
    test.post_as(INTROSPECT, &server, &[("token", "")]).await.assert_error(400, "invalid_request", 1006);
    let twice = [("token", token.as_str()), ("token", token.as_str())];
    test.post_as(INTROSPECT, &server, &twice).await.assert_error(400, "invalid_request", 1005);
}

// M073
#[tokio::test]
async fn s2_1_a_wrong_hint_changes_nothing() {
    let (test, _, server, token) = with_token().await;
    for hint in ["access_token", "refresh_token", "no_such_kind"] {
        let form = [("token_type_hint", hint), ("token", &token)];
        assert_eq!(test.post_as(INTROSPECT, &server, &form).await.json()["active"], true, "{hint}");
    }
}

// M074 M075
#[tokio::test]
async fn s2_2_a_token_that_is_not_the_callers_business_is_inactive() {
    let (test, client, server, token) = with_token().await;
    test.resource("https://other.example.com", |_| ()).await;
    let other_server = test.serving_client("other-server", "https://other.example.com").await;
    let stranger = test.client("stranger", &[&format!("{API}/.default")]).await;
    for caller in [&stranger, &other_server] {
        assert_eq!(test.introspect(caller, &token).await, json!({ "active": false }), "{}", caller.id);
    }
    for caller in [&client, &server] {
        assert_eq!(test.introspect(caller, &token).await["active"], true, "{}", caller.id);
    }
}

// M074 M075
#[tokio::test]
async fn s2_2_a_token_that_is_none_of_ours_is_inactive() {
    let (test, client, server, token) = with_token().await;
    let beside = test.beside("other").await;
    beside.resource(API, |_| ()).await;
    let namesake = beside.client(&client.id, &[&format!("{API}/.default")]).await;
    let foreign = beside.token(&namesake, &format!("{API}/.default")).await;
    let uri = claims(&token)["status"]["status_list"]["uri"].as_str().unwrap().to_owned();
    let status_list = test.get(uri.strip_prefix(PUBLIC_URL).unwrap()).await.text();
    let long = format!("{token}{}", "A".repeat(50_000));
    let cut = &token[..token.len() - 4];
    for other in [&foreign, &status_list, &long, cut, "x", "..", "a.b.c", "\0", "🔑", &format!(" {token}")] {
        for caller in [&client, &server] {
            assert_eq!(test.introspect(caller, other).await, json!({ "active": false }), "{other}");
        }
    }
    assert_eq!(beside.introspect(&namesake, &foreign).await["active"], true);
    assert_eq!(beside.introspect(&namesake, &token).await, json!({ "active": false }));
}

// M077
#[tokio::test]
async fn s4_expiry_is_looked_at_on_every_call() {
    let (test, client, server, token) = with_token().await;
    test.clock.advance(3599);
    assert_eq!(test.introspect(&server, &token).await["active"], true);
    test.clock.advance(1);
    for caller in [&client, &server] {
        assert_eq!(test.introspect(caller, &token).await, json!({ "active": false }));
    }
}

// M077
#[tokio::test]
async fn s4_revocation_is_looked_at_on_every_call() {
    let (test, client, server, token) = with_token().await;
    let kept = test.token(&client, &format!("{API}/.default")).await;
    assert_eq!(test.introspect(&server, &token).await["active"], true);
    assert_eq!(test.post_as("/revoke", &client, &[("token", &token)]).await.status.as_u16(), 200);
    assert_eq!(test.introspect(&server, &token).await, json!({ "active": false }));
    assert_eq!(test.introspect(&server, &kept).await["active"], true);
}

// M077: even before the server has followed the log of changes, so no sync here.
#[tokio::test]
async fn s4_the_state_of_client_and_tenant_is_looked_at_on_every_call() {
    let (test, client, server, token) = with_token().await;
    let (tenant, stored) = (test.tenant().await, test.find_client(&client.id).await);
    let now = test.clock.now();
    assert_eq!(test.introspect(&server, &token).await["active"], true);
    for enabled in [false, true] {
        test.app.store.set_client_enabled(tenant.id, &stored, enabled, now).await.unwrap();
        assert_eq!(test.introspect(&server, &token).await["active"], enabled);
    }
    for enabled in [false, true] {
        test.app.store.set_tenant_enabled(&tenant, enabled, now).await.unwrap();
        assert_eq!(test.introspect(&server, &token).await["active"], enabled);
    }
    // The tenant's resource servers still authenticate while it is disabled, to learn that nothing counts.
    test.set_tenant_enabled(false).await;
    assert_eq!(test.introspect(&server, &token).await, json!({ "active": false }));
    test.set_tenant_enabled(true).await;
    test.app.store.delete_client(tenant.id, &stored, now).await.unwrap();
    assert_eq!(test.introspect(&server, &token).await, json!({ "active": false }));
    // A new client of the same name has nothing to do with the old one's tokens.
    test.sync().await;
    let successor = test.client(&client.id, &[&format!("{API}/.default")]).await;
    assert_eq!(test.introspect(&server, &token).await, json!({ "active": false }));
    assert_eq!(test.introspect(&successor, &token).await, json!({ "active": false }));
}

// M077: whether the token may be used at this resource server.
#[tokio::test]
async fn s4_who_no_longer_serves_the_resource_learns_nothing() {
    let (test, _, server, token) = with_token().await;
    assert_eq!(test.introspect(&server, &token).await["active"], true);
    let resource = test.find_resource(API).await;
    assert!(test.app.store.delete_resource(test.tenant_id().await, &resource, test.clock.now()).await.unwrap());
    test.sync().await;
    assert_eq!(test.introspect(&server, &token).await, json!({ "active": false }));
}

// M072: who authorized it, by the name with which they sign in.
#[tokio::test]
async fn s2_2_a_persons_token_names_the_person() {
    let (test, web) = TestApp::with_people().await;
    let server = test.serving_client("server", API).await;
    let group = test.group("kafka-rest").await;
    test.add_person(&group, "alice").await;
    let tokens = test.browser().web_tokens(&web, &Ask::web()).await;
    for caller in [&web, &server] {
        let answer = test.introspect(caller, &tokens.access).await;
        assert_eq!((&answer["active"], &answer["token_type"]), (&json!(true), &json!("Bearer")));
        assert_eq!((&answer["username"], &answer["preferred_username"]), (&json!("alice"), &json!("alice")));
        assert_eq!(answer["sub"], test.person("alice").await.id.to_string());
        assert_eq!(
            (&answer["client_id"], &answer["aud"], &answer["scope"]),
            (&json!("web"), &json!(API), &json!("read"))
        );
        assert_eq!(answer["groups"], json!(["kafka-rest"]));
        assert!(!holds_null(&answer), "{answer}");
        for (name, value) in claims(&tokens.access).as_object().unwrap() {
            assert_eq!(&answer[name], value, "{name}");
        }
    }
    // Whoever neither asked for it nor serves its audience learns nothing of the person.
    let stranger = test.client("stranger", &[]).await;
    assert_eq!(test.introspect(&stranger, &tokens.access).await, json!({ "active": false }));
    // A token for identity alone is for this server, and its client may look at it.
    let identity = test.browser().web_tokens(&web, &Ask::web().with("scope", "openid")).await;
    assert_eq!(test.introspect(&web, &identity.access).await["aud"], PUBLIC_URL);
    assert_eq!(test.introspect(&server, &identity.access).await, json!({ "active": false }));
}

// M077: looked at on every call, before the server has followed the log of changes, so no sync here.
#[tokio::test]
async fn s4_the_state_of_the_person_is_looked_at_on_every_call() {
    for what in ["disabled", "deleted", "withdrawn", "of somebody else"] {
        let (test, web) = TestApp::with_people().await;
        let server = test.serving_client("server", API).await;
        test.user_with("bob", PASSWORD).await;
        let (tenant, now) = (test.tenant_id().await, test.clock.now());
        let (alice, bob, client) =
            (test.person("alice").await, test.person("bob").await, test.find_client("web").await);
        let access = test.browser().web_tokens(&web, &Ask::web()).await.access;
        assert_eq!(test.introspect(&server, &access).await["active"], true);
        let store = &test.app.store;
        match what {
            "disabled" => drop(store.set_user_enabled(tenant, &alice, false, now).await.unwrap()),
            "deleted" => drop(store.delete_user(tenant, &alice, now).await.unwrap()),
            "withdrawn" => assert!(store.withdraw_consents(alice.id, client.oid, now).await.unwrap()),
            _ => drop(store.delete_user(tenant, &bob, now).await.unwrap()),
        }
        if what == "of somebody else" {
            test.assert_alive(&server, &access, true).await;
            continue;
        }
        for caller in [&web, &server] {
            assert_eq!(test.introspect(caller, &access).await, json!({ "active": false }), "{what}");
        }
        assert!(test.bit(&access).await, "{what}");
        if what == "disabled" {
            // Enabled again, what was ended stays ended.
            store.set_user_enabled(tenant, &alice, true, now).await.unwrap();
            assert_eq!(test.introspect(&server, &access).await, json!({ "active": false }));
        }
    }
}

// M077
#[tokio::test]
async fn s4_the_state_of_client_and_tenant_counts_for_a_persons_token() {
    let (test, web) = TestApp::with_people().await;
    let server = test.serving_client("server", API).await;
    let (tenant, stored) = (test.tenant().await, test.find_client("web").await);
    let access = test.browser().web_tokens(&web, &Ask::web()).await.access;
    let now = test.clock.now();
    for enabled in [false, true] {
        test.app.store.set_client_enabled(tenant.id, &stored, enabled, now).await.unwrap();
        assert_eq!(test.introspect(&server, &access).await["active"], enabled);
    }
    for enabled in [false, true] {
        test.app.store.set_tenant_enabled(&tenant, enabled, now).await.unwrap();
        assert_eq!(test.introspect(&server, &access).await["active"], enabled);
    }
    test.clock.advance(3599);
    assert_eq!(test.introspect(&server, &access).await["active"], true);
    test.clock.advance(1);
    assert_eq!(test.introspect(&server, &access).await, json!({ "active": false }));
}

// M077: the status list says the same, in the signed copy that resource servers read.
#[tokio::test]
async fn s4_what_falls_with_an_authorization_is_in_the_published_list() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let (fallen, kept) = (browser.web_tokens(&web, &Ask::web()).await, browser.native_tokens(&Ask::native()).await);
    let refreshed = test.refresh(&web, &fallen.refresh).await.tokens();
    let place = |access: &str| {
        let place = claims(access)["status"]["status_list"].clone();
        let path = place["uri"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap().to_owned();
        (path, usize::try_from(place["idx"].as_u64().unwrap()).unwrap())
    };
    assert!(set_bits(&test.get(&place(&fallen.access).0).await).is_empty());
    test.withdraw("web").await;
    // Our own copy of the list is at most three seconds old.
    test.clock.advance(3);
    let set = set_bits(&test.get(&place(&fallen.access).0).await);
    for (access, expected) in [(&fallen.access, true), (&refreshed.access, true), (&kept.access, false)] {
        assert_eq!(set.contains(&place(access).1), expected);
    }
    assert_eq!(set.len(), 2);
}
