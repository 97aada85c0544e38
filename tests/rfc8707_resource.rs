//! RFC 8707: resource indicators, and how a scope names its resource.

use crate::support::{API, Reply, TestApp, TestClient, claims};
use serde_json::Value;

const OTHER: &str = "https://other.example.com";

/// Two resources and a client that may have all of both.
async fn with_two() -> (TestApp, TestClient) {
    let test = TestApp::new().await;
    for identifier in [API, OTHER] {
        test.resource(identifier, |_| ()).await;
    }
    let client = test.client("app", &[&format!("{API}/.default"), &format!("{OTHER}/.default")]).await;
    (test, client)
}

async fn ask(test: &TestApp, client: &TestClient, scope: &str, resources: &[&str]) -> Reply {
    let mut form = vec![("grant_type", "client_credentials"), ("scope", scope)];
    form.extend(resources.iter().map(|resource| ("resource", *resource)));
    test.post_as("/oauth2/v2.0/token", client, &form).await
}

#[track_caller]
fn audience(reply: &Reply) -> Value {
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    claims(reply.json()["access_token"].as_str().unwrap())["aud"].clone()
}

// M085
#[tokio::test]
async fn s2_a_resource_that_is_unknown_or_no_absolute_uri_without_fragment_is_an_invalid_target() {
    let (test, client) = with_two().await;
    let with_fragment = format!("{API}#f");
    let with_slash = format!("{API}/");
    let upper = API.to_uppercase();
    for bad in [
        with_fragment.as_str(),
        &with_slash,
        &upper,
        "/api",
        "api",
        "//api.example.com",
        "https://unknown.example.com",
        "%00",
    ] {
        ask(&test, &client, "", &[bad]).await.assert_error(400, "invalid_target", 4005);
    }
    assert_eq!(audience(&ask(&test, &client, "", &[API]).await), API);
}

// M086
#[tokio::test]
async fn s2_several_resource_parameters_are_legal_and_one_token_has_one_resource() {
    let (test, client) = with_two().await;
    assert_eq!(audience(&ask(&test, &client, "", &[API, API]).await), API);
    ask(&test, &client, "", &[API, OTHER]).await.assert_error(400, "invalid_target", 4008);
    ask(&test, &client, &format!("{API}/.default"), &[API, OTHER]).await.assert_error(400, "invalid_target", 4008);
}

// M087 M091
#[tokio::test]
async fn s2_2_the_audience_follows_the_resource_and_stays_within_what_is_allowed() {
    let (test, client) = with_two().await;
    for resource in [API, OTHER] {
        for scope in ["", "read", &format!("{resource}/read"), &format!("{resource}/.default"), "openid"] {
            assert_eq!(audience(&ask(&test, &client, scope, &[resource]).await), resource, "{scope}");
        }
    }
    let narrow = test.client("narrow", &[&format!("{API}/read")]).await;
    assert_eq!(audience(&ask(&test, &narrow, "read", &[API]).await), API);
    ask(&test, &narrow, "", &[OTHER]).await.assert_error(400, "invalid_scope", 4003);
    ask(&test, &narrow, "write", &[API]).await.assert_error(400, "invalid_scope", 4003);
    ask(&test, &client, &format!("{API}/read"), &[OTHER]).await.assert_error(400, "invalid_target", 4007);
    ask(&test, &client, &format!("{API}/.default"), &[OTHER]).await.assert_error(400, "invalid_target", 4007);
}

// M091
#[tokio::test]
async fn the_resource_parameter_wins_over_the_default_resource() {
    let (test, client) = with_two().await;
    test.resource("https://default.example.com", |settings| settings.is_default = true).await;
    assert_eq!(audience(&ask(&test, &client, "read", &[OTHER]).await), OTHER);
    ask(&test, &client, "read", &[]).await.assert_error(400, "invalid_scope", 4003);
}

// M091
#[tokio::test]
async fn one_token_has_one_resource() {
    let (test, client) = with_two().await;
    for scope in [
        format!("{API}/read {OTHER}/read"),
        format!("{API}/.default {OTHER}/.default"),
        format!("{OTHER}/write {API}/.default"),
    ] {
        ask(&test, &client, &scope, &[]).await.assert_error(400, "invalid_scope", 4004);
    }
    let token = ask(&test, &client, &format!("{API}/read {API}/write"), &[]).await;
    assert_eq!(audience(&token), API);
}

// M091
#[tokio::test]
async fn the_longest_registered_identifier_wins() {
    let test = TestApp::new().await;
    let identifiers = [
        "https://x.example",
        "https://x.example/",
        "https://x.example/api",
        "https://x.example/api/v2",
        "kafka",
        "urn:kafka",
    ];
    let mut allowed = Vec::new();
    for identifier in identifiers {
        test.resource(identifier, |_| ()).await;
        allowed.push(format!("{identifier}/.default"));
    }
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let client = test.client("app", &allowed).await;
    for (scope, expected) in [
        ("https://x.example/.default", "https://x.example"),
        ("https://x.example/read", "https://x.example"),
        // Exactly one slash separates, so an identifier that ends in one has two.
        ("https://x.example//.default", "https://x.example/"),
        ("https://x.example//read", "https://x.example/"),
        ("https://x.example/api/.default", "https://x.example/api"),
        ("https://x.example/api/write", "https://x.example/api"),
        ("https://x.example/api/v2/.default", "https://x.example/api/v2"),
        ("kafka/.default", "kafka"),
        ("urn:kafka/read", "urn:kafka"),
    ] {
        let reply = ask(&test, &client, scope, &[]).await;
        assert_eq!(audience(&reply), expected, "{scope}");
        assert_eq!(reply.json()["scope"], scope);
    }
    for unknown in [
        "https://x.exampl/.default",
        "https://x.example.org/.default",
        "https://x.example/apix/read",
        "https://x.example/api/v3/.default",
        "https://x.example///.default",
        "https://x.example/api/",
        "KAFKA/.default",
    ] {
        ask(&test, &client, unknown, &[]).await.assert_error(400, "invalid_scope", 4002);
    }
}

// M091
#[tokio::test]
async fn an_identifier_that_ends_in_a_slash_is_not_guessed() {
    let test = TestApp::new().await;
    test.resource("https://x.example/", |_| ()).await;
    let client = test.client("app", &["https://x.example//.default"]).await;
    ask(&test, &client, "https://x.example/.default", &[]).await.assert_error(400, "invalid_scope", 4002);
    assert_eq!(audience(&ask(&test, &client, "https://x.example//.default", &[]).await), "https://x.example/");
    assert_eq!(audience(&ask(&test, &client, "", &["https://x.example/"]).await), "https://x.example/");
}

// M091: no way leads to a token that anybody would accept.
#[tokio::test]
async fn without_any_resource_there_is_no_token() {
    let test = TestApp::new().await;
    let client = test.client("app", &[]).await;
    for scope in ["", "openid", "read", ".default", "/.default"] {
        let reply = ask(&test, &client, scope, &[]).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("invalid_scope")), "{scope}");
    }
}
