//! What takes milliseconds and is done beside the requests, or seldom: status lists and the hash of chosen secrets.

use crate::measure::{Bench, async_turns, turns};
use crate::support::status::place;
use crate::warm::{CHOSEN, Warm};
use argon2::password_hash::PasswordVerifier;
use argon2::{Argon2, PasswordHash};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use grantor::store::revocations::Revocation;
use grantor::store::status::LIST_CAPACITY;
use grantor::tokens::status::publish;
use grantor::types::id::StatusListId;
use grantor::types::secret::{Secret, SecretHash};
use grantor::types::status::{PublishedList, StatusIndex};
use std::io::Write;
use std::sync::Arc;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Revoked tokens of the list: about one in a hundred.
const REVOKED: usize = 10_000;

/// All of them.
pub fn bench(bench: &mut Bench, warm: &Warm) {
    status_list(bench, warm);
    chosen_secret(bench, warm);
}

fn status_list(bench: &mut Bench, warm: &Warm) {
    let (app, tenant) = (&*warm.test.app, &warm.tenant);
    let (path, _) = place(&warm.es256().token);
    let list: StatusListId = path.rsplit('/').next().unwrap().parse::<Uuid>().unwrap().into();
    let bits = warm.runtime.block_on(revoke_many(warm, list));

    let anew = async || {
        app.published.invalidate(&list);
        publish(app, tenant, list).await.unwrap().unwrap()
    };
    let pack = || {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bits).unwrap();
        encoder.finish().unwrap()
    };
    let (publish_anew, pack) = (async_turns(&warm.runtime, anew), turns(pack));
    bench.against("publish a status list", publish_anew, ("DEFLATE of its bits", pack));

    let old = warm.runtime.block_on(anew());
    let PublishedList { tenant: of, digest, signed_at, .. } = *old;
    let (jwt, kid) = (old.jwt.clone(), old.kid.clone());
    let old = Arc::new(PublishedList { tenant: of, jwt, kid, digest, checked_at: 0, signed_at });
    let look = async || {
        app.published.insert(list, old.clone());
        publish(app, tenant, list).await.unwrap().unwrap()
    };
    let connection = warm.connection();
    let rows = async || {
        let rows: Vec<(i64,)> = sqlx::query_as("SELECT list_index FROM revocations WHERE list_id = $1")
            .bind(list.uuid())
            .fetch_all(&mut *connection.lock().await)
            .await
            .unwrap();
        rows
    };
    let (look, rows) = (async_turns(&warm.runtime, look), async_turns(&warm.runtime, rows));
    bench.against("look at an unchanged status list", look, ("its rows by sqlx", rows));
}

/// Revokes tokens all over a list; answers with its bits.
async fn revoke_many(warm: &Warm, list: StatusListId) -> Vec<u8> {
    let (app, tenant) = (&warm.test.app, warm.tenant.id);
    let now = app.clock.now();
    let mut revoking = JoinSet::new();
    for _ in 0..REVOKED {
        let index = u32::from_le_bytes(app.random.bytes()) % u32::try_from(LIST_CAPACITY).unwrap();
        let status = StatusIndex { list, index };
        let revocation = Revocation { jti: app.random.uuid_v4(), status, expires_at: now + 86_400 };
        let app = app.clone();
        revoking.spawn(async move { app.store.revoke_token(tenant, &revocation, now).await });
        if revoking.len() == 100 {
            revoking.join_next().await.unwrap().unwrap().unwrap();
        }
    }
    for revoked in revoking.join_all().await {
        revoked.unwrap();
    }
    let mut bits = vec![0_u8; usize::try_from(LIST_CAPACITY / 8).unwrap()];
    for index in app.store.revoked_indexes(list).await.unwrap() {
        let index = usize::try_from(index).unwrap();
        bits[index / 8] |= 1 << (index % 8);
    }
    bits
}

fn chosen_secret(bench: &mut Bench, warm: &Warm) {
    let app = &*warm.test.app;
    let secret = Secret::from(CHOSEN.to_owned());
    let hash = SecretHash::argon2id(&secret, &app.random);
    let check = async || {
        let right = app.slow_secrets.hashing.check(vec![hash.clone()], vec![secret.clone()]).await.unwrap();
        right.unwrap()
    };
    let stored = hash.to_stored();
    let alone = || {
        let hash = PasswordHash::new(&stored).unwrap();
        Argon2::default().verify_password(CHOSEN.as_bytes(), &hash).unwrap();
    };
    bench.against("check a chosen secret", async_turns(&warm.runtime, check), ("argon2", turns(alone)));
}
