//! A token request part by part, in the order in which it is answered, and whole.

use crate::bare;
use crate::measure::{Bench, async_turns, turns};
use crate::signatures::Key;
use crate::support::basic;
use crate::warm::{Asked, CHOSEN, Warm};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::app::{Decided, DecisionKey};
use grantor::client_auth::{self, Presented};
use grantor::grants::client_credentials::{self, Wanted};
use grantor::tokens::issue;
use grantor::types::form::Form;
use grantor::types::secret::Fingerprints;
use grantor::types::status::StatusIndex;
use grantor::types::template::Particulars;
use http_body_util::BodyExt;
use ring::{digest, hmac};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use tower::ServiceExt;
use uuid::Uuid;

const TOKEN_PATH: &str = "/oauth2/v2.0/token";

/// What a form says that it is: as it may be known again, and as it is read each time.
const FORM: &str = "application/x-www-form-urlencoded";
const OTHER_FORM: &str = "application/x-www-form-urlencoded;charset=utf-8";

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// All of them.
pub fn bench(bench: &mut Bench, warm: &Warm) {
    fingerprint(bench, warm);
    form(bench, warm);
    authentication(bench, warm);
    decision(bench, warm);
    template(bench, warm);
    for asked in &warm.asked {
        mint(bench, warm, asked);
    }
    for asked in &warm.asked {
        whole(bench, warm, asked, FORM);
    }
    whole(bench, warm, warm.es256(), OTHER_FORM);
}

fn fingerprint(bench: &mut Bench, warm: &Warm) {
    let fingerprints = Fingerprints::new(&warm.test.app.random);
    let parts = [TOKEN_PATH.as_bytes(), &[0], &[], warm.es256().form.as_bytes()];
    let all = parts.concat();
    let hash = turns(|| digest::digest(&digest::SHA256, &all));
    bench.against("fingerprint a request", turns(|| fingerprints.of_parts(&parts)), ("SHA-256 of all of it", hash));
}

fn form(bench: &mut Bench, warm: &Warm) {
    let body = warm.es256().form.as_bytes();
    let apart = || serde_urlencoded::from_bytes::<Vec<(String, String)>>(body).unwrap();
    bench.against("read the form", turns(|| Form::parse(body).unwrap()), ("serde_urlencoded", turns(apart)));
}

fn authentication(bench: &mut Bench, warm: &Warm) {
    let (app, tenant) = (&*warm.test.app, &warm.tenant);
    let secret = warm.credentials.secret.as_bytes();
    let one_hash = || turns(|| digest::digest(&digest::SHA256, secret));
    let form = Form::parse(warm.es256().form.as_bytes()).unwrap();
    let in_form = Presented { authorization: &[], form: &form, peer: PEER };
    let authenticate = |presented| {
        async_turns(&warm.runtime, async move || client_auth::authenticate(app, tenant, presented).await.unwrap())
    };
    bench.against("authenticate, secret in the form", authenticate(in_form), ("SHA-256", one_hash()));

    let basic = basic(&warm.credentials.id, &warm.credentials.secret);
    let (headers, nothing) = ([basic.as_bytes()], Form::default());
    let in_header = Presented { authorization: &headers, form: &nothing, peer: PEER };
    bench.against("authenticate, secret in a header", authenticate(in_header), ("SHA-256", one_hash()));

    let body = serde_urlencoded::to_string([("client_id", "chosen"), ("client_secret", CHOSEN)]).unwrap();
    let form = Form::parse(body.as_bytes()).unwrap();
    let chosen = Presented { authorization: &[], form: &form, peer: PEER };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let one_hmac = turns(|| hmac::sign(&key, CHOSEN.as_bytes()));
    bench.against("authenticate, chosen secret seen before", authenticate(chosen), ("HMAC-SHA-256", one_hmac));
}

fn decision(bench: &mut Bench, warm: &Warm) {
    let (app, tenant, client, asked) = (&*warm.test.app, &warm.tenant, &warm.client, warm.es256());
    let key = || -> DecisionKey { (client.oid, asked.scope.clone(), Vec::new()) };
    let find = || {
        let settled = app.directory.applied().settled();
        app.decisions.get(&key()).filter(|decision| decision.stands(client, settled)).unwrap()
    };
    let map = HashMap::from([(key(), asked.decision.clone())]);
    bench.against("find the last decision", turns(find), ("HashMap", turns(|| map.get(&key()).cloned().unwrap())));

    let Decided { resources, membership, keys, .. } = &asked.decision.from;
    let settled = app.directory.applied().settled();
    let decide = async || {
        let wanted = Wanted { client, resources, scope: &asked.scope, targets: &[] };
        let issuance = client_credentials::decide(app, tenant, wanted).await.unwrap();
        let from = Decided {
            client: client.clone(),
            resources: resources.clone(),
            membership: membership.clone(),
            keys: keys.clone(),
        };
        issue::decide(app, issuance, (from, settled)).unwrap()
    };
    bench.alone("decide anew", async_turns(&warm.runtime, decide));
}

fn template(bench: &mut Bench, warm: &Warm) {
    let template = &warm.es256().decision.template;
    let of = Particulars {
        jti: Uuid::from_u128(7),
        status: StatusIndex { list: Uuid::from_u128(8).into(), index: 123_456 },
        issued_at: 1_800_000_000,
        expires_at: 1_800_003_600,
    };
    let fill = || {
        let mut text = String::with_capacity(4096);
        template.append_payload(of, &mut text).unwrap();
        text
    };
    let bytes = URL_SAFE_NO_PAD.decode(fill()).unwrap();
    let encode = || {
        let mut text = String::with_capacity(4096);
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
        text
    };
    bench.against("fill the template", turns(fill), ("base64 of all of it", turns(encode)));
}

fn mint(bench: &mut Bench, warm: &Warm, asked: &Asked) {
    let (app, tenant, decision) = (&*warm.test.app, warm.tenant.id, &asked.decision);
    let mint = async || issue::mint_decided(app, tenant, decision).await.unwrap();
    let (key, input) = (Key::generate(asked.alg), signing_input(&asked.token).as_bytes());
    let name = format!("mint, {}", asked.name);
    bench.against(&name, async_turns(&warm.runtime, mint), ("signature", turns(|| key.sign(input))));
}

fn whole(bench: &mut Bench, warm: &Warm, asked: &Asked, media_type: &str) {
    let request = || {
        Request::post(TOKEN_PATH).header(header::CONTENT_TYPE, media_type).body(Body::from(asked.form.clone())).unwrap()
    };
    let router = &warm.test.router;
    let ours = async || {
        let response = router.clone().oneshot(request()).await.unwrap();
        assert!(response.status().is_success());
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let input = signing_input(&asked.token).to_owned();
    let bare = Router::new().route(TOKEN_PATH, bare::signing(Key::generate(asked.alg), input));
    let least = async || {
        let response = bare.clone().oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let (ours, least) = (async_turns(&warm.runtime, ours), async_turns(&warm.runtime, least));
    let how = if media_type == FORM { "" } else { ", read anew" };
    bench.against(&format!("whole token request, {}{how}", asked.name), ours, ("bare axum handler", least));
}

/// What of a token is signed.
pub fn signing_input(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}
