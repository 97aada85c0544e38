//! Opaque access tokens (RFC 7662 §1.1): kept as hashes, worked out anew whenever somebody asks.

use crate::support::browser::{Ask, NATIVE, VERIFIER};
use crate::support::{API, TestApp, TestClient, claims};
use grantor::store::DatabaseUrl;
use grantor::store::grants::TokenRecord;
use grantor::store::kept_tokens::NewKeptToken;
use grantor::store::members::Member;
use grantor::store::permissions::AllowedScope;
use grantor::store::resources::{ResourceParts, SettingChanges};
use grantor::sweep;
use grantor::types::id::{MemberId, StatusListId};
use grantor::types::policy::{ClaimsProfile, TokenFormat};
use grantor::types::secret::sha256;
use grantor::types::status::StatusIndex;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What a token says and another one cannot: times, its id and its place.
const OWN: &[&str] = &["aud", "jti", "uti", "status", "sid", "iat", "exp", "auth_time"];

impl TestApp {
    async fn set_format(&self, format: TokenFormat) {
        let settings = SettingChanges { token_format: Some(format), ..SettingChanges::default() };
        self.update_resource(&self.find_resource(API).await, settings, ResourceParts::default()).await;
    }

    async fn is_active(&self, caller: &TestClient, token: &str) -> bool {
        self.introspect(caller, token).await["active"] == true
    }
}

/// [`API`] with opaque tokens, a client, a client that serves it, a token.
async fn with_token() -> (TestApp, TestClient, TestClient, String) {
    let (test, client) = TestApp::with_client().await;
    test.set_format(TokenFormat::Opaque).await;
    let server = test.serving_client("server", API).await;
    let token = test.token(&client, &format!("{API}/.default")).await;
    (test, client, server, token)
}

/// What is the same in two tokens for different resources.
fn common(mut said: Map<String, Value>) -> Map<String, Value> {
    said.retain(|name, _| !OWN.contains(&name.as_str()));
    said
}

#[tokio::test]
async fn it_is_256_random_bits_with_the_prefix_that_scanners_look_for() {
    let (test, client, _, token) = with_token().await;
    assert_eq!((&token[..5], token.len()), ("grat_", 5 + 43));
    let reply = test.request_token(&client, &format!("{API}/.default")).await;
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(answer["scope"], format!("{API}/.default"));
    assert_ne!(answer["access_token"], token);
}

#[tokio::test]
async fn the_clear_text_is_nowhere_in_the_database() {
    let (test, _, server, token) = with_token().await;
    assert!(test.is_active(&server, &token).await);
    test.app.flush_uses().await.unwrap();
    let hash: String = sha256(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    match &test.database {
        DatabaseUrl::Sqlite(path) => {
            assert_eq!(
                test.number(&format!("SELECT COUNT(*) FROM kept_tokens WHERE lower(hex(hash)) = '{hash}'")).await,
                1
            );
            for file in std::fs::read_dir(path.parent().unwrap()).unwrap().map(Result::unwrap) {
                if file.file_type().unwrap().is_file() {
                    let bytes = std::fs::read(file.path()).unwrap();
                    let inside = bytes.windows(20).any(|window| window == &token.as_bytes()[5..25]);
                    assert!(!inside, "{:?}", file.path());
                }
            }
        }
        DatabaseUrl::Postgres(_) => {
            let held = format!("SELECT COUNT(*) FROM kept_tokens WHERE encode(hash, 'hex') = '{hash}'");
            assert_eq!(test.number(&held).await, 1);
            for table in ["kept_tokens", "grant_tokens", "revocations", "changes"] {
                let query = format!("SELECT COUNT(*) FROM {table} t WHERE t::text LIKE '%{}%'", &token[5..]);
                assert_eq!(test.number(&query).await, 0, "{table}");
            }
        }
    }
}

#[tokio::test]
async fn introspection_answers_the_claims_that_a_jwt_would_carry() {
    for profile in [ClaimsProfile::Standard, ClaimsProfile::Entra] {
        let (test, web) = TestApp::with_people().await;
        let mut said = Vec::new();
        for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
            let identifier = format!("https://{}.example.com", format.as_str());
            test.resource(&identifier, |settings| {
                (settings.claims_profile, settings.token_format) = (profile, format);
            })
            .await;
            let all = [AllowedScope { resource: test.find_resource(&identifier).await.id, value: ".default".into() }];
            let (tenant, client) = (test.tenant_id().await, test.find_client("web").await);
            test.app.store.allow_scopes(tenant, &client, &all, test.clock.now()).await.unwrap();
        }
        let group = test.group("kafka-rest").await;
        test.add_client(&group, "web").await;
        let alice = test.app.store.find_user(test.tenant_id().await, "alice").await.unwrap().unwrap();
        let member = Member::Subject(MemberId::User(alice.id));
        test.app.store.add_member(test.tenant_id().await, &group, member, test.clock.now()).await.unwrap();
        test.sync().await;
        for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
            let scope = format!("https://{}.example.com/read", format.as_str());
            let own = test.token(&web, &scope).await;
            let ask = Ask::web().with("scope", &format!("openid offline_access {scope}"));
            let tokens = test.browser().tokens(&web, &ask).await;
            let persons = tokens["access_token"].as_str().unwrap().to_owned();
            for token in [own, persons] {
                let answer = test.introspect(&web, &token).await.as_object().unwrap().clone();
                assert_eq!(answer["active"], true);
                if format == TokenFormat::Jwt {
                    let carried = claims(&token);
                    assert!(carried.as_object().unwrap().iter().all(|(name, value)| answer[name] == *value));
                } else {
                    assert!(token.starts_with("grat_"), "{token}");
                }
                said.push(answer);
            }
        }
        for at in [0, 1] {
            let names = |at: usize| said[at].keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(at), names(at + 2), "{profile}");
            assert_eq!(common(said[at].clone()), common(said[at + 2].clone()), "{profile}");
        }
        assert_eq!((&said[2]["groups"], &said[3]["username"]), (&said[0]["groups"], &json!("alice")));
    }
}

#[tokio::test]
async fn code_and_refresh_give_opaque_tokens_that_fall_with_the_grant() {
    let (test, web) = TestApp::with_people().await;
    test.set_format(TokenFormat::Opaque).await;
    let browser = test.browser();
    let tokens = browser.tokens(&web, &Ask::web()).await;
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let (first, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    assert!(first.starts_with("grat_") && !tokens["id_token"].is_null());
    assert!(test.is_active(&web, &first).await);
    let info = test.get_as("/oauth2/v2.0/userinfo", &first).await.json();
    assert_eq!(
        (&info["sub"], &info["preferred_username"]),
        (&claims(&text(&tokens, "id_token"))["sub"], &json!("alice"))
    );
    let next = test.refresh(&web, &refresh).await.json();
    let second = text(&next, "access_token");
    assert!(second.starts_with("grat_") && second != first);
    assert!(test.is_active(&web, &second).await);
    let reply = test.post_as("/revoke", &web, &[("token", &text(&next, "refresh_token"))]).await;
    assert_eq!(reply.status.as_u16(), 200);
    for token in [&first, &second] {
        assert!(!test.is_active(&web, token).await);
        test.get_as("/oauth2/v2.0/userinfo", token).await.assert_error(401, "invalid_token", 5003);
    }
    // A code that is used twice takes its tokens with it.
    let code = browser.code(&Ask::web()).await;
    let token = text(&test.redeem(&web, &code).await.json(), "access_token");
    assert!(test.is_active(&web, &token).await);
    test.redeem(&web, &code).await.assert_error(400, "invalid_grant", 4102);
    assert!(!test.is_active(&web, &token).await);
}

#[tokio::test]
async fn a_public_client_gets_them_too() {
    let (test, web) = TestApp::with_people().await;
    test.set_format(TokenFormat::Opaque).await;
    let server = test.serving_client("server", API).await;
    let code = test.browser().code(&Ask::native().without("nonce")).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", NATIVE),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:49152/cb"),
        ("code_verifier", VERIFIER),
    ];
    let answer = test.post("/oauth2/v2.0/token", &form).await.json();
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let said = test.introspect(&server, token).await;
    assert_eq!(
        (&said["active"], &said["client_id"], &said["username"]),
        (&json!(true), &json!(NATIVE), &json!("alice"))
    );
    assert!(!test.is_active(&web, token).await);
}

#[tokio::test]
async fn a_person_who_is_disabled_or_deleted_takes_their_tokens_along() {
    for delete in [false, true] {
        let (test, web) = TestApp::with_people().await;
        test.set_format(TokenFormat::Opaque).await;
        let tokens = test.browser().tokens(&web, &Ask::web()).await;
        let token = tokens["access_token"].as_str().unwrap();
        assert!(test.is_active(&web, token).await);
        let (tenant, now) = (test.tenant_id().await, test.clock.now());
        let alice = test.app.store.find_user(tenant, "alice").await.unwrap().unwrap();
        if delete {
            test.app.store.delete_user(tenant, &alice, now).await.unwrap();
        } else {
            test.app.store.set_user_enabled(tenant, &alice, false, now).await.unwrap();
        }
        assert!(!test.is_active(&web, token).await, "deleted: {delete}");
    }
}

#[tokio::test]
async fn rfc7009_it_is_revoked_by_its_client_alone() {
    let (test, client, server, token) = with_token().await;
    let form = [("token", token.as_str())];
    test.post_as("/revoke", &server, &form).await.assert_error(400, "unauthorized_client", 5001);
    assert!(test.is_active(&server, &token).await);
    for _ in 0..2 {
        assert_eq!(test.post_as("/revoke", &client, &form).await.status.as_u16(), 200);
        assert_eq!(test.introspect(&server, &token).await, json!({ "active": false }));
    }
}

#[tokio::test]
async fn rfc7662_s4_only_its_client_and_those_that_serve_the_resource_may_know() {
    let (test, client, server, token) = with_token().await;
    test.resource("https://other.example.com", |_| ()).await;
    let stranger = test.serving_client("stranger", "https://other.example.com").await;
    assert!(test.is_active(&client, &token).await && test.is_active(&server, &token).await);
    assert_eq!(test.introspect(&stranger, &token).await, json!({ "active": false }));
}

#[tokio::test]
async fn groups_count_as_they_are_at_the_moment_of_the_question() {
    let (test, _, server, token) = with_token().await;
    let group = test.group("kafka-rest").await;
    let groups = async || test.introspect(&server, &token).await.get("groups").cloned();
    assert_eq!(groups().await, None);
    test.add_client(&group, "app").await;
    assert_eq!(groups().await, Some(json!(["kafka-rest"])));
    let reply = test.get_as("/oauth2/v2.0/groups", &token).await;
    assert_eq!((&reply.json()["groups"], &reply.json()["aud"]), (&json!(["kafka-rest"]), &json!(API)));
    let member = Member::Subject(MemberId::Client(test.find_client("app").await.oid));
    test.app.store.remove_member(test.tenant_id().await, &group, member, test.clock.now()).await.unwrap();
    test.sync().await;
    assert_eq!(groups().await, None);
    // A group that the resource requires: a token issued before stands for nothing outside of it.
    let parts = ResourceParts { add_required: vec![group.id], ..ResourceParts::default() };
    test.update_resource(&test.find_resource(API).await, SettingChanges::default(), parts).await;
    assert!(!test.is_active(&server, &token).await);
    test.get_as("/oauth2/v2.0/groups", &token).await.assert_error(401, "invalid_token", 5003);
    test.add_client(&group, "app").await;
    assert!(test.is_active(&server, &token).await);
}

#[tokio::test]
async fn permissions_count_as_they_are_and_never_beyond_what_was_granted() {
    let test = TestApp::new().await;
    test.resource(API, |settings| settings.token_format = TokenFormat::Opaque).await;
    let client = test.client("app", &[&format!("{API}/read"), &format!("{API}/write")]).await;
    let (tenant, resource) = (test.tenant_id().await, test.find_resource(API).await.id);
    let scope = |value: &str| [AllowedScope { resource, value: value.into() }];
    let both = test.token(&client, &format!("{API}/.default")).await;
    let read = test.token(&client, &format!("{API}/read")).await;
    let said = async |token: &str| test.introspect(&client, token).await["scope"].as_str().map(str::to_owned);
    assert_eq!((said(&both).await, said(&read).await), (Some("read write".into()), Some("read".into())));
    let stored = test.find_client("app").await;
    test.app.store.deny_scopes(tenant, &stored, &scope("read"), test.clock.now()).await.unwrap();
    test.sync().await;
    assert_eq!(said(&both).await, Some("write".into()));
    // What is left of the other is nothing: it must not look like a token without conditions.
    let answer = test.introspect(&client, &read).await;
    assert!(answer.get("scope").is_none(), "{answer}");
    test.app.store.deny_scopes(tenant, &stored, &scope("write"), test.clock.now()).await.unwrap();
    test.sync().await;
    for token in [&both, &read] {
        assert_eq!(test.introspect(&client, token).await, json!({ "active": false }));
    }
    test.app.store.allow_scopes(tenant, &stored, &scope("write"), test.clock.now()).await.unwrap();
    test.sync().await;
    assert_eq!(said(&both).await, Some("write".into()));
}

#[tokio::test]
async fn client_resource_and_tenant_end_it() {
    let (test, client, server, token) = with_token().await;
    test.set_client_enabled("app", false).await;
    assert!(!test.is_active(&server, &token).await);
    test.set_client_enabled("app", true).await;
    assert!(test.is_active(&server, &token).await);
    test.set_tenant_enabled(false).await;
    assert!(!test.is_active(&server, &token).await);
    test.set_tenant_enabled(true).await;
    // Another client of the same id is another client.
    test.delete_client("app").await;
    assert!(!test.is_active(&server, &token).await);
    let again = test.client("app", &[&format!("{API}/.default")]).await;
    assert!(!test.is_active(&again, &token).await);
    assert_ne!(again.secret, client.secret);
    let token = test.token(&again, &format!("{API}/.default")).await;
    let resource = test.find_resource(API).await;
    test.app.store.delete_resource(test.tenant_id().await, &resource, test.clock.now()).await.unwrap();
    test.sync().await;
    assert_eq!(test.introspect(&again, &token).await, json!({ "active": false }));
    assert_eq!(test.number("SELECT COUNT(*) FROM kept_tokens").await, 0);
}

#[tokio::test]
async fn it_ends_when_its_time_is_over_and_is_swept_in_batches() {
    let (test, _, server, token) = with_token().await;
    let list = StatusListId::from(Uuid::from_u128(1));
    let (tenant, resource) = (test.tenant_id().await, test.find_resource(API).await.id);
    let client = test.find_client("app").await.oid;
    for at in 0..600_u32 {
        let record = TokenRecord {
            jti: Uuid::from_u128(u128::from(at)),
            status: StatusIndex { list, index: at },
            expires_at: test.clock.now() + 60,
        };
        let hash = Some(sha256(&at.to_be_bytes()));
        let new = NewKeptToken { record, client, resource, scopes: None, person: None, hash, by_operator: false };
        test.app.store.keep_token(tenant, &new, test.clock.now()).await.unwrap();
    }
    test.clock.advance(3599);
    assert!(test.is_active(&server, &token).await);
    test.clock.advance(1);
    assert!(!test.is_active(&server, &token).await);
    let now = test.clock.now();
    assert_eq!(test.app.store.purge_kept_tokens(now - 1000).await.unwrap(), 500);
    // An hour of grace for clocks that go wrong.
    test.clock.advance(61);
    test.sync().await;
    sweep::once(&test.app).await.unwrap();
    assert_eq!(test.number("SELECT COUNT(*) FROM kept_tokens").await, 1);
    test.clock.advance(3601);
    test.sync().await;
    sweep::once(&test.app).await.unwrap();
    assert_eq!(test.number("SELECT COUNT(*) FROM kept_tokens").await, 0);
}

#[tokio::test]
async fn tenants_do_not_see_each_others() {
    let (test, client, server, token) = with_token().await;
    let other = test.beside("t1").await;
    other.resource(API, |settings| settings.token_format = TokenFormat::Opaque).await;
    let theirs = other.client("app", &[&format!("{API}/.default")]).await;
    let foreign = other.token(&theirs, &format!("{API}/.default")).await;
    assert!(other.is_active(&theirs, &foreign).await);
    assert!(!other.is_active(&theirs, &token).await && !test.is_active(&server, &foreign).await);
    // A revocation in the wrong place changes nothing, and says nothing.
    assert_eq!(test.post_as("/revoke", &client, &[("token", &foreign)]).await.status.as_u16(), 200);
    assert!(other.is_active(&theirs, &foreign).await);
}

#[tokio::test]
async fn what_is_unknown_or_garbled_is_inactive() {
    let (test, client, _, token) = with_token().await;
    let cut = &token[..token.len() - 1];
    let (longer, upper) = (format!("{token}x"), token.to_uppercase());
    let long = format!("grat_{}", "x".repeat(60_000));
    for text in ["grat_", "grat_x", cut, &longer, &upper, &token[5..], &long, "grat_\u{0}", "grat_' OR 1=1 --"] {
        assert_eq!(test.introspect(&client, text).await, json!({ "active": false }), "{text:.60}");
        assert_eq!(test.post_as("/revoke", &client, &[("token", text)]).await.status.as_u16(), 200, "{text:.60}");
    }
    assert!(test.is_active(&client, &token).await);
}

#[tokio::test]
async fn a_change_of_format_leaves_older_tokens_alone() {
    let (test, client, server, opaque) = with_token().await;
    test.set_format(TokenFormat::Jwt).await;
    let jwt = test.token(&client, &format!("{API}/.default")).await;
    assert!(jwt.starts_with("eyJ"));
    assert!(test.is_active(&server, &opaque).await && test.is_active(&server, &jwt).await);
}
