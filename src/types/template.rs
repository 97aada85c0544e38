//! A token's payload whose claims are decided, but for what differs from token to token.

use super::clock::UnixTime;
use super::status::StatusIndex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What differs from token to token.
#[derive(Debug, Clone, Copy)]
pub struct Particulars {
    /// Its `jti`.
    pub jti: Uuid,
    /// Its place in a status list.
    pub status: StatusIndex,
    /// Its `iat`.
    pub issued_at: UnixTime,
    /// Its `exp`.
    pub expires_at: UnixTime,
}

#[derive(Serialize)]
struct Rest {
    iat: UnixTime,
    exp: UnixTime,
    jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    uti: Option<String>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    status_list: StatusList,
}

#[derive(Serialize)]
struct StatusList {
    idx: u32,
    uri: String,
}

/// What all tokens of one decision have in common, written once.
#[derive(Debug, Clone)]
pub struct Template {
    // A JSON object without the brace that ends it. It always has a member: no token is without an issuer.
    head: Vec<u8>,
    issuer: String,
    with_uti: bool,
}

impl Template {
    /// Of the claims that are decided. `with_uti` also writes Entra's name for the token id.
    ///
    /// # Errors
    /// A claim cannot be written as JSON.
    pub fn new(claims: &Map<String, Value>, issuer: &str, with_uti: bool) -> Result<Self, serde_json::Error> {
        let mut head = serde_json::to_vec(claims)?;
        head.pop();
        Ok(Self { head, issuer: issuer.to_owned(), with_uti })
    }

    fn rest(&self, of: Particulars) -> Rest {
        Rest {
            iat: of.issued_at,
            exp: of.expires_at,
            jti: of.jti,
            uti: self.with_uti.then(|| URL_SAFE_NO_PAD.encode(of.jti.as_bytes())),
            status: Status {
                status_list: StatusList {
                    idx: of.status.index,
                    uri: format!("{}/statuslists/{}", self.issuer, of.status.list),
                },
            },
        }
    }

    /// The payload of one token.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn payload(&self, of: Particulars) -> Result<Vec<u8>, serde_json::Error> {
        let mut payload = Vec::with_capacity(self.head.len() + 320);
        payload.extend_from_slice(&self.head);
        let end = payload.len();
        serde_json::to_writer(&mut payload, &self.rest(of))?;
        // Two objects become one: the second one's opening brace is a comma.
        payload[end] = b',';
        Ok(payload)
    }

    /// Bytes that it takes in memory, about.
    pub fn size(&self) -> usize {
        self.head.len() + self.issuer.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_is_one_object_of_the_decided_claims_and_those_of_the_token() {
        let Value::Object(claims) = json!({ "iss": "https://a.example", "groups": ["x"] }) else { unreachable!() };
        let of = Particulars {
            jti: Uuid::from_u128(1),
            status: StatusIndex { list: Uuid::from_u128(2).into(), index: 7 },
            issued_at: 10,
            expires_at: 20,
        };
        let list = "https://a.example/statuslists/00000000-0000-0000-0000-000000000002";
        for with_uti in [false, true] {
            let payload = Template::new(&claims, "https://a.example", with_uti).unwrap().payload(of).unwrap();
            let mut expected = json!({
                "iss": "https://a.example", "groups": ["x"], "iat": 10, "exp": 20,
                "jti": "00000000-0000-0000-0000-000000000001", "status": { "status_list": { "idx": 7, "uri": list } },
            });
            if with_uti {
                expected["uti"] = "AAAAAAAAAAAAAAAAAAAAAQ".into();
            }
            assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), expected);
        }
    }
}
