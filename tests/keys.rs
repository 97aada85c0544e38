//! Signing keys: announced before they sign, published until their last token expired, private at rest.

use crate::support::{API, PUBLIC_URL, START, TestApp, claims, jwt_part};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::app::{App, StartError};
use grantor::keys::KeyError;
use grantor::keys::seal::{KEK_FILE, Kek};
use grantor::keys::signer::Signer;
use grantor::store::resources::{ResourceParts, SettingChanges};
use grantor::sweep;
use grantor::types::alg::Alg;
use grantor::types::random::Random;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

const SCOPE: &str = "https://api.example.com/.default";
const DAY: i64 = 86_400;

/// When keys change unless configured otherwise.
const EVERY: i64 = 90 * DAY;
const ANNOUNCE: i64 = DAY;

impl TestApp {
    async fn jwks(&self) -> Vec<Value> {
        self.get("/jwks").await.json()["keys"].as_array().unwrap().clone()
    }

    async fn published(&self) -> Vec<String> {
        self.jwks().await.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    /// Moves the clock and does what the server does beside its requests.
    async fn pass(&self, seconds: i64) {
        self.clock.advance(seconds);
        sweep::once(&self.app).await.unwrap();
        self.sync().await;
    }

    async fn rotate(&self, alg: Alg, announce: i64) -> Option<String> {
        let (tenant, now) = (self.tenant_id().await, self.clock.now());
        let made = self.app.keysmith().unwrap().rotate(tenant, alg, (now, now + announce), false).await.unwrap();
        self.sync().await;
        made
    }

    async fn set_lifetime(&self, identifier: &str, lifetime: i64) {
        let settings = SettingChanges { lifetime: Some(lifetime), ..SettingChanges::default() };
        self.update_resource(&self.find_resource(identifier).await, settings, ResourceParts::default()).await;
    }

    async fn expire(&self, kid: &str) -> bool {
        let done = self.app.store.expire_key(self.tenant_id().await, kid, self.clock.now()).await.unwrap();
        self.sync().await;
        done
    }
}

fn kid(token: &str) -> String {
    jwt_part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// What a resource server does that knows nothing but the key set.
fn verifies(jwks: &[Value], token: &str) -> bool {
    let header = jwt_part(token, 0);
    let Some(key) = jwks.iter().find(|key| key["kid"] == header["kid"]) else { return false };
    let text = |name: &str| key[name].as_str().unwrap();
    let (algorithm, decoding) = match text("alg") {
        "RS256" => (Algorithm::RS256, DecodingKey::from_rsa_components(text("n"), text("e"))),
        "ES256" => (Algorithm::ES256, DecodingKey::from_ec_components(text("x"), text("y"))),
        other => panic!("{other}"),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &decoding.unwrap(), &validation).is_ok()
}

#[tokio::test]
async fn over_two_years_every_token_verifies_and_every_key_was_announced() {
    let test = TestApp::new().await;
    test.resource("urn:rs", |settings| settings.lifetime = 5 * DAY).await;
    test.resource("urn:es", |settings| {
        settings.lifetime = DAY;
        settings.alg = Alg::Es256;
    })
    .await;
    let client = test.client("app", &["urn:rs/.default", "urn:es/.default"]).await;
    let first: Vec<String> = test.published().await;
    let mut seen: HashMap<String, i64> = HashMap::new();
    let mut signed: BTreeMap<String, i64> = BTreeMap::new();
    let mut living: Vec<String> = Vec::new();
    let mut most = 0;
    for step in 0_i64.. {
        let now = test.clock.now();
        if now > START + 2 * 365 * DAY {
            break;
        }
        let jwks = test.jwks().await;
        most = most.max(jwks.len());
        for key in &jwks {
            seen.entry(key["kid"].as_str().unwrap().to_owned()).or_insert(now);
        }
        for resource in ["urn:rs", "urn:es"] {
            let token = test.token(&client, &format!("{resource}/.default")).await;
            let kid = kid(&token);
            if !first.contains(&kid) {
                assert!(now - seen[&kid] >= ANNOUNCE, "{kid} was published {} s before it signed", now - seen[&kid]);
            }
            *signed.entry(kid).or_default() += 1;
            living.push(token);
        }
        living.retain(|token| claims(token)["exp"].as_i64().unwrap() > now);
        for token in &living {
            assert!(verifies(&jwks, token), "on day {} a token of {} fails", (now - START) / DAY, kid(token));
        }
        // Sweeps come at uneven times: between 7 and 30 hours apart.
        test.pass(7 * 3600 + (step * 7919 % 83_000)).await;
    }
    assert_eq!(test.number("SELECT COUNT(*) FROM signing_keys WHERE expires_at IS NULL").await, 2);
    assert!((16..=20).contains(&signed.len()), "{} keys signed in two years", signed.len());
    assert!(most <= 6, "retired keys leave the key set: at most {most} were published at once");
}

#[tokio::test]
async fn a_successor_is_announced_then_signs_and_its_predecessor_leaves() {
    let (test, client) = TestApp::with_client().await;
    let old = kid(&test.token(&client, SCOPE).await);
    test.pass(EVERY - ANNOUNCE - 1).await;
    assert_eq!(test.published().await.as_slice(), std::slice::from_ref(&old));
    test.pass(1).await;
    let published = test.published().await;
    assert_eq!((published.len(), kid(&test.token(&client, SCOPE).await)), (2, old.clone()));
    let new = published.into_iter().find(|kid| *kid != old).unwrap();
    test.pass(ANNOUNCE - 1).await;
    let last = test.token(&client, SCOPE).await;
    assert_eq!(kid(&last), old);
    test.pass(1).await;
    assert_eq!(kid(&test.token(&client, SCOPE).await), new);
    assert!(verifies(&test.jwks().await, &last));
    assert_eq!(test.introspect(&client, &last).await["active"], true);
    test.pass(10 * DAY).await;
    assert_eq!(test.published().await, [new]);
}

#[tokio::test]
async fn a_server_that_slept_through_a_rotation_still_announces_first() {
    let (test, client) = TestApp::with_client().await;
    let old = kid(&test.token(&client, SCOPE).await);
    test.pass(400 * DAY).await;
    assert_eq!(kid(&test.token(&client, SCOPE).await), old);
    assert_eq!(test.published().await.len(), 2);
    test.pass(ANNOUNCE).await;
    assert_ne!(kid(&test.token(&client, SCOPE).await), old);
}

#[tokio::test]
async fn a_lifetime_that_grows_after_the_announcement_keeps_the_old_key_published() {
    let (test, client) = TestApp::with_client().await;
    test.pass(EVERY - ANNOUNCE).await;
    assert_eq!(test.published().await.len(), 2);
    test.set_lifetime(API, 30 * DAY).await;
    test.pass(ANNOUNCE - 1).await;
    let token = test.token(&client, SCOPE).await;
    for _ in 0..30 {
        assert!(verifies(&test.jwks().await, &token));
        test.pass(DAY - 1).await;
    }
    assert_eq!(test.introspect(&client, &token).await["active"], true);
    test.pass(10 * DAY).await;
    assert_eq!(test.published().await.len(), 1);
}

#[tokio::test]
async fn a_resource_made_after_the_announcement_keeps_the_old_key_published_too() {
    let (test, _) = TestApp::with_client().await;
    test.pass(EVERY - ANNOUNCE).await;
    test.resource("urn:long", |settings| settings.lifetime = 30 * DAY).await;
    let client = test.client("long", &["urn:long/.default"]).await;
    test.pass(ANNOUNCE - 1).await;
    let token = test.token(&client, "urn:long/.default").await;
    test.pass(29 * DAY).await;
    assert!(verifies(&test.jwks().await, &token));
}

#[tokio::test]
async fn a_lifetime_that_shrinks_before_the_announcement_does_not_strand_older_tokens() {
    let (test, client) = TestApp::with_client().await;
    test.set_lifetime(API, 30 * DAY).await;
    test.pass(EVERY - ANNOUNCE - 1).await;
    let token = test.token(&client, SCOPE).await;
    test.set_lifetime(API, 3600).await;
    test.pass(1).await;
    assert_eq!(test.published().await.len(), 2);
    for _ in 0..29 {
        test.pass(DAY).await;
        assert!(verifies(&test.jwks().await, &token));
    }
    assert_eq!(test.introspect(&client, &token).await["active"], true);
}

#[tokio::test]
async fn a_rotation_now_signs_at_once_and_older_tokens_still_verify() {
    let (test, client) = TestApp::with_client().await;
    let before = test.token(&client, SCOPE).await;
    let new = test.rotate(Alg::Rs256, 0).await.unwrap();
    let after = test.token(&client, SCOPE).await;
    assert_eq!(kid(&after), new);
    assert_ne!(kid(&before), new);
    let jwks = test.jwks().await;
    assert!(verifies(&jwks, &before) && verifies(&jwks, &after));
    // There is nothing to succeed for an algorithm that nobody asked for.
    assert_eq!(test.rotate(Alg::Es256, 0).await, None);
}

#[tokio::test]
async fn a_rotation_now_replaces_a_key_that_was_only_announced() {
    let (test, client) = TestApp::with_client().await;
    let announced = test.rotate(Alg::Rs256, ANNOUNCE).await.unwrap();
    assert!(test.published().await.contains(&announced));
    let new = test.rotate(Alg::Rs256, 0).await.unwrap();
    assert!(!test.published().await.contains(&announced));
    for _ in 0..5 {
        assert_eq!(kid(&test.token(&client, SCOPE).await), new);
        test.pass(DAY / 2).await;
    }
}

#[tokio::test]
async fn a_rotation_now_replaces_every_key_that_was_announced() {
    let (test, client) = TestApp::with_client().await;
    test.rotate(Alg::Rs256, ANNOUNCE).await.unwrap();
    test.pass(DAY / 2).await;
    test.rotate(Alg::Rs256, ANNOUNCE).await.unwrap();
    let old = test.token(&client, SCOPE).await;
    let new = test.rotate(Alg::Rs256, 0).await.unwrap();
    let published = test.published().await;
    assert_eq!(published.len(), 2, "the one that signed and the one that signs: {published:?}");
    assert!(verifies(&test.jwks().await, &old));
    for _ in 0..5 {
        assert_eq!(kid(&test.token(&client, SCOPE).await), new);
        test.pass(DAY / 2).await;
    }
}

#[tokio::test]
async fn two_announcements_in_a_row_are_a_chain_without_a_hole() {
    let (test, client) = TestApp::with_client().await;
    let first = test.rotate(Alg::Rs256, ANNOUNCE).await.unwrap();
    test.pass(DAY / 2).await;
    let second = test.rotate(Alg::Rs256, ANNOUNCE).await.unwrap();
    let mut living = vec![test.token(&client, SCOPE).await];
    test.pass(DAY / 2).await;
    living.push(test.token(&client, SCOPE).await);
    assert_eq!(kid(&living[1]), first);
    test.pass(DAY / 2).await;
    living.push(test.token(&client, SCOPE).await);
    assert_eq!(kid(&living[2]), second);
    let jwks = test.jwks().await;
    assert!(living.iter().all(|token| verifies(&jwks, token)));
}

#[tokio::test]
async fn a_key_that_signs_cannot_be_taken_out_of_the_key_set_and_a_retired_one_can() {
    let (test, client) = TestApp::with_client().await;
    let token = test.token(&client, SCOPE).await;
    let old = kid(&token);
    assert!(!test.expire(&old).await);
    assert!(!test.expire("unheard-of").await);
    test.token(&client, SCOPE).await;
    test.rotate(Alg::Rs256, 0).await.unwrap();
    assert!(verifies(&test.jwks().await, &token));
    assert!(test.expire(&old).await);
    assert!(!verifies(&test.jwks().await, &token));
    assert_eq!(test.introspect(&client, &token).await["active"], false);
    let fresh = test.token(&client, SCOPE).await;
    assert_eq!(test.introspect(&client, &fresh).await["active"], true);
}

#[tokio::test]
async fn a_status_list_is_never_signed_by_a_key_that_is_no_longer_published() {
    let (test, client) = TestApp::with_client().await;
    let token = test.token(&client, SCOPE).await;
    let uri = claims(&token)["status"]["status_list"]["uri"].as_str().unwrap().to_owned();
    let path = uri.strip_prefix(PUBLIC_URL).unwrap();
    let old = kid(&test.get(path).await.text());
    test.rotate(Alg::Rs256, 0).await.unwrap();
    assert!(test.expire(&old).await);
    test.clock.advance(3);
    let list = test.get(path).await.text();
    assert!(verifies(&test.jwks().await, &list));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_rotate_at_once_make_one_successor() {
    let (first, _) = TestApp::with_client().await;
    let second = first.second_server().await;
    for round in 1..=4 {
        first.clock.advance(EVERY);
        let sweeps: Vec<_> = [&first, &second, &first, &second]
            .map(|test| {
                let app: Arc<App> = test.app.clone();
                tokio::spawn(async move { sweep::once(&app).await })
            })
            .into();
        for sweep in sweeps {
            sweep.await.unwrap().unwrap();
        }
        assert_eq!(first.number("SELECT COUNT(*) FROM signing_keys WHERE retires_at IS NULL").await, 1);
        assert_eq!(
            first.number(&format!("SELECT COUNT(*) FROM signing_keys WHERE created_at = {}", first.clock.now())).await,
            1,
            "round {round}"
        );
    }
}

#[tokio::test]
async fn a_token_of_a_key_that_another_server_has_just_made_is_no_unknown_one() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let old = first.token(&client, SCOPE).await;
    assert_eq!(second.introspect(&client, &old).await["active"], true);
    first.rotate(Alg::Rs256, 0).await.unwrap();
    let token = first.token(&client, SCOPE).await;
    assert_ne!(kid(&token), kid(&old));
    // The second one has not looked at the log of changes since.
    let ours = second.app.key_ring(second.tenant_id().await).await.unwrap();
    assert!(ours.find(&kid(&token), second.clock.now()).is_none());
    assert_eq!(second.introspect(&client, &token).await["active"], true);
    // And a key that nobody made stays unknown.
    let (header, rest) = token.split_once('.').unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let forged = URL_SAFE_NO_PAD.encode(text.replace(&kid(&token), "nobody's"));
    assert_eq!(second.introspect(&client, &format!("{forged}.{rest}")).await["active"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_need_an_algorithm_at_once_make_one_key() {
    let first = TestApp::new().await;
    let second = first.second_server().await;
    let tenant = first.tenant_id().await;
    let making: Vec<_> = [first.app.clone(), second.app.clone()]
        .map(|app| {
            tokio::spawn(async move { app.keysmith().unwrap().ensure(tenant, Alg::Es256, START).await.unwrap() })
        })
        .into();
    let mut made = 0;
    for task in making {
        made += i32::from(task.await.unwrap());
    }
    assert_eq!(made, 1);
    assert_eq!(first.number("SELECT COUNT(*) FROM signing_keys WHERE alg = 'ES256'").await, 1);
}

/// The application of a test opened once more with a keys folder that `prepare` fills.
async fn reopen(test: &TestApp, folder: &Path, prepare: impl FnOnce(&Path)) -> Result<TestApp, StartError> {
    std::fs::create_dir_all(folder).unwrap();
    prepare(folder);
    let mut config = test.app.config.clone();
    config.keys = folder.to_owned();
    let app = App::open(config, PUBLIC_URL.parse().unwrap(), test.clock.clone(), Random::system()).await?;
    Ok(test.over(app))
}

#[tokio::test]
async fn without_the_key_encryption_key_nothing_is_signed_and_no_new_one_is_made() {
    let (test, client) = TestApp::with_client().await;
    let folder = test.folder.path().join("elsewhere");
    match reopen(&test, &folder, |_| ()).await {
        Ok(keyless) => {
            let said = keyless.app.keysmith().unwrap_err().to_string();
            assert!(said.contains("the key-encryption key is missing: put the file 'kek' back"), "{said}");
            keyless.request_token(&client, SCOPE).await.assert_error(503, "temporarily_unavailable", 9004);
            keyless.get("/readyz").await.assert_error(503, "temporarily_unavailable", 9004);
        }
        Err(error) => assert!(matches!(error, StartError::Key(KeyError::KekMissing)), "{error}"),
    }
    assert!(!folder.join(KEK_FILE).exists());
    assert_eq!(test.number("SELECT COUNT(*) FROM signing_keys").await, 1);
    let good = test.folder.path().join("keys");
    let again = reopen(&test, &good, |_| ()).await.unwrap();
    again.token(&client, SCOPE).await;
}

#[tokio::test]
async fn a_damaged_key_is_left_out_and_takes_no_other_down() {
    let (test, client) = TestApp::with_client().await;
    test.clock.advance(1);
    test.resource("https://es256.example.com", |settings| settings.alg = Alg::Es256).await;
    // The oldest of all, by which the key-encryption key is tried at the start.
    let swap =
        "UPDATE signing_keys SET sealed = (SELECT sealed FROM signing_keys WHERE alg = 'ES256') WHERE alg = 'RS256'";
    assert_eq!(test.execute(swap).await, 1);
    let restarted = test.second_server().await;
    assert_eq!(restarted.get("/jwks").await.json()["keys"].as_array().unwrap().len(), 1);
    restarted.request_token(&client, SCOPE).await.assert_error(503, "temporarily_unavailable", 9004);
    restarted.app.keysmith().unwrap();
    assert_eq!(restarted.get("/jwks").await.json()["keys"][0]["alg"], "ES256");
}

#[tokio::test]
async fn under_another_key_encryption_key_nothing_is_signed_and_nothing_is_replaced() {
    let (test, client) = TestApp::with_client().await;
    let folder = test.folder.path().join("elsewhere");
    let other = |folder: &Path| {
        Kek::create(folder, &Random::system()).unwrap();
    };
    let wrong = reopen(&test, &folder, other).await;
    match wrong {
        Ok(wrong) => {
            let error = wrong.app.key_ring(test.tenant_id().await).await.map(drop).unwrap_err();
            assert!(error.cause().unwrap().contains("sealed under another key-encryption key"), "{error:?}");
            wrong.request_token(&client, SCOPE).await.assert_error(503, "temporarily_unavailable", 9004);
            wrong.get("/jwks").await.assert_error(503, "temporarily_unavailable", 9004);
        }
        Err(error) => assert!(matches!(error, StartError::Key(KeyError::OtherKek)), "{error}"),
    }
    test.token(&client, SCOPE).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_encryption_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (test, _) = TestApp::with_client().await;
    let folder = test.folder.path().join("keys");
    let file = folder.join(KEK_FILE);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let open = |_: &Path| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let said = reopen(&test, &folder, open).await.map(drop).unwrap_err().to_string();
        assert!(said.contains("can be read by others") && said.contains("chmod 600"), "{said}");
    }
    for mode in [0o600, 0o400] {
        let closed = |_: &Path| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        reopen(&test, &folder, closed).await.map(drop).unwrap();
    }
}

#[tokio::test]
async fn a_key_encryption_key_that_is_none_is_refused() {
    let (test, _) = TestApp::with_client().await;
    for (at, text) in ["", "not base64!", "c2hvcnQ="].iter().enumerate() {
        let folder = test.folder.path().join(at.to_string());
        let write = |folder: &Path| {
            grantor::keys::seal::write_private(&folder.join(KEK_FILE), text.as_bytes()).unwrap();
        };
        let error = reopen(&test, &folder, write).await.map(drop).unwrap_err();
        assert!(matches!(error, StartError::Key(KeyError::KekUnreadable)), "{error}");
        assert_eq!(std::fs::read_to_string(folder.join(KEK_FILE)).unwrap(), *text, "it is left as it was");
    }
}

#[tokio::test]
async fn a_stolen_database_holds_no_private_key() {
    let (test, _) = TestApp::with_client().await;
    let tenant = test.tenant_id().await;
    for alg in [Alg::Ps256, Alg::Es256, Alg::EdDsa] {
        test.app.keysmith().unwrap().ensure(tenant, alg, START).await.unwrap();
    }
    let kek = Kek::load(&test.folder.path().join("keys")).unwrap().unwrap();
    let stored = test.app.store.list_keys(tenant, START).await.unwrap();
    assert_eq!(stored.len(), 4);
    for key in &stored {
        assert!(Signer::parse(key.alg, &key.sealed).is_err(), "{} opens without the key", key.alg);
        let clear = kek.open(&format!("{tenant} {}", key.kid), &key.sealed).unwrap();
        assert!(Signer::parse(key.alg, &clear).is_ok());
        for piece in clear.windows(12) {
            assert!(!key.sealed.windows(12).any(|window| window == piece));
        }
    }
    // A sealed key that is moved to another row does not open there.
    assert!(kek.open(&format!("{tenant} {}", stored[1].kid), &stored[0].sealed).is_err());
}
