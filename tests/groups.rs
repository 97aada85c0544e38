//! Groups: membership at any depth, what of it a token carries, required groups, roles and claims.

use crate::support::{API, PUBLIC_URL, TestApp, TestClient, claims};
use grantor::store::AdminError;
use grantor::store::groups::Group;
use grantor::store::members::{Member, MemberLine};
use grantor::store::resources::{Resource, ResourceParts, SettingChanges};
use grantor::types::claim::{ClaimName, ClaimValue};
use grantor::types::id::{GroupId, MemberId};
use grantor::types::name::GroupName;
use grantor::types::policy::{GroupFormat, GroupsPolicy};
use serde_json::{Value, json};
use uuid::Uuid;

const SCOPE: &str = "https://api.example.com/.default";

impl TestApp {
    async fn groups(&self, names: &[&str]) -> Vec<Group> {
        let mut made = Vec::new();
        for name in names {
            made.push(self.group(name).await);
        }
        made
    }

    async fn try_add(&self, outer: &Group, inner: &Group) -> Result<bool, AdminError> {
        self.app.store.add_member(self.tenant_id().await, outer, Member::Group(inner), self.clock.now()).await
    }

    /// The members of a small group at any depth.
    async fn all_members(&self, group: GroupId) -> Vec<MemberLine> {
        let page = self.app.store.list_all_members(group, None, 100).await.unwrap().unwrap();
        assert_eq!(page.next, None);
        page.lines
    }

    async fn claims_of(&self, client: &TestClient) -> Value {
        claims(&self.token(client, SCOPE).await)
    }

    /// The ids of the groups that a client is in, sorted.
    async fn membership_of(&self, client: &str) -> Vec<GroupId> {
        let member = MemberId::Client(self.find_client(client).await.oid);
        let found = self.app.store.membership(self.tenant_id().await, member).await.unwrap();
        let mut ids: Vec<_> = found.groups.iter().map(|group| group.id).collect();
        ids.sort();
        ids
    }

    async fn give_role(&self, group: &Group, resource: &Resource, role: &str) -> Result<bool, AdminError> {
        let role = (resource.id, &role.parse().unwrap());
        let done = self.app.store.grant_role(self.tenant_id().await, group, role, self.clock.now()).await;
        self.sync().await;
        done
    }

    async fn claim(&self, group: &Group, name: &str, value: &str) {
        let (name, value): (ClaimName, ClaimValue) = (name.parse().unwrap(), value.parse().unwrap());
        let now = self.clock.now();
        self.app.store.set_claim(self.tenant_id().await, group, (&name, &value), now).await.unwrap();
        self.sync().await;
    }

    async fn change(&self, resource: &Resource, parts: ResourceParts) {
        self.update_resource(resource, SettingChanges::default(), parts).await;
    }

    async fn delete(&self, group: &Group) -> Result<bool, AdminError> {
        let done = self.app.store.delete_group(self.tenant_id().await, group, self.clock.now()).await;
        self.sync().await;
        done
    }
}

fn refused(answer: Result<bool, AdminError>) -> String {
    match answer {
        Err(AdminError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

fn names(claims: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = claims["groups"]
        .as_array()
        .map(|groups| groups.iter().map(|name| name.as_str().unwrap()).collect())
        .unwrap_or_default();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn membership_is_transitive_to_depth_fifty() {
    let (test, client) = TestApp::with_client().await;
    let mut chain: Vec<Group> = Vec::new();
    for depth in 0..50 {
        chain.push(test.group(&format!("level-{depth:02}")).await);
        if depth > 0 {
            test.try_add(&chain[depth], &chain[depth - 1]).await.unwrap();
        }
    }
    test.sync().await;
    assert_eq!(test.claims_of(&client).await.get("groups"), None);
    test.add_client(&chain[0], "app").await;
    let expected: Vec<String> = (0..50).map(|depth| format!("level-{depth:02}")).collect();
    assert_eq!(names(&test.claims_of(&client).await), expected);
    // Out at the bottom, out everywhere.
    let member = Member::Subject(MemberId::Client(test.find_client("app").await.oid));
    test.app.store.remove_member(test.tenant_id().await, &chain[0], member, 0).await.unwrap();
    test.sync().await;
    assert_eq!(test.claims_of(&client).await.get("groups"), None);
}

#[tokio::test]
async fn a_group_cannot_be_inside_itself_by_way_of_one_two_or_five() {
    let (test, _) = TestApp::with_client().await;
    for length in [1_usize, 2, 5] {
        let labels: Vec<String> = (0..length).map(|at| format!("of-{length}-{at}")).collect();
        let ring = test.groups(&labels.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for at in 1..length {
            assert!(test.try_add(&ring[at], &ring[at - 1]).await.unwrap());
        }
        test.add_client(&ring[0], "app").await;
        let (edges, revision) =
            (test.number("SELECT COUNT(*) FROM group_groups").await, test.app.store.revision().await.unwrap());
        let said = refused(test.try_add(&ring[0], &ring[length - 1]).await);
        assert!(said.contains("would be inside itself"), "{said}");
        // Nothing is lost and nothing is announced.
        assert_eq!(test.number("SELECT COUNT(*) FROM group_groups").await, edges);
        assert_eq!(test.app.store.revision().await.unwrap(), revision);
        let inside = test.membership_of("app").await;
        assert!(ring.iter().all(|group| inside.contains(&group.id)));
        // The writer goes on as before.
        assert!(test.try_add(&ring[length - 1], &test.group(&format!("leaf-{length}")).await).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_additions_that_together_close_a_circle_exactly_one_succeeds() {
    let test = TestApp::new().await;
    let second = test.second_server().await;
    let tenant = test.tenant_id().await;
    for round in 0..25 {
        let left = test.group(&format!("left-{round}")).await;
        let right = test.group(&format!("right-{round}")).await;
        let (one, other) = (test.app.store.clone(), second.app.store.clone());
        let (a, b) = (left.clone(), right.clone());
        let first = tokio::spawn(async move { one.add_member(tenant, &a, Member::Group(&b), 0).await });
        let then = tokio::spawn(async move { other.add_member(tenant, &right, Member::Group(&left), 0).await });
        let answers = [first.await.unwrap(), then.await.unwrap()];
        let added = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
        let denied = answers.iter().filter(|answer| matches!(answer, Err(AdminError::Refused(_)))).count();
        assert_eq!((added, denied), (1, 1), "{answers:?}");
    }
    assert_eq!(test.number("SELECT COUNT(*) FROM group_groups").await, 25);
}

#[tokio::test]
async fn a_group_reached_on_two_ways_counts_once() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["bottom", "left", "right", "top"]).await;
    test.add_client(&groups[0], "app").await;
    for (outer, inner) in [(1, 0), (2, 0), (3, 1), (3, 2)] {
        test.add_group(&groups[outer], &groups[inner]).await;
    }
    assert_eq!(names(&test.claims_of(&client).await), ["bottom", "left", "right", "top"]);
    assert!(!test.try_add(&groups[1], &groups[0]).await.unwrap(), "a second time is nothing new");
}

#[tokio::test]
async fn the_policy_decides_which_groups_are_stamped() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["plain", "with-role", "required"]).await;
    for group in &groups {
        test.add_client(group, "app").await;
    }
    for (policy, expected) in [
        (GroupsPolicy::None, vec![]),
        (GroupsPolicy::Assigned, vec!["required", "with-role"]),
        (GroupsPolicy::All, vec!["plain", "required", "with-role"]),
    ] {
        let identifier = format!("urn:{policy}");
        let resource = test.resource(&identifier, |settings| settings.groups = policy).await;
        test.give_role(&groups[1], &resource, "Operator").await.unwrap();
        test.change(&resource, ResourceParts { add_required: vec![groups[2].id], ..ResourceParts::default() }).await;
        let claims = claims(&test.token(&client, &format!("{identifier}/.default")).await);
        assert_eq!(names(&claims), expected, "{policy}");
        assert_eq!(claims.get("groups").is_some(), !expected.is_empty(), "no empty list");
        // A role counts whatever the policy.
        assert_eq!(claims["roles"], json!(["Operator"]));
    }
}

#[tokio::test]
async fn groups_are_written_as_names_or_as_ids() {
    let (test, client) = TestApp::with_client().await;
    test.resource("urn:ids", |settings| settings.group_format = GroupFormat::Id).await;
    let group = test.group("kafka-admins").await;
    test.add_client(&group, "app").await;
    assert_eq!(names(&test.claims_of(&client).await), ["kafka-admins"]);
    let member = test.client("ids", &["urn:ids/.default"]).await;
    test.add_client(&group, "ids").await;
    let claims = claims(&test.token(&member, "urn:ids/.default").await);
    assert_eq!(claims["groups"], json!([group.id.to_string()]));
}

/// A client in as many groups, at a resource that has room for three.
async fn in_groups(count: usize) -> (TestApp, TestClient, Vec<String>) {
    let test = TestApp::new().await;
    test.resource(API, |settings| settings.group_limit = 3).await;
    let client = test.client("app", &[SCOPE]).await;
    let labels: Vec<String> = (0..count).map(|at| format!("group-{at}")).collect();
    for group in test.groups(&labels.iter().map(String::as_str).collect::<Vec<_>>()).await {
        test.add_client(&group, "app").await;
    }
    (test, client, labels)
}

/// The path of the endpoint that a token names for its groups.
fn source(claims: &Value) -> String {
    let name = claims["_claim_names"]["groups"].as_str().unwrap();
    let url = claims["_claim_sources"][name]["endpoint"].as_str().unwrap();
    url.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{url} is not ours")).to_owned()
}

#[tokio::test]
async fn at_the_limit_every_group_is_in_the_token() {
    let (test, client, labels) = in_groups(3).await;
    let claims = test.claims_of(&client).await;
    assert_eq!(names(&claims), labels);
    assert!(claims.get("_claim_names").is_none() && claims.get("_claim_sources").is_none());
}

#[tokio::test]
async fn one_above_the_limit_the_token_names_where_the_whole_list_is() {
    let (test, client, labels) = in_groups(4).await;
    let token = test.token(&client, SCOPE).await;
    let stamped = claims(&token);
    assert!(stamped.get("groups").is_none());
    let reply = test.get_as(&source(&stamped), &token).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.json();
    assert_eq!(
        (names(&answer), &answer["sub"], &answer["aud"]),
        (labels.iter().map(String::as_str).collect(), &json!("app"), &json!(API))
    );
}

#[tokio::test]
async fn the_list_of_groups_is_for_the_bearer_of_a_token_that_is_active() {
    let (test, client, _) = in_groups(4).await;
    let token = test.token(&client, SCOPE).await;
    let path = source(&claims(&token));
    test.get(&path).await.assert_error(401, "invalid_request", 5004);
    test.get_as(&path, "nonsense").await.assert_error(401, "invalid_token", 5003);
    assert_eq!(test.get_as(&path, &token).await.status, 200);
    assert_eq!(test.post_as("/revoke", &client, &[("token", &token)]).await.status, 200);
    test.get_as(&path, &token).await.assert_error(401, "invalid_token", 5003);
    // Another token of the same client is untouched until it expires.
    let other = test.token(&client, SCOPE).await;
    assert_eq!(test.get_as(&path, &other).await.status, 200);
    test.clock.advance(3600);
    test.get_as(&path, &other).await.assert_error(401, "invalid_token", 5003);
}

#[tokio::test]
async fn the_list_of_groups_obeys_policy_and_format_of_the_resource() {
    let test = TestApp::new().await;
    let resource = test
        .resource(API, |settings| {
            settings.groups = GroupsPolicy::Assigned;
            settings.group_format = GroupFormat::Id;
            settings.group_limit = 1;
        })
        .await;
    let client = test.client("app", &[SCOPE]).await;
    let groups = test.groups(&["one", "two", "not-assigned"]).await;
    for group in &groups {
        test.add_client(group, "app").await;
    }
    for group in &groups[..2] {
        test.give_role(group, &resource, "Operator").await.unwrap();
    }
    let token = test.token(&client, SCOPE).await;
    let answer = test.get_as(&source(&claims(&token)), &token).await.json();
    let mut expected = [groups[0].id.to_string(), groups[1].id.to_string()];
    expected.sort();
    assert_eq!(names(&answer), expected);
}

#[tokio::test]
async fn a_subject_outside_a_required_group_gets_no_token_and_is_told_so() {
    let (test, client) = TestApp::with_client().await;
    let required = test.group("kafka-rest").await;
    let resource = test.find_resource(API).await;
    test.change(&resource, ResourceParts { add_required: vec![required.id], ..ResourceParts::default() }).await;
    let body = test.request_token(&client, SCOPE).await.assert_error(400, "access_denied", 4009);
    assert!(body["error_description"].as_str().unwrap().contains("group"), "{body}");
    // By way of a nested group, once the change was followed.
    let inner = test.group("inner").await;
    test.add_group(&required, &inner).await;
    test.add_client(&inner, "app").await;
    test.token(&client, SCOPE).await;
    test.change(&resource, ResourceParts { remove_required: vec![required.id], ..ResourceParts::default() }).await;
    let member = Member::Subject(MemberId::Client(test.find_client("app").await.oid));
    test.app.store.remove_member(test.tenant_id().await, &inner, member, 0).await.unwrap();
    test.sync().await;
    test.token(&client, SCOPE).await;
}

#[tokio::test]
async fn of_several_required_groups_one_is_enough() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["one", "two", "neither"]).await;
    let resource = test.find_resource(API).await;
    let add_required = vec![groups[0].id, groups[1].id];
    test.change(&resource, ResourceParts { add_required, ..ResourceParts::default() }).await;
    test.add_client(&groups[2], "app").await;
    test.request_token(&client, SCOPE).await.assert_error(400, "access_denied", 4009);
    test.add_client(&groups[1], "app").await;
    test.token(&client, SCOPE).await;
}

#[tokio::test]
async fn a_required_group_cannot_be_deleted_because_its_resource_would_be_open() {
    let (test, client) = TestApp::with_client().await;
    let required = test.group("kafka-rest").await;
    let resource = test.find_resource(API).await;
    test.change(&resource, ResourceParts { add_required: vec![required.id], ..ResourceParts::default() }).await;
    let said = refused(test.delete(&required).await);
    assert!(said.contains(API) && said.contains("--remove-require-group kafka-rest"), "{said}");
    test.request_token(&client, SCOPE).await.assert_error(400, "access_denied", 4009);
    test.change(&resource, ResourceParts { remove_required: vec![required.id], ..ResourceParts::default() }).await;
    assert!(test.delete(&required).await.unwrap());
    assert!(!test.delete(&required).await.unwrap());
}

#[tokio::test]
async fn roles_come_by_nested_groups_each_once_and_only_at_their_resource() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["inner", "outer", "other"]).await;
    test.add_client(&groups[0], "app").await;
    test.add_client(&groups[2], "app").await;
    test.add_group(&groups[1], &groups[0]).await;
    let resource = test.find_resource(API).await;
    assert!(test.give_role(&groups[1], &resource, "Operator").await.unwrap());
    assert!(test.give_role(&groups[2], &resource, "Operator").await.unwrap());
    assert!(!test.give_role(&groups[2], &resource, "Operator").await.unwrap());
    assert_eq!(test.claims_of(&client).await["roles"], json!(["Operator"]));
    let said = refused(test.give_role(&groups[2], &resource, "Unheard").await);
    assert!(said.contains("no role 'Unheard'"), "{said}");
    test.resource("urn:other", |_| ()).await;
    let other = test.client("other", &["urn:other/.default"]).await;
    test.add_client(&groups[0], "other").await;
    assert_eq!(claims(&test.token(&other, "urn:other/.default").await).get("roles"), None);
}

#[tokio::test]
async fn a_role_that_is_removed_from_its_resource_disappears_from_tokens() {
    let (test, client) = TestApp::with_client().await;
    let group = test.group("operators").await;
    test.add_client(&group, "app").await;
    let resource = test.find_resource(API).await;
    test.give_role(&group, &resource, "Operator").await.unwrap();
    assert_eq!(test.claims_of(&client).await["roles"], json!(["Operator"]));
    let remove_roles = vec!["Operator".parse().unwrap()];
    test.change(&resource, ResourceParts { remove_roles, ..ResourceParts::default() }).await;
    assert_eq!(test.claims_of(&client).await.get("roles"), None);
    assert!(test.app.store.group_details(group.id).await.unwrap().roles.is_empty());
}

#[tokio::test]
async fn a_role_that_is_revoked_from_a_group_disappears_from_tokens() {
    let (test, client) = TestApp::with_client().await;
    let group = test.group("operators").await;
    test.add_client(&group, "app").await;
    let resource = test.find_resource(API).await;
    test.give_role(&group, &resource, "Operator").await.unwrap();
    let role = (resource.id, &"Operator".parse().unwrap());
    let tenant = test.tenant_id().await;
    assert!(test.app.store.revoke_role(tenant, &group, role, 0).await.unwrap());
    assert!(!test.app.store.revoke_role(tenant, &group, role, 0).await.unwrap());
    test.sync().await;
    assert_eq!(test.claims_of(&client).await.get("roles"), None);
}

#[tokio::test]
async fn a_claim_of_a_group_is_set_overwritten_and_unset() {
    let (test, client) = TestApp::with_client().await;
    let group = test.group("kafka-admins").await;
    test.add_client(&group, "app").await;
    for (text, value) in
        [(r#""admin""#, json!("admin")), ("[1,2]", json!([1, 2])), (r#"{"a":{"b":true}}"#, json!({"a":{"b":true}}))]
    {
        test.claim(&group, "kafka_role", text).await;
        assert_eq!(test.claims_of(&client).await["kafka_role"], value);
    }
    let tenant = test.tenant_id().await;
    assert!(test.app.store.unset_claim(tenant, &group, "kafka_role", 0).await.unwrap());
    assert!(!test.app.store.unset_claim(tenant, &group, "kafka_role", 0).await.unwrap());
    test.sync().await;
    assert_eq!(test.claims_of(&client).await.get("kafka_role"), None);
}

#[tokio::test]
async fn a_claim_that_several_groups_set_is_one_list_without_repeats() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["a", "b", "c", "d"]).await;
    for group in &groups[..3] {
        test.add_client(group, "app").await;
    }
    test.claim(&groups[0], "kafka_role", r#""admin""#).await;
    test.claim(&groups[1], "kafka_role", r#"["reader","admin"]"#).await;
    test.claim(&groups[2], "kafka_role", r#""reader""#).await;
    test.claim(&groups[3], "kafka_role", r#""of a group that the client is not in""#).await;
    test.claim(&groups[2], "alone", r#"["x"]"#).await;
    let stamped = test.claims_of(&client).await;
    assert_eq!(stamped["kafka_role"], json!(["admin", "reader"]));
    assert_eq!(stamped["alone"], json!(["x"]));
}

#[tokio::test]
async fn a_claim_comes_from_nested_groups_too() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["inner", "outer"]).await;
    test.add_group(&groups[1], &groups[0]).await;
    test.add_client(&groups[0], "app").await;
    test.claim(&groups[1], "department", r#""data""#).await;
    assert_eq!(test.claims_of(&client).await["department"], "data");
}

#[test]
fn what_only_the_server_says_cannot_be_said_by_a_group() {
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "azp",
        "tid",
        "oid",
        "scope",
        "scp",
        "groups",
        "roles",
        "status",
        "typ",
        "cnf",
        "act",
        "active",
        "username",
        "_claim_names",
        "_claim_sources",
        "ver",
        "idtyp",
        "appid",
        "azpacr",
        "uti",
    ] {
        let said = name.parse::<ClaimName>().expect_err(name).to_string();
        assert!(said.contains("only the server"), "{said}");
    }
    for name in ["", "with space", "quo\"te", "back\\slash", "ümlaut", &"x".repeat(121)] {
        assert!(name.parse::<ClaimName>().is_err(), "{name}");
    }
    for name in ["kafka_role", "https://example.com/claims/x", &"x".repeat(120)] {
        assert!(name.parse::<ClaimName>().is_ok(), "{name}");
    }
}

#[test]
fn a_claim_is_json_without_null() {
    for text in ["null", "[null]", r#"{"a":[{"b":null}]}"#, "admin", "", &format!("\"{}\"", "x".repeat(2047))] {
        assert!(text.parse::<ClaimValue>().is_err(), "{text}");
    }
    for text in ["12345678901234567890123", "[-12345678901234567890123]", r#"{"a":1e300}"#] {
        assert!(text.parse::<ClaimValue>().is_err(), "{text} would be rounded");
    }
    let largest = u64::MAX.to_string();
    for text in [r#""null""#, "true", "0", "[]", "{}", r#"{"a":[{"b":1.5}]}"#, &largest, "-9223372036854775808"] {
        assert!(text.parse::<ClaimValue>().is_ok(), "{text}");
    }
}

#[test]
fn a_group_name_is_one_line_without_comma_and_no_uuid() {
    for text in ["", " a", "a ", "a,b", "a\nb", "018f3a2e-0000-7000-8000-000000000000", &"x".repeat(121)] {
        assert!(text.parse::<GroupName>().is_err(), "{text}");
    }
    for text in ["kafka-rest", "Data Engineering", "größe", &"ü".repeat(120)] {
        assert!(text.parse::<GroupName>().is_ok(), "{text}");
    }
}

#[tokio::test]
async fn a_user_is_in_groups_like_a_client() {
    let test = TestApp::new().await;
    let groups = test.groups(&["inner", "outer"]).await;
    test.add_group(&groups[1], &groups[0]).await;
    let (tenant, user) = (test.tenant_id().await, test.user("ada").await);
    let member = Member::Subject(MemberId::User(user));
    assert!(test.app.store.add_member(tenant, &groups[0], member, 0).await.unwrap());
    assert!(!test.app.store.add_member(tenant, &groups[0], member, 0).await.unwrap());
    let found = test.app.store.membership(tenant, MemberId::User(user)).await.unwrap();
    assert_eq!(found.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["inner", "outer"]);
    assert_eq!(test.app.store.find_user(tenant, "ada").await.unwrap().map(|found| found.id), Some(user));
    let found = test.app.store.find_user(tenant, &user.to_string()).await.unwrap();
    assert_eq!(found.map(|found| found.id), Some(user));
    assert!(test.app.store.remove_member(tenant, &groups[0], member, 0).await.unwrap());
    assert!(!test.app.store.remove_member(tenant, &groups[0], member, 0).await.unwrap());
    assert!(test.app.store.membership(tenant, MemberId::User(user)).await.unwrap().groups.is_empty());
}

#[tokio::test]
async fn a_change_of_membership_is_in_the_next_token_after_it_was_followed() {
    let (test, client) = TestApp::with_client().await;
    let group = test.group("kafka-rest").await;
    assert_eq!(test.claims_of(&client).await.get("groups"), None);
    test.add_client(&group, "app").await;
    assert_eq!(names(&test.claims_of(&client).await), ["kafka-rest"]);
    assert!(test.delete(&group).await.unwrap());
    assert_eq!(test.claims_of(&client).await.get("groups"), None);
}

#[tokio::test]
async fn a_group_has_owners_that_are_users_and_clients() {
    let (test, _) = TestApp::with_client().await;
    let (tenant, group) = (test.tenant_id().await, test.group("kafka-rest").await);
    let owners = [MemberId::Client(test.find_client("app").await.oid), MemberId::User(test.user("ada").await)];
    let store = &test.app.store;
    for owner in owners {
        assert!(store.add_owner(tenant, &group, owner, 0).await.unwrap());
        assert!(!store.add_owner(tenant, &group, owner, 0).await.unwrap());
    }
    let shown = store.group_details(group.id).await.unwrap().owners;
    assert_eq!(shown, [("client".to_owned(), "app".to_owned()), ("user".to_owned(), "ada".to_owned())]);
    // An owner is no member.
    assert!(test.all_members(group.id).await.is_empty());
    for owner in owners {
        assert!(store.remove_owner(tenant, &group, owner, 0).await.unwrap());
        assert!(!store.remove_owner(tenant, &group, owner, 0).await.unwrap());
    }
    assert!(store.group_details(group.id).await.unwrap().owners.is_empty());
}

#[tokio::test]
async fn members_are_listed_directly_or_at_any_depth() {
    let (test, _) = TestApp::with_client().await;
    test.client("deep", &[]).await;
    let groups = test.groups(&["top", "middle", "bottom", "elsewhere"]).await;
    test.add_group(&groups[0], &groups[1]).await;
    test.add_group(&groups[1], &groups[2]).await;
    test.add_client(&groups[0], "app").await;
    test.add_client(&groups[2], "app").await;
    test.add_client(&groups[2], "deep").await;
    let ada = Member::Subject(MemberId::User(test.user("ada").await));
    test.app.store.add_member(test.tenant_id().await, &groups[1], ada, 0).await.unwrap();
    let named = |mut lines: Vec<MemberLine>| {
        lines.sort_by(|one, other| one.place().cmp(&other.place()));
        lines.into_iter().map(|line| format!("{} {}", line.kind, line.name)).collect::<Vec<_>>()
    };
    let (store, top) = (&test.app.store, groups[0].id);
    assert_eq!(named(store.list_members(top, (Uuid::nil(), 100)).await.unwrap()), ["client app", "group middle"]);
    let all = ["client app", "client deep", "group bottom", "group middle", "user ada"];
    assert_eq!(named(test.all_members(top).await), all);
    assert!(test.all_members(groups[3].id).await.is_empty());
}

#[tokio::test]
async fn the_path_to_a_group_is_the_shortest_one() {
    let (test, _) = TestApp::with_client().await;
    let groups = test.groups(&["start", "long-1", "long-2", "short", "goal", "elsewhere"]).await;
    test.add_client(&groups[0], "app").await;
    for (outer, inner) in [(1, 0), (2, 1), (4, 2), (3, 0), (4, 3)] {
        test.add_group(&groups[outer], &groups[inner]).await;
    }
    let member = MemberId::Client(test.find_client("app").await.oid);
    let paths = test.app.store.member_paths(member).await.unwrap();
    assert_eq!(paths.to(groups[0].id), ["start"]);
    assert_eq!(paths.to(groups[4].id), ["start", "short", "goal"]);
    assert!(paths.to(groups[5].id).is_empty());
    test.add_client(&groups[4], "app").await;
    assert_eq!(test.app.store.member_paths(member).await.unwrap().to(groups[4].id), ["goal"]);
}

#[tokio::test]
async fn a_group_is_found_by_name_and_by_id_and_its_name_is_taken_once() {
    let test = TestApp::new().await;
    let (tenant, group) = (test.tenant_id().await, test.group("kafka-rest").await);
    for word in ["kafka-rest", &group.id.to_string(), &group.id.to_string().to_uppercase()] {
        assert_eq!(test.app.store.find_group(tenant, word).await.unwrap().unwrap().id, group.id, "{word}");
    }
    assert!(test.app.store.find_group(tenant, "other").await.unwrap().is_none());
    let twin = Group { id: test.app.random.uuid_v4().into(), ..group };
    match test.app.store.create_group(tenant, &twin).await {
        Err(AdminError::Refused(text)) => assert!(text.contains("already"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn deleting_a_group_in_the_middle_cuts_the_way_and_nothing_else() {
    let (test, client) = TestApp::with_client().await;
    let groups = test.groups(&["bottom", "middle", "top"]).await;
    test.add_client(&groups[0], "app").await;
    test.add_group(&groups[1], &groups[0]).await;
    test.add_group(&groups[2], &groups[1]).await;
    assert_eq!(names(&test.claims_of(&client).await).len(), 3);
    assert!(test.delete(&groups[1]).await.unwrap());
    assert_eq!(names(&test.claims_of(&client).await), ["bottom"]);
    assert!(test.app.store.find_group(test.tenant_id().await, "top").await.unwrap().is_some());
}
