//! Errors: the body that every one of them has, the table in the documentation, and a database that is away.

use crate::support::{API, Reply, TestApp, TestClient, basic};
use axum::body::Body;
use axum::http::Request;
use grantor::error::{OAuthError, REASONS, Reason};
use grantor::store::permissions::AllowedScope;
use serde_json::Value;
use std::collections::HashSet;

const TOKEN: &str = "/oauth2/v2.0/token";
const ID: &str = "5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2";

// M029: %x20-21 / %x23-5B / %x5D-7E
fn may_stand_in_a_description(c: char) -> bool {
    matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

/// Looks at what holds for every error.
#[track_caller]
fn assert_shape(reply: &Reply) -> Value {
    let body = reply.json();
    let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"]);
    assert!(reply.header("content-type").starts_with("application/json"));
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    let reason = row(&body);
    assert_eq!((reply.status.as_u16(), body["error"].as_str()), (reason.status, Some(reason.error)));
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with(&format!("GRT{}: {}", reason.code, reason.text)), "{description}");
    assert!(description.chars().all(may_stand_in_a_description), "{description}");
    assert!(
        regex::Regex::new(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$").unwrap().is_match(body["timestamp"].as_str().unwrap())
    );
    assert_eq!(reply.header("x-request-id"), body["trace_id"]);
    for id in ["trace_id", "correlation_id"] {
        assert!(!body[id].as_str().unwrap().is_empty(), "{id}");
    }
    assert_eq!(body["error_codes"].as_array().unwrap().len(), 1);
    body
}

#[track_caller]
fn row(body: &Value) -> &'static Reason {
    let code = body["error_codes"][0].as_u64().unwrap();
    REASONS.iter().find(|reason| u64::from(reason.code) == code).expect("every code is in the table")
}

// M035
#[tokio::test]
async fn every_error_has_the_same_members() {
    let (test, client) = TestApp::with_client().await;
    let good = basic(&client.id, &client.secret);
    let wrong = basic(&client.id, "wrong");
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let post = |path: &str, authorization: &str, body: &str| {
        Request::post(path)
            .header("authorization", authorization)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    for (request, code) in [
        (get(TOKEN), 1001),
        (get("/nothing/here/at/all"), 1010),
        (get("/oauth2/v2.0/token/"), 1010),
        (get("/nobody/jwks"), 1008),
        (get("/oauth2/v2.0/groups"), 5004),
        (get("/statuslists/x"), 6001),
        (get(&format!("/statuslists/{ID}")), 6001),
        (post("/jwks", &good, ""), 1001),
        (post("/livez", &good, ""), 1001),
        (post("/metrics", &good, ""), 1001),
        (post("/", &good, ""), 1001),
        (post(TOKEN, &wrong, "grant_type=client_credentials"), 2002),
        (post(TOKEN, &good, "grant_type=password"), 3001),
        (post(TOKEN, &good, "grant_type=client_credentials&scope=x"), 4006),
        (post("/introspect", &good, ""), 1006),
        (post("/introspect", &wrong, "token=x"), 2002),
        (post("/revoke", &good, ""), 1006),
        (post("/revoke", &wrong, "token=x"), 2002),
        (Request::post("/revoke").body(Body::empty()).unwrap(), 1002),
    ] {
        let line = format!("{} {}", request.method(), request.uri());
        let body = assert_shape(&test.send(request).await);
        assert_eq!(body["error_codes"][0], code, "{line}: {body}");
        assert_eq!(body["timestamp"], "2026-11-21 00:00:00Z");
        assert_eq!(body["trace_id"], body["correlation_id"]);
    }
}

#[tokio::test]
async fn the_correlation_id_is_the_one_that_the_client_sent() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/unknown");
    let body =
        format!("grant_type=client_credentials&client_id={}&client_secret={}&scope={scope}", client.id, client.secret);
    let ask = async |query: &str, header: Option<&str>| {
        let headers: Vec<_> = header.into_iter().map(|id| ("client-request-id", id)).collect();
        let reply = test.post_raw(&format!("{TOKEN}{query}"), &headers, body.clone()).await;
        reply.assert_error(400, "invalid_scope", 4002);
        assert_shape(&reply)
    };
    for (query, header) in [
        (String::new(), Some(ID)),
        (format!("?client-request-id={ID}"), None),
        (format!("?a=b&client-request-id={ID}&c=d"), None),
        ("?client-request-id=other".to_owned(), Some(ID)),
    ] {
        let answer = ask(&query, header).await;
        assert_eq!(answer["correlation_id"], ID, "{query} {header:?}");
        assert_ne!(answer["trace_id"], ID);
    }
    // What could not be an id is not repeated.
    let long = "a".repeat(65);
    for bad in ["", "<script>", "a b", "%0d%0a", &long] {
        let query = format!("?client-request-id={}", bad.replace([' ', '<', '>'], "%20"));
        for answer in [ask(&query, None).await, ask("", Some(bad)).await] {
            assert_eq!(answer["correlation_id"], answer["trace_id"], "{bad}");
        }
    }
}

// M029 M047
#[tokio::test]
async fn a_description_holds_only_the_allowed_characters_whatever_was_sent() {
    let (test, client) = TestApp::with_client().await;
    let hostile = "%22%5C%00%0D%0A%1B%7F%C3%A9%F0%9F%94%91%FF<script>alert(1)</script>";
    let authorization = basic(&client.id, &client.secret);
    let headers = [("authorization", authorization.as_str())];
    for body in [
        format!("grant_type={hostile}"),
        format!("grant_type=client_credentials&scope={hostile}"),
        format!("grant_type=client_credentials&scope={API}/{hostile}"),
        format!("grant_type=client_credentials&resource={hostile}"),
        format!("{hostile}=1&{hostile}=2"),
        format!("grant_type=client_credentials&client_id={hostile}"),
        format!("grant_type={}", "x".repeat(10_000)),
    ] {
        let reply = test.post_raw(TOKEN, &headers, body.clone()).await;
        let answer = assert_shape(&reply);
        assert!(answer["error_description"].as_str().unwrap().len() < 300, "{answer}");
    }
    for path in ["/%22%5C%00%0D%0A/jwks", "/%F0%9F%94%91/jwks", "/%FF/jwks", "/<script>/jwks", "/statuslists/%22"] {
        if let Ok(request) = Request::get(path).body(Body::empty()) {
            assert_shape(&test.send(request).await);
        }
    }
    let token = "\\\"\\\" error=\\\"x";
    let reply = test.get_as("/oauth2/v2.0/groups", token).await;
    assert_shape(&reply);
    assert!(!reply.header("www-authenticate").contains('\\'));
}

#[tokio::test]
async fn an_error_never_repeats_a_secret_or_a_token() {
    let (test, client) = TestApp::with_client().await;
    let stranger = test.client("stranger", &[]).await;
    let scope = format!("{API}/.default");
    let token = test.token(&client, &scope).await;
    let wrong = TestClient { secret: "a-secret-that-is-wrong".into(), ..client.clone() };
    let encoded = basic(&client.id, &client.secret)["Basic ".len()..].to_owned();
    let authorized = |value: &str| vec![("authorization".to_owned(), value.to_owned())];
    let form =
        |client: &TestClient, more: &str| format!("client_id={}&client_secret={}&{more}", client.id, client.secret);
    let token_form = format!("token={token}");
    for (path, headers, body) in [
        (TOKEN, vec![], form(&wrong, "grant_type=client_credentials")),
        (TOKEN, vec![], form(&client, &form(&client, "x=1"))),
        (TOKEN, authorized(&format!("Basic {encoded}")), form(&client, "x=1")),
        (TOKEN, authorized(&encoded), String::new()),
        (TOKEN, authorized(&format!("{encoded} {encoded}")), String::new()),
        (TOKEN, authorized(&format!("{} x", client.secret)), String::new()),
        (TOKEN, authorized(&format!("Basic {}", client.secret)), String::new()),
        (TOKEN, authorized(&format!("Bearer {token}")), String::new()),
        ("/introspect", vec![], form(&wrong, &token_form)),
        ("/introspect", authorized(&format!("{token} x")), token_form.clone()),
        ("/revoke", vec![], form(&stranger, &token_form)),
        ("/revoke", vec![], form(&client, &format!("{token_form}&{token_form}"))),
        ("/oauth2/v2.0/groups", authorized(&format!("Bearer {token}")), format!("access_token={token}")),
        ("/oauth2/v2.0/groups", authorized(&format!("Bearer {token}x")), String::new()),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = test.post_raw(path, &headers, body.clone()).await;
        assert!(reply.status.is_client_error(), "{path} {headers:?}");
        let shown = format!("{} {:?}", assert_shape(&reply), reply.headers);
        for secret in [&client.secret, &wrong.secret, &stranger.secret, &encoded, &token] {
            assert!(!shown.contains(secret.as_str()), "{path}: {shown}");
        }
    }
}

#[track_caller]
fn assert_away(what: &str, reply: &Reply) {
    let body = assert_shape(reply);
    assert_eq!((reply.status.as_u16(), &body["error_codes"][0]), (503, &Value::from(9001)), "{what}: {body}");
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{what}");
}

#[tokio::test]
async fn a_database_that_is_away_is_503_with_retry_after_and_never_a_4xx() {
    let (test, client) = TestApp::with_client().await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    // A second server over the same database, with nothing in memory yet.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("keys")).unwrap();
    for file in std::fs::read_dir(test.folder.path().join("keys")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join("keys").join(file.file_name())).unwrap();
    }
    let cold = TestApp::open(folder, test.database.clone(), test.clock.clone(), crate::support::PUBLIC_URL).await;
    assert_eq!(cold.get("/readyz").await.status.as_u16(), 200);
    let cold_path = format!("/{}/jwks", cold.tenant_id().await);

    cold.app.store.close().await;
    let wrong = TestClient { secret: "grcs_wrong".into(), ..client.clone() };
    let form = [("token", token.as_str())];
    assert_away("token", &cold.request_token(&client, &format!("{API}/.default")).await);
    assert_away("token, wrong secret", &cold.request_token(&wrong, "").await);
    assert_away("token, other tenant", &cold.post(&format!("/other{TOKEN}"), &[]).await);
    assert_away("introspect", &cold.post_as("/introspect", &client, &form).await);
    assert_away("revoke", &cold.post_as("/revoke", &client, &form).await);
    assert_away("groups", &cold.get_as("/oauth2/v2.0/groups", &token).await);
    assert_away("jwks", &cold.get(&cold_path).await);
    assert_away("readyz", &cold.get("/readyz").await);
    assert_eq!(cold.get("/livez").await.status.as_u16(), 200);

    // What asks the database on every call says so even with everything else in memory; nothing counts as revoked
    // or inactive that could not be looked up.
    test.app.store.close().await;
    assert_away("warm introspect", &test.post_as("/introspect", &client, &form).await);
    assert_away("warm revoke", &test.post_as("/revoke", &client, &form).await);
    assert_away("warm groups", &test.get_as("/oauth2/v2.0/groups", &token).await);
    assert_away("warm readyz", &test.get("/readyz").await);
    assert_away("unknown client", &test.request_token(&TestClient { id: "unknown".into(), ..wrong }, "").await);
    // A refusal out of memory would be a guess: the secret or the scope may be new.
    let wrong = TestClient { secret: "grcs_wrong".into(), ..client.clone() };
    assert_away("warm wrong secret", &test.request_token(&wrong, "").await);
    assert_away("warm unknown scope", &test.request_token(&client, "https://new.example.com/.default").await);
    assert_away("warm wrong secret at introspect", &test.post_as("/introspect", &wrong, &form).await);
    // The main job goes on from memory.
    let reply = test.request_token(&client, &format!("{API}/.default")).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    assert_eq!(test.get("/jwks").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_refusal_looks_once_more_whether_something_changed() {
    let (test, client) = TestApp::with_client().await;
    let second = test.second_server().await;
    assert_eq!(second.request_token(&client, &format!("{API}/read")).await.status.as_u16(), 200);
    // Made at the first server; the second one was told nothing, and must not refuse what is right by now.
    test.resource("https://new.example.com", |_| ()).await;
    let resource = test.find_resource("https://new.example.com").await;
    let allowed = [AllowedScope { resource: resource.id, value: ".default".into() }];
    let found = test.find_client(&client.id).await;
    test.app.store.allow_scopes(test.tenant_id().await, &found, &allowed, test.clock.now()).await.unwrap();
    let reply = second.request_token(&client, "https://new.example.com/read").await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    second.request_token(&client, "https://new.example.com/other").await.assert_error(400, "invalid_scope", 4002);
}

#[tokio::test]
async fn health_and_metrics_stand_below_each_tenant_too() {
    let test = TestApp::new().await;
    test.beside("t1").await;
    for tenant in ["", "/default", "/t1"] {
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(test.get(&format!("{tenant}{path}")).await.status.as_u16(), 200, "{tenant}{path}");
        }
    }
    test.get("/nobody/readyz").await.assert_error(404, "invalid_request", 1008);
}

#[test]
fn every_reason_is_in_the_documentation_and_no_code_is_used_twice() {
    let documented: Vec<Vec<String>> = include_str!("../docs/errors.md")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| code"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let expected: Vec<Vec<String>> = REASONS
        .iter()
        .map(|reason| {
            vec![
                reason.code.to_string(),
                reason.status.to_string(),
                format!("`{}`", reason.error),
                reason.text.to_owned(),
            ]
        })
        .collect();
    assert_eq!(documented.iter().map(|row| row[..4].to_vec()).collect::<Vec<_>>(), expected);
    assert!(documented.iter().all(|row| row.len() == 5 && !row[4].is_empty()));
    let codes: HashSet<_> = REASONS.iter().map(|reason| reason.code).collect();
    assert_eq!(codes.len(), REASONS.len());
    assert!(REASONS.windows(2).all(|pair| pair[0].code < pair[1].code), "in order of code");
}

// M029
#[test]
fn every_reason_holds_only_the_allowed_characters() {
    for reason in REASONS {
        assert!(reason.error.chars().chain(reason.text.chars()).all(may_stand_in_a_description), "{}", reason.code);
        assert!((400..600).contains(&reason.status), "{}", reason.code);
        let hostile = OAuthError::from(*reason).about("\"\\\r\n\0é🔑").description();
        assert!(hostile.chars().all(may_stand_in_a_description), "{hostile}");
    }
}
