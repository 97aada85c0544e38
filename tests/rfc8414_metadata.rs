//! RFC 8414: authorization server metadata, and OpenID Connect Discovery, which is the same document here.

use crate::support::browser::main_id;
use crate::support::{API, PUBLIC_URL, Reply, START, TestApp, fresh_database};
use grantor::types::clock::Clock;
use grantor::types::uri::PublicUrl;
use serde_json::{Value, json};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Fetches a document and looks at what holds for every one.
async fn document(test: &TestApp, path: &str) -> Value {
    let reply = test.get(path).await;
    assert_document(path, &reply);
    reply.json()
}

// M080 M081 M083
#[track_caller]
fn assert_document(path: &str, reply: &Reply) {
    assert_eq!(reply.status.as_u16(), 200, "{path}: {}", reply.text());
    assert!(reply.header("content-type").starts_with("application/json"), "{path}");
    let document = reply.json();
    for (name, value) in document.as_object().unwrap() {
        match value {
            Value::String(text) => assert!(!text.is_empty(), "{name}"),
            Value::Array(items) => assert!(!items.is_empty() && items.iter().all(Value::is_string), "{name}"),
            Value::Bool(_) => {}
            other => panic!("{path}: {name} is {other}"),
        }
        if name.ends_with("alg_values_supported") {
            assert!(!value.as_array().unwrap().contains(&json!("none")), "{name}");
        }
    }
    for required in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    ] {
        assert!(document.get(required).is_some(), "{path} lacks {required}");
    }
    assert_eq!(document["response_types_supported"], json!(["code"]));
}

// M079 M080 M083 M146
#[tokio::test]
async fn s2_the_document_of_the_default_tenant() {
    let test = TestApp::new().await;
    insta::assert_json_snapshot!(document(&test, OAUTH).await, @r#"
    {
      "issuer": "https://login.example.com",
      "authorization_endpoint": "https://login.example.com/oauth2/v2.0/authorize",
      "token_endpoint": "https://login.example.com/oauth2/v2.0/token",
      "device_authorization_endpoint": "https://login.example.com/oauth2/v2.0/devicecode",
      "jwks_uri": "https://login.example.com/discovery/v2.0/keys",
      "introspection_endpoint": "https://login.example.com/oauth2/v2.0/introspect",
      "userinfo_endpoint": "https://login.example.com/oauth2/v2.0/userinfo",
      "end_session_endpoint": "https://login.example.com/oauth2/v2.0/logout",
      "revocation_endpoint": "https://login.example.com/oauth2/v2.0/revoke",
      "response_types_supported": [
        "code"
      ],
      "response_modes_supported": [
        "query",
        "fragment",
        "form_post"
      ],
      "code_challenge_methods_supported": [
        "S256"
      ],
      "authorization_response_iss_parameter_supported": true,
      "prompt_values_supported": [
        "none",
        "login",
        "consent",
        "select_account"
      ],
      "request_parameter_supported": false,
      "request_uri_parameter_supported": false,
      "claims_parameter_supported": false,
      "acr_values_supported": [
        "1"
      ],
      "claims_supported": [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "at_hash",
        "acr",
        "amr",
        "sid",
        "oid",
        "tid",
        "preferred_username",
        "name",
        "email",
        "groups"
      ],
      "grant_types_supported": [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code"
      ],
      "token_endpoint_auth_methods_supported": [
        "client_secret_basic",
        "client_secret_post",
        "none"
      ],
      "introspection_endpoint_auth_methods_supported": [
        "client_secret_basic",
        "client_secret_post"
      ],
      "revocation_endpoint_auth_methods_supported": [
        "client_secret_basic",
        "client_secret_post",
        "none"
      ],
      "subject_types_supported": [
        "public"
      ],
      "id_token_signing_alg_values_supported": [
        "RS256"
      ]
    }
    "#);
}

// M082 M084
#[tokio::test]
async fn s3_every_form_of_the_address_names_the_issuer_of_its_tenant() {
    let test = TestApp::new().await;
    test.beside("t1").await;
    let v2 = "/v2.0/.well-known/openid-configuration";
    for path in [OAUTH, OPENID, v2] {
        assert_eq!(document(&test, path).await["issuer"], PUBLIC_URL);
    }
    for (tenant, issuer) in [("t1", format!("{PUBLIC_URL}/t1")), ("default", PUBLIC_URL.to_owned())] {
        for path in [
            format!("{OAUTH}/{tenant}"), // §3.1: between host and path
            format!("{OPENID}/{tenant}"),
            format!("/{tenant}{OAUTH}"),
            format!("/{tenant}{OPENID}"),
            format!("/{tenant}{v2}"),
            format!("/{tenant}/{OPENID}"), // MSAL for Python, from an authority that ends in a slash
        ] {
            let document = document(&test, &path).await;
            assert_eq!(document["issuer"], issuer, "{path}");
            // MSAL replaces the first segment of each endpoint by its own, so they stand below the tenant's.
            for (name, value) in document.as_object().unwrap() {
                if name.ends_with("_endpoint") || name == "jwks_uri" {
                    let value = value.as_str().unwrap();
                    assert!(value.starts_with(&format!("{PUBLIC_URL}/{tenant}/")), "{path}: {name} is {value}");
                }
            }
        }
    }
    for path in [format!("{OAUTH}/nobody"), format!("/nobody{OPENID}"), format!("/nobody{v2}")] {
        test.get(&path).await.assert_error(404, "invalid_request", 1008);
    }
}

// M080 M084: what the document names is there, and what comes from there names the same issuer.
#[tokio::test]
async fn s3_3_the_endpoints_of_the_document_work_and_the_issuer_of_tokens_is_the_same() {
    let test = TestApp::new().await;
    let beside = test.beside("t1").await;
    for (test, path) in
        [(&test, OAUTH.to_owned()), (&test, format!("/default{OPENID}")), (&beside, format!("{OAUTH}/t1"))]
    {
        if test.app.store.list_resources(test.tenant_id().await).await.unwrap().is_empty() {
            test.resource(API, |_| ()).await;
        }
        let client = test.client(&format!("app{}", path.len()), &[&format!("{API}/.default")]).await;
        let document = document(test, &path).await;
        let local = |name: &str| document[name].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap().to_owned();
        let scope = format!("{API}/.default");
        let form = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
        let reply = test.post_as(&local("token_endpoint"), &client, &form).await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
        let token = reply.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(crate::support::claims(&token)["iss"], document["issuer"]);
        assert_eq!(test.get(&local("jwks_uri")).await.json()["keys"].as_array().unwrap().len(), 1);
        let introspect = local("introspection_endpoint");
        assert_eq!(test.post_as(&introspect, &client, &[("token", &token)]).await.json()["active"], true);
        let revoke = local("revocation_endpoint");
        assert_eq!(test.post_as(&revoke, &client, &[("token", &token)]).await.status.as_u16(), 200);
        assert_eq!(test.post_as(&introspect, &client, &[("token", &token)]).await.json()["active"], false);
        let authorize = test.get(&local("authorization_endpoint")).await;
        assert_eq!((authorize.status.as_u16(), main_id(&authorize).as_deref()), (400, Some("grantor-error")));
        let logout = test.get(&local("end_session_endpoint")).await;
        assert_eq!((logout.status.as_u16(), main_id(&logout).as_deref()), (200, Some("grantor-logged-out")));
        test.get(&local("userinfo_endpoint")).await.assert_error(401, "invalid_request", 5004);
    }
}

// M079 M082 M084
#[tokio::test]
async fn s3_1_a_public_url_with_a_path_is_served_with_and_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = fresh_database(&folder).await;
    let public_url = "https://example.com/sso/auth";
    let test = TestApp::open(folder, database, Clock::manual(START), public_url).await;
    test.beside("t1").await;
    for (path, issuer, base) in [
        (format!("{OAUTH}/sso/auth"), public_url.to_owned(), public_url.to_owned()),
        (format!("{OPENID}/sso/auth"), public_url.into(), public_url.into()),
        (format!("{OAUTH}/sso/auth/t1"), format!("{public_url}/t1"), format!("{public_url}/t1")),
        (format!("{OPENID}/sso/auth/t1"), format!("{public_url}/t1"), format!("{public_url}/t1")),
        (format!("/sso/auth{OPENID}"), public_url.into(), public_url.into()),
        (format!("/sso/auth/t1{OAUTH}"), format!("{public_url}/t1"), format!("{public_url}/t1")),
        (format!("/sso/auth/default{OPENID}"), public_url.into(), format!("{public_url}/default")),
        (OAUTH.into(), public_url.into(), public_url.into()),
        (format!("/t1{OPENID}"), format!("{public_url}/t1"), format!("{public_url}/t1")),
        (format!("{OAUTH}/t1"), format!("{public_url}/t1"), format!("{public_url}/t1")),
    ] {
        let document = document(&test, &path).await;
        assert_eq!(document["issuer"], issuer, "{path}");
        assert_eq!(document["token_endpoint"], format!("{base}/oauth2/v2.0/token"), "{path}");
        let jwks = document["jwks_uri"].as_str().unwrap().strip_prefix("https://example.com").unwrap().to_owned();
        assert_eq!(test.get(&jwks).await.status.as_u16(), 200, "{jwks}");
    }
    test.get("/sso/auth/nothing").await.assert_error(404, "invalid_request", 1010);
    test.post("/sso/auth/jwks", &[]).await.assert_error(405, "invalid_request", 1001);
}

// M079
#[test]
fn s2_an_issuer_has_neither_query_nor_fragment() {
    for bad in ["https://a.example/?x=1", "https://a.example/#f", "ftp://a.example", "https://u@a.example", "a.example"]
    {
        assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
    }
    for fine in ["https://a.example", "https://a.example/", "https://a.example:8443/x", "http://127.0.0.1:8080"] {
        assert!(fine.parse::<PublicUrl>().is_ok(), "{fine}");
    }
}

// M005 M049: over https, a browser is told to stay there.
#[tokio::test]
async fn https_is_kept() {
    let test = TestApp::new().await;
    assert_eq!(test.get(OAUTH).await.header("strict-transport-security"), "max-age=31536000");
    let folder = tempfile::tempdir().unwrap();
    let database = fresh_database(&folder).await;
    let local = TestApp::open(folder, database, Clock::manual(START), "http://127.0.0.1:8080").await;
    assert!(!local.get(OAUTH).await.headers.contains_key("strict-transport-security"));
}
