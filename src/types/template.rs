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

impl Particulars {
    fn rest(self, issuer: &str, with_uti: bool) -> Rest {
        Rest {
            iat: self.issued_at,
            exp: self.expires_at,
            jti: self.jti,
            uti: with_uti.then(|| URL_SAFE_NO_PAD.encode(self.jti.as_bytes())),
            status: Status {
                status_list: StatusList {
                    idx: self.status.index,
                    uri: format!("{issuer}/statuslists/{}", self.status.list),
                },
            },
        }
    }

    /// Adds them to the claims that are decided. `with_uti` also writes Entra's name for the token id.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn complete(
        self,
        mut claims: Map<String, Value>,
        issuer: &str,
        with_uti: bool,
    ) -> Result<Map<String, Value>, serde_json::Error> {
        if let Value::Object(rest) = serde_json::to_value(self.rest(issuer, with_uti))? {
            claims.extend(rest);
        }
        Ok(claims)
    }
}

/// What all tokens of one decision have in common, written once.
#[derive(Debug, Clone)]
pub struct Template {
    // The beginning of the payload in base64url, and its last one or two bytes, which are encoded with what follows.
    encoded: String,
    tail: Vec<u8>,
    issuer: String,
    with_uti: bool,
}

impl Template {
    /// Of the claims that are decided; there is at least one. `with_uti` also writes Entra's name for the token id.
    ///
    /// # Errors
    /// A claim cannot be written as JSON.
    pub fn new(claims: &Map<String, Value>, issuer: &str, with_uti: bool) -> Result<Self, serde_json::Error> {
        let mut head = serde_json::to_vec(claims)?;
        // Two objects become one: a comma stands for the brace that ends the first and the one that begins the second.
        if let Some(brace) = head.last_mut() {
            *brace = b',';
        }
        let tail = head.split_off(head.len() / 3 * 3);
        Ok(Self { encoded: URL_SAFE_NO_PAD.encode(head), tail, issuer: issuer.to_owned(), with_uti })
    }

    /// Appends the payload of one token in base64url (RFC 7515 §7.1).
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn append_payload(&self, of: Particulars, text: &mut String) -> Result<(), serde_json::Error> {
        let mut rest = Vec::with_capacity(384);
        rest.extend_from_slice(&self.tail);
        serde_json::to_writer(&mut rest, &of.rest(&self.issuer, self.with_uti))?;
        rest.remove(self.tail.len());
        text.push_str(&self.encoded);
        URL_SAFE_NO_PAD.encode_string(rest, text);
        Ok(())
    }

    /// Bytes that it takes in memory, about.
    pub fn size(&self) -> usize {
        self.encoded.len() + self.issuer.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_is_one_object_of_the_decided_claims_and_those_of_the_token() {
        let of = Particulars {
            jti: Uuid::from_u128(1),
            status: StatusIndex { list: Uuid::from_u128(2).into(), index: 7 },
            issued_at: 10,
            expires_at: 20,
        };
        let list = "https://a.example/statuslists/00000000-0000-0000-0000-000000000002";
        // Of every length modulo three, which is what base64 goes by.
        for (with_uti, group) in [(false, "x"), (true, "x"), (false, "xx"), (true, "xxx")] {
            let expected = |with_uti: bool| {
                let mut expected = json!({
                    "iss": "https://a.example", "groups": [group], "iat": 10, "exp": 20,
                    "jti": "00000000-0000-0000-0000-000000000001",
                });
                if with_uti {
                    expected["uti"] = "AAAAAAAAAAAAAAAAAAAAAQ".into();
                }
                expected["status"] = json!({ "status_list": { "idx": 7, "uri": list } });
                expected
            };
            let Value::Object(claims) = json!({ "iss": "https://a.example", "groups": [group] }) else {
                unreachable!()
            };
            let mut payload = String::new();
            let template = Template::new(&claims, "https://a.example", with_uti).unwrap();
            template.append_payload(of, &mut payload).unwrap();
            let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
            assert_eq!(payload, expected(with_uti).to_string());
            let completed = of.complete(claims, "https://a.example", with_uti).unwrap();
            assert_eq!(Value::Object(completed).to_string(), payload);
        }
    }
}
