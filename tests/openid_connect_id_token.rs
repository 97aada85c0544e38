//! OpenID Connect Core §2, §3.1.3 and §12.2: ID tokens. OpenID Connect Discovery §3.

use crate::support::answers::parameters;
use crate::support::browser::{Ask, PASSWORD, VERIFIER, WEB_CALLBACK};
use crate::support::{API, PUBLIC_URL, START, TestApp, TestClient, claims, holds_null, jwt_part};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::types::alg::Alg;
use grantor::types::secret::sha256;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

const SCOPE: &str = "openid";

/// The ID token of an answer of the token endpoint.
#[track_caller]
fn id_token(tokens: &Value) -> Value {
    claims(tokens["id_token"].as_str().unwrap_or_else(|| panic!("no ID token: {tokens}")))
}

/// Member names, sorted.
fn names(claims: &Value) -> Vec<&str> {
    let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What a client does with an ID token (§3.1.3.7).
async fn verify(
    test: &TestApp,
    token: &str,
    audience: &str,
    issuer: &str,
) -> Result<Value, jsonwebtoken::errors::Error> {
    let document = test.get(&test.at("/.well-known/openid-configuration")).await.json();
    let keys = document["jwks_uri"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap().to_owned();
    let jwks: JwkSet = serde_json::from_slice(&test.get(&keys).await.body).unwrap();
    let header = jsonwebtoken::decode_header(token)?;
    let jwk = jwks.find(header.kid.as_deref().unwrap()).expect("the key is published");
    let mut validation = Validation::new(Algorithm::RS256);
    // The test clock is not the verifier's.
    validation.validate_exp = false;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(jwk)?, &validation).map(|data| data.claims)
}

#[tokio::test]
async fn core_s2_an_id_token_says_who_signed_in_when_and_for_whom() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    browser.sign_in("alice").await;
    test.clock.advance(100);
    let tokens = browser.tokens(&web, &Ask::web().with("scope", SCOPE)).await;
    let token = id_token(&tokens);
    assert_eq!(
        names(&token),
        ["acr", "amr", "at_hash", "aud", "auth_time", "azp", "exp", "iat", "iss", "nonce", "oid", "sid", "sub", "tid"]
    );
    let user = test.find_user("alice").await;
    assert_eq!(token["iss"], PUBLIC_URL);
    assert_eq!((&token["aud"], &token["azp"]), (&json!("web"), &json!("web")));
    assert_eq!((&token["sub"], &token["oid"]), (&json!(user.id.to_string()), &json!(user.id.to_string())));
    assert_eq!(token["tid"], test.tenant_id().await.to_string());
    assert_eq!((&token["iat"], &token["exp"]), (&json!(START + 100), &json!(START + 100 + 3600)));
    assert_eq!(token["auth_time"], START);
    assert_eq!((&token["acr"], &token["amr"]), (&json!("1"), &json!(["pwd"])));
    assert_eq!(token["nonce"], "n-0S6_WzA2Mj");
    let access = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(
        (&access["sub"], &access["sid"], &access["auth_time"]),
        (&token["sub"], &token["sid"], &token["auth_time"])
    );
    assert!(!holds_null(&token));
}

#[tokio::test]
async fn core_s2_it_is_signed_with_a_published_key_whatever_the_resource_uses() {
    let test = TestApp::new().await;
    let issuer = "https://login.example.com/t1";
    let other = test.beside("t1").await;
    for (at, issuer) in [(&test, PUBLIC_URL), (&other, issuer)] {
        let web = at.people().await;
        at.resource("urn:es", |settings| settings.alg = Alg::Es256).await;
        let es = at.web_client("es", &["urn:es/.default"], WEB_CALLBACK).await;
        for (client, scope) in
            [(&web, format!("openid {API}/read")), (&web, "openid".into()), (&es, "openid urn:es/read".into())]
        {
            let ask = Ask::web().with("client_id", &client.id).with("scope", &scope);
            let tokens = at.browser().tokens(client, &ask).await;
            let token = tokens["id_token"].as_str().unwrap();
            let header = jwt_part(token, 0);
            assert_eq!((&header["typ"], &header["alg"]), (&json!("JWT"), &json!("RS256")), "{header}");
            let verified = verify(at, token, &client.id, issuer).await.unwrap();
            assert_eq!(verified, claims(token));
            assert!(verify(at, token, "another", issuer).await.is_err());
            assert!(verify(at, token, &client.id, "https://evil.example").await.is_err());
            let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
            parts[1] =
                URL_SAFE_NO_PAD.encode(json!({ "iss": issuer, "aud": client.id, "sub": "x", "exp": 1 }).to_string());
            assert!(verify(at, &parts.join("."), &client.id, issuer).await.is_err());
        }
    }
}

#[tokio::test]
async fn core_s3_1_3_6_at_hash_is_the_left_half_of_the_hash_of_the_access_token() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let tokens = browser.tokens(&web, &Ask::web()).await;
    let refreshed = test.refresh(&web, tokens["refresh_token"].as_str().unwrap()).await.json();
    let hash = |token: &str| URL_SAFE_NO_PAD.encode(&sha256(token.as_bytes())[..16]);
    for answer in [&tokens, &refreshed] {
        assert_eq!(id_token(answer)["at_hash"], hash(answer["access_token"].as_str().unwrap()));
    }
    assert_ne!(id_token(&tokens)["at_hash"], id_token(&refreshed)["at_hash"]);
}

#[tokio::test]
async fn core_s2_nonce_stands_there_unchanged_when_it_was_sent_and_only_then() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    assert!(id_token(&browser.tokens(&web, &Ask::web().without("nonce")).await).get("nonce").is_none());
    assert!(id_token(&browser.tokens(&web, &Ask::web().with("nonce", "")).await).get("nonce").is_none());
    let long = "x".repeat(1024);
    for nonce in ["x", " a+b%20c ", "\"\\é🔑\r\n", &long] {
        assert_eq!(id_token(&browser.tokens(&web, &Ask::web().with("nonce", nonce)).await)["nonce"], nonce);
    }
    let too_long = "x".repeat(1025);
    for nonce in ["a\0b", &too_long] {
        browser.get(&Ask::web().with("nonce", nonce).path()).await.assert_refused("invalid_request", 4208);
    }
}

#[tokio::test]
async fn core_s5_4_each_scope_brings_its_claims_and_no_other() {
    let (test, web) = TestApp::with_people().await;
    let (outer, inner) = (test.group("staff").await, test.group("admins").await);
    test.add_group(&outer, &inner).await;
    test.add_user(&inner, "alice").await;
    let browser = test.browser();
    let claims_of = async |scope: &str| id_token(&browser.tokens(&web, &Ask::web().with("scope", scope)).await);
    let personal = ["preferred_username", "name", "email", "groups"];
    let have = |token: &Value| personal.into_iter().filter(|name| token.get(name).is_some()).collect::<Vec<_>>();

    // Nobody wrote down a name or an address.
    let token = claims_of("openid profile email").await;
    assert_eq!(have(&token), ["preferred_username", "name"]);
    assert_eq!((&token["preferred_username"], &token["name"]), (&json!("alice"), &json!("alice")));
    assert!(!holds_null(&token));

    test.update_user("alice", Some("Alice Å."), Some("alice@example.com")).await;
    assert!(have(&claims_of("openid").await).is_empty());
    let token = claims_of("openid profile").await;
    assert_eq!((have(&token), &token["name"]), (vec!["preferred_username", "name"], &json!("Alice Å.")));
    let token = claims_of("openid email").await;
    assert_eq!((have(&token), &token["email"]), (vec!["email"], &json!("alice@example.com")));
    // Whether it is theirs was never shown.
    assert!(token.get("email_verified").is_none_or(|verified| verified == false));
    let token = claims_of("openid groups").await;
    assert_eq!((have(&token), &token["groups"]), (vec!["groups"], &json!(["admins", "staff"])));
    assert_eq!(have(&claims_of(&format!("openid profile email groups {API}/read")).await), personal);
}

#[tokio::test]
async fn core_s3_1_2_1_without_openid_there_is_no_id_token() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    for scope in [format!("{API}/read"), format!("profile email groups {API}/read"), format!("OPENID {API}/read")] {
        let reply = browser.get(&Ask::web().with("scope", &scope).path()).await;
        if reply.header("location").contains("invalid_scope") {
            assert!(scope.starts_with("OPENID"));
            continue;
        }
        let tokens = browser.tokens(&web, &Ask::web().with("scope", &scope)).await;
        assert!(tokens.get("id_token").is_none(), "{scope}: {tokens}");
    }
    assert!(browser.tokens(&web, &Ask::web()).await["id_token"].is_string());
    let own = test.request_token(&web, &format!("openid {API}/.default")).await.json();
    assert!(own.get("id_token").is_none(), "no person is there: {own}");
}

#[tokio::test]
async fn core_s12_2_an_id_token_of_a_refresh_tells_of_the_same_login() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let tokens = browser.tokens(&web, &Ask::web()).await;
    test.clock.advance(7200);
    let refreshed = test.refresh(&web, tokens["refresh_token"].as_str().unwrap()).await.json();
    let (first, second) = (id_token(&tokens), id_token(&refreshed));
    for same in ["iss", "sub", "aud", "azp", "auth_time", "sid", "oid", "tid", "acr"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_eq!(second["iat"], START + 7200);
    assert!(first.get("nonce").is_some() && second.get("nonce").is_none());
}

#[tokio::test]
async fn msal_client_info_is_there_when_it_was_asked_for_and_only_then() {
    let (test, web) = TestApp::with_people().await;
    let browser = test.browser();
    let redeem = async |more: Option<(&str, &str)>| {
        let code = browser.code(&Ask::web()).await;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", WEB_CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        form.extend(more);
        test.post_as("/oauth2/v2.0/token", &web, &form).await.json()
    };
    for without in [None, Some(("client_info", "")), Some(("client_info", "0"))] {
        assert!(redeem(without).await.get("client_info").is_none(), "{without:?}");
    }
    let asked = redeem(Some(("client_info", "1"))).await;
    let info = URL_SAFE_NO_PAD.decode(asked["client_info"].as_str().unwrap()).unwrap();
    let info: Value = serde_json::from_slice(&info).unwrap();
    let token = id_token(&asked);
    assert_eq!(info, json!({ "uid": token["oid"], "utid": token["tid"] }));
}

#[tokio::test]
async fn core_s3_1_3_3_the_same_person_has_another_session_in_another_browser() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", PASSWORD).await;
    let sid = async |browser: &crate::support::browser::Browser<'_>, web: &TestClient| {
        let token = id_token(&browser.tokens(web, &Ask::web()).await);
        (token["sub"].as_str().unwrap().to_owned(), token["sid"].as_str().unwrap().to_owned())
    };
    let (first, second, third) = (test.browser(), test.browser(), test.browser());
    third.sign_in("bob").await;
    let (first, again) = (sid(&first, &web).await, sid(&first, &web).await);
    assert_eq!(first, again);
    let (second, third) = (sid(&second, &web).await, sid(&third, &web).await);
    assert!(first.0 == second.0 && first.1 != second.1);
    assert!(first.0 != third.0 && first.1 != third.1);
}

// M144
#[tokio::test]
async fn discovery_s3_says_what_is_supported() {
    let (test, _) = TestApp::with_people().await;
    let document = test.get("/.well-known/openid-configuration").await.json();
    for (name, expected) in [
        ("issuer", json!(PUBLIC_URL)),
        ("authorization_endpoint", json!(format!("{PUBLIC_URL}/oauth2/v2.0/authorize"))),
        ("userinfo_endpoint", json!(format!("{PUBLIC_URL}/oauth2/v2.0/userinfo"))),
        ("end_session_endpoint", json!(format!("{PUBLIC_URL}/oauth2/v2.0/logout"))),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!(["RS256"])),
        ("prompt_values_supported", json!(["none", "login", "consent", "select_account"])),
        ("response_modes_supported", json!(["query", "fragment", "form_post"])),
        ("request_parameter_supported", json!(false)),
        ("request_uri_parameter_supported", json!(false)),
        ("claims_parameter_supported", json!(false)),
        ("acr_values_supported", json!(["1"])),
    ] {
        assert_eq!(document[name], expected, "{name}");
    }
    assert!(document.get("check_session_iframe").is_none() && document.get("registration_endpoint").is_none());
    // Each endpoint is there: none of them answers that there is nothing at its address.
    for name in ["authorization_endpoint", "userinfo_endpoint", "end_session_endpoint", "jwks_uri", "token_endpoint"] {
        let path = document[name].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap();
        assert_ne!(test.get(path).await.status.as_u16(), 404, "{name}");
    }
    // Every claim that is announced can be had, and none is given that is not announced.
    test.update_user("alice", None, Some("alice@example.com")).await;
    let web = test.web_client("all", &[], WEB_CALLBACK).await;
    let group = test.group("staff").await;
    test.add_user(&group, "alice").await;
    let ask = Ask::web().with("client_id", "all").with("scope", "openid profile email groups");
    let token = id_token(&test.browser().tokens(&web, &ask).await);
    let mut announced: Vec<_> =
        document["claims_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    announced.sort_unstable();
    assert_eq!(names(&token).into_iter().filter(|name| *name != "azp").collect::<Vec<_>>(), announced);
    let told = parameters(&test.browser().authorize(&ask.with("claims", "{\"id_token\":{}}")).await);
    assert!(told.contains_key("code"), "claims is ignored: {told:?}");
}
