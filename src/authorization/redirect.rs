//! The answer to an authorization request (RFC 6749 §4.1.2): where it goes and how.

use crate::error::OAuthError;
use crate::store::clients::Client;
use crate::types::secret::Secret;
use crate::types::uri::may_redirect;
use crate::types::word_enum;
use url::form_urlencoded;

word_enum! {
    /// How the parameters of the answer travel (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
    ResponseMode, "response mode" {
        /// In the query of the redirect URI.
        Query = "query",
        /// In its fragment.
        Fragment = "fragment",
        /// In a form that the browser posts.
        FormPost = "form_post",
    }
}

/// A redirect URI that the client registered: only with one of these can anything be sent back.
#[derive(Debug, Clone)]
pub struct Redirect {
    uri: String,
    mode: ResponseMode,
    state: Option<String>,
    issuer: String,
}

/// The answer on its way. `Debug` shows nothing of it: it holds a code.
pub enum Delivery {
    /// A redirect to this URL.
    Location(String),
    /// A page that posts these fields there.
    FormPost {
        /// Where.
        action: String,
        /// What.
        fields: Vec<(String, String)>,
    },
}

impl Redirect {
    /// Proves that the client registered `asked`; without one asked for, the only one that it registered.
    pub(super) fn prove(client: &Client, asked: Option<&str>, issuer: String) -> Result<Self, Unproven> {
        let uri = match (asked, client.redirect_uris.as_slice()) {
            // RFC 9700 §2.1: simple string comparison.
            (Some(asked), registered) if registered.iter().any(|known| may_redirect(known, asked)) => asked,
            (Some(_), _) => return Err(Unproven::Unregistered),
            (None, [only]) => only,
            // RFC 6749 §3.1.2.3: of several, the request must say which.
            (None, _) => return Err(Unproven::Missing),
        };
        Ok(Self { uri: uri.to_owned(), mode: ResponseMode::Query, state: None, issuer })
    }

    pub(super) fn with(mut self, mode: ResponseMode, state: Option<&str>) -> Self {
        (self.mode, self.state) = (mode, state.map(str::to_owned));
        self
    }

    /// The URI.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The answer that carries a code.
    pub fn code(&self, code: &Secret) -> Delivery {
        self.deliver(vec![("code".into(), code.expose().into())])
    }

    /// The answer that carries an error (RFC 6749 §4.1.2.1).
    pub fn error(&self, error: &OAuthError) -> Delivery {
        self.deliver(vec![
            ("error".into(), error.reason().error.into()),
            ("error_description".into(), error.description()),
        ])
    }

    fn deliver(&self, mut fields: Vec<(String, String)>) -> Delivery {
        fields.extend(self.state.clone().map(|state| ("state".to_owned(), state)));
        // RFC 9207 §2: in every answer.
        fields.push(("iss".into(), self.issuer.clone()));
        let encoded = || form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        match self.mode {
            // RFC 6749 §3.1.2: a query of the redirect URI is kept.
            ResponseMode::Query => Delivery::Location(with_query(&self.uri, &encoded())),
            ResponseMode::Fragment => Delivery::Location(format!("{}#{}", self.uri, encoded())),
            ResponseMode::FormPost => Delivery::FormPost { action: self.uri.clone(), fields },
        }
    }

    /// Host or scheme, for people to read.
    pub fn destination(&self) -> String {
        let url = url::Url::parse(&self.uri).ok();
        let host = url.as_ref().and_then(|url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            url.host_str().filter(|host| !host.is_empty()).map(|host| format!("{host}{port}"))
        });
        host.unwrap_or_else(|| url.map(|url| format!("{}:", url.scheme())).unwrap_or_default())
    }
}

/// Adds parameters to a URI that may have a query.
pub fn with_query(uri: &str, encoded: &str) -> String {
    let separator = match uri.find('?') {
        None => "?",
        Some(at) if at + 1 == uri.len() || uri.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{encoded}")
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery")
    }
}

/// Why nothing can be sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproven {
    Unregistered,
    Missing,
}
