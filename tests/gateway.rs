//! The gateway check (RFC 6750 §3, §3.1): every answer that a gateway gets, over the router.

use crate::support::{API, Reply, TestApp, TestClient};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, Request};
use grantor::store::permissions::AllowedScope;
use grantor::types::policy::{ClaimsProfile, TokenFormat};
use hyper::body::Frame;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::pin::Pin;
use std::task::{Context, Poll};

const CHECK: &str = "/gateway/check";
const MIDDLEMAN: &str = "/gateway/middleman";

/// What a gateway may be answered.
const ANSWERS: [u16; 4] = [200, 401, 403, 503];

impl TestApp {
    async fn check(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn middleman(&self, path: &str, body: &Value) -> Reply {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn with(query: &[(&str, &str)]) -> String {
    format!("{CHECK}?{}", serde_urlencoded::to_string(query).unwrap())
}

/// The client `app` in the groups `engineers` and `kafka-rest`, the first with the role `Operator`; its token.
async fn with_token() -> (TestApp, TestClient, String) {
    let (test, client) = TestApp::with_client().await;
    for name in ["engineers", "kafka-rest"] {
        let group = test.group(name).await;
        test.add_client(&group, &client.id).await;
        if name == "engineers" {
            let resource = test.find_resource(API).await.id;
            let role = "Operator".parse().unwrap();
            let (tenant, now) = (test.tenant_id().await, test.clock.now());
            test.app.store.grant_role(tenant, &group, (resource, &role), now).await.unwrap();
            test.sync().await;
        }
    }
    let token = test.token(&client, &format!("{API}/.default")).await;
    (test, client, token)
}

#[tokio::test]
async fn an_allowed_request_is_answered_with_200_and_who_it_is() {
    let (test, _, token) = with_token().await;
    let reply = test.check(CHECK, &[("authorization", &bearer(&token))]).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "{}"));
    for (name, value) in [
        ("x-auth-subject", "app"),
        ("x-auth-client-id", "app"),
        ("x-auth-scope", "read write"),
        ("x-auth-groups", "engineers,kafka-rest"),
        ("x-consumer-username", "app"),
        ("x-auth-groups-overage", ""),
        ("content-type", "application/json"),
        ("content-length", "2"),
        ("cache-control", "no-store"),
        ("www-authenticate", ""),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn a_person_is_the_subject_and_the_consumer() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let tokens = browser.tokens(&web, &crate::support::browser::Ask::web()).await;
    let token = tokens["access_token"].as_str().unwrap();
    let reply = test.check(CHECK, &[("authorization", &bearer(token))]).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!((reply.header("x-consumer-username"), reply.header("x-auth-client-id")), ("alice", "web"));
    assert_eq!(reply.header("x-auth-subject"), crate::support::claims(token)["sub"]);
    // Without groups the header is there and empty, so that one sent by the client does not stand.
    assert_eq!(reply.headers["x-auth-groups"], "");
}

#[tokio::test]
async fn every_requirement_is_met_or_refused() {
    let (test, _, token) = with_token().await;
    test.resource("https://other.example.com", |_| ()).await;
    let qualified = format!("{API}/read");
    for (query, status, code) in [
        (vec![], 200, 0),
        (vec![("resource", API)], 200, 0),
        (vec![("scope", "read")], 200, 0),
        (vec![("scope", "read write")], 200, 0),
        (vec![("scope", qualified.as_str())], 200, 0),
        (vec![("role", "Operator")], 200, 0),
        (vec![("group", "engineers"), ("group", "kafka-rest")], 200, 0),
        (vec![("resource", API), ("scope", "read"), ("role", "Operator"), ("group", "kafka-rest")], 200, 0),
        // Of several, each has to hold.
        (vec![("resource", API), ("resource", "https://other.example.com")], 401, 7002),
        (vec![("scope", "read"), ("scope", "admin")], 403, 7003),
        (vec![("scope", "read admin")], 403, 7003),
        (vec![("role", "Operator"), ("role", "Owner")], 403, 7004),
        (vec![("group", "engineers"), ("group", "owners")], 403, 7005),
        (vec![("resource", "https://other.example.com")], 401, 7002),
        (vec![("resource", &API[..10])], 401, 7002),
        (vec![("scope", "https://other.example.com/read")], 403, 7003),
        (vec![("group", "Engineers")], 403, 7005),
        (vec![("group", "engineers,kafka-rest")], 403, 7005),
        // A requirement that is misspelt or lost its value lets nobody through.
        (vec![("resource", "")], 403, 7010),
        (vec![("resource", API), ("scope", " ")], 403, 7010),
        (vec![("group", "")], 403, 7010),
        (vec![("scoope", "read")], 403, 7010),
        (vec![("groups", "engineers")], 403, 7010),
    ] {
        let reply = test.check(&with(&query), &[("authorization", &bearer(&token))]).await;
        assert_eq!(reply.status.as_u16(), status, "{query:?} {}", reply.text());
        if status != 200 {
            assert_eq!(reply.json()["error_codes"][0], code, "{query:?}");
            assert_eq!(reply.header("x-auth-subject"), "");
        }
        assert_eq!(status == 401, reply.header("www-authenticate").contains("error=\"invalid_token\""), "{query:?}");
    }
    let reply = test.check(&with(&[("scope", "admin")]), &[("authorization", &bearer(&token))]).await;
    let challenge = reply.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"admin\""), "{challenge}");
}

#[tokio::test]
async fn without_a_token_the_challenge_names_no_error() {
    let (test, ..) = with_token().await;
    let authorizations = ["Basic YTpi", "Bearer", "Bearer ", "Negotiate x", ""];
    for authorization in authorizations {
        let reply = test.check(CHECK, &[("authorization", authorization)]).await;
        reply.assert_error(401, "invalid_request", 5004);
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"grantor\"", "{authorization}");
    }
    test.check(CHECK, &[]).await.assert_error(401, "invalid_request", 5004);
    for garbled in ["x", "a.b.c", "grat_", "grat_x", "eyJhbGciOiJub25lIn0.e30.", "a b"] {
        let reply = test.check(CHECK, &[("authorization", &bearer(garbled))]).await;
        let body = reply.assert_error(401, "invalid_token", 5003);
        assert!(!body.to_string().contains("a.b.c"), "{body}");
        assert!(reply.header("www-authenticate").contains("error=\"invalid_token\""), "{garbled}");
    }
}

#[tokio::test]
async fn any_method_and_any_path_below_is_answered_and_no_body_is_waited_for() {
    let (test, _, token) = with_token().await;
    let bearer = bearer(&token);
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        for path in ["", "/", "/v1/topics", "//", "/a%20b/%2e%2e/c", "/%E2%82%AC"] {
            for authorization in [Some(&bearer), None] {
                // A body that is announced and never comes.
                let body = Body::new(Never);
                let mut request = Request::builder()
                    .method(Method::from_bytes(method.as_bytes()).unwrap())
                    .uri(format!("{CHECK}{path}"))
                    .header("content-length", "1000");
                if let Some(authorization) = authorization {
                    request = request.header("authorization", authorization);
                }
                let reply = test.send(request.body(body).unwrap()).await;
                let wanted = if authorization.is_some() { 200 } else { 401 };
                assert_eq!(reply.status.as_u16(), wanted, "{method} {path}");
            }
        }
    }
}

/// A body that stays away.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn an_api_key_is_taken_wherever_kong_takes_one() {
    let (test, _, key) = with_token().await;
    let own = with(&[("apikey", &key), ("scope", "read")]);
    let original = format!("/v1/topics?page=2&apikey={key}");
    let (full, basic) = (format!("https://shop.example.com{original}"), "Basic YTpi");
    let twice = format!("{original}&apikey={key}");
    for (path, headers) in [
        (CHECK, vec![("apikey", key.as_str())]),
        (CHECK, vec![("ApiKey", key.as_str()), ("authorization", basic)]),
        (own.as_str(), vec![]),
        (CHECK, vec![("x-original-uri", original.as_str())]),
        (CHECK, vec![("x-forwarded-uri", original.as_str())]),
        (CHECK, vec![("x-original-url", full.as_str())]),
        // The same one twice is one.
        (CHECK, vec![("x-forwarded-uri", twice.as_str()), ("apikey", key.as_str())]),
        (own.as_str(), vec![("authorization", &bearer(&key))]),
    ] {
        let reply = test.check(path, &headers).await;
        assert_eq!(reply.status.as_u16(), 200, "{path} {headers:?} {}", reply.text());
    }
    for (path, headers) in [
        (CHECK, vec![("x-original-uri", "/v1?apikey=")]),
        (CHECK, vec![("x-original-uri", "/v1?Apikey=x")]),
        (CHECK, vec![("x-api-key", key.as_str())]),
        (CHECK, vec![("cookie", "apikey=x")]),
        ("/gateway/check?access_token=x", vec![]),
    ] {
        test.check(path, &headers).await.assert_error(401, "invalid_request", 5004);
    }
}

#[tokio::test]
async fn two_different_tokens_are_refused() {
    let (test, client, token) = with_token().await;
    let other = test.token(&client, &format!("{API}/read")).await;
    let key = format!("/x?apikey={other}");
    let (first, second) = (bearer(&token), bearer(&other));
    for headers in [
        vec![("authorization", first.as_str()), ("authorization", second.as_str())],
        vec![("authorization", first.as_str()), ("apikey", other.as_str())],
        vec![("authorization", first.as_str()), ("x-original-uri", key.as_str())],
        vec![("apikey", token.as_str()), ("apikey", "x")],
    ] {
        let reply = test.check(CHECK, &headers).await;
        reply.assert_error(401, "invalid_request", 7001);
        assert!(reply.header("www-authenticate").starts_with("Bearer "), "{headers:?}");
    }
}

#[tokio::test]
async fn a_tenant_checks_its_own_tokens_alone() {
    let (test, _, token) = with_token().await;
    let other = test.beside("t1").await;
    other.resource(API, |_| ()).await;
    let client = other.client("app", &[&format!("{API}/.default")]).await;
    let theirs = other.token(&client, &format!("{API}/.default")).await;
    let (ours, theirs) = (bearer(&token), bearer(&theirs));
    let status = async |path: &str, token: &str| test.check(path, &[("authorization", token)]).await.status.as_u16();
    for path in ["/t1/gateway/check", "/t1/gateway/check/", "/t1/gateway/check/a/b"] {
        assert_eq!((status(path, &theirs).await, status(path, &ours).await), (200, 401), "{path}");
    }
    assert_eq!((status(CHECK, &ours).await, status(CHECK, &theirs).await), (200, 401));
    assert_eq!(status("/default/gateway/check", &ours).await, 200);
    other.set_tenant_enabled(false).await;
    for path in ["/t1/gateway/check", "/nobody/gateway/check", "/nobody/gateway/check/x"] {
        test.check(path, &[("authorization", &theirs)]).await.assert_error(403, "access_denied", 7006);
        test.check(path, &[]).await.assert_error(403, "access_denied", 7006);
    }
    let body = json!({ "headers": { "authorization": theirs } });
    test.middleman("/nobody/gateway/middleman", &body).await.assert_error(403, "access_denied", 7006);
}

#[tokio::test]
async fn what_ends_a_token_ends_it_here() {
    let (test, client, token) = with_token().await;
    let bearer = bearer(&token);
    let status = async || test.check(CHECK, &[("authorization", &bearer)]).await.status.as_u16();
    assert_eq!(status().await, 200);
    test.set_client_enabled("app", false).await;
    assert_eq!(status().await, 401);
    test.set_client_enabled("app", true).await;
    assert_eq!(status().await, 200);
    assert_eq!(test.post_as("/revoke", &client, &[("token", &token)]).await.status.as_u16(), 200);
    assert_eq!(status().await, 401);
    let token = test.token(&client, &format!("{API}/.default")).await;
    test.clock.advance(3600);
    let reply = test.check(CHECK, &[("apikey", &token)]).await;
    reply.assert_error(401, "invalid_token", 5003);
}

#[tokio::test]
async fn groups_above_the_limit_are_looked_up_where_a_route_asks_for_one() {
    let (test, client) = TestApp::with_client().await;
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        let identifier = format!("https://{}.example.com", format.as_str());
        test.resource(&identifier, |settings| {
            settings.group_limit = 1;
            settings.token_format = format;
            settings.claims_profile = ClaimsProfile::Entra;
            settings.group_format = grantor::types::policy::GroupFormat::Name;
        })
        .await;
        let client = test.client(format.as_str(), &[&format!("{identifier}/.default")]).await;
        for name in ["one", "two"] {
            let group = test.group(&format!("{name}-{}", format.as_str())).await;
            test.add_client(&group, &client.id).await;
        }
        let token = test.token(&client, &format!("{identifier}/.default")).await;
        let group = |name: &str| with(&[("group", &format!("{name}-{}", format.as_str()))]);
        let reply = test.check(&group("two"), &[("authorization", &bearer(&token))]).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-auth-groups-overage")), (200, "true"), "{}", reply.text());
        assert_eq!((reply.header("x-auth-groups"), reply.header("x-auth-scope")), ("", "read write"));
        let reply = test.check(&group("three"), &[("authorization", &bearer(&token))]).await;
        reply.assert_error(403, "access_denied", 7005);
        let reply = test.check(CHECK, &[("authorization", &bearer(&token))]).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-auth-groups-overage")), (200, "true"));
    }
    // A list too long for a header is not cut.
    for at in 0..60 {
        let group = test.group(&format!("{at}-{}", "g".repeat(100))).await;
        test.add_client(&group, &client.id).await;
    }
    let token = test.token(&client, &format!("{API}/.default")).await;
    let reply = test.check(CHECK, &[("authorization", &bearer(&token))]).await;
    assert_eq!((reply.header("x-auth-groups"), reply.header("x-auth-groups-overage")), ("", "true"));
}

#[tokio::test]
async fn a_database_that_is_away_is_503_with_retry_after() {
    let (test, _, token) = with_token().await;
    let opaque = format!("grat_{}", "x".repeat(43));
    assert_eq!(test.check(CHECK, &[("authorization", &bearer(&token))]).await.status.as_u16(), 200);
    test.app.store.close().await;
    for path in [CHECK.to_owned(), with(&[("scope", "admin")]), format!("{CHECK}/x"), "/new/gateway/check".into()] {
        for token in [&token, &opaque] {
            let reply = test.check(&path, &[("authorization", &bearer(token))]).await;
            reply.assert_error(503, "temporarily_unavailable", 9001);
            assert!(!reply.header("retry-after").is_empty());
        }
    }
    let body = json!({ "headers": { "authorization": bearer(&token) } });
    test.middleman(MIDDLEMAN, &body).await.assert_error(503, "temporarily_unavailable", 9001);
}

#[tokio::test]
async fn approval_by_request_lets_the_same_key_pass_at_the_next_check() {
    let test = TestApp::new().await;
    test.resource(API, |settings| settings.token_format = TokenFormat::Opaque).await;
    let client = test.client("app", &[&format!("{API}/read")]).await;
    // Without a scope of its own it stands for all that the client may have.
    let form = [("grant_type", "client_credentials"), ("resource", API)];
    let reply = test.post_as("/oauth2/v2.0/token", &client, &form).await;
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    test.execute("UPDATE kept_tokens SET scopes = NULL").await;
    let wants = |scope| with(&[("resource", API), ("scope", scope)]);
    let asked = async |scope| test.check(&wants(scope), &[("apikey", &token)]).await;
    assert_eq!(asked("read").await.status.as_u16(), 200);
    asked("write").await.assert_error(403, "insufficient_scope", 7003);
    // The server is not told: it looks before it refuses.
    test.allow("app", &format!("{API}/write")).await;
    assert_eq!(asked("write").await.status.as_u16(), 200);
    let (tenant, stored) = (test.tenant_id().await, test.find_client("app").await);
    let resource = test.find_resource(API).await.id;
    let all = ["read", "write"].map(|value| AllowedScope { resource, value: value.into() });
    test.app.store.deny_scopes(tenant, &stored, &all, test.clock.now()).await.unwrap();
    test.sync().await;
    asked("read").await.assert_error(401, "invalid_token", 5003);
    test.allow("app", &format!("{API}/read")).await;
    assert_eq!(asked("read").await.status.as_u16(), 200);
}

#[tokio::test]
async fn middleman_reads_what_the_plugin_posts() {
    let (test, client, token) = with_token().await;
    let other = test.token(&client, &format!("{API}/read")).await;
    let bearer = bearer(&token);
    let uri = format!("/v1/topics?apikey={token}");
    for body in [
        json!({ "headers": { "authorization": bearer, "target_uri": "/v1", "target_method": "GET" }, "uri_args": {}, "body_data": null }),
        json!({ "headers": { "authorization": [bearer], "host": "x" } }),
        json!({ "headers": { "Authorization": bearer } }),
        json!({ "headers": { "apikey": token } }),
        json!({ "headers": { "target_uri": uri }, "uri_args": { "apikey": token } }),
        json!({ "headers": {}, "uri_args": { "apikey": token } }),
        json!({ "uri_args": { "apikey": [token], "flag": true } }),
        json!({ "headers": { "authorization": bearer }, "uri_args": { "apikey": true }, "body_data": "{\"x\":1}" }),
    ] {
        let reply = test.middleman(MIDDLEMAN, &body).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "{}"), "{body}");
        assert_eq!(reply.header("content-length"), "2");
    }
    for (body, code) in [
        (json!({}), 5004),
        (json!([]), 5004),
        (json!("x"), 5004),
        (json!(null), 5004),
        (json!({ "headers": [], "uri_args": 3 }), 5004),
        (json!({ "headers": { "authorization": true } }), 5004),
        (json!({ "headers": { "authorization": "Bearer x" } }), 5003),
        (json!({ "headers": { "authorization": bearer, "apikey": other } }), 7001),
        (json!({ "uri_args": { "apikey": [token, other] } }), 7001),
    ] {
        let reply = test.middleman(MIDDLEMAN, &body).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error_codes"][0]), (401, &json!(code)), "{body}");
        // The plugin looks for one object in the body.
        assert!(reply.text().starts_with('{') && reply.text().ends_with('}'));
    }
    let body = json!({ "headers": { "authorization": bearer } });
    let reply = test.middleman(&format!("{MIDDLEMAN}?group=owners"), &body).await;
    reply.assert_error(403, "access_denied", 7005);
}

#[tokio::test]
async fn middleman_refuses_what_it_cannot_read_in_a_gateways_words() {
    let (test, _, token) = with_token().await;
    let headers = json!({ "authorization": bearer(&token) });
    let long = json!({ "headers": headers, "body_data": "x".repeat(64 * 1024) }).to_string();
    let fits = json!({ "headers": headers, "body_data": "x".repeat(60 * 1024) });
    assert_eq!(test.middleman(MIDDLEMAN, &fits).await.status.as_u16(), 200);
    for body in [long.as_str(), "", "{", "\u{0}", "a=b"] {
        let request = Request::post(MIDDLEMAN).body(Body::from(body.to_owned())).unwrap();
        test.send(request).await.assert_error(403, "access_denied", 7009);
    }
    let request = Request::get(MIDDLEMAN).header("authorization", bearer(&token)).body(Body::empty()).unwrap();
    test.send(request).await.assert_error(403, "access_denied", 7009);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_answer_is_one_that_gateways_know(
        authorization in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        key in proptest::option::of("[ -~]{0,40}"),
        uri in proptest::option::of("[!-~]{0,60}"),
        path in "[a-zA-Z0-9/._~%+-]{0,40}",
        query in "[a-zA-Z0-9/._~%&=+-]{0,60}",
        method in "(GET|POST|PUT|DELETE|OPTIONS|[A-Z]{1,12})",
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        use std::sync::LazyLock;
        static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
        static TEST: LazyLock<TestApp> = LazyLock::new(|| RUNTIME.block_on(async { with_token().await.0 }));
        for path in [format!("{CHECK}/{path}?{query}"), format!("{CHECK}?{query}"), format!("{MIDDLEMAN}?{query}")] {
            let mut request = Request::builder().method(method.as_str()).uri(path);
            for (name, value) in [("apikey", &key), ("x-original-uri", &uri), ("x-forwarded-uri", &uri)] {
                if let Some(value) = value {
                    request = request.header(name, value.as_str());
                }
            }
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization.as_slice());
            }
            let Ok(request) = request.body(Body::from(body.clone())) else { continue };
            let reply = RUNTIME.block_on(TEST.send(request));
            prop_assert!(ANSWERS.contains(&reply.status.as_u16()) && reply.status.as_u16() != 200, "{reply:?}");
            prop_assert!(reply.status.as_u16() != 401 || reply.header("www-authenticate").starts_with("Bearer "));
        }
    }
}

// Envoy asks its prefix with the original path and query behind it.
#[tokio::test]
async fn what_a_route_requires_may_stand_in_the_path() {
    let (test, _, token) = with_token().await;
    let encoded = |query: &[(&str, &str)]| serde_urlencoded::to_string(query).unwrap();
    let right = encoded(&[("resource", API), ("scope", "read")]);
    let wrong = encoded(&[("resource", API), ("scope", "admin")]);
    let misspelt = encoded(&[("resource", API), ("scoope", "read")]);
    for behind in ["", "/", "/orders/1", "/orders?scope=mine&role=x&resource=", "/gateway/for/scope=admin/x"] {
        for (requirement, status, code) in [(&right, 200, 0), (&wrong, 403, 7003), (&misspelt, 403, 7010)] {
            let path = format!("/gateway/for/{requirement}{behind}");
            let reply = test.check(&path, &[("authorization", &bearer(&token))]).await;
            assert_eq!(reply.status.as_u16(), status, "{path} {}", reply.text());
            assert!(status == 200 || reply.json()["error_codes"][0] == code, "{path} {}", reply.text());
        }
    }
    // And one that stands in the path of the application is none, whatever it looks like.
    let disguised = format!("/gateway/check/x/gateway/for/{right}/orders?scope=admin");
    test.check(&disguised, &[("authorization", &bearer(&token))]).await.assert_error(403, "insufficient_scope", 7003);
    // Without one, something was lost on the way.
    for lost in ["/gateway/for//orders", "/gateway/for/&/orders"] {
        test.check(lost, &[("authorization", &bearer(&token))]).await.assert_error(403, "access_denied", 7010);
    }
    let query = format!("/gateway/for/{right}/orders?apikey={token}");
    assert_eq!(test.check(&query, &[]).await.status.as_u16(), 200);
}
