//! RFC 6749 §3.3 and §6, RFC 8707 §2.2: what a token is for, chosen at the token endpoint out of what a person
//! authorized and never more.

use crate::support::browser::Ask;
use crate::support::grants::Tokens;
use crate::support::{API, Reply, TestApp, TestClient};
use serde_json::{Value, json};

/// A second resource.
const FILES: &str = "https://files.example.com";

/// A third one, of which nothing is asked.
const MAIL: &str = "urn:example:mail";

/// `web` may have each scope of three resources by name.
async fn three_resources() -> (TestApp, TestClient) {
    let (test, web) = TestApp::with_people().await;
    test.resource(FILES, |_| ()).await;
    test.resource(MAIL, |_| ()).await;
    test.deny("web", &format!("{API}/.default")).await;
    for resource in [API, FILES, MAIL] {
        for value in ["read", "write"] {
            test.allow("web", &format!("{resource}/{value}")).await;
        }
    }
    (test, web)
}

/// Asks for these scopes, and identity and a refresh token beside them.
fn ask(scopes: &[String]) -> Ask {
    Ask::web().with("scope", &format!("openid offline_access {}", scopes.join(" ")))
}

fn at(resource: &str, value: &str) -> String {
    format!("{resource}/{value}")
}

/// Audience and scope of an access token.
fn is_for(tokens: &Tokens) -> (Value, Value) {
    let claims = tokens.claims();
    (claims["aud"].clone(), claims["scope"].clone())
}

#[track_caller]
fn assert_names(reply: &Reply, error: &str, code: u32, part: &str) {
    let body = reply.assert_error(400, error, code);
    assert!(body["error_description"].as_str().unwrap().contains(part), "{body}");
}

// M037 M039
#[tokio::test]
async fn rfc6749_s6_an_omitted_scope_means_the_same_scope() {
    let (test, web) = three_resources().await;
    let scopes = [at(API, "read"), at(API, "write")];
    let mut tokens = test.browser().web_tokens(&web, &ask(&scopes)).await;
    let answered = tokens.body["scope"].clone();
    assert_eq!(is_for(&tokens), (json!(API), json!("read write")));
    for _ in 0..3 {
        tokens = test.refresh(&web, &tokens.refresh).await.tokens();
        assert_eq!(is_for(&tokens), (json!(API), json!("read write")));
        assert_eq!(tokens.body["scope"], answered);
    }
}

// M037 M039: narrower for one token; the refresh token stays what it is.
#[tokio::test]
async fn rfc6749_s6_a_narrower_scope_is_for_one_token_alone() {
    let (test, web) = three_resources().await;
    let browser = test.browser();
    let scopes = [at(API, "read"), at(API, "write")];
    let code = browser.code(&ask(&scopes)).await;
    let first = test.redeem_with(&web, &code, &[("scope", &at(API, "read"))]).await.tokens();
    assert_eq!(is_for(&first), (json!(API), json!("read")));
    assert_eq!(first.body["scope"], at(API, "read"));
    let all = test.refresh(&web, &first.refresh).await.tokens();
    assert_eq!(is_for(&all), (json!(API), json!("read write")));
    let narrow = test.refresh_with(&web, &all.refresh, &[("scope", &at(API, "write"))]).await.tokens();
    assert_eq!(is_for(&narrow), (json!(API), json!("write")));
    let all = test.refresh(&web, &narrow.refresh).await.tokens();
    assert_eq!(is_for(&all), (json!(API), json!("read write")));
}

// M037
#[tokio::test]
async fn rfc6749_s6_a_wider_scope_is_refused_by_name_and_uses_nothing_up() {
    let (test, web) = three_resources().await;
    let browser = test.browser();
    let code = browser.code(&ask(&[at(API, "read")])).await;
    let both = format!("{API}/read {API}/write");
    for wider in [at(API, "write"), both.clone()] {
        let reply = test.redeem_with(&web, &code, &[("scope", &wider)]).await;
        assert_names(&reply, "invalid_scope", 4010, &at(API, "write"));
    }
    let unknown = test.redeem_with(&web, &code, &[("scope", &at(API, "nothing"))]).await;
    assert_names(&unknown, "invalid_scope", 4002, "nothing");
    let profile = test.redeem_with(&web, &code, &[("scope", "openid profile")]).await;
    assert_names(&profile, "invalid_scope", 4010, "profile");
    let tokens = test.redeem(&web, &code).await.tokens();
    for wider in [at(API, "write"), both] {
        let reply = test.refresh_with(&web, &tokens.refresh, &[("scope", &wider)]).await;
        assert_names(&reply, "invalid_scope", 4010, &at(API, "write"));
    }
    let malformed = test.refresh_with(&web, &tokens.refresh, &[("scope", "a\"b")]).await;
    malformed.assert_error(400, "invalid_scope", 4001);
    let refreshed = test.refresh(&web, &tokens.refresh).await.tokens();
    assert_eq!(is_for(&refreshed), (json!(API), json!("read")));
}

// M037: what the person agreed to is written down, and is not what the operator allows later.
#[tokio::test]
async fn rfc6749_s6_what_an_operator_allows_later_is_not_in_an_older_authorization() {
    let (test, web) = three_resources().await;
    test.deny("web", &at(API, "write")).await;
    let tokens = test.browser().web_tokens(&web, &ask(&[at(API, ".default")])).await;
    assert_eq!(is_for(&tokens), (json!(API), json!("read")));
    test.allow("web", &at(API, "write")).await;
    for scope in [at(API, ".default"), at(API, "read")] {
        let same = test.refresh_with(&web, &tokens.refresh, &[("scope", &scope)]).await.tokens();
        assert_eq!(is_for(&same), (json!(API), json!("read")));
    }
    let reply = test.refresh_with(&web, &tokens.refresh, &[("scope", &at(API, "write"))]).await;
    assert_names(&reply, "invalid_scope", 4010, &at(API, "write"));
    // Who asks again is asked again, and then has it.
    let page = test.browser();
    let again = page.web_tokens(&web, &ask(&[at(API, ".default")])).await;
    assert_eq!(is_for(&again), (json!(API), json!("read write")));
}

// M151
#[tokio::test]
async fn rfc6749_s6_what_an_operator_denies_is_not_in_later_tokens() {
    let (test, web) = three_resources().await;
    let scopes = [at(API, "read"), at(API, "write")];
    let browser = test.browser();
    let tokens = browser.web_tokens(&web, &ask(&scopes)).await;
    let code = browser.code(&ask(&scopes)).await;
    test.deny("web", &at(API, "write")).await;
    for more in
        [vec![], vec![("scope", at(API, "read"))], vec![("scope", scopes.join(" "))], vec![("resource", API.into())]]
    {
        let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let later = test.refresh_with(&web, &tokens.refresh, &more).await.tokens();
        assert_eq!(is_for(&later), (json!(API), json!("read")), "{more:?}");
        // RFC 6749 §5.1: the answer says what is in the token.
        assert!(!later.body["scope"].as_str().unwrap().contains("write"), "{more:?}: {}", later.body["scope"]);
    }
    let redeemed = test.redeem(&web, &code).await.tokens();
    assert_eq!(is_for(&redeemed), (json!(API), json!("read")));
    assert!(!redeemed.body["scope"].as_str().unwrap().contains("write"));
    // Nothing is left of the resource: then there is no token either.
    test.deny("web", &at(API, "read")).await;
    let reply = test.refresh(&web, &redeemed.refresh).await;
    assert_names(&reply, "invalid_scope", 4003, API);
    // Allowed again, the person's word still stands.
    test.allow("web", &at(API, "write")).await;
    let back = test.refresh(&web, &redeemed.refresh).await.tokens();
    assert_eq!(is_for(&back), (json!(API), json!("write")));
}

// M087
#[tokio::test]
async fn rfc8707_s2_2_another_resource_out_of_those_that_were_granted() {
    let (test, web) = three_resources().await;
    let scopes = [at(API, "read"), at(FILES, "read"), at(FILES, "write")];
    let code = test.browser().code(&ask(&scopes)).await;
    let wrong = test.redeem_with(&web, &code, &[("resource", MAIL)]).await;
    assert_names(&wrong, "invalid_target", 4011, MAIL);
    let unknown = test.redeem_with(&web, &code, &[("resource", "https://nowhere.example.com")]).await;
    assert_names(&unknown, "invalid_target", 4005, "nowhere");
    // The first that was asked for, when none is named.
    let first = test.redeem(&web, &code).await.tokens();
    assert_eq!(is_for(&first), (json!(API), json!("read")));
    let files = test.refresh_with(&web, &first.refresh, &[("resource", FILES)]).await.tokens();
    assert_eq!(is_for(&files), (json!(FILES), json!("read write")));
    let scope = at(FILES, "write");
    for more in [vec![("scope", scope.as_str())], vec![("resource", FILES), ("scope", "write")]] {
        let narrow = test.refresh_with(&web, &files.refresh, &more).await.tokens();
        assert_eq!(is_for(&narrow), (json!(FILES), json!("write")), "{more:?}");
    }
    let none = test.refresh_with(&web, &files.refresh, &[("resource", MAIL)]).await;
    assert_names(&none, "invalid_target", 4011, MAIL);
    let none = test.refresh_with(&web, &files.refresh, &[("scope", &at(MAIL, "read"))]).await;
    assert_names(&none, "invalid_target", 4011, MAIL);
    let wider = test.refresh_with(&web, &files.refresh, &[("resource", API), ("scope", "write")]).await;
    assert_names(&wider, "invalid_scope", 4010, &at(API, "write"));
    let apart = [("resource", API), ("scope", scope.as_str())];
    let reply = test.refresh_with(&web, &files.refresh, &apart).await;
    assert_names(&reply, "invalid_target", 4007, &scope);
    // None of the refusals used anything up, and what is not named is the first again.
    let back = test.refresh(&web, &files.refresh).await.tokens();
    assert_eq!(is_for(&back), (json!(API), json!("read")));
}

// M086 M087: with a code the first of several counts, as MSAL repeats all it asked for; a refresh names one.
#[tokio::test]
async fn rfc8707_s2_2_a_token_is_for_one_resource() {
    let (test, web) = three_resources().await;
    let scopes = [at(FILES, "read"), at(API, "read")];
    let code = test.browser().code(&ask(&scopes)).await;
    let tokens = test.redeem_with(&web, &code, &[("scope", &scopes.join(" "))]).await.tokens();
    assert_eq!(is_for(&tokens), (json!(FILES), json!("read")));
    let several = test.refresh_with(&web, &tokens.refresh, &[("scope", &scopes.join(" "))]).await;
    several.assert_error(400, "invalid_scope", 4004);
    let several = test.refresh_with(&web, &tokens.refresh, &[("resource", API), ("resource", FILES)]).await;
    several.assert_error(400, "invalid_scope", 4004);
    let tokens = test.refresh_with(&web, &tokens.refresh, &[("resource", API), ("resource", API)]).await.tokens();
    assert_eq!(is_for(&tokens), (json!(API), json!("read")));
}

#[tokio::test]
async fn rfc8707_s2_2_a_resource_that_was_deleted_is_left_out() {
    let (test, web) = three_resources().await;
    let tokens = test.browser().web_tokens(&web, &ask(&[at(API, "read"), at(FILES, "read")])).await;
    let api = test.find_resource(API).await;
    test.app.store.delete_resource(test.tenant_id().await, &api, test.clock.now()).await.unwrap();
    test.sync().await;
    let refused = test.refresh_with(&web, &tokens.refresh, &[("resource", API)]).await;
    assert_names(&refused, "invalid_target", 4005, API);
    let next = test.refresh(&web, &tokens.refresh).await.tokens();
    assert_eq!(is_for(&next), (json!(FILES), json!("read")));
    let files = test.find_resource(FILES).await;
    test.app.store.delete_resource(test.tenant_id().await, &files, test.clock.now()).await.unwrap();
    test.sync().await;
    test.refresh(&web, &next.refresh).await.assert_error(400, "invalid_target", 4011);
}
