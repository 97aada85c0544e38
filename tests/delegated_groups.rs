//! Groups, roles, required groups and claims of groups of people, in the tokens that clients get for them.

use crate::support::browser::{Ask, answer};
use crate::support::grants::Tokens;
use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims};
use grantor::store::groups::Group;
use grantor::store::resources::{ResourceParts, SettingChanges};
use grantor::types::policy::{ClaimsProfile, GroupFormat, GroupsPolicy};
use serde_json::{Value, json};

/// A second resource.
const FILES: &str = "https://files.example.com";

impl TestApp {
    async fn alices_token(&self, web: &TestClient, scope: &str) -> Tokens {
        self.browser().web_tokens(web, &Ask::web().with("scope", scope)).await
    }

    async fn role(&self, group: &Group, resource: &str, role: &str) {
        let resource = self.find_resource(resource).await;
        let role = (resource.id, &role.parse().unwrap());
        self.app.store.grant_role(self.tenant_id().await, group, role, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    async fn group_claim(&self, group: &Group, name: &str, value: &str) {
        let (name, value) = (name.parse().unwrap(), value.parse().unwrap());
        let now = self.clock.now();
        self.app.store.set_claim(self.tenant_id().await, group, (&name, &value), now).await.unwrap();
        self.sync().await;
    }

    async fn decide(&self, resource: &str, settings: SettingChanges) {
        let resource = self.find_resource(resource).await;
        self.update_resource(&resource, settings, ResourceParts::default()).await;
    }
}

fn read() -> String {
    format!("openid offline_access {API}/read")
}

/// The path of the endpoint that a token names for its groups.
fn source(claims: &Value) -> String {
    let name = claims["_claim_names"]["groups"].as_str().unwrap();
    let url = claims["_claim_sources"][name]["endpoint"].as_str().unwrap();
    url.strip_prefix(PUBLIC_URL).unwrap().to_owned()
}

#[tokio::test]
async fn a_token_for_a_person_carries_the_persons_groups_and_not_the_clients() {
    let (test, web) = TestApp::with_people().await;
    let (outer, inner, of_client) =
        (test.group("outer").await, test.group("inner").await, test.group("machines").await);
    test.add_group(&outer, &inner).await;
    test.add_person(&inner, "alice").await;
    test.add_client(&of_client, "web").await;
    test.role(&of_client, API, "Operator").await;
    test.group_claim(&of_client, "quota", "1").await;
    let person = test.alices_token(&web, &read()).await.claims();
    assert_eq!(person["groups"], json!(["inner", "outer"]));
    assert!(person.get("roles").is_none() && person.get("quota").is_none(), "{person}");
    let machine = claims(&test.token(&web, &format!("{API}/.default")).await);
    assert_eq!((&machine["groups"], &machine["roles"]), (&json!(["machines"]), &json!(["Operator"])));
    assert_eq!(machine["quota"], 1);
}

#[tokio::test]
async fn somebody_elses_groups_are_not_the_persons() {
    let (test, web) = TestApp::with_people().await;
    test.user_with("bob", crate::support::browser::PASSWORD).await;
    let group = test.group("bobs").await;
    test.add_person(&group, "bob").await;
    assert!(test.alices_token(&web, &read()).await.claims().get("groups").is_none());
    let reply = test.browser().authorize_as(&Ask::web(), "bob").await;
    let tokens = test.redeem(&web, &answer(&reply)["code"]).await.tokens();
    assert_eq!(tokens.claims()["groups"], json!(["bobs"]));
}

#[tokio::test]
async fn policy_and_format_of_the_resource_hold_for_people_too() {
    let (test, web) = TestApp::with_people().await;
    let (plain, with_role) = (test.group("plain").await, test.group("with-role").await);
    for group in [&plain, &with_role] {
        test.add_person(group, "alice").await;
    }
    test.role(&with_role, API, "Operator").await;
    let mut ids = [plain.id.to_string(), with_role.id.to_string()];
    ids.sort();
    for (policy, format, expected) in [
        (GroupsPolicy::All, GroupFormat::Name, json!(["plain", "with-role"])),
        (GroupsPolicy::Assigned, GroupFormat::Name, json!(["with-role"])),
        (GroupsPolicy::Assigned, GroupFormat::Id, json!([with_role.id.to_string()])),
        (GroupsPolicy::None, GroupFormat::Name, Value::Null),
    ] {
        let settings = SettingChanges { groups: Some(policy), group_format: Some(format), ..SettingChanges::default() };
        test.decide(API, settings).await;
        let claims = test.alices_token(&web, &read()).await.claims();
        assert_eq!(claims["groups"], expected, "{policy} {format}");
        assert_eq!(claims["roles"], json!(["Operator"]));
    }
    let settings = SettingChanges {
        groups: Some(GroupsPolicy::All),
        group_format: Some(GroupFormat::Id),
        ..SettingChanges::default()
    };
    test.decide(API, settings).await;
    let claims = test.alices_token(&web, &read()).await.claims();
    let mut stamped: Vec<&str> = claims["groups"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    stamped.sort_unstable();
    assert_eq!(stamped, ids);
}

#[tokio::test]
async fn roles_are_those_of_the_resource_that_the_token_is_for() {
    let (test, web) = TestApp::with_people().await;
    test.resource(FILES, |_| ()).await;
    test.allow("web", &format!("{FILES}/.default")).await;
    let (here, there) = (test.group("here").await, test.group("there").await);
    for (group, resource) in [(&here, API), (&there, FILES)] {
        test.add_person(group, "alice").await;
        test.role(group, resource, "Operator").await;
    }
    test.decide(API, SettingChanges { groups: Some(GroupsPolicy::Assigned), ..SettingChanges::default() }).await;
    test.decide(FILES, SettingChanges { groups: Some(GroupsPolicy::Assigned), ..SettingChanges::default() }).await;
    let tokens = test.alices_token(&web, &format!("offline_access {API}/read {FILES}/read")).await;
    assert_eq!((&tokens.claims()["groups"], &tokens.claims()["roles"]), (&json!(["here"]), &json!(["Operator"])));
    let files = test.refresh_with(&web, &tokens.refresh, &[("resource", FILES)]).await.tokens().claims();
    assert_eq!((&files["groups"], &files["roles"]), (&json!(["there"]), &json!(["Operator"])));
}

#[tokio::test]
async fn claims_of_groups_are_merged_for_people_too() {
    let (test, web) = TestApp::with_people().await;
    let (one, two) = (test.group("one").await, test.group("two").await);
    for (group, team) in [(&one, "\"red\""), (&two, "\"blue\"")] {
        test.add_person(group, "alice").await;
        test.group_claim(group, "team", team).await;
    }
    test.group_claim(&two, "quota", "7").await;
    let claims = test.alices_token(&web, &read()).await.claims();
    assert_eq!((&claims["team"], &claims["quota"]), (&json!(["red", "blue"]), &json!(7)));
    test.remove_person(&one, "alice").await;
    let claims = test.alices_token(&web, &read()).await.claims();
    assert_eq!((&claims["team"], &claims["quota"]), (&json!("blue"), &json!(7)));
}

// The client's own membership opens nothing for a person, and the person's nothing for the client.
#[tokio::test]
async fn a_required_group_is_required_of_the_person() {
    let (test, web) = TestApp::with_people().await;
    let group = test.group("insiders").await;
    let resource = test.find_resource(API).await;
    let parts = ResourceParts { add_required: vec![group.id], ..ResourceParts::default() };
    test.update_resource(&resource, SettingChanges::default(), parts).await;
    test.add_client(&group, "web").await;
    test.token(&web, &format!("{API}/.default")).await;
    let browser = test.browser();
    let code = browser.code(&Ask::web()).await;
    test.redeem(&web, &code).await.assert_error(400, "access_denied", 4009);
    // The code was not spent by that, so it is good once the person is inside.
    test.add_person(&group, "alice").await;
    let tokens = test.redeem(&web, &code).await.tokens();
    assert_eq!(tokens.claims()["groups"], json!(["insiders"]));
    // Out again: the next refresh says so, and ends nothing.
    test.remove_person(&group, "alice").await;
    test.refresh(&web, &tokens.refresh).await.assert_error(400, "access_denied", 4009);
    test.add_person(&group, "alice").await;
    test.refresh(&web, &tokens.refresh).await.tokens();
    let out = test.group("outsiders").await;
    test.add_person(&out, "alice").await;
    test.refresh(&web, &tokens.refresh).await.tokens();
}

#[tokio::test]
async fn above_the_limit_a_persons_token_names_where_the_groups_are() {
    let (test, web) = TestApp::with_people().await;
    test.decide(API, SettingChanges { group_limit: Some(3), ..SettingChanges::default() }).await;
    let mut names = Vec::new();
    for at in 0..4 {
        let name = format!("group-{at}");
        let group = test.group(&name).await;
        test.add_person(&group, "alice").await;
        names.push(name);
        let tokens = test.alices_token(&web, &read()).await;
        let stamped = tokens.claims();
        if at < 3 {
            assert_eq!(stamped["groups"], json!(names));
            assert!(stamped.get("_claim_names").is_none() && stamped.get("_claim_sources").is_none());
            continue;
        }
        assert!(stamped.get("groups").is_none());
        let answer = test.get_as(&source(&stamped), &tokens.access).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
        assert_eq!(
            answer.json(),
            json!({ "sub": test.person("alice").await.id, "aud": API, "groups": names }),
            "the whole list, of the person"
        );
        // A role is never left out for want of room.
        test.role(&group, API, "Operator").await;
        assert_eq!(test.alices_token(&web, &read()).await.claims()["roles"], json!(["Operator"]));
    }
}

#[tokio::test]
async fn the_list_of_groups_follows_the_person_and_ends_with_the_token() {
    let (test, web) = TestApp::with_people().await;
    let group = test.group("first").await;
    test.add_person(&group, "alice").await;
    let tokens = test.alices_token(&web, &read()).await;
    let path = "/oauth2/v2.0/groups";
    assert_eq!(test.get_as(path, &tokens.access).await.json()["groups"], json!(["first"]));
    let second = test.group("second").await;
    test.add_person(&second, "alice").await;
    test.remove_person(&group, "alice").await;
    assert_eq!(test.get_as(path, &tokens.access).await.json()["groups"], json!(["second"]));
    let kept = test.browser().native_tokens(&Ask::native()).await;
    test.withdraw("web").await;
    test.get_as(path, &tokens.access).await.assert_error(401, "invalid_token", 5003);
    assert_eq!(test.get_as(path, &kept.access).await.json()["groups"], json!(["second"]));
    test.set_person_enabled("alice", false).await;
    test.get_as(path, &kept.access).await.assert_error(401, "invalid_token", 5003);
}

#[tokio::test]
async fn a_token_of_identity_alone_is_for_no_list_of_groups() {
    let (test, web) = TestApp::with_people().await;
    let group = test.group("first").await;
    test.add_person(&group, "alice").await;
    let tokens = test.alices_token(&web, "openid groups").await;
    assert!(tokens.claims().get("groups").is_none());
    let id_token = claims(tokens.body["id_token"].as_str().unwrap());
    assert_eq!(id_token["groups"], json!(["first"]));
    let without = claims(test.alices_token(&web, "openid").await.body["id_token"].as_str().unwrap());
    assert!(without.get("groups").is_none());
}

// OpenID Connect Core §5.6.2: what the ID token names answers the access token beside it, also one for identity alone.
#[tokio::test]
async fn above_two_hundred_groups_an_id_token_names_where_they_all_are() {
    let (test, web) = TestApp::with_people().await;
    test.decide(API, SettingChanges { groups: Some(GroupsPolicy::None), ..SettingChanges::default() }).await;
    let mut names = Vec::new();
    for at in 0..201 {
        let name = format!("group-{at:03}");
        test.add_person(&test.group(&name).await, "alice").await;
        names.push(name);
        if at < 199 {
            continue;
        }
        for scope in ["openid groups".to_owned(), format!("openid groups {API}/read")] {
            let tokens = test.alices_token(&web, &scope).await;
            let id_token = claims(tokens.body["id_token"].as_str().unwrap());
            if at == 199 {
                assert_eq!(id_token["groups"], json!(names));
                assert!(id_token.get("_claim_names").is_none());
                continue;
            }
            assert!(id_token.get("groups").is_none());
            let answer = test.get_as(&source(&id_token), &tokens.access).await;
            assert_eq!(answer.status, 200, "{scope}: {}", answer.text());
            assert_eq!(answer.json()["groups"], json!(names), "{scope}");
        }
    }
}

#[tokio::test]
async fn the_entra_profile_tells_a_person_from_an_application() {
    let (test, web) = TestApp::with_people().await;
    test.decide(API, SettingChanges { claims_profile: Some(ClaimsProfile::Entra), ..SettingChanges::default() }).await;
    let group = test.group("first").await;
    test.add_person(&group, "alice").await;
    let person = test.alices_token(&web, &read()).await.claims();
    let id = test.person("alice").await.id.to_string();
    for (name, value) in
        [("idtyp", "user"), ("oid", &id), ("sub", &id), ("scp", "read"), ("azpacr", "1"), ("appid", "web")]
    {
        assert_eq!(person[name], value, "{name}");
    }
    assert_eq!(person["groups"], json!(["first"]));
    let native = test.browser().native_tokens(&Ask::native()).await.claims();
    assert_eq!((&native["azpacr"], &native["idtyp"]), (&json!("0"), &json!("user")));
    let machine = claims(&test.token(&web, &format!("{API}/.default")).await);
    assert_eq!(machine["idtyp"], "app");
}
