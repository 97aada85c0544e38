//! draft-ietf-oauth-status-list: every token has a bit of its own, and the published list shows what was revoked.

use crate::support::status::{place, set_bits};
use crate::support::{API, PUBLIC_URL, START, TestApp, TestClient, claims, jwt_part};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::app::App;
use grantor::store::StoreError;
use grantor::store::status::LIST_CAPACITY;
use grantor::sweep;
use grantor::types::duration::Seconds;
use grantor::types::id::TenantId;
use grantor::types::random::Random;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

const SCOPE: &str = "https://api.example.com/.default";
const DAY: i64 = 86_400;

/// The server's own copy of a list is at most this old.
const LOOK: i64 = 3;

impl TestApp {
    async fn revoke(&self, client: &TestClient, token: &str) {
        let reply = self.post_as("/revoke", client, &[("token", token)]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// The number of rows of every table, and where the leases stand.
    async fn rows(&self) -> BTreeMap<String, i64> {
        let schema = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let table = Regex::new(r"(?m)^CREATE TABLE (\w+)").unwrap();
        let mut rows = BTreeMap::new();
        for file in schema {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for found in table.captures_iter(&text) {
                let count = self.number(&format!("SELECT COUNT(*) FROM {}", &found[1])).await;
                rows.insert(found[1].to_owned(), count);
            }
        }
        rows.insert("revision".into(), self.app.store.revision().await.unwrap());
        rows.insert(
            "leased".into(),
            self.number("SELECT CAST(COALESCE(SUM(next_index), 0) AS BIGINT) FROM status_lists").await,
        );
        rows
    }
}

#[tokio::test]
async fn s4_every_token_has_an_index_of_its_own_over_two_servers() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let mut given = HashSet::new();
    for test in [&first, &second] {
        for _ in 0..300 {
            assert!(given.insert(place(&test.token(&client, SCOPE).await)));
        }
    }
    // Many more without the signature: past the end of several leases, turn by turn.
    let tenant = first.tenant_id().await;
    for _ in 0..9000 {
        for test in [&first, &second] {
            let index = test.app.leases.allocate(tenant, START + 3600).await.unwrap();
            assert!(given.insert((format!("/statuslists/{}", index.list), index.index.try_into().unwrap())));
            assert!(i64::from(index.index) < LIST_CAPACITY);
        }
    }
    assert_eq!(given.len(), 600 + 18_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn indexes_that_are_taken_at_once_differ() {
    let test = TestApp::new().await;
    let tenant = test.tenant_id().await;
    let taking: Vec<_> = (0..8)
        .map(|_| {
            let app = test.app.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for _ in 0..2000 {
                    let index = app.leases.allocate(tenant, START + 3600).await.unwrap();
                    taken.push((index.list, index.index));
                }
                taken
            })
        })
        .collect();
    let mut given = HashSet::new();
    for task in taking {
        given.extend(task.await.unwrap());
    }
    assert_eq!(given.len(), 16_000);
}

#[tokio::test]
async fn a_full_list_is_followed_by_another() {
    let (test, client) = TestApp::with_client().await;
    let tenant = test.tenant_id().await;
    let fresh = || test.app.random.uuid_v4().into();
    let whole = u32::try_from(LIST_CAPACITY).unwrap();
    let first = test.app.store.lease_indexes(tenant, (whole - 64, START), fresh(), START).await.unwrap();
    let rest = test.app.store.lease_indexes(tenant, (64, START), fresh(), START).await.unwrap();
    assert_eq!((rest.list, rest.first), (first.list, whole - 64));
    let next = test.app.store.lease_indexes(tenant, (1, START), fresh(), START).await.unwrap();
    assert_ne!(next.list, first.list);
    assert_eq!(next.first, 0);
    let (path, _) = place(&test.token(&client, SCOPE).await);
    assert_eq!(path, format!("/statuslists/{}", next.list));
}

#[tokio::test]
async fn what_is_in_hand_lasts_at_the_recent_rate_while_the_database_is_away_and_no_longer() {
    const AWAY: u32 = 20;
    let test = TestApp::new().await;
    let mut config = test.app.config.clone();
    config.cache_max_age = Seconds::of(AWAY);
    let app = App::open(config, PUBLIC_URL.parse().unwrap(), test.clock.clone(), Random::system()).await.unwrap();
    let (tenant, idle) = (test.tenant_id().await, test.beside("idle").await.tenant_id().await);
    // Where the next lease starts says how much was leased before it.
    let leased_by = async |tenant: TenantId| {
        let fresh = test.app.random.uuid_v4().into();
        test.app.store.lease_indexes(tenant, (1, START), fresh, START).await.unwrap().first
    };
    let mut given = HashSet::new();
    let mut take = async |count: u32| {
        for _ in 0..count {
            let index = app.leases.allocate(tenant, test.clock.now() + 3600).await?;
            assert!(given.insert((index.list, index.index)));
        }
        Ok::<_, StoreError>(given.len())
    };
    app.leases.allocate(idle, START + 3600).await.unwrap();
    take(1000).await.unwrap();
    test.clock.advance(1);
    app.leases.top_up().await.unwrap();
    // Whoever is idle gets nothing ahead, however often the look comes.
    let (before, alone) = (leased_by(tenant).await, leased_by(idle).await);
    for _ in 0..5 {
        test.clock.advance(1);
        app.leases.top_up().await.unwrap();
    }
    assert_eq!((leased_by(tenant).await, leased_by(idle).await), (before + 1, alone + 1));
    assert_eq!(alone, 4096);

    app.store.close().await;
    take(1000 * AWAY).await.expect("the time for which memory is believed");
    let end = take(u32::MAX).await.expect_err("and not for ever");
    assert!(matches!(end, StoreError::Unavailable(_)), "{end}");
    assert!(given.len() < 2 * 1000 * AWAY as usize, "{}", given.len());
}

#[tokio::test]
async fn a_block_that_is_used_up_fast_is_followed_by_a_larger_one() {
    let test = TestApp::new().await;
    let tenant = test.tenant_id().await;
    let leased = async || test.rows().await["leased"];
    let take = async |count: u32| {
        for _ in 0..count {
            test.app.leases.allocate(tenant, test.clock.now() + 3600).await.unwrap();
        }
    };
    take(1).await;
    assert_eq!(leased().await, 4096);
    take(4096).await;
    assert_eq!(leased().await, 4096 + 8192);
    take(8192).await;
    assert_eq!(leased().await, 4096 + 8192 + 16_384);
    // One that lasted is enough.
    test.clock.advance(60);
    take(16_384).await;
    assert_eq!(leased().await, 4096 + 8192 + 16_384 + 4096);
}

#[tokio::test]
async fn a_crowd_that_finds_nothing_in_hand_shares_one_lease() {
    let test = TestApp::new().await;
    let tenant = test.tenant_id().await;
    let asked: Vec<_> = (0..200)
        .map(|_| {
            let app = test.app.clone();
            tokio::spawn(async move { app.leases.allocate(tenant, START + 3600).await.unwrap() })
        })
        .collect();
    let mut given = HashSet::new();
    for asked in asked {
        let index = asked.await.unwrap();
        assert!(given.insert((index.list, index.index)));
    }
    assert_eq!(test.rows().await["leased"], 4096);
}

#[tokio::test]
async fn issuing_writes_nothing_but_leases() {
    let (test, client) = TestApp::with_client().await;
    let before = test.rows().await;
    for _ in 0..1000 {
        test.token(&client, SCOPE).await;
    }
    let mut after = test.rows().await;
    assert_eq!((after["status_lists"], after["leased"]), (1, 4096));
    for name in ["status_lists", "leased"] {
        after.insert(name.into(), before[name]);
    }
    assert_eq!(before, after);
    // With a lease in hand nothing at all is written, nor read: the store may be gone.
    test.app.store.close().await;
    for _ in 0..100 {
        test.token(&client, SCOPE).await;
    }
}

#[tokio::test]
async fn s5_1_the_list_is_a_jwt_of_its_own_type_whose_subject_is_the_uri_in_the_token() {
    let (test, client) = TestApp::with_client().await;
    let token = test.token(&client, SCOPE).await;
    let (path, _) = place(&token);
    let reply = test.get(&path).await;
    let (header, list) = (jwt_part(&reply.text(), 0), claims(&reply.text()));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("statuslist+jwt"), &json!("RS256")));
    assert_eq!(list["sub"], claims(&token)["status"]["status_list"]["uri"]);
    assert_eq!(list["iss"], PUBLIC_URL);
    assert_eq!(list["iat"], START);
    assert_eq!(list["status_list"]["bits"], 1);
    assert!(list["ttl"].as_i64().unwrap() > 0);
    assert!(list["exp"].as_i64().unwrap() > START + list["ttl"].as_i64().unwrap());
    // RFC 1950: a zlib stream, not bare deflate and not gzip.
    let packed = URL_SAFE_NO_PAD.decode(list["status_list"]["lst"].as_str().unwrap()).unwrap();
    assert_eq!((packed[0], u16::from_be_bytes([packed[0], packed[1]]) % 31), (0x78, 0));
    assert!(set_bits(&reply).is_empty());
}

#[tokio::test]
async fn s8_the_list_is_served_with_its_media_type_to_anybody_for_a_short_time() {
    let (test, client) = TestApp::with_client().await;
    let (path, _) = place(&test.token(&client, SCOPE).await);
    let reply = test.get(&path).await;
    assert_eq!(reply.header("content-type"), "application/statuslist+jwt");
    let ttl = claims(&reply.text())["ttl"].as_i64().unwrap();
    assert_eq!(reply.header("cache-control"), format!("public, max-age={ttl}"));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(test.get(&format!("/default{path}")).await.text(), reply.text());
}

#[tokio::test]
async fn a_revoked_token_sets_its_bit_within_ten_seconds_and_no_other() {
    let (test, client) = TestApp::with_client().await;
    let second = test.second_server().await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(test.token(&client, SCOPE).await);
    }
    let (path, _) = place(&tokens[0]);
    let ttl = claims(&test.get(&path).await.text())["ttl"].as_i64().unwrap();
    // A reader's copy and ours, one after the other.
    assert!(ttl + LOOK <= 10);
    assert!(set_bits(&second.get(&path).await).is_empty());
    let mut expected = Vec::new();
    for token in [&tokens[3], &tokens[11]] {
        test.revoke(&client, token).await;
        assert_eq!(test.introspect(&client, token).await["active"], false, "introspection sees it at once");
        test.clock.advance(LOOK);
        expected.push(place(token).1);
        expected.sort_unstable();
        for server in [&test, &second] {
            assert_eq!(set_bits(&server.get(&path).await), expected);
        }
    }
    assert_eq!(test.introspect(&client, &tokens[0]).await["active"], true);
}

#[tokio::test]
async fn a_list_is_always_valid_for_longer_than_readers_keep_it() {
    let (test, client) = TestApp::with_client().await;
    let (path, _) = place(&test.token(&client, SCOPE).await);
    let mut signed = HashSet::new();
    for _ in 0..40 {
        let list = claims(&test.get(&path).await.text());
        let (now, number) = (test.clock.now(), |name: &str| list[name].as_i64().unwrap());
        assert!(number("iat") <= now && number("exp") > now + number("ttl"));
        signed.insert(number("iat"));
        test.clock.advance(97);
    }
    assert!((4..=10).contains(&signed.len()), "signed {} times in about an hour", signed.len());
}

#[tokio::test]
async fn revoking_twice_writes_one_row_and_an_expired_token_none() {
    let (test, client) = TestApp::with_client().await;
    let (token, other) = (test.token(&client, SCOPE).await, test.token(&client, SCOPE).await);
    for _ in 0..2 {
        test.revoke(&client, &token).await;
    }
    assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 1);
    test.clock.advance(3600);
    test.revoke(&client, &other).await;
    assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 1);
}

#[tokio::test]
async fn a_list_that_nobody_knows_is_not_found() {
    let (test, client) = TestApp::with_client().await;
    let (path, _) = place(&test.token(&client, SCOPE).await);
    assert_eq!(test.get(&path).await.status, 200);
    for id in ["018f3a2e-0000-7000-8000-000000000000", "nonsense", "1", "%00"] {
        test.get(&format!("/statuslists/{id}")).await.assert_error(404, "invalid_request", 6001);
    }
}

#[tokio::test]
async fn a_token_that_outlives_the_lease_gets_a_list_that_is_kept_for_it() {
    let (test, short) = TestApp::with_client().await;
    test.resource("urn:long", |settings| settings.lifetime = 30 * DAY).await;
    let client = test.client("long", &["urn:long/.default"]).await;
    test.token(&short, SCOPE).await;
    let token = test.token(&client, "urn:long/.default").await;
    let (path, index) = place(&token);
    test.revoke(&client, &token).await;
    // To the last day of the token the list is there and its bit stays set, sweeps or not.
    for _ in 0..29 {
        test.clock.advance(DAY);
        sweep::once(&test.app).await.unwrap();
        test.sync().await;
        assert_eq!(set_bits(&test.get(&path).await), [index]);
    }
    assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 1);
    test.clock.advance(DAY + 7200);
    sweep::once(&test.app).await.unwrap();
    assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 0);
}

#[tokio::test]
async fn a_list_is_swept_only_after_all_its_tokens_expired() {
    let (test, client) = TestApp::with_client().await;
    let first = test.token(&client, SCOPE).await;
    let (path, _) = place(&first);
    let mut last = START + 3600;
    // As long as tokens are issued from it, the list is there.
    for _ in 0..60 {
        test.clock.advance(1800);
        sweep::once(&test.app).await.unwrap();
        let token = test.token(&client, SCOPE).await;
        assert_eq!(place(&token).0, path);
        last = claims(&token)["exp"].as_i64().unwrap();
    }
    while test.clock.now() < last {
        assert_eq!(test.get(&path).await.status, 200);
        test.clock.advance(600);
        sweep::once(&test.app).await.unwrap();
    }
    test.clock.advance(3 * DAY);
    sweep::once(&test.app).await.unwrap();
    test.sync().await;
    test.get(&path).await.assert_error(404, "invalid_request", 6001);
    assert_eq!(test.number("SELECT COUNT(*) FROM status_lists").await, 0);
    // The next token opens a new one.
    let (next, _) = place(&test.token(&client, SCOPE).await);
    assert_ne!(next, path);
    assert_eq!(test.get(&next).await.status, 200);
}

#[tokio::test]
async fn every_jwt_carries_its_place_whatever_its_profile() {
    let (test, _) = TestApp::with_client().await;
    test.resource("urn:entra", |settings| {
        settings.claims_profile = grantor::types::policy::ClaimsProfile::Entra;
        settings.alg = grantor::types::alg::Alg::EdDsa;
    })
    .await;
    let client = test.client("both", &["urn:entra/.default", &format!("{API}/.default")]).await;
    for scope in ["urn:entra/.default", SCOPE] {
        let stamped: Value = claims(&test.token(&client, scope).await);
        assert!(stamped["status"]["status_list"]["idx"].is_u64(), "{stamped}");
        assert!(stamped["status"]["status_list"]["uri"].is_string(), "{stamped}");
    }
}
