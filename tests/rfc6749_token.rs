//! RFC 6749: the token endpoint.

use crate::support::{API, TestApp, claims};
use axum::http::StatusCode;

#[tokio::test]
async fn s4_4_3_a_client_with_its_secret_gets_a_token() {
    let (test, client) = TestApp::with_client().await;
    let reply = test.request_token(&client, &format!("{API}/.default")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    let claims = claims(body["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], API);
    assert_eq!(claims["scope"], "read write");
}
