//! RFC 7517: the published keys.

use crate::support::{API, TestApp, claims, jwt_part};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::types::alg::Alg;
use serde_json::{Value, json};
use std::collections::HashSet;

/// An application with a key of each algorithm.
async fn with_every_key() -> TestApp {
    let test = TestApp::new().await;
    for alg in Alg::ALL {
        test.resource(&format!("urn:{alg}"), |settings| settings.alg = *alg).await;
    }
    test
}

async fn keys(test: &TestApp) -> Vec<Value> {
    test.get("/jwks").await.json()["keys"].as_array().unwrap().clone()
}

// M092
#[tokio::test]
async fn s4_each_key_has_the_members_of_its_type_and_no_private_ones() {
    let test = with_every_key().await;
    let keys = keys(&test).await;
    let length = |key: &Value, member: &str| URL_SAFE_NO_PAD.decode(key[member].as_str().unwrap()).unwrap().len();
    assert_eq!(keys.len(), Alg::ALL.len());
    for alg in Alg::ALL {
        let key = keys.iter().find(|key| key["alg"] == alg.as_str()).unwrap();
        let mut names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(key["use"], "sig");
        match alg {
            Alg::Rs256 | Alg::Ps256 => {
                assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
                assert_eq!((&key["kty"], &key["e"], length(key, "n")), (&json!("RSA"), &json!("AQAB"), 256));
            }
            Alg::Es256 => {
                assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
                assert_eq!((&key["kty"], &key["crv"]), (&json!("EC"), &json!("P-256")));
                assert_eq!((length(key, "x"), length(key, "y")), (32, 32));
            }
            Alg::EdDsa => {
                assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
                assert_eq!((&key["kty"], &key["crv"], length(key, "x")), (&json!("OKP"), &json!("Ed25519"), 32));
            }
        }
    }
    let text = test.get("/jwks").await.text();
    for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
        assert!(!text.contains(&format!("\"{private}\":")), "{private}");
    }
}

// M092
#[tokio::test]
async fn s4_5_key_ids_are_unique_and_each_token_names_its_own() {
    let test = with_every_key().await;
    let keys = keys(&test).await;
    let ids: HashSet<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), keys.len());
    let allowed: Vec<String> = Alg::ALL.iter().map(|alg| format!("urn:{alg}/.default")).collect();
    let client = test.client("app", &allowed.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (alg, scope) in Alg::ALL.iter().zip(&allowed) {
        let header = jwt_part(&test.token(&client, scope).await, 0);
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
        assert_eq!(key["alg"], alg.as_str());
    }
}

// M092
#[tokio::test]
async fn s5_the_set_is_json_at_every_address_and_may_be_cached() {
    let test = TestApp::new().await;
    let first = test.get("/jwks").await;
    for path in ["/discovery/v2.0/keys", "/default/jwks", "/default/discovery/v2.0/keys"] {
        assert_eq!(test.get(path).await.json(), first.json(), "{path}");
    }
    assert!(first.header("content-type").starts_with("application/json"));
    assert!(!first.headers.contains_key("pragma"));
    let max_age: i64 = first.header("cache-control").strip_prefix("public, max-age=").unwrap().parse().unwrap();
    // Whoever honours it knows a key before the first token that it signs.
    assert!((1..=test.app.config.rotation.announce).contains(&max_age));
    test.get("/nobody/jwks").await.assert_error(404, "invalid_request", 1008);
    test.post("/jwks", &[]).await.assert_error(405, "invalid_request", 1001);
}

// M092: a key is published before it signs, and until the last token it signed has expired.
#[tokio::test]
async fn s5_a_successor_is_announced_and_a_retired_key_stays_until_its_tokens_are_gone() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    let schedule = test.app.config.rotation;
    let tenant = test.tenant_id().await;
    let kid = async || jwt_part(&test.token(&client, &scope).await, 0)["kid"].as_str().unwrap().to_owned();
    let published = async |kid: &str| keys(&test).await.iter().any(|key| key["kid"] == kid);

    let old = kid().await;
    let activates_at = test.clock.now() + schedule.announce;
    let rotated =
        test.app.keysmith().unwrap().rotate(tenant, Alg::Rs256, (test.clock.now(), activates_at), false).await;
    let new = rotated.unwrap().unwrap();
    test.sync().await;
    assert!(published(&old).await && published(&new).await);
    assert_eq!(kid().await, old);
    test.clock.advance(schedule.announce - 1);
    assert_eq!(kid().await, old);
    let last = test.token(&client, &scope).await;
    test.clock.advance(1);
    assert_eq!(kid().await, new);
    while test.clock.now() < claims(&last)["exp"].as_i64().unwrap() {
        assert!(published(&old).await);
        assert_eq!(test.introspect(&client, &last).await["active"], true);
        test.clock.advance(600);
    }
    assert!(published(&old).await);
    test.clock.advance(2 * 86_400);
    assert!(!published(&old).await && published(&new).await);
}
