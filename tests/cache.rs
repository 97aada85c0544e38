//! Reads from memory against the log of changes: nothing stale stays, and memory is believed for a bounded time.

use crate::support::{API, PUBLIC_URL, TestApp};
use grantor::app::App;
use grantor::store::StoreError;
use grantor::store::cache::{Applied, Cached};
use grantor::store::members::Member;
use grantor::store::resources::{ResourceParts, SettingChanges};
use grantor::types::duration::Seconds;
use grantor::types::id::MemberId;
use grantor::types::random::Random;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn cache(applied: &Arc<Applied>) -> Cached<u8, i64> {
    Cached::new(10, applied.clone())
}

/// What memory answers, or what `fresh` says.
async fn read(cache: &Cached<u8, i64>, fresh: i64) -> i64 {
    *cache.get(&1, || async { Ok::<_, StoreError>(Some(fresh)) }).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_was_loaded_once_is_answered_from_memory() {
    let applied = Applied::new(0, LONG);
    let cache = cache(&applied);
    assert_eq!(read(&cache, 1).await, 1);
    assert_eq!(read(&cache, 2).await, 1);
    applied.advance(1);
    cache.forget(&1);
    assert_eq!(read(&cache, 2).await, 2);
}

#[tokio::test]
async fn a_load_that_began_before_a_change_leaves_nothing_stale() {
    let applied = Applied::new(0, LONG);
    let cache = cache(&applied);
    let load = || async {
        // Read from the database first, then the change comes and is applied.
        let old = 1;
        applied.advance(1);
        cache.forget(&1);
        Ok::<_, StoreError>(Some(old))
    };
    assert_eq!(*cache.get(&1, load).await.unwrap().unwrap(), 1);
    assert_eq!(read(&cache, 2).await, 2, "the old value must not have stayed");
    assert_eq!(read(&cache, 3).await, 2, "the new one is kept");
}

#[tokio::test]
async fn a_load_that_fails_or_finds_nothing_leaves_nothing() {
    let applied = Applied::new(0, LONG);
    let cache = cache(&applied);
    let failed = cache.get(&1, || async { Err::<Option<i64>, _>(StoreError::Unavailable("away".into())) }).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))));
    assert!(cache.get(&1, || async { Ok::<Option<i64>, StoreError>(None) }).await.unwrap().is_none());
    assert_eq!(read(&cache, 5).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_many_racing_loads_and_changes_nothing_stale_stays() {
    for _ in 0..30 {
        let applied = Applied::new(0, LONG);
        let cache = Arc::new(cache(&applied));
        let truth = Arc::new(AtomicI64::new(0));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (cache, truth) = (cache.clone(), truth.clone());
                tokio::spawn(async move {
                    for _ in 0..200 {
                        let load = || async {
                            let value = truth.load(Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            Ok::<_, StoreError>(Some(value))
                        };
                        cache.get(&1, load).await.unwrap();
                    }
                })
            })
            .collect();
        for revision in 1..=50 {
            truth.store(revision, Ordering::SeqCst);
            tokio::task::yield_now().await;
            // The order that App::sync keeps: first the number, then the entries.
            applied.advance(revision);
            cache.forget(&1);
        }
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(read(&cache, 50).await, 50);
    }
}

#[tokio::test]
async fn the_directory_follows_a_change_that_is_made_while_it_loads() {
    let (test, _) = TestApp::with_client().await;
    let tenant = test.tenant_id().await;
    let client = test.find_client("app").await;
    let directory = &test.app.directory;
    for enabled in [false, true, false, true] {
        let change = async {
            test.app.store.set_client_enabled(tenant, &client, enabled, test.clock.now()).await.unwrap();
            test.sync().await;
        };
        let (read, ()) = tokio::join!(directory.client(tenant, "app"), change);
        read.unwrap().unwrap();
        assert_eq!(directory.client(tenant, "app").await.unwrap().unwrap().enabled, enabled);
    }
}

#[tokio::test]
async fn the_directory_follows_a_membership_that_is_made_while_it_loads() {
    let (test, _) = TestApp::with_client().await;
    let tenant = test.tenant_id().await;
    let member = grantor::types::id::MemberId::Client(test.find_client("app").await.oid);
    for round in 1..=8 {
        let group = test.group(&format!("group-{round}")).await;
        let (read, ()) = tokio::join!(test.app.directory.membership(tenant, member), test.add_client(&group, "app"));
        read.unwrap();
        assert_eq!(test.app.directory.membership(tenant, member).await.unwrap().1.groups.len(), round);
    }
}

#[tokio::test]
async fn a_scope_that_was_removed_and_made_again_is_allowed_to_nobody() {
    let test = TestApp::new().await;
    let resource = test.resource(API, |_| ()).await;
    let client = test.client("app", &[&format!("{API}/read"), &format!("{API}/write")]).await;
    let scope = format!("{API}/read");
    test.token(&client, &scope).await;
    let update = async |parts| test.update_resource(&resource, SettingChanges::default(), parts).await;
    let read = || vec!["read".parse().unwrap()];
    update(ResourceParts { remove_scopes: read(), ..ResourceParts::default() }).await;
    test.request_token(&client, &scope).await.assert_error(400, "invalid_scope", 4002);
    update(ResourceParts { add_scopes: read(), ..ResourceParts::default() }).await;
    // The permission went with the scope, in the database and so in memory too.
    test.request_token(&client, &scope).await.assert_error(400, "invalid_scope", 4003);
    test.token(&client, &format!("{API}/write")).await;
}

/// The application of a test opened once more, believing its memory for `max_age` seconds.
async fn with_max_age(test: &TestApp, max_age: u32) -> TestApp {
    let mut config = test.app.config.clone();
    config.cache_max_age = Seconds::of(max_age);
    let app = App::open(config, PUBLIC_URL.parse().unwrap(), test.clock.clone(), Random::system()).await.unwrap();
    test.over(app)
}

#[tokio::test]
async fn memory_older_than_its_greatest_age_answers_503_and_nothing_else() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    // No age is allowed, so any is too great.
    let distrustful = with_max_age(&test, 0).await;
    let reply = distrustful.request_token(&client, &scope).await;
    reply.assert_error(503, "temporarily_unavailable", 9001);
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    distrustful.get("/jwks").await.assert_error(503, "temporarily_unavailable", 9001);
    let trusting = with_max_age(&test, 600).await;
    trusting.token(&client, &scope).await;
}

#[tokio::test]
async fn memory_serves_on_while_the_database_is_away() {
    let (test, client) = TestApp::with_client().await;
    let scope = format!("{API}/.default");
    test.token(&client, &scope).await;
    test.app.store.close().await;
    assert!(test.app.sync().await.is_err());
    test.token(&client, &scope).await;
    // What memory does not hold is not available, and never the requester's fault.
    let reply = test.post_as("/introspect", &client, &[("token", "grat_x")]).await;
    assert!(matches!(reply.status.as_u16(), 200 | 503), "{}", reply.text());
    let unknown = crate::support::TestClient { id: "other".into(), secret: "x".into() };
    test.request_token(&unknown, &scope).await.assert_error(503, "temporarily_unavailable", 9001);
}

#[tokio::test]
async fn cached_values_of_different_keys_do_not_touch_each_other() {
    let applied = Applied::new(0, LONG);
    let cache = cache(&applied);
    read(&cache, 1).await;
    cache.get(&2, || async { Ok::<_, StoreError>(Some(20)) }).await.unwrap();
    cache.forget(&2);
    assert_eq!(read(&cache, 9).await, 1);
    cache.clear();
    assert_eq!(read(&cache, 9).await, 9);
}

#[tokio::test]
async fn a_description_of_a_scope_reaches_memory() {
    let (test, _) = TestApp::with_client().await;
    let (tenant, resource) = (test.tenant_id().await, test.find_resource(API).await);
    let described = async || {
        let held = test.app.directory.resources(tenant).await.unwrap();
        held[0].descriptions.get("read").cloned()
    };
    assert_eq!(described().await, None);
    let what = (&"read".parse().unwrap(), &"See your orders".parse().unwrap());
    assert!(test.app.store.describe_scope(tenant, &resource, what, test.clock.now()).await.unwrap());
    test.sync().await;
    assert_eq!(described().await.as_deref(), Some("See your orders"));
}

#[tokio::test]
async fn a_deleted_user_is_in_no_group_in_memory() {
    let test = TestApp::new().await;
    let (tenant, group) = (test.tenant_id().await, test.group("staff").await);
    let ann = test.user_with("ann", "correct horse").await;
    let subject = MemberId::User(ann.id);
    test.app.store.add_member(tenant, &group, Member::Subject(subject), test.clock.now()).await.unwrap();
    test.sync().await;
    let count = async || test.app.directory.membership(tenant, subject).await.unwrap().1.groups.len();
    assert_eq!(count().await, 1);
    test.app.store.delete_user(tenant, &ann, test.clock.now()).await.unwrap();
    assert_eq!(count().await, 1, "still from memory, or this test shows nothing");
    test.sync().await;
    assert_eq!(count().await, 0);
}
