//! RFC 9068: JWT access tokens, in the standard shape and in Entra's.

use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims, holds_null, jwt_part};
use grantor::store::resources::ResourceSettings;
use grantor::types::alg::Alg;
use grantor::types::policy::{ClaimsProfile, GroupFormat};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

/// A client in a group below a group that gives a role, at a resource that `change` adjusts.
async fn with_groups(change: impl FnOnce(&mut ResourceSettings)) -> (TestApp, TestClient, String) {
    let test = TestApp::new().await;
    let resource = test.resource(API, change).await;
    let client = test.client("app", &[&format!("{API}/.default")]).await;
    let (outer, inner) = (test.group("kafka-rest").await, test.group("kafka-admins").await);
    test.add_group(&outer, &inner).await;
    test.add_client(&inner, "app").await;
    let (tenant, now) = (test.tenant_id().await, test.clock.now());
    let role = (resource.id, &"Operator".parse().unwrap());
    test.app.store.grant_role(tenant, &outer, role, now).await.unwrap();
    let claim = (&"kafka_role".parse().unwrap(), &"\"admin\"".parse().unwrap());
    test.app.store.set_claim(tenant, &inner, claim, now).await.unwrap();
    test.sync().await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    (test, client, token)
}

/// What a resource server does: the key by `kid` from the JWKS, then signature, issuer and audience.
async fn verify(test: &TestApp, token: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    let jwks: JwkSet = serde_json::from_slice(&test.get(&test.at("/jwks")).await.body).unwrap();
    let header = jsonwebtoken::decode_header(token)?;
    let jwk = jwks.find(header.kid.as_deref().unwrap()).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    // The test clock is not the verifier's.
    validation.validate_exp = false;
    validation.set_issuer(&[PUBLIC_URL]);
    validation.set_audience(&[API]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(jwk)?, &validation).map(|data| data.claims)
}

// M088 M092
#[tokio::test]
async fn s2_1_the_token_is_signed_with_the_resources_algorithm_and_verifies_with_the_published_key() {
    for alg in Alg::ALL {
        let (test, _, token) = with_groups(|settings| settings.alg = *alg).await;
        let header = jwt_part(&token, 0);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!(alg.as_str())));
        assert_eq!(header.as_object().unwrap().len(), 3, "{header}");
        let verified = verify(&test, &token).await.unwrap();
        assert_eq!(verified, claims(&token));
        let mut changed: Vec<&str> = token.split('.').collect();
        let other =
            test.token(&test.client("other", &[&format!("{API}/.default")]).await, &format!("{API}/.default")).await;
        changed[1] = other.split('.').nth(1).unwrap();
        assert!(verify(&test, &changed.join(".")).await.is_err(), "{alg}");
    }
    assert!("none".parse::<Alg>().is_err());
}

// M089 M090 M091
#[tokio::test]
async fn s2_2_the_claims_of_the_standard_profile() {
    let (test, _, token) = with_groups(|_| ()).await;
    let claims = claims(&token);
    insta::assert_json_snapshot!(claims, {
        ".jti" => "[jti]", ".tid" => "[tid]", ".oid" => "[oid]", ".status.status_list.uri" => "[uri]", ".status.status_list.idx" => "[idx]",
    }, @r#"
    {
      "iss": "https://login.example.com",
      "sub": "app",
      "aud": "https://api.example.com",
      "client_id": "app",
      "azp": "app",
      "tid": "[tid]",
      "oid": "[oid]",
      "scope": "read write",
      "groups": [
        "kafka-admins",
        "kafka-rest"
      ],
      "roles": [
        "Operator"
      ],
      "kafka_role": "admin",
      "typ": "Bearer",
      "iat": 1795219200,
      "exp": 1795222800,
      "jti": "[jti]",
      "status": {
        "status_list": {
          "idx": "[idx]",
          "uri": "[uri]"
        }
      }
    }
    "#);
    assert_eq!(claims["tid"], test.tenant_id().await.to_string());
    assert_eq!(claims["oid"], test.find_client("app").await.oid.to_string());
}

// M089 M090
#[tokio::test]
async fn s2_2_the_claims_of_the_entra_profile() {
    let (test, _, token) = with_groups(|settings| {
        settings.claims_profile = ClaimsProfile::Entra;
        settings.group_format = GroupFormat::Id;
    })
    .await;
    let claims = claims(&token);
    insta::assert_json_snapshot!(claims, {
        ".jti" => "[jti]", ".uti" => "[uti]", ".tid" => "[tid]", ".oid" => "[oid]", ".sub" => "[oid]", ".groups[]" => "[group]",
        ".status.status_list.uri" => "[uri]", ".status.status_list.idx" => "[idx]",
    }, @r#"
    {
      "iss": "https://login.example.com",
      "sub": "[oid]",
      "aud": "https://api.example.com",
      "client_id": "app",
      "azp": "app",
      "tid": "[tid]",
      "oid": "[oid]",
      "ver": "2.0",
      "idtyp": "app",
      "appid": "app",
      "azpacr": "1",
      "scp": "read write",
      "groups": [
        "[group]",
        "[group]"
      ],
      "roles": [
        "Operator"
      ],
      "kafka_role": "admin",
      "typ": "Bearer",
      "iat": 1795219200,
      "exp": 1795222800,
      "jti": "[jti]",
      "uti": "[uti]",
      "status": {
        "status_list": {
          "idx": "[idx]",
          "uri": "[uri]"
        }
      }
    }
    "#);
    let oid = test.find_client("app").await.oid.to_string();
    assert_eq!((&claims["sub"], &claims["oid"]), (&json!(oid), &json!(oid)));
    for group in claims["groups"].as_array().unwrap() {
        assert!(group.as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    }
}

// M089 M091: the least that a token can carry.
#[tokio::test]
async fn s2_2_what_has_no_value_is_left_out_and_what_is_required_is_there() {
    for profile in ClaimsProfile::ALL {
        let test = TestApp::new().await;
        test.resource_with(API, grantor::store::resources::ResourceParts::default(), |settings| {
            settings.claims_profile = *profile;
        })
        .await;
        let client = test.client("app", &[&format!("{API}/.default")]).await;
        let reply = test.request_token(&client, &format!("{API}/.default")).await;
        let token = claims(reply.json()["access_token"].as_str().unwrap());
        assert!(!holds_null(&token) && !holds_null(&reply.json()), "{token}");
        for required in ["iss", "sub", "aud", "client_id", "jti"] {
            assert!(token[required].as_str().is_some_and(|text| !text.is_empty()), "{required} in {token}");
        }
        for number in ["iat", "exp"] {
            assert!(token[number].is_i64(), "{number} in {token}");
        }
        for absent in ["scope", "scp", "groups", "roles"] {
            assert!(token.get(absent).is_none(), "{absent} in {token}");
        }
    }
}

// M023: Strimzi fails on a repeat and on doubled spaces.
#[tokio::test]
async fn s2_2_3_scope_is_one_string_of_different_words() {
    let (test, client, _) = with_groups(|_| ()).await;
    test.resource("https://default.example.com", |settings| settings.is_default = true).await;
    for scope in [
        format!("{API}/read {API}/read  {API}/write"),
        format!("{API}/.default {API}/read {API}/.default"),
        format!("{API}/write openid {API}/read"),
    ] {
        let token = claims(&test.token(&client, &scope).await);
        assert_eq!(token["scope"], "read write", "{scope}");
    }
}

// M089: times and ids of two tokens.
#[tokio::test]
async fn s2_2_each_token_has_its_own_id_and_times() {
    let (test, client, first) = with_groups(|_| ()).await;
    test.clock.advance(10);
    let second = claims(&test.token(&client, &format!("{API}/.default")).await);
    let first = claims(&first);
    assert_ne!(first["jti"], second["jti"]);
    assert_ne!(first["status"], second["status"]);
    assert_eq!(second["iat"].as_i64().unwrap() - first["iat"].as_i64().unwrap(), 10);
    assert_eq!(second["exp"].as_i64().unwrap() - second["iat"].as_i64().unwrap(), 3600);
}

// M092
#[tokio::test]
async fn s4_the_issuer_is_the_one_of_the_metadata_exactly() {
    let test = TestApp::new().await;
    let beside = test.beside("t1").await;
    for test in [&test, &beside] {
        test.resource(API, |_| ()).await;
        let client = test.client("app", &[&format!("{API}/.default")]).await;
        let token = claims(&test.token(&client, &format!("{API}/.default")).await);
        let document = test.get(&test.at("/.well-known/oauth-authorization-server")).await.json();
        assert_eq!(token["iss"], document["issuer"]);
        let uri = token["status"]["status_list"]["uri"].as_str().unwrap().to_owned();
        assert!(uri.starts_with(&format!("{}/statuslists/", token["iss"].as_str().unwrap())), "{uri}");
        assert_eq!(test.get(uri.strip_prefix(PUBLIC_URL).unwrap()).await.status.as_u16(), 200);
    }
    assert_eq!(beside.get(&beside.at("/jwks")).await.json()["keys"].as_array().unwrap().len(), 1);
    assert_ne!(test.get("/jwks").await.json(), beside.get(&beside.at("/jwks")).await.json());
}

// M091: a resource that requires a group gives nothing to those outside.
#[tokio::test]
async fn s3_no_token_for_a_subject_that_the_resource_does_not_want() {
    let test = TestApp::new().await;
    let group = test.group("kafka-rest").await;
    let parts = grantor::store::resources::ResourceParts { add_required: vec![group.id], ..Default::default() };
    test.resource_with(API, parts, |_| ()).await;
    let client = test.client("app", &[&format!("{API}/.default")]).await;
    test.request_token(&client, &format!("{API}/.default")).await.assert_error(400, "access_denied", 4009);
    test.add_client(&group, "app").await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    assert_eq!(claims(&token)["groups"], json!(["kafka-rest"]));
}
