//! Token requests that are known again: as good as those that are read, and no longer than what they rest on.

use crate::support::{API, PUBLIC_URL, Reply, TestApp, TestClient, basic};
use axum::body::{Body, Bytes, HttpBody};
use grantor::app::App;
use grantor::store::secrets::StoredSecret;
use grantor::types::duration::Seconds;
use grantor::types::random::Random;
use hyper::body::{Frame, SizeHint};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const PATH: &str = "/oauth2/v2.0/token";

fn form(client: &TestClient) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client.id),
        ("client_secret", &client.secret),
        ("scope", &format!("{API}/.default")),
    ];
    serde_urlencoded::to_string(form).unwrap()
}

/// Asks in the same way each time; answers whether the decision had to be looked up.
async fn ask(test: &TestApp, client: &TestClient) -> (Reply, bool) {
    let decisions = &test.app.decisions;
    decisions.invalidate_all();
    decisions.run_pending_tasks();
    let reply = test.post_raw(PATH, &[], form(client)).await;
    decisions.run_pending_tasks();
    (reply, decisions.entry_count() > 0)
}

/// With a client whose request is known.
async fn known() -> (TestApp, TestClient) {
    let (test, client) = TestApp::with_client().await;
    // The first one tells the path, the second one the request.
    for _ in 0..2 {
        let (reply, looked_up) = ask(&test, &client).await;
        assert!(reply.status == 200 && looked_up, "{}", reply.text());
    }
    let (reply, looked_up) = ask(&test, &client).await;
    assert!(reply.status == 200 && !looked_up, "{}", reply.text());
    (test, client)
}

/// A body of a length that is told, and that never comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(10)
    }
}

async fn secret(test: &TestApp) -> StoredSecret {
    test.find_client("app").await.secrets.remove(0)
}

#[tokio::test]
async fn a_known_request_gets_another_token_in_an_answer_like_the_first() {
    let (test, client) = known().await;
    let (mut tokens, mut ids, mut lengths) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (first, _) = ask(&test, &client).await;
    let names = |reply: &Reply| reply.headers.keys().map(|name| name.as_str().to_owned()).collect::<BTreeSet<_>>();
    for _ in 0..50 {
        let (reply, _) = ask(&test, &client).await;
        // Its length is that of its own token, whose place in the status list has more or fewer digits.
        assert_eq!(reply.headers.get("content-length"), None);
        assert_eq!(reply.headers.get_all("x-request-id").iter().count(), 1);
        for name in names(&first).iter().filter(|name| *name != "x-request-id" && *name != "content-length") {
            assert_eq!(reply.header(name), first.header(name));
        }
        let mut answer = reply.json();
        let token = answer["access_token"].take();
        let mut expected = first.json();
        expected["access_token"].take();
        assert_eq!(answer, expected);
        lengths.insert(reply.body.len());
        ids.insert(reply.header("x-request-id").to_owned());
        tokens.insert(token.as_str().unwrap().to_owned());
    }
    assert_eq!((tokens.len(), ids.len()), (50, 50));
    // The first places are those of one lease, from one digit to four; how it is shuffled tells when another length comes.
    let mut asked = 50;
    while lengths.len() < 2 {
        lengths.insert(ask(&test, &client).await.0.body.len());
        asked += 1;
        assert!(asked < 4096, "{lengths:?}");
    }
    let jti: BTreeSet<String> = tokens.iter().map(|token| crate::support::claims(token)["jti"].to_string()).collect();
    assert_eq!(jti.len(), 50);
}

#[tokio::test]
async fn a_published_document_that_is_repeated_has_one_identifier() {
    let test = TestApp::new().await;
    let first = test.get("/jwks").await;
    let second = test.get("/jwks").await;
    assert_eq!(second.headers.get_all("x-request-id").iter().count(), 1);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn what_is_not_the_same_to_the_last_byte_is_read() {
    let (test, client) = known().await;
    let spoiled = TestClient { id: client.id.clone(), secret: crate::support::answers::spoiled(&client.secret) };
    ask(&test, &spoiled).await.0.assert_error(401, "invalid_client", 2002);
    // Credentials beside those of the form, or twice.
    let header = basic(&client.id, &client.secret);
    let both = test.post_raw(PATH, &[("authorization", &header)], form(&client)).await;
    both.assert_error(400, "invalid_request", 2004);
    test.post_raw(PATH, &[("authorization", "")], form(&client)).await.assert_error(400, "invalid_request", 2004);
    let coded = test.post_raw(PATH, &[("content-encoding", "gzip")], form(&client)).await;
    assert_eq!(coded.status, 400, "{}", coded.text());
    let twice = test.post_raw(PATH, &[("content-type", "application/json")], form(&client)).await;
    assert_eq!(twice.status, 400, "{}", twice.text());
    // Pages of origins are told whether they may read the answer.
    let page = test.post_raw(PATH, &[("origin", "https://elsewhere.example.com")], form(&client)).await;
    assert_eq!((page.status.as_u16(), page.headers.get("access-control-allow-origin")), (200, None));
    // Another tenant has no such client.
    let other = test.beside("other").await;
    let elsewhere = other.post_raw(&other.at(PATH), &[], form(&client)).await;
    elsewhere.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn basic_credentials_are_known_again_as_well() {
    let (test, client) = TestApp::with_client().await;
    let header = basic(&client.id, &client.secret);
    let wrong = basic(&client.id, &crate::support::answers::spoiled(&client.secret));
    let body = format!("grant_type=client_credentials&scope={API}/.default");
    let ask = async |header: &str| test.post_raw(PATH, &[("authorization", header)], body.clone()).await;
    for _ in 0..2 {
        assert_eq!(ask(&header).await.status, 200);
    }
    test.app.decisions.invalidate_all();
    assert_eq!(ask(&header).await.status, 200);
    test.app.decisions.run_pending_tasks();
    assert_eq!(test.app.decisions.entry_count(), 0);
    ask(&wrong).await.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn a_known_request_ends_with_its_secret() {
    let (test, client) = known().await;
    let (tenant, now) = (test.tenant_id().await, test.clock.now());
    let (holder, stored) = (test.find_client("app").await, secret(&test).await);
    test.app.store.retire_secret(tenant, &holder, (stored.id, Some(now + 60)), now).await.unwrap();
    test.sync().await;
    assert!(ask(&test, &client).await.1, "a change of the client is looked at");
    assert!(!ask(&test, &client).await.1);
    // It passes by itself, and nothing announces that.
    test.clock.advance(60);
    let (reply, _) = ask(&test, &client).await;
    assert_eq!(reply.status, 401, "{}", reply.text());
}

#[tokio::test]
async fn a_known_request_ends_with_client_and_tenant() {
    let (test, client) = known().await;
    test.set_client_enabled("app", false).await;
    ask(&test, &client).await.0.assert_error(401, "invalid_client", 2005);
    test.set_client_enabled("app", true).await;
    assert_eq!(ask(&test, &client).await.0.status, 200);
    assert!(!ask(&test, &client).await.1);
    test.set_tenant_enabled(false).await;
    assert_eq!(ask(&test, &client).await.0.status, 400);
    test.set_tenant_enabled(true).await;
    assert_eq!(ask(&test, &client).await.0.status, 200);
    let (holder, stored) = (test.find_client("app").await, secret(&test).await);
    let tenant = test.tenant_id().await;
    test.app.store.retire_secret(tenant, &holder, (stored.id, None), test.clock.now()).await.unwrap();
    test.sync().await;
    ask(&test, &client).await.0.assert_error(401, "invalid_client", 2002);
}

#[tokio::test]
async fn the_use_of_a_secret_is_noted_for_known_requests_as_well() {
    let (test, client) = known().await;
    test.app.flush_uses().await.unwrap();
    let first = secret(&test).await.last_used_at.unwrap();
    test.clock.advance(600);
    assert!(!ask(&test, &client).await.1);
    test.app.flush_uses().await.unwrap();
    assert_eq!(secret(&test).await.last_used_at, Some(first + 600));
}

#[tokio::test]
async fn a_known_request_is_not_answered_from_memory_that_grew_too_old() {
    let (test, client) = TestApp::with_client().await;
    let mut config = test.app.config.clone();
    config.cache_max_age = Seconds::of(1);
    let app = App::open(config, PUBLIC_URL.parse().unwrap(), test.clock.clone(), Random::system()).await.unwrap();
    let test = test.over(app);
    for _ in 0..2 {
        ask(&test, &client).await;
    }
    assert!(!ask(&test, &client).await.1);
    let begun = Instant::now();
    while ask(&test, &client).await.0.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "memory is believed for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ask(&test, &client).await.0.assert_error(503, "temporarily_unavailable", 9001);
    test.sync().await;
    assert_eq!(ask(&test, &client).await.0.status, 200);
}

#[tokio::test]
async fn a_body_is_not_waited_for_where_nothing_was_answered() {
    let (test, client) = known().await;
    let reply = test.post_raw("/nobody/oauth2/v2.0/token", &[], Body::new(Never)).await;
    reply.assert_error(404, "invalid_request", 1008);
    assert!(!ask(&test, &client).await.1);
}

#[tokio::test]
async fn a_known_request_waits_once_for_a_database_that_is_away() {
    let (test, client) = known().await;
    test.app.store.close().await;
    let before = test.app.decisions.entry_count();
    // Until the indexes in hand are used up.
    let mut reply = ask(&test, &client).await;
    while reply.0.status == 200 {
        reply = ask(&test, &client).await;
    }
    reply.0.assert_error(503, "temporarily_unavailable", 9001);
    assert!(!reply.1 && before == 0, "it was answered without being looked up");
}
