//! Tenants: isolated directories under one roof.

use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims, jwt_part};
use grantor::keys::rotation::RotationError;
use grantor::store::AdminError;
use grantor::store::clients::{ClientParts, NewClient};
use grantor::store::groups::Group;
use grantor::store::members::Member;
use grantor::store::permissions::AllowedScope;
use grantor::store::resources::{NewResource, ResourceParts};
use grantor::store::secrets::NewSecret;
use grantor::store::tenants::Tenant;
use grantor::types::id::{ClientOid, MemberId, ResourceId, SecretId};
use grantor::types::name::TenantName;
use grantor::types::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};
use serde_json::json;

const SCOPE: &str = "https://api.example.com/.default";

impl TestApp {
    /// A second tenant with a resource, a client and a group of the same names as [`with_twins`] makes in `default`.
    async fn twin(&self, name: &str) -> (Tenant, TestClient) {
        let id = self.app.create_tenant(&name.parse().unwrap()).await.unwrap();
        let original = self.find_resource(API).await;
        let parts = ResourceParts { add_scopes: vec!["read".parse().unwrap()], ..ResourceParts::default() };
        let resource = NewResource {
            id: ResourceId::from(self.app.random.uuid_v4()),
            identifier: &original.identifier,
            settings: &original.settings,
            parts: &parts,
            role_ids: &[],
        };
        self.app.store.create_resource(id, &resource, self.clock.now()).await.unwrap();
        let secret = Secret::generate(CLIENT_SECRET_PREFIX, &self.app.random);
        let stored = NewSecret {
            id: SecretId::from(self.app.random.uuid_v4()),
            hash: SecretHash::sha256(&secret),
            hint: String::new(),
            expires_at: None,
        };
        let parts = ClientParts {
            add_grants: vec!["client_credentials".into()],
            add_serves: vec![resource.id],
            ..ClientParts::default()
        };
        let client = NewClient {
            oid: ClientOid::from(self.app.random.uuid_v4()),
            client_id: &"app".parse().unwrap(),
            public: false,
            name: &"app".parse().unwrap(),
            parts: &parts,
            allowed: &[AllowedScope { resource: resource.id, value: ".default".into() }],
            secret: Some(&stored),
        };
        self.app.store.create_client(id, &client, self.clock.now()).await.unwrap();
        let group = Group {
            id: self.app.random.uuid_v4().into(),
            name: "staff".parse().unwrap(),
            description: String::new(),
            created_at: self.clock.now(),
        };
        self.app.store.create_group(id, &group).await.unwrap();
        let member = Member::Subject(MemberId::Client(client.oid));
        self.app.store.add_member(id, &group, member, self.clock.now()).await.unwrap();
        self.sync().await;
        let tenant = self.app.store.find_tenant(name).await.unwrap().unwrap();
        (tenant, TestClient { id: "app".into(), secret: secret.expose().into() })
    }

    async fn token_at(&self, tenant: &str, client: &TestClient) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", SCOPE)];
        let reply = self.post_as(&format!("{tenant}/oauth2/v2.0/token"), client, &form).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn is_active_at(&self, tenant: &str, client: &TestClient, token: &str) -> bool {
        let reply = self.post_as(&format!("{tenant}/introspect"), client, &[("token", token)]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["active"].as_bool().unwrap()
    }
}

/// The default tenant and `acme`, each with a resource, a client and a group of the same name.
async fn with_twins() -> (TestApp, TestClient, Tenant, TestClient) {
    let (test, ours) = TestApp::with_client().await;
    let group = test.group("staff").await;
    test.add_client(&group, "app").await;
    let (acme, theirs) = test.twin("acme").await;
    (test, ours, acme, theirs)
}

#[tokio::test]
async fn one_name_means_two_things_in_two_tenants() {
    let (test, ours, acme, theirs) = with_twins().await;
    let (here, there) = (test.token_at("", &ours).await, test.token_at("/acme", &theirs).await);
    let (here, there) = (claims(&here), claims(&there));
    for name in ["sub", "aud", "client_id"] {
        assert_eq!(here[name], there[name]);
    }
    for name in ["iss", "tid", "oid"] {
        assert_ne!(here[name], there[name], "{name}");
    }
    assert_eq!(there["tid"], json!(acme.id.to_string()));
    assert_eq!((&here["scope"], &there["scope"]), (&json!("read write"), &json!("read")));
    assert_eq!((&here["groups"], &there["groups"]), (&json!(["staff"]), &json!(["staff"])));
}

#[tokio::test]
async fn a_client_of_one_tenant_is_nobody_in_the_other() {
    let (test, ours, _, theirs) = with_twins().await;
    let token = test.token_at("", &ours).await;
    for (tenant, stranger) in [("/acme", &ours), ("", &theirs)] {
        let form = [("grant_type", "client_credentials"), ("scope", SCOPE)];
        let path = format!("{tenant}/oauth2/v2.0/token");
        test.post_as(&path, stranger, &form).await.assert_error(401, "invalid_client", 2002);
        for endpoint in ["introspect", "revoke", "oauth2/v2.0/introspect", "oauth2/v2.0/revoke"] {
            let reply = test.post_as(&format!("{tenant}/{endpoint}"), stranger, &[("token", &token)]).await;
            reply.assert_error(401, "invalid_client", 2002);
        }
    }
    assert!(test.is_active_at("", &ours, &token).await);
}

#[tokio::test]
async fn a_token_of_one_tenant_is_inactive_at_the_other_and_cannot_be_revoked_there() {
    let (test, ours, _, theirs) = with_twins().await;
    let (here, there) = (test.token_at("", &ours).await, test.token_at("/acme", &theirs).await);
    assert!(test.is_active_at("", &ours, &here).await && test.is_active_at("/acme", &theirs, &there).await);
    assert!(!test.is_active_at("/acme", &theirs, &here).await);
    assert!(!test.is_active_at("", &ours, &there).await);
    // RFC 7009 §2.2: unknown there, so 200, and nothing happens here.
    assert_eq!(test.post_as("/acme/revoke", &theirs, &[("token", &here)]).await.status, 200);
    assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 0);
    assert!(test.is_active_at("", &ours, &here).await);
    test.get_as("/acme/oauth2/v2.0/groups", &here).await.assert_error(401, "invalid_token", 5003);
    assert_eq!(test.get_as("/oauth2/v2.0/groups", &here).await.status, 200);
}

#[tokio::test]
async fn a_client_that_serves_an_audience_serves_it_in_its_own_tenant_alone() {
    let (test, ours, _, theirs) = with_twins().await;
    let server = test.serving_client("kafka", API).await;
    let (here, there) = (test.token_at("", &ours).await, test.token_at("/acme", &theirs).await);
    assert!(test.is_active_at("", &server, &here).await);
    assert!(!test.is_active_at("", &server, &there).await);
    let reply = test.post_as("/acme/introspect", &server, &[("token", &there)]).await;
    reply.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn a_resource_of_one_tenant_cannot_be_asked_for_in_the_other() {
    let (test, ours, acme, _) = with_twins().await;
    let identifier = "urn:only-there".parse().unwrap();
    let original = test.find_resource(API).await;
    let parts = ResourceParts { add_scopes: vec!["read".parse().unwrap()], ..ResourceParts::default() };
    let resource = NewResource {
        id: ResourceId::from(test.app.random.uuid_v4()),
        identifier: &identifier,
        settings: &original.settings,
        parts: &parts,
        role_ids: &[],
    };
    test.app.store.create_resource(acme.id, &resource, 0).await.unwrap();
    // Not even with a row that no command would write.
    let client = test.find_client("app").await;
    let allowed = AllowedScope { resource: resource.id, value: ".default".into() };
    test.app.store.allow_scopes(test.tenant_id().await, &client, &[allowed], 0).await.unwrap();
    test.sync().await;
    test.request_token(&ours, "urn:only-there/.default").await.assert_error(400, "invalid_scope", 4002);
    test.token(&ours, SCOPE).await;
}

#[tokio::test]
async fn each_tenant_signs_with_keys_of_its_own() {
    let (test, ours, _, theirs) = with_twins().await;
    let kids = async |path: &str| -> Vec<String> {
        let keys = test.get(path).await.json()["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let (here, there) = (kids("/jwks").await, kids("/acme/jwks").await);
    assert!(!here.is_empty() && !there.is_empty() && here.iter().all(|kid| !there.contains(kid)));
    let kid = |token: &str| jwt_part(token, 0)["kid"].as_str().unwrap().to_owned();
    assert!(here.contains(&kid(&test.token_at("", &ours).await)));
    assert!(there.contains(&kid(&test.token_at("/acme", &theirs).await)));
}

#[tokio::test]
async fn a_status_list_is_published_by_its_own_tenant_alone() {
    let (test, ours, _, theirs) = with_twins().await;
    for (client, tenant, other) in [(&ours, "", "/acme"), (&theirs, "/acme", "")] {
        let token = claims(&test.token_at(tenant, client).await);
        let uri = token["status"]["status_list"]["uri"].as_str().unwrap();
        let list = uri.rsplit('/').next().unwrap();
        assert_eq!(uri, format!("{PUBLIC_URL}{tenant}/statuslists/{list}"));
        // Before and after the right tenant put it into memory.
        test.get(&format!("{other}/statuslists/{list}")).await.assert_error(404, "invalid_request", 6001);
        assert_eq!(test.get(&format!("{tenant}/statuslists/{list}")).await.status, 200);
        test.get(&format!("{other}/statuslists/{list}")).await.assert_error(404, "invalid_request", 6001);
    }
}

#[tokio::test]
async fn a_group_of_one_tenant_gives_nothing_in_the_other() {
    let (test, ours, acme, _) = with_twins().await;
    let foreign = test.app.store.find_group(acme.id, "staff").await.unwrap().unwrap();
    let only_there = Group { id: test.app.random.uuid_v4().into(), name: "board".parse().unwrap(), ..foreign };
    test.app.store.create_group(acme.id, &only_there).await.unwrap();
    // Even a row that no command would write counts for nothing.
    let member = Member::Subject(MemberId::Client(test.find_client("app").await.oid));
    let _ = test.app.store.add_member(acme.id, &only_there, member, 0).await;
    test.sync().await;
    assert_eq!(claims(&test.token_at("", &ours).await)["groups"], json!(["staff"]));
    assert!(test.app.store.find_group(test.tenant_id().await, "board").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_show_one_tenant_alone() {
    let (test, _, acme, _) = with_twins().await;
    let (store, default) = (&test.app.store, test.tenant_id().await);
    for tenant in [default, acme.id] {
        assert_eq!(store.list_clients(tenant, "", 100).await.unwrap().len(), 1);
        assert_eq!(store.list_groups(tenant, "", 100).await.unwrap().len(), 1);
        assert_eq!(store.list_resources(tenant).await.unwrap().len(), 1);
    }
    let names: Vec<String> =
        store.list_tenants("", 100).await.unwrap().into_iter().map(|tenant| tenant.name.to_string()).collect();
    assert_eq!(names, ["acme", "default"]);
    assert_eq!(store.list_tenants("acme", 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_tenant_is_found_by_name_and_by_its_uuid_in_any_spelling() {
    let (test, _, acme, theirs) = with_twins().await;
    let id = acme.id.to_string();
    for word in ["acme".to_owned(), id.clone(), id.to_uppercase(), id.replace('-', "")] {
        let token = test.token_at(&format!("/{word}"), &theirs).await;
        assert_eq!(claims(&token)["iss"], format!("{PUBLIC_URL}/acme"), "{word}");
    }
    for word in ["ACME", "nobody", "018f3a2e-0000-7000-8000-000000000000"] {
        test.get(&format!("/{word}/jwks")).await.assert_error(404, "invalid_request", 1008);
    }
    let default = test.tenant_id().await.to_string();
    assert_eq!(test.get(&format!("/{default}/jwks")).await.json(), test.get("/jwks").await.json());
}

#[tokio::test]
async fn a_change_reaches_a_tenant_under_each_of_its_names() {
    let (test, _, acme, theirs) = with_twins().await;
    let id = acme.id.to_string();
    for word in ["acme", &id, &id.to_uppercase()] {
        test.token_at(&format!("/{word}"), &theirs).await;
    }
    test.app.store.set_tenant_enabled(&acme, false, 0).await.unwrap();
    test.sync().await;
    for word in ["acme", &id, &id.to_uppercase()] {
        let form = [("grant_type", "client_credentials"), ("scope", SCOPE)];
        let reply = test.post_as(&format!("/{word}/oauth2/v2.0/token"), &theirs, &form).await;
        reply.assert_error(400, "invalid_request", 1009);
    }
}

#[tokio::test]
async fn rfc8414_s2_the_issuer_of_default_is_the_public_url_and_of_others_below_it() {
    let (test, ours, acme, theirs) = with_twins().await;
    let issuer = async |path: &str| test.get(path).await.json()["issuer"].as_str().unwrap().to_owned();
    let document = "/.well-known/oauth-authorization-server";
    assert_eq!(issuer(document).await, PUBLIC_URL);
    assert_eq!(issuer(&format!("/default{document}")).await, PUBLIC_URL);
    for path in [format!("/acme{document}"), format!("{document}/acme"), format!("/{}{document}", acme.id)] {
        assert_eq!(issuer(&path).await, format!("{PUBLIC_URL}/acme"), "{path}");
    }
    assert_eq!(claims(&test.token_at("/default", &ours).await)["iss"], PUBLIC_URL);
    assert_eq!(claims(&test.token_at("/acme", &theirs).await)["iss"], format!("{PUBLIC_URL}/acme"));
}

#[tokio::test]
async fn a_disabled_tenant_issues_nothing_and_its_tokens_are_inactive_until_it_is_enabled() {
    let (test, ours, acme, theirs) = with_twins().await;
    let token = test.token_at("/acme", &theirs).await;
    assert!(test.app.store.set_tenant_enabled(&acme, false, 0).await.unwrap());
    test.sync().await;
    let form = [("grant_type", "client_credentials"), ("scope", SCOPE)];
    test.post_as("/acme/oauth2/v2.0/token", &theirs, &form).await.assert_error(400, "invalid_request", 1009);
    assert!(!test.is_active_at("/acme", &theirs, &token).await);
    test.get_as("/acme/oauth2/v2.0/groups", &token).await.assert_error(401, "invalid_token", 5003);
    // The neighbour notices nothing.
    assert!(test.is_active_at("", &ours, &test.token_at("", &ours).await).await);
    assert!(test.app.store.set_tenant_enabled(&acme, true, 0).await.unwrap());
    test.sync().await;
    assert!(test.is_active_at("/acme", &theirs, &token).await);
    test.token_at("/acme", &theirs).await;
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_with_everything() {
    let (test, ours, acme, theirs) = with_twins().await;
    let token = test.token_at("/acme", &theirs).await;
    test.post_as("/acme/revoke", &theirs, &[("token", &token)]).await;
    assert!(test.app.store.delete_tenant(&acme, 0).await.unwrap());
    assert!(!test.app.store.delete_tenant(&acme, 0).await.unwrap());
    test.sync().await;
    for path in ["/acme/jwks", "/acme/.well-known/oauth-authorization-server", &format!("/{}/jwks", acme.id)] {
        test.get(path).await.assert_error(404, "invalid_request", 1008);
    }
    for table in ["tenants", "resources", "clients", "groups", "group_clients", "client_secrets", "client_scopes"] {
        assert_eq!(test.number(&format!("SELECT COUNT(*) FROM {table}")).await, 1, "{table}");
    }
    for table in ["status_lists", "revocations", "client_serves"] {
        assert_eq!(test.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    test.token_at("", &ours).await;
    // A new one of the same name starts with nothing.
    let (again, newcomer) = test.twin("acme").await;
    assert_ne!(again.id, acme.id);
    assert!(!test.is_active_at("/acme", &newcomer, &token).await);
    let form = [("grant_type", "client_credentials"), ("scope", SCOPE)];
    test.post_as("/acme/oauth2/v2.0/token", &theirs, &form).await.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn the_default_tenant_can_be_disabled_and_not_deleted() {
    let (test, client) = TestApp::with_client().await;
    let tenant = test.tenant().await;
    match test.app.store.delete_tenant(&tenant, 0).await {
        Err(AdminError::Refused(text)) => assert!(text.contains("disable it instead"), "{text}"),
        other => panic!("{other:?}"),
    }
    test.token(&client, SCOPE).await;
    test.app.store.set_tenant_enabled(&tenant, false, 0).await.unwrap();
    test.sync().await;
    test.request_token(&client, SCOPE).await.assert_error(400, "invalid_request", 1009);
}

#[tokio::test]
async fn a_tenant_name_is_taken_once() {
    let test = TestApp::new().await;
    let name: TenantName = "acme".parse().unwrap();
    test.app.create_tenant(&name).await.unwrap();
    match test.app.create_tenant(&name).await {
        Err(RotationError::Admin(AdminError::Refused(text))) => assert!(text.contains("already"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(test.number("SELECT COUNT(*) FROM tenants").await, 2);
    assert_eq!(test.number("SELECT COUNT(*) FROM signing_keys").await, 2);
}

#[test]
fn reserved_and_malformed_tenant_names_are_refused() {
    for text in [
        "",
        "Acme",
        "-acme",
        ".acme",
        "a/b",
        "a b",
        "ümlaut",
        "a%2f",
        "oauth2",
        "jwks",
        "introspect",
        "revoke",
        "livez",
        "readyz",
        "metrics",
        "statuslists",
        "discovery",
        "v2.0",
        "common",
        "organizations",
        "consumers",
        ".well-known",
        "018f3a2e-0000-7000-8000-000000000000",
        "018f3a2e000070008000000000000000",
        &"a".repeat(64),
    ] {
        assert!(text.parse::<TenantName>().is_err(), "{text}");
    }
    for text in ["acme", "acme.example.com", "a_b-c", "1", "default", &"a".repeat(63)] {
        assert!(text.parse::<TenantName>().is_ok(), "{text}");
    }
}

#[tokio::test]
async fn no_tenant_name_that_is_allowed_hides_an_endpoint() {
    // Every first segment of a path of ours must be reserved.
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/router.rs")).unwrap();
    let paths = regex::Regex::new(r#""/([^"/{]+)"#).unwrap();
    for found in paths.captures_iter(&source) {
        assert!(found[1].parse::<TenantName>().is_err(), "{} could be a tenant", &found[1]);
    }
}
