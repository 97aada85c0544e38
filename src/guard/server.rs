//! The server as the guard sees it: documents and questions over HTTP, bounded in time and size.

use crate::error::{OAuthError, reason};
use crate::types::secret::Secret;
use jsonwebtoken::jwk::JwkSet;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde_json::{Map, Value};
use std::time::Duration;

/// How long an answer may take. A gateway waits for it.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// The largest document that is read: a status list of a million bits that would not compress.
const LARGEST: usize = 512 * 1024;

/// JWKS without a `max-age` are fetched again after this time.
const FRESH: Duration = Duration::from_secs(300);

/// The guard's own client, which serves the resources whose opaque tokens it asks about.
pub struct Credentials {
    /// Client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// A server, or one tenant of it.
pub struct Server {
    base: String,
    http: Client,
    credentials: Option<Credentials>,
}

fn away(error: impl std::fmt::Display) -> OAuthError {
    OAuthError::from(reason::GUARD_BLIND).because(error)
}

impl Server {
    /// At an address without slash at the end; `ca` is a certificate in PEM to trust instead of those of the system.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn new(base: &str, ca: Option<&[u8]>, credentials: Option<Credentials>) -> Result<Self, String> {
        let mut builder = Client::builder().timeout(ANSWER_TIME).redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = ca {
            let certificate = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
            builder = builder.tls_certs_only([certificate]);
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http, credentials })
    }

    /// Issuer, keys, and how long the keys may be kept.
    pub(super) async fn learn(&self) -> Result<(String, JwkSet, Duration), OAuthError> {
        let document = self.get("/.well-known/openid-configuration").await?;
        let document: Value = serde_json::from_slice(&read(document).await?).map_err(away)?;
        let issuer = document.get("issuer").and_then(Value::as_str).ok_or_else(|| away("no issuer"))?.to_owned();
        let answer = self.get("/jwks").await?;
        let fresh_for = max_age(&answer).unwrap_or(FRESH);
        let keys: JwkSet = serde_json::from_slice(&read(answer).await?).map_err(away)?;
        Ok((issuer, keys, fresh_for))
    }

    /// A status list token.
    pub(super) async fn status_list(&self, id: uuid::Uuid) -> Result<String, OAuthError> {
        let answer = self.get(&format!("/statuslists/{id}")).await?;
        String::from_utf8(read(answer).await?).map_err(away)
    }

    /// What an opaque token stands for; `None` when it is inactive (RFC 7662 §2.2).
    pub(super) async fn introspect(&self, token: &str) -> Result<Option<Map<String, Value>>, OAuthError> {
        let own = self.credentials.as_ref();
        let own = own.ok_or_else(|| away("the guard has no client of its own to ask about opaque tokens"))?;
        let request = self
            .http
            .post(format!("{}/oauth2/v2.0/introspect", self.base))
            .basic_auth(&own.client_id, Some(own.client_secret.expose()))
            .form(&[("token", token)]);
        let answer = fine(request.send().await.map_err(away)?)?;
        let claims: Map<String, Value> = serde_json::from_slice(&read(answer).await?).map_err(away)?;
        Ok((claims.get("active") == Some(&Value::Bool(true))).then_some(claims))
    }

    /// The groups of a token that had no room for them.
    pub(super) async fn groups(&self, token: &str) -> Result<Value, OAuthError> {
        let request = self.http.get(format!("{}/oauth2/v2.0/groups", self.base)).bearer_auth(token);
        let answer = fine(request.send().await.map_err(away)?)?;
        let answer: Value = serde_json::from_slice(&read(answer).await?).map_err(away)?;
        answer.get("groups").cloned().ok_or_else(|| away("no groups"))
    }

    async fn get(&self, path: &str) -> Result<Response, OAuthError> {
        fine(self.http.get(format!("{}{path}", self.base)).send().await.map_err(away)?)
    }
}

fn fine(answer: Response) -> Result<Response, OAuthError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::UNAUTHORIZED => Err(away("the server does not know the guard's client, or the token")),
        status => Err(away(format!("the server answered {status}"))),
    }
}

async fn read(mut answer: Response) -> Result<Vec<u8>, OAuthError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(away)? {
        if bytes.len() + chunk.len() > LARGEST {
            return Err(away("the answer is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn max_age(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(reqwest::header::CACHE_CONTROL)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}
