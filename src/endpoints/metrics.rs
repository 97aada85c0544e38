//! Metrics in Prometheus' text format. No tenant, client or token is named in them.

use crate::telemetry;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// Everything counted since the start.
pub async fn get() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::metrics().render())
}
