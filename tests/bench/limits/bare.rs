//! Bare axum handlers: no client, no database, no memory; only what no server can do without.

use super::signatures::{Alg, Key};
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What the handlers work with; without a file there is no handler.
#[derive(clap::Args)]
pub struct Files {
    /// A real token; its signing input is signed and its signature verified
    #[arg(long)]
    token: Option<PathBuf>,
    /// An RSA key that signs, at /sign/rs256; without it there are /sign/es256 and /sign/eddsa
    #[arg(long)]
    key: Option<PathBuf>,
    /// The real server's answer, as it travels, that /bytes gives back
    #[arg(long)]
    answer: Option<PathBuf>,
    /// JSON Web Key Set with the key of the token, for /verify
    #[arg(long)]
    jwks: Option<PathBuf>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed like the real thing, and that is all")]
struct TokenForm {
    grant_type: String,
    client_id: String,
    client_secret: String,
    scope: String,
}

#[derive(Serialize)]
struct TokenAnswer {
    token_type: &'static str,
    expires_in: i64,
    scope: String,
    access_token: String,
}

#[derive(Deserialize)]
struct TokenToVerify {
    token: String,
}

struct Signing {
    key: Key,
    // Header and payload of a real token, encoded.
    input: String,
}

/// Signs `input` for each form that is posted.
pub fn signing(key: Key, input: String) -> MethodRouter {
    post(sign).with_state(Arc::new(Signing { key, input }))
}

async fn sign(State(with): State<Arc<Signing>>, body: Bytes) -> Json<TokenAnswer> {
    let form: TokenForm = serde_urlencoded::from_bytes(&body).unwrap();
    let mut access_token = with.input.clone();
    let signature = with.key.sign(access_token.as_bytes());
    access_token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut access_token);
    Json(TokenAnswer { token_type: "Bearer", expires_in: 3600, scope: form.scope, access_token })
}

async fn verify(State(key): State<Arc<(Algorithm, DecodingKey)>>, body: Bytes) -> Json<Map<String, Value>> {
    let form: TokenToVerify = serde_urlencoded::from_bytes(&body).unwrap();
    let mut validation = Validation::new(key.0);
    validation.validate_aud = false;
    Json(jsonwebtoken::decode::<Map<String, Value>>(&form.token, &key.1, &validation).unwrap().claims)
}

async fn bytes(State(answer): State<Arc<(HeaderMap, Bytes)>>) -> Response {
    (StatusCode::OK, answer.0.clone(), answer.1.clone()).into_response()
}

/// Headers and body of an answer as `curl -i` writes it.
fn read_answer(text: &[u8]) -> (HeaderMap, Bytes) {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&text[..end]).unwrap();
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let own = ["content-length", "date", "connection"];
    let headers = headers
        .filter(|(name, _)| !own.contains(name))
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    (headers, Bytes::copy_from_slice(&text[end + 4..]))
}

/// Serves until killed.
pub async fn serve(listen: SocketAddr, with: Files) {
    let Files { token, key, answer, jwks } = with;
    let mut router = Router::new();
    let token = token.map(|path| std::fs::read_to_string(path).unwrap().trim().to_owned());
    if let Some(token) = &token {
        let input = token.rsplit_once('.').unwrap().0.to_owned();
        let keys = match &key {
            Some(path) => vec![("/sign/rs256", Key::read(path))],
            None => vec![("/sign/es256", Key::generate(Alg::Es256)), ("/sign/eddsa", Key::generate(Alg::Eddsa))],
        };
        for (path, key) in keys {
            router = router.route(path, signing(key, input.clone()));
        }
    }
    if let (Some(token), Some(jwks)) = (&token, jwks) {
        let header = jsonwebtoken::decode_header(token).unwrap();
        let keys: JwkSet = serde_json::from_slice(&std::fs::read(jwks).unwrap()).unwrap();
        let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
        router = router.route("/verify", post(verify).with_state(Arc::new((header.alg, key))));
    }
    if let Some(answer) = answer {
        let answer = read_answer(&std::fs::read(answer).unwrap());
        router = router.route("/bytes", get(bytes).with_state(Arc::new(answer)));
    }
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}
