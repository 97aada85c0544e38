//! A JSON body, bounded like a form.

use super::form::{MAX_BODY, read};
use crate::app::App;
use crate::error::{OAuthError, reason};
use axum::body::HttpBody;
use axum::extract::{FromRequest, Request};
use serde_json::Value;
use std::sync::Arc;

/// A posted JSON value, whatever its media type is said to be: the plugin that posts it is old.
pub struct PostedJson(pub Value);

impl FromRequest<Arc<App>> for PostedJson {
    type Rejection = OAuthError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, OAuthError> {
        let body = request.into_body();
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(reason::BODY_TOO_LARGE.into());
        }
        let bytes = read(body).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| OAuthError::from(reason::BODY_UNREADABLE).because(error))
    }
}
