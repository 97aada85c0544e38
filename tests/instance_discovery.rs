//! What MSAL asks before it fetches a metadata document: which host and which tenant an authority is of.

use crate::support::{PUBLIC_URL, Reply, START, TestApp, fresh_database};
use axum::body::Body;
use axum::http::Request;
use grantor::types::clock::Clock;
use serde_json::json;

const PATH: &str = "/common/discovery/instance";

impl TestApp {
    async fn discover(&self, authorization_endpoint: &str, version: &str) -> Reply {
        let query =
            serde_urlencoded::to_string([("api-version", version), ("authorization_endpoint", authorization_endpoint)]);
        self.get(&format!("{PATH}?{}", query.unwrap())).await
    }
}

#[tokio::test]
async fn a_tenant_of_ours_is_known_with_its_document_and_host() {
    let test = TestApp::new().await;
    let id = test.beside("acme").await.tenant_id().await;
    for (path, tenant) in [
        ("/acme/oauth2/v2.0/authorize", "acme"),
        ("/acme/oauth2/authorize", "acme"),
        ("/acme//oauth2/v2.0/authorize", "acme"), // an authority that ends in a slash
        ("/default/oauth2/v2.0/authorize", "default"),
        ("/oauth2/v2.0/authorize", "default"),
        (&format!("/{id}/oauth2/v2.0/authorize"), &id.to_string()),
    ] {
        for version in ["1.0", "1.1"] {
            let reply = test.discover(&format!("{PUBLIC_URL}{path}"), version).await;
            assert_eq!(reply.header("content-type"), "application/json");
            let discovery = format!("{PUBLIC_URL}/{tenant}/v2.0/.well-known/openid-configuration");
            let host = "login.example.com";
            assert_eq!(
                reply.json(),
                json!({
                    "tenant_discovery_endpoint": discovery,
                    "api-version": "1.1",
                    "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
                })
            );
            let document = test.get(discovery.strip_prefix(PUBLIC_URL).unwrap()).await;
            assert_eq!(document.status.as_u16(), 200);
        }
    }
}

#[tokio::test]
async fn what_is_not_of_this_server_is_an_invalid_instance() {
    let test = TestApp::new().await;
    for asked in [
        "https://login.example.com/nobody/oauth2/v2.0/authorize",
        "https://login.example.com/common/oauth2/v2.0/authorize",
        "https://login.example.com/default",
        "https://login.example.com/default/oauth2/v2.0/authorize/more",
        "https://login.example.com:8443/default/oauth2/v2.0/authorize",
        "http://login.example.com/default/oauth2/v2.0/authorize",
        "https://evil.example/default/oauth2/v2.0/authorize",
        "https://login.example.com@evil.example/default/oauth2/v2.0/authorize",
        "not a URL",
    ] {
        test.discover(asked, "1.0").await.assert_error(400, "invalid_instance", 4309);
    }
    test.get(PATH).await.assert_error(400, "invalid_request", 1006);
    test.get("/common/userrealm/alice?api-version=1.0").await.assert_error(404, "invalid_request", 1010);
}

#[tokio::test]
async fn the_host_header_changes_nothing() {
    let test = TestApp::new().await;
    let query = "authorization_endpoint=https%3A%2F%2Fevil.example%2Fdefault%2Foauth2%2Fv2.0%2Fauthorize";
    let request = Request::get(format!("{PATH}?{query}")).header("host", "evil.example").body(Body::empty()).unwrap();
    test.send(request).await.assert_error(400, "invalid_instance", 4309);
    let query = "authorization_endpoint=https%3A%2F%2Flogin.example.com%2Fdefault%2Foauth2%2Fv2.0%2Fauthorize";
    let request = Request::get(format!("{PATH}?{query}")).header("host", "evil.example").body(Body::empty()).unwrap();
    assert!(!test.send(request).await.text().contains("evil"));
}

#[tokio::test]
async fn a_port_is_part_of_the_alias_and_a_path_is_in_front_of_the_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let database = fresh_database(&folder).await;
    let test = TestApp::open(folder, database, Clock::manual(START), "https://localhost:8443/sso").await;
    // MSAL for Python leaves the port out of what it asks, MSAL for Node does not.
    for host in ["localhost", "localhost:8443"] {
        let reply = test.discover(&format!("https://{host}/sso/default/oauth2/v2.0/authorize"), "1.0").await.json();
        assert_eq!(reply["metadata"][0]["aliases"], json!(["localhost:8443"]));
        assert_eq!(
            reply["tenant_discovery_endpoint"],
            "https://localhost:8443/sso/default/v2.0/.well-known/openid-configuration"
        );
    }
}
