//! From a request to an authenticated client (RFC 6749 §2.3). Only here can an [`AuthenticatedClient`] be made.

mod secret;

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::store::clients::Client;
use crate::store::tenants::Tenant;
use crate::types::clock::UnixTime;
use crate::types::form::Form;
use crate::types::id::SecretId;
use crate::types::secret::Secret;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::net::IpAddr;
use std::sync::Arc;

/// A way for a client to prove who it is, as metadata announces it.
#[derive(Debug)]
pub struct Method {
    /// Registered name (RFC 7591 §2).
    pub name: &'static str,
    /// Proves something: the endpoints that demand authentication take it.
    pub authenticates: bool,
}

/// Every method.
pub const METHODS: &[Method] = &[
    Method { name: "client_secret_basic", authenticates: true },
    Method { name: "client_secret_post", authenticates: true },
    Method { name: "none", authenticates: false },
];

/// What a request presents.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// Every `Authorization` header.
    pub authorization: &'a [&'a [u8]],
    /// The body.
    pub form: &'a Form,
    /// Where it comes from.
    pub peer: IpAddr,
}

/// A client that is who it says, or a public client that only names itself.
#[derive(Debug)]
pub struct AuthenticatedClient {
    client: Arc<Client>,
    proof: Option<Proof>,
}

/// The secret that proved who a client is.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// Which one.
    pub secret: SecretId,
    /// From when on it no longer counts.
    pub expires_at: Option<UnixTime>,
}

impl AuthenticatedClient {
    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client as it is kept in memory.
    pub fn shared(&self) -> &Arc<Client> {
        &self.client
    }

    /// True when it proved who it is; false for a public client (RFC 6749 §2.2: an id alone proves nothing).
    pub fn is_proven(&self) -> bool {
        self.proof.is_some()
    }

    /// What it proved that with.
    pub fn proof(&self) -> Option<Proof> {
        self.proof
    }

    /// The client, for endpoints that demand proof.
    ///
    /// # Errors
    /// `invalid_client` for a public client.
    pub fn require_proof(self) -> Result<Self, OAuthError> {
        if self.is_proven() { Ok(self) } else { Err(reason::PUBLIC_CLIENT.into()) }
    }
}

/// A client id with what the secret that came along can mean; without a secret there is no reading.
struct Credentials {
    client_id: String,
    readings: Vec<Secret>,
}

impl Credentials {
    fn new(client_id: String, secret: Option<String>) -> Self {
        Self { client_id, readings: secret.into_iter().map(Secret::from).collect() }
    }
}

/// Finds out who sent a request.
///
/// # Errors
/// `invalid_client` for missing, unreadable or wrong credentials; `invalid_request` for two methods at once; 503 when
/// the database or the hashing capacity is exhausted.
pub async fn authenticate(
    app: &App,
    tenant: &Tenant,
    presented: Presented<'_>,
) -> Result<AuthenticatedClient, OAuthError> {
    let form = presented.form;
    if form.get("client_assertion").is_some() || form.get("client_assertion_type").is_some() {
        let another = !presented.authorization.is_empty() || form.get("client_secret").is_some();
        return Err(if another {
            reason::TWO_METHODS.into()
        } else {
            OAuthError::from(reason::METHOD_UNSUPPORTED).about("client_assertion")
        });
    }
    let candidates = match presented.authorization {
        [] => vec![from_body(form)?],
        [header] => {
            // RFC 6749 §2.3: one method per request.
            if form.get("client_secret").is_some() {
                return Err(reason::TWO_METHODS.into());
            }
            let candidates = from_basic(header)?;
            // Several clients repeat their id in the body; that is fine as long as it is the same one.
            if let Some(client_id) = form.get("client_id")
                && !candidates.iter().any(|candidate| candidate.client_id == client_id)
            {
                return Err(reason::CLIENT_ID_MISMATCH.into());
            }
            candidates
        }
        _ => return Err(reason::TWO_METHODS.into()),
    };
    let mut failure = OAuthError::from(reason::CREDENTIALS_WRONG);
    for candidate in candidates {
        let id = &candidate.client_id;
        let Some(client) = app.directory.client(tenant.id, id).await? else {
            failure = failure.because_unless_known(|| format!("no client {id:?}"));
            continue;
        };
        let proof = match (candidate.readings.as_slice(), client.public) {
            ([], true) => None,
            (readings @ [_, ..], false) => match secret::check(app, tenant, &client, readings, presented.peer).await {
                Ok(proof) => Some(proof),
                Err(refused) if refused.reason().error == "invalid_client" => {
                    failure = refused.because(format!("secret of client {id:?}"));
                    continue;
                }
                Err(other) => return Err(other),
            },
            // A confidential client must use its secret, and a public one has none that could be right.
            _ => {
                failure = failure
                    .because_unless_known(|| format!("client {id:?} without or with a secret, as it must not be"));
                continue;
            }
        };
        if !client.enabled {
            return Err(OAuthError::from(reason::CLIENT_DISABLED).because(format!("client {id:?}")));
        }
        return Ok(AuthenticatedClient { client, proof });
    }
    Err(failure)
}

fn from_body(form: &Form) -> Result<Credentials, OAuthError> {
    let client_id = form.get("client_id").ok_or(reason::CREDENTIALS_MISSING)?.to_owned();
    Ok(Credentials::new(client_id, form.get("client_secret").map(str::to_owned)))
}

/// What Basic credentials can mean. Some clients form-encode id and secret as RFC 6749 §2.3.1 says, others send them
/// as they are; so both readings are tried, the raw one first.
fn from_basic(header: &[u8]) -> Result<Vec<Credentials>, OAuthError> {
    let unreadable = || OAuthError::from(reason::CREDENTIALS_UNREADABLE);
    let text = std::str::from_utf8(header).map_err(|_| unreadable())?;
    let (scheme, encoded) = text.trim().split_once(' ').ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        // Not repeated in the answer: a header without a scheme starts with the credentials themselves.
        return Err(reason::METHOD_UNSUPPORTED.into());
    }
    let decoded = decode_base64(encoded.trim()).ok_or_else(unreadable)?;
    // RFC 7617 §2.1: UTF-8, as our challenge says; Python's requests and browsers' btoa send Latin-1 all the same.
    let pair =
        String::from_utf8(decoded).unwrap_or_else(|latin1| latin1.into_bytes().into_iter().map(char::from).collect());
    // Raw secrets may hold colons: the first one ends the id.
    let (id, secret) = pair.split_once(':').ok_or_else(unreadable)?;
    let sent = |secret: String| (!secret.is_empty()).then_some(secret);
    let mut raw = Credentials::new(id.to_owned(), sent(secret.to_owned()));
    if !pair.contains(['%', '+']) {
        return Ok(vec![raw]);
    }
    let (Some(id), Some(secret)) = (form_decode(id), form_decode(secret)) else { return Ok(vec![raw]) };
    if id == raw.client_id {
        // One client, so one attempt: two readings of its secret must not count as two guesses.
        raw.readings.extend(sent(secret).map(Secret::from));
        return Ok(vec![raw]);
    }
    Ok(vec![raw, Credentials::new(id, sent(secret))])
}

/// Both alphabets, with or without padding: Java clients of Kafka use the URL-safe one.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    STANDARD.decode(text.replace('-', "+").replace('_', "/")).ok()
}

fn form_decode(text: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&format!("v={}", text.replace('&', "%26"))).ok()?;
    pairs.into_iter().next().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn pairs(header: &str) -> Vec<(String, String)> {
        let found = from_basic(header.as_bytes()).unwrap();
        let pairs = |found: Credentials| {
            let Credentials { client_id, readings } = found;
            readings.into_iter().map(move |secret| (client_id.clone(), secret.expose().to_owned()))
        };
        found.into_iter().flat_map(pairs).collect()
    }

    #[test]
    fn rfc6749_s2_3_1_basic_credentials_are_form_decoded_after_the_first_colon() {
        let header = format!("Basic {}", STANDARD.encode("my%20id:se%3Acr+et"));
        assert_eq!(pairs(&header)[1], ("my id".into(), "se:cr et".into()));
    }

    proptest! {
        #[test]
        fn either_alphabet_with_or_without_padding_reads_the_same(id in "[A-Za-z0-9._-]{1,40}", secret in "[ -~]{1,60}") {
            let pair = format!("{id}:{secret}");
            for encoded in [STANDARD.encode(&pair), URL_SAFE.encode(&pair), URL_SAFE_NO_PAD.encode(&pair)] {
                prop_assert_eq!(&pairs(&format!("basic {encoded}"))[0], &(id.clone(), secret.clone()));
            }
        }
    }
}
