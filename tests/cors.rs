//! Fetch §3.2, RFC 9700 §2.6: which web pages may call which endpoints.

use crate::support::{Reply, TestApp};
use axum::body::Body;
use axum::http::{Method, Request};
use grantor::store::clients::ClientParts;

const PAGE: &str = "https://spa.example.com";
const SHARED: &[(&str, &str)] = &[
    ("POST", "/oauth2/v2.0/token"),
    ("GET", "/oauth2/v2.0/userinfo"),
    ("POST", "/oauth2/v2.0/revoke"),
    ("POST", "/revoke"),
    ("GET", "/jwks"),
    ("GET", "/discovery/v2.0/keys"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/openid-configuration"),
];

async fn with_page() -> TestApp {
    let (test, _) = TestApp::with_client().await;
    let parts = ClientParts { add_origins: vec![PAGE.parse().unwrap()], ..ClientParts::default() };
    let (tenant, client) = (test.tenant_id().await, test.find_client("app").await);
    test.app.store.update_client(tenant, &client, (None, &parts), test.clock.now()).await.unwrap();
    test.sync().await;
    test
}

async fn ask(test: &TestApp, method: &str, path: &str, origin: &str) -> Reply {
    let request = Request::builder().method(method).uri(path).header("origin", origin);
    test.send(request.body(Body::empty()).unwrap()).await
}

async fn preflight(test: &TestApp, method: &str, path: &str, origin: &str) -> Reply {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,x-client-sku");
    test.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_page_of_a_registered_origin_may_call_and_read() {
    let test = with_page().await;
    for (method, path) in SHARED {
        let reply = preflight(&test, method, path, PAGE).await;
        assert_eq!(reply.status.as_u16(), 204, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), PAGE, "{path}");
        assert_eq!(reply.header("access-control-allow-headers"), "authorization,x-client-sku", "{path}");
        assert!(reply.header("access-control-allow-methods").contains(method), "{path}");
        // Errors are to be read too.
        let reply = ask(&test, method, path, PAGE).await;
        assert_eq!(reply.header("access-control-allow-origin"), PAGE, "{path}");
        assert_eq!(reply.header("vary"), "Origin", "{path}");
        assert_eq!(reply.header("access-control-allow-credentials"), "", "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_not() {
    let test = with_page().await;
    for origin in ["https://evil.example.com", "https://spa.example.com.evil.example", "http://spa.example.com", "null"]
    {
        for (method, path) in SHARED {
            for reply in [preflight(&test, method, path, origin).await, ask(&test, method, path, origin).await] {
                assert_eq!(reply.header("access-control-allow-origin"), "", "{origin} {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_answer_of_one_origin_is_not_cached_for_another() {
    let test = with_page().await;
    for (_, path) in SHARED {
        assert_eq!(test.get(path).await.header("vary"), "Origin", "{path}");
    }
}

#[tokio::test]
async fn rfc9700_s2_6_the_authorization_endpoint_and_the_pages_are_not_shared() {
    let test = with_page().await;
    for path in ["/oauth2/v2.0/authorize", "/account", "/oauth2/v2.0/logout", "/introspect"] {
        for reply in [preflight(&test, "GET", path, PAGE).await, ask(&test, "GET", path, PAGE).await] {
            assert_eq!(reply.header("access-control-allow-origin"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn an_origin_counts_in_its_tenant_while_its_client_is_enabled() {
    let test = with_page().await;
    test.beside("t1").await;
    assert_eq!(ask(&test, "GET", "/t1/jwks", PAGE).await.header("access-control-allow-origin"), "");
    test.set_client_enabled("app", false).await;
    assert_eq!(ask(&test, "GET", "/jwks", PAGE).await.header("access-control-allow-origin"), "");
    test.set_client_enabled("app", true).await;
    assert_eq!(ask(&test, "GET", "/jwks", PAGE).await.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn an_origin_that_was_refused_may_call_once_a_client_registered_it() {
    let test = with_page().await;
    let other = "https://other.example.com";
    let allowed = async || ask(&test, "GET", "/jwks", other).await.header("access-control-allow-origin").to_owned();
    assert_eq!(allowed().await, "");
    let (tenant, client) = (test.tenant_id().await, test.find_client("app").await);
    for (added, expected) in [(true, other), (false, "")] {
        let list = vec![other.parse().unwrap()];
        let parts = match added {
            true => ClientParts { add_origins: list, ..ClientParts::default() },
            false => ClientParts { remove_origins: list, ..ClientParts::default() },
        };
        test.app.store.update_client(tenant, &client, (None, &parts), test.clock.now()).await.unwrap();
        test.sync().await;
        assert_eq!(allowed().await, expected);
    }
}

#[tokio::test]
async fn an_origin_is_asked_for_once_whether_it_is_known_or_not() {
    let test = with_page().await;
    let tenant = test.tenant_id().await;
    let unknown = "https://other.example.com";
    for (origin, known) in [(PAGE, true), (unknown, false)] {
        assert_eq!(test.app.directory.knows_origin(tenant, origin).await.unwrap(), known);
    }
    test.app.store.close().await;
    for (origin, known) in [(PAGE, true), (unknown, false)] {
        assert_eq!(test.app.directory.knows_origin(tenant, origin).await.unwrap(), known);
    }
    // What no browser sends is not looked for at all.
    let long = format!("https://{}.example.com", "a".repeat(300));
    for origin in ["null", "", "https://spa.example.com/", "\u{0}", &long] {
        assert!(!test.app.directory.knows_origin(tenant, origin).await.unwrap(), "{origin}");
    }
    assert!(test.app.directory.knows_origin(tenant, "https://third.example.com").await.is_err());
}
