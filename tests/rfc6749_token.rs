//! RFC 6749: the token endpoint and client authentication there.

use crate::support::{API, Reply, TestApp, TestClient, basic, claims};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantor::store::clients::{ClientParts, NewClient};
use grantor::types::id::ClientOid;
use grantor::types::secret::{CLIENT_SECRET_PREFIX, Secret};
use std::collections::HashSet;

pub(crate) const TOKEN: &str = "/oauth2/v2.0/token";
pub(crate) const GRANT: &str = "grant_type=client_credentials";

/// The request that most tests vary: `.default` of [`API`].
pub(crate) fn body_of(client: &TestClient) -> String {
    format!("{GRANT}&client_id={}&client_secret={}&scope={API}/.default", client.id, client.secret)
}

/// A token request whose Basic credentials are encoded by the test.
pub(crate) async fn with_basic(test: &TestApp, encoded: &str, body: &str) -> Reply {
    test.post_raw(TOKEN, &[("authorization", &format!("Basic {encoded}"))], format!("{GRANT}{body}")).await
}

#[track_caller]
pub(crate) fn assert_issued(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert!(reply.json()["access_token"].is_string());
}

// ---- §2: clients

// M011
#[tokio::test]
async fn s3_2_a_parameter_without_a_value_is_absent() {
    let (test, client) = TestApp::with_client().await;
    let encoded = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    let empty = format!("&client_id=&client_secret=&client_assertion=&resource=&scope=&scope={API}/.default");
    assert_issued(&with_basic(&test, &encoded, &empty).await);
    let body = body_of(&client).replace(GRANT, "grant_type=");
    test.post_raw(TOKEN, &[], body).await.assert_error(400, "invalid_request", 1006);
    let body = body_of(&client).replace(&client.secret, "");
    test.post_raw(TOKEN, &[], body).await.assert_error(401, "invalid_client", 2002);
}

// M012
#[tokio::test]
async fn s3_2_unknown_parameters_are_ignored() {
    let (test, client) = TestApp::with_client().await;
    let known_to_others = "client_info=1&claims=%7B%22access_token%22%3A%7B%7D%7D&x-client-SKU=msal.js.node&x-client-VER=7.2.1\
        &x-client-OS=linux&x-client-CPU=x64&x-ms-lib-capability=retry-after%2C%20h429&x-client-current-telemetry=5|771,0,,,|,\
        &x-client-last-telemetry=5|0|||0,0&client-request-id=5d7e3ad0-2b67-4c36-8a3c-8d0ff2e0b1b2&clidata=1\
        &requested_token_use=on_behalf_of&audience=https%3A%2F%2Felsewhere&assume_group=7&authorization_details=%5B%5D\
        &fmi_path=a%2Fb&code=abc&provision_key=x&username=u&password=p&%F0%9F%94%91=%00";
    assert_issued(&test.post_raw(TOKEN, &[], format!("{}&{known_to_others}", body_of(&client))).await);
}

// M013 M086
#[tokio::test]
async fn s3_2_a_repeated_parameter_is_refused() {
    let (test, client) = TestApp::with_client().await;
    let body = body_of(&client);
    for pair in body.split('&') {
        let name = pair.split('=').next().unwrap();
        for value in [pair.to_owned(), format!("{name}=x")] {
            let reply = test.post_raw(TOKEN, &[], format!("{body}&{value}")).await;
            let description = reply.assert_error(400, "invalid_request", 1005)["error_description"].to_string();
            assert!(description.contains(name), "{description}");
        }
    }
    test.post_raw(TOKEN, &[], format!("{body}&x=1&x=1")).await.assert_error(400, "invalid_request", 1005);
    assert_issued(&test.post_raw(TOKEN, &[], format!("{body}&resource={API}&resource={API}")).await);
}

// M020
#[tokio::test]
async fn s3_2_token_requests_are_posted() {
    let (test, client) = TestApp::with_client().await;
    for path in [TOKEN, "/default/oauth2/v2.0/token", "/revoke", "/introspect"] {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let request = Request::builder().method(method).uri(format!("{path}?{}", body_of(&client)));
            let reply = test.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"), "{method} {path}");
            assert!(reply.header("content-type").starts_with("application/json"));
            if method != "HEAD" {
                reply.assert_error(405, "invalid_request", 1001);
            }
        }
    }
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client)).await);
}

#[tokio::test]
async fn s3_2_parameters_come_form_encoded() {
    let (test, client) = TestApp::with_client().await;
    let send = async |content_type: Option<&str>, body: String| {
        let mut request = Request::post(TOKEN);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        test.send(request.body(Body::from(body)).unwrap()).await
    };
    for fine in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
        "Application/X-WWW-Form-Urlencoded ;charset=iso-8859-1",
    ] {
        assert_issued(&send(Some(fine), body_of(&client)).await);
    }
    let json = serde_json::json!({ "grant_type": "client_credentials", "client_id": client.id }).to_string();
    for (content_type, body) in [
        (None, body_of(&client)),
        (Some("application/json"), json),
        (Some("multipart/form-data; boundary=x"), "--x--".into()),
        (Some("text/plain"), body_of(&client)),
        (Some("application/x-www-form-urlencodedx"), body_of(&client)),
    ] {
        send(content_type, body).await.assert_error(400, "invalid_request", 1002);
    }
    // What two programs could understand differently.
    for (name, value) in [("content-type", "application/json"), ("content-encoding", "gzip")] {
        test.post_raw(TOKEN, &[(name, value)], body_of(&client)).await.assert_error(400, "invalid_request", 1002);
    }
    assert_issued(&test.post_raw(TOKEN, &[("content-encoding", "identity")], body_of(&client)).await);
}

#[tokio::test]
async fn s3_2_a_body_beyond_the_limits_is_refused() {
    let (test, client) = TestApp::with_client().await;
    let filled = |length: usize| {
        let body = format!("{}&x=", body_of(&client));
        let fill = "a".repeat(length - body.len());
        body + &fill
    };
    assert_issued(&test.post_raw(TOKEN, &[], filled(64 * 1024)).await);
    test.post_raw(TOKEN, &[], filled(64 * 1024 + 1)).await.assert_error(413, "invalid_request", 1003);
    let many = |count: usize| (0..count).map(|at| format!("&p{at}=1")).collect::<String>();
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client) + &many(96)).await);
    test.post_raw(TOKEN, &[], body_of(&client) + &many(97)).await.assert_error(400, "invalid_request", 1007);
}

// M012: librdkafka and Kafka do not encode the scope, so what stands behind '&' in it becomes a parameter.
#[tokio::test]
async fn s3_2_an_unencoded_scope_is_read_as_it_was_meant() {
    let (test, client) = TestApp::with_client().await;
    let header = basic(&client.id, &client.secret);
    let headers = [("authorization", header.as_str())];
    let reply = test.post_raw(TOKEN, &headers, format!("{GRANT}&scope={API}/.default {API}/read")).await;
    assert_issued(&reply);
    assert_eq!(reply.json()["scope"], format!("{API}/.default {API}/read"));
    assert_issued(&test.post_raw(TOKEN, &headers, format!("{GRANT}&scope={API}/.default&b=c d+e")).await);
    assert_issued(&test.post_raw(TOKEN, &headers, format!("{GRANT}&scope={API}/.default&stray&=&")).await);
    // The observed line, to the letter: 'a' is a scope that nobody registered.
    let observed = format!("{GRANT}&scope={API}/.default a&b=c d+e");
    test.post_raw(TOKEN, &headers, observed).await.assert_error(400, "invalid_scope", 4006);
}

// M029 M047
#[tokio::test]
async fn s10_14_hostile_values_get_a_clear_refusal_and_nothing_else() {
    let (test, client) = TestApp::with_client().await;
    let long = "a".repeat(20_000);
    for value in
        ["%00", "%0D%0AX-Injected:%201", "%FF%FE", "%22%5C%3Cscript%3E", "%F0%9F%94%91", "'%20OR%201=1--", &long]
    {
        for name in ["grant_type", "client_id", "client_secret", "scope", "resource"] {
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", &client.id),
                ("client_secret", &client.secret),
                ("scope", ""),
                ("resource", ""),
            ];
            let body: Vec<String> = fields
                .iter()
                .map(|(field, fine)| format!("{field}={}", if *field == name { value } else { fine }))
                .collect();
            let reply = test.post_raw(TOKEN, &[], body.join("&")).await;
            assert!(reply.status.is_client_error(), "{name}={value}: {}", reply.text());
            assert!(!reply.headers.contains_key("x-injected"));
            assert!(reply.json()["error"].is_string());
        }
        let encoded = STANDARD.encode(format!("{value}:{value}"));
        assert!(with_basic(&test, &encoded, "").await.status.is_client_error());
    }
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client)).await);
}

// ---- §3.3: scope

// M022
#[tokio::test]
async fn s3_3_scope_is_case_sensitive_order_free_and_of_the_allowed_characters() {
    let (test, client) = TestApp::with_client().await;
    for scope in [format!("{API}/read {API}/write"), format!("  {API}/write   {API}/read {API}/read ")] {
        let reply = test.request_token(&client, &scope).await;
        assert_issued(&reply);
        let token = reply.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(claims(&token)["scope"], "read write");
    }
    test.request_token(&client, &format!("{API}/Read")).await.assert_error(400, "invalid_scope", 4002);
    for bad in ["re\"ad", "re\\ad", "read\twrite", "read\nwrite", "rèad", "\u{7f}", "read\0"] {
        test.request_token(&client, &format!("{API}/{bad}")).await.assert_error(400, "invalid_scope", 4001);
    }
    let long = format!("{API}/read ").repeat(1200);
    test.request_token(&client, &long).await.assert_error(400, "invalid_scope", 4001);
}

// M023: clients store the token under the scope of the answer, so it repeats what was asked for.
#[tokio::test]
async fn s3_3_the_answer_names_the_scope() {
    let (test, client) = TestApp::with_client().await;
    test.resource("https://default.example.com", |settings| settings.is_default = true).await;
    let both = test.client("both", &[&format!("{API}/.default"), "https://default.example.com/read"]).await;
    for (client, asked, answered, granted) in [
        (&client, format!("{API}/.default"), format!("{API}/.default"), "read write"),
        (&client, format!("{API}/read"), format!("{API}/read"), "read"),
        (&client, format!("{API}/write {API}/read"), format!("{API}/write {API}/read"), "read write"),
        (&client, format!("{API}/.default {API}/read"), format!("{API}/.default {API}/read"), "read write"),
        (&both, "read".into(), "read".into(), "read"),
        (&both, String::new(), "https://default.example.com/read".into(), "read"),
        (&client, format!("openid profile {API}/read email offline_access"), format!("{API}/read"), "read"),
    ] {
        let reply = test.request_token(client, &asked).await;
        assert_issued(&reply);
        assert_eq!(reply.json()["scope"], answered, "asked for {asked:?}");
        assert_eq!(claims(reply.json()["access_token"].as_str().unwrap())["scope"], granted, "asked for {asked:?}");
    }
}

// M024
#[tokio::test]
async fn s3_3_without_a_scope_the_default_resource_is_meant_or_the_request_fails() {
    let (test, client) = TestApp::with_client().await;
    for scope in ["", "openid", "openid profile email offline_access", "read"] {
        test.request_token(&client, scope).await.assert_error(400, "invalid_scope", 4006);
    }
    test.resource("https://default.example.com", |settings| settings.is_default = true).await;
    let both = test.client("both", &["https://default.example.com/read", "https://default.example.com/write"]).await;
    for scope in ["", "openid", "openid offline_access"] {
        let reply = test.request_token(&both, scope).await;
        assert_issued(&reply);
        let token = claims(reply.json()["access_token"].as_str().unwrap());
        assert_eq!((&token["aud"], &token["scope"]), (&"https://default.example.com".into(), &"read write".into()));
        assert_eq!(reply.json()["scope"], "https://default.example.com/read https://default.example.com/write");
    }
    // The default is no way around permissions.
    test.request_token(&client, "").await.assert_error(400, "invalid_scope", 4003);
}

// M036
#[tokio::test]
async fn s3_3_a_scope_that_is_unknown_or_not_allowed_is_refused() {
    let (test, _) = TestApp::with_client().await;
    let reader = test.client("reader", &[&format!("{API}/read")]).await;
    let nobody = test.client("nothing-allowed", &[]).await;
    for (client, scope, code) in [
        (&reader, format!("{API}/write"), 4003),
        (&reader, format!("{API}/read {API}/write"), 4003),
        (&reader, format!("{API}/unknown"), 4002),
        (&reader, "https://unknown.example.com/.default".into(), 4002),
        (&reader, "https://unknown.example.com/read".into(), 4002),
        (&nobody, format!("{API}/.default"), 4003),
        (&nobody, format!("{API}/read"), 4003),
    ] {
        test.request_token(client, &scope).await.assert_error(400, "invalid_scope", code);
    }
    let token = test.token(&reader, &format!("{API}/.default")).await;
    assert_eq!(claims(&token)["scope"], "read");
}

// ---- §4.4, §5: grants and answers

// M033 M034
#[tokio::test]
async fn s5_1_success_is_json_that_nobody_stores_and_carries_no_refresh_token() {
    let (test, client) = TestApp::with_client().await;
    let reply = test.request_token(&client, &format!("{API}/.default offline_access")).await;
    assert_issued(&reply);
    assert!(reply.header("content-type").starts_with("application/json"));
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    insta::assert_json_snapshot!(reply.json(), { ".access_token" => "[token]" }, @r#"
    {
      "token_type": "Bearer",
      "expires_in": 3600,
      "scope": "https://api.example.com/.default",
      "access_token": "[token]"
    }
    "#);
}

// M034: a resource decides how long its tokens live.
#[tokio::test]
async fn s5_1_expires_in_is_the_lifetime_of_the_token() {
    let test = TestApp::new().await;
    test.resource(API, |settings| settings.lifetime = 900).await;
    let client = test.client("app", &[&format!("{API}/.default")]).await;
    let reply = test.request_token(&client, &format!("{API}/.default")).await.json();
    let token = claims(reply["access_token"].as_str().unwrap());
    assert_eq!(reply["expires_in"], 900);
    assert_eq!(token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap(), 900);
}

// M035
#[tokio::test]
async fn s5_2_failed_basic_auth_answers_401_with_challenge() {
    let (test, client) = TestApp::with_client().await;
    let wrong = STANDARD.encode(format!("{}:wrong", client.id));
    let reply = with_basic(&test, &wrong, "").await;
    reply.assert_error(401, "invalid_client", 2002);
    assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1);
    assert!(reply.header("www-authenticate").starts_with("Basic realm="));
    assert_eq!(reply.header("pragma"), "no-cache");
    // Other refusals are 400 and challenge nobody.
    let reply = test.request_token(&client, "unknown://x/.default").await;
    reply.assert_error(400, "invalid_scope", 4002);
    assert!(!reply.headers.contains_key("www-authenticate"));
}

// M036 M146
#[tokio::test]
async fn s5_2_a_grant_that_is_not_offered_is_unsupported() {
    let (test, client) = TestApp::with_client().await;
    for grant in [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "kubernetes",
        "Client_Credentials",
    ] {
        let body = body_of(&client).replace(GRANT, &format!("grant_type={grant}&username=u&password=p"));
        test.post_raw(TOKEN, &[], body).await.assert_error(400, "unsupported_grant_type", 3001);
    }
    // Whoever does not authenticate learns nothing about grants.
    let body = body_of(&client).replace(GRANT, "grant_type=password").replace(&client.secret, "wrong");
    test.post_raw(TOKEN, &[], body).await.assert_error(401, "invalid_client", 2002);
}

// M036
#[tokio::test]
async fn s5_2_a_grant_that_the_client_may_not_use_is_unauthorized() {
    let (test, client) = TestApp::with_client().await;
    test.set_grants(&client.id, &[]).await;
    test.post_raw(TOKEN, &[], body_of(&client)).await.assert_error(400, "unauthorized_client", 3002);
    test.set_grants(&client.id, &["client_credentials"]).await;
    assert_issued(&test.post_raw(TOKEN, &[], body_of(&client)).await);
}

// ---- §10: what cannot be guessed

// M041
#[tokio::test]
async fn s10_3_a_token_cannot_be_made_or_changed_by_others() {
    let (test, client) = TestApp::with_client().await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    assert_eq!(test.introspect(&client, &token).await["active"], true);
    let parts: Vec<&str> = token.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let longer = URL_SAFE_NO_PAD.encode(claims.replace("read write", "read write admin"));
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"none"}"#);
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    let symmetric = URL_SAFE_NO_PAD.encode(header.replace("RS256", "HS256"));
    let none_with_kid = URL_SAFE_NO_PAD.encode(header.replace("RS256", "none"));
    let stranger = TestApp::with_client().await;
    let foreign = stranger.0.token(&stranger.1, &format!("{API}/.default")).await;
    for forged in [
        format!("{}.{longer}.{}", parts[0], parts[2]),
        format!("{none}.{}.", parts[1]),
        format!("{none_with_kid}.{}.", parts[1]),
        format!("{none_with_kid}.{}.{}", parts[1], parts[2]),
        format!("{symmetric}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], foreign.rsplit('.').next().unwrap()),
        foreign,
    ] {
        assert_eq!(test.introspect(&client, &forged).await, serde_json::json!({ "active": false }), "{forged}");
    }
}

// M044
#[tokio::test]
async fn s10_10_secrets_and_token_ids_do_not_repeat() {
    let (test, client) = TestApp::with_client().await;
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let secret = Secret::generate(CLIENT_SECRET_PREFIX, &test.app.random);
        let random = URL_SAFE_NO_PAD.decode(&secret.expose()[CLIENT_SECRET_PREFIX.len()..]).unwrap();
        assert_eq!(random.len() * 8, 256);
        assert!(seen.insert(secret.expose().to_owned()));
        let token = claims(&test.token(&client, &format!("{API}/.default")).await);
        assert!(seen.insert(token["jti"].as_str().unwrap().to_owned()));
        assert!(seen.insert(token["status"].to_string()), "two tokens share a bit");
    }
}

// M090 M152
#[tokio::test]
async fn a_client_cannot_take_the_name_of_a_user() {
    let test = TestApp::new().await;
    let user = test.user("alice").await;
    let client = test.client("alices-app", &[]).await;
    let (name, parts) = ("x".parse().unwrap(), ClientParts::default());
    for id in ["alice".to_owned(), user.to_string()] {
        let id = id.parse().unwrap();
        let oid = ClientOid::from(test.app.random.uuid_v7(&test.clock));
        let new =
            NewClient { oid, client_id: &id, public: true, name: &name, parts: &parts, allowed: &[], secret: None };
        let refused = test.app.store.create_client(test.tenant_id().await, &new, test.clock.now()).await;
        assert!(matches!(refused, Err(grantor::store::AdminError::Refused(_))), "{id}");
    }
    assert_eq!(client.id, "alices-app");
}
