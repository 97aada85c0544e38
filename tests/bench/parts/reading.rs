//! Tokens of ours read back: by themselves, with what the database knows of them, and as resource servers ask for it.

use crate::measure::{Bench, async_turns, turns};
use crate::request::signing_input;
use crate::signatures::Key;
use crate::support::claims;
use crate::warm::{Asked, Warm};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use axum::body::Body;
use axum::http::{Request, header};
use grantor::tokens::verify::{self, Read};
use grantor::types::id::MemberId;
use http_body_util::BodyExt;
use tower::ServiceExt;
use uuid::Uuid;

/// All of them.
pub fn bench(bench: &mut Bench, warm: &Warm) {
    for asked in &warm.asked {
        read(bench, warm, asked);
    }
    state(bench, warm);
    introspection(bench, warm);
    gateway(bench, warm);
}

fn read(bench: &mut Bench, warm: &Warm, asked: &Asked) {
    let (app, tenant) = (&*warm.test.app, &warm.tenant);
    let read = async || match verify::read(app, tenant, &asked.token).await.unwrap() {
        Read::AccessToken(token) => token,
        other => panic!("{other:?}"),
    };
    let (key, input) = (Key::generate(asked.alg), signing_input(&asked.token).as_bytes());
    let (public, signature) = (public(&key), key.sign(input));
    let verify = turns(|| public.verify_sig(input, &signature).unwrap());
    bench.against(&format!("read a token, {}", asked.name), async_turns(&warm.runtime, read), ("verification", verify));
}

fn public(key: &Key) -> ParsedPublicKey {
    let (algorithm, bytes): (&'static dyn VerificationAlgorithm, &[u8]) = match key {
        Key::Rsa(pair) => (&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
        Key::Ecdsa(pair) => (&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()),
        Key::Ed25519(pair) => (&ED25519, pair.public_key().as_ref()),
    };
    ParsedPublicKey::new(algorithm, bytes).unwrap()
}

fn state(bench: &mut Bench, warm: &Warm) {
    let (store, tenant) = (&warm.test.app.store, warm.tenant.id);
    let jti: Uuid = claims(&warm.es256().token)["jti"].as_str().unwrap().parse().unwrap();
    let client = (MemberId::Client(warm.client.oid), warm.client.client_id.as_str());
    let ask = async || store.token_state(tenant, jti, client.0, client.1).await.unwrap();
    let connection = warm.connection();
    let one_row = async || {
        let row: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM revocations WHERE tenant_id = $1 AND jti = $2")
            .bind(tenant.uuid())
            .bind(jti)
            .fetch_optional(&mut *connection.lock().await)
            .await
            .unwrap();
        row
    };
    let (ask, one_row) = (async_turns(&warm.runtime, ask), async_turns(&warm.runtime, one_row));
    bench.against("ask the database about a token", ask, ("one row by sqlx", one_row));
}

fn introspection(bench: &mut Bench, warm: &Warm) {
    let form = [
        ("client_id", warm.credentials.id.as_str()),
        ("client_secret", &warm.credentials.secret),
        ("token", &warm.es256().token),
    ];
    let form = serde_urlencoded::to_string(form).unwrap();
    let request = || {
        Request::post("/introspect")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.clone()))
            .unwrap()
    };
    answered(bench, warm, ("whole introspection, ES256", request));
}

fn gateway(bench: &mut Bench, warm: &Warm) {
    let bearer = format!("Bearer {}", warm.es256().token);
    let request = || Request::get("/gateway/check").header(header::AUTHORIZATION, &bearer).body(Body::empty()).unwrap();
    answered(bench, warm, ("whole gateway check, ES256", request));
}

fn answered(bench: &mut Bench, warm: &Warm, (name, request): (&str, impl Fn() -> Request<Body>)) {
    let router = &warm.test.router;
    let answer = async || {
        let response = router.clone().oneshot(request()).await.unwrap();
        assert!(response.status().is_success());
        response.into_body().collect().await.unwrap().to_bytes()
    };
    bench.alone(name, async_turns(&warm.runtime, answer));
}
