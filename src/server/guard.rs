//! The routes of `grantor guard`: the same paths and answers as the server's gateway check.

use super::front::Front;
use super::layers::Finish;
use crate::endpoints::gateway::{allowed, for_gateways, headers_of};
use crate::error::{OAuthError, reason};
use crate::extract::json::PostedJson;
use crate::gateway::{self, Shown};
use crate::guard::Guard;
use crate::telemetry::Responses;
use crate::types::clock::Clock;
use crate::types::random::Random;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The whole service.
pub fn router(guard: Arc<Guard>, clock: Clock, random: Random) -> Front {
    let responses = Responses::new();
    let finish = Finish { clock, random, strict_transport: false, trusted_proxies: Arc::new([]), responses };
    let router = Router::new()
        .route("/gateway/check", any(check))
        .route("/gateway/check/", any(check))
        .route("/gateway/check/{*rest}", any(check))
        .route("/gateway/for/{requirement}", any(check))
        .route("/gateway/for/{requirement}/", any(check))
        .route("/gateway/for/{requirement}/{*rest}", any(check))
        .route("/gateway/middleman", any(middleman))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .fallback(nothing_here)
        .with_state(guard);
    Front::new(router, finish)
}

/// Gateways know no 404: an address that is wrong lets nothing through.
async fn nothing_here() -> OAuthError {
    for_gateways(reason::NOT_FOUND.into())
}

async fn ready(State(guard): State<Arc<Guard>>) -> Response {
    if guard.stopping.load(Ordering::SeqCst) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping").into_response()
    } else if guard.is_ready().await {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "nothing is known of the server yet").into_response()
    }
}

async fn check(State(guard): State<Arc<Guard>>, headers: HeaderMap, uri: Uri) -> Result<Response, OAuthError> {
    let (headers, query) = (headers_of(&headers), uri.query().unwrap_or_default());
    decide(&guard, Shown { headers: &headers, path: uri.path(), query }).await
}

async fn middleman(
    State(guard): State<Arc<Guard>>,
    uri: Uri,
    posted: Result<PostedJson, OAuthError>,
) -> Result<Response, OAuthError> {
    let posted = posted.map_err(for_gateways)?;
    let (headers, query) = (gateway::middleman(&posted.0), uri.query().unwrap_or_default());
    decide(&guard, Shown { headers: &headers, path: uri.path(), query }).await
}

async fn decide(guard: &Guard, shown: Shown<'_>) -> Result<Response, OAuthError> {
    let answer = guard.check(shown).await;
    let outcome = answer.as_ref().map_or_else(|error| error.reason().error, |_| "allowed");
    metrics::counter!("grantor_gateway_checks_total", "outcome" => outcome).increment(1);
    answer.map(|claims| allowed(&claims)).map_err(for_gateways)
}
