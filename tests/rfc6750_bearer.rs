//! RFC 6750: bearer tokens, at the one endpoint of ours that takes them.

use crate::support::{API, TestApp, TestClient};
use axum::body::Body;
use axum::http::Request;

const GROUPS: &str = "/oauth2/v2.0/groups";

async fn with_token() -> (TestApp, TestClient, String) {
    let (test, client) = TestApp::with_client().await;
    let group = test.group("kafka-rest").await;
    test.add_client(&group, &client.id).await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    (test, client, token)
}

/// The attributes of a challenge, each of which may stand once (M054).
#[track_caller]
fn challenge(value: &str) -> Vec<(String, String)> {
    let attributes = value.strip_prefix("Bearer ").unwrap_or_else(|| panic!("no bearer challenge: {value:?}"));
    let pattern = regex::Regex::new(r#"([a-z_]+)="([^"\\]*)""#).unwrap();
    let found: Vec<_> =
        pattern.captures_iter(attributes).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let written: Vec<_> = found.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    assert_eq!(written.join(", "), attributes);
    for (at, (name, _)) in found.iter().enumerate() {
        assert!(found[at + 1..].iter().all(|(other, _)| other != name), "{name} stands twice: {value}");
    }
    found
}

// M050
#[tokio::test]
async fn s2_1_the_token_comes_in_the_authorization_header() {
    let (test, _, token) = with_token().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = Request::get(GROUPS).header("authorization", format!("{scheme} {token}"));
        let reply = test.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), 200, "{scheme}: {}", reply.text());
        assert_eq!(reply.json()["groups"], serde_json::json!(["kafka-rest"]));
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let header = format!("Bearer {token}");
    let reply = test.post_raw(GROUPS, &[("authorization", &header)], "x=1").await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
}

// M052
#[tokio::test]
async fn s2_2_the_token_may_come_in_a_form_body_and_in_no_other() {
    let (test, _, token) = with_token().await;
    let form = format!("access_token={token}");
    assert_eq!(test.post_raw(GROUPS, &[], form.clone()).await.status.as_u16(), 200);
    for (method, content_type) in [
        ("GET", "application/x-www-form-urlencoded"),
        ("POST", "application/json"),
        ("POST", "text/plain"),
        ("POST", "multipart/form-data; boundary=x"),
    ] {
        let request = Request::builder().method(method).uri(GROUPS).header("content-type", content_type);
        let reply = test.send(request.body(Body::from(form.clone())).unwrap()).await;
        reply.assert_error(401, "invalid_request", 5004);
    }
    // A body of another type is not looked at, so it does not spoil the header.
    let request = Request::post(GROUPS)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    assert_eq!(test.send(request.body(Body::from("{}")).unwrap()).await.status.as_u16(), 200);
}

// M051 M054 M056
#[tokio::test]
async fn s2_more_than_one_transport_is_refused() {
    let (test, _, token) = with_token().await;
    let header = format!("Bearer {token}");
    let one = [("authorization", header.as_str())];
    let two = [("authorization", header.as_str()), ("authorization", header.as_str())];
    for (headers, body) in [(&one[..], format!("access_token={token}")), (&two[..], String::new())] {
        let reply = test.post_raw(GROUPS, headers, body).await;
        reply.assert_error(400, "invalid_request", 5005);
        let challenge = challenge(reply.header("www-authenticate"));
        assert!(challenge.contains(&("error".into(), "invalid_request".into())), "{challenge:?}");
    }
    assert_eq!(test.post_raw(GROUPS, &one, "").await.status.as_u16(), 200);
}

// M053
#[tokio::test]
async fn s2_3_the_query_is_not_read() {
    let (test, _, token) = with_token().await;
    test.get(&format!("{GROUPS}?access_token={token}")).await.assert_error(401, "invalid_request", 5004);
    // Beside the header it is a second way (§2).
    test.get_as(&format!("{GROUPS}?access_token=x"), &token).await.assert_error(400, "invalid_request", 5005);
    assert_eq!(test.get_as(&format!("{GROUPS}?other=x"), &token).await.status.as_u16(), 200);
}

// M054 M055
#[tokio::test]
async fn s3_1_without_a_token_the_challenge_names_no_error() {
    let (test, client, token) = with_token().await;
    let basic = crate::support::basic(&client.id, &client.secret);
    for headers in [
        vec![],
        vec![("authorization", "Bearer")],
        vec![("authorization", "Bearer  ")],
        vec![("authorization", basic.as_str())],
    ] {
        let mut request = Request::get(GROUPS);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let reply = test.send(request.body(Body::empty()).unwrap()).await;
        reply.assert_error(401, "invalid_request", 5004);
        assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1);
        let names: Vec<_> = challenge(reply.header("www-authenticate")).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["realm"], "{headers:?}");
    }
    assert_eq!(test.get_as(GROUPS, &token).await.status.as_u16(), 200);
}

// M054 M056 M057
#[tokio::test]
async fn s3_1_a_token_that_does_not_count_is_invalid() {
    let (test, client, token) = with_token().await;
    let other = test.beside("other").await;
    other.resource(API, |_| ()).await;
    let others = other.client("app", &[&format!("{API}/.default")]).await;
    let foreign = other.token(&others, &format!("{API}/.default")).await;
    let changed = format!("{}A", &token[..token.len() - 1]);
    let list = crate::support::claims(&token)["status"]["status_list"]["uri"].as_str().unwrap().to_owned();
    let status_list = test.get(list.strip_prefix(crate::support::PUBLIC_URL).unwrap()).await.text();
    let not_ascii = "t\u{f6}ken";
    let long = "a".repeat(10_000);
    for bad in
        ["x", "a.b.c", "\"quoted\"", "back\\slash", not_ascii, &long, &foreign, &format!("{changed}=="), &status_list]
    {
        let reply = test.get_as(GROUPS, bad).await;
        reply.assert_error(401, "invalid_token", 5003);
        let challenge = challenge(reply.header("www-authenticate"));
        assert!(challenge.contains(&("error".into(), "invalid_token".into())), "{challenge:?}");
    }
    assert_eq!(other.get_as("/other/oauth2/v2.0/groups", &foreign).await.status.as_u16(), 200);
    assert_eq!(test.get_as(GROUPS, &token).await.status.as_u16(), 200);

    // Revoked, of a disabled client, expired: each of them is as invalid.
    let revoked = test.token(&client, &format!("{API}/.default")).await;
    test.post_as("/revoke", &client, &[("token", &revoked)]).await;
    test.get_as(GROUPS, &revoked).await.assert_error(401, "invalid_token", 5003);
    test.set_client_enabled(&client.id, false).await;
    test.get_as(GROUPS, &token).await.assert_error(401, "invalid_token", 5003);
    test.set_client_enabled(&client.id, true).await;
    test.clock.advance(3599);
    assert_eq!(test.get_as(GROUPS, &token).await.status.as_u16(), 200);
    test.clock.advance(1);
    test.get_as(GROUPS, &token).await.assert_error(401, "invalid_token", 5003);
}
