//! Published status lists, as who validates tokens reads them.

use super::{PUBLIC_URL, Reply, claims};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use grantor::store::status::LIST_CAPACITY;
use std::io::Read;

/// Where a token's bit is: the path of its list, and the index.
pub fn place(token: &str) -> (String, usize) {
    let status = claims(token)["status"]["status_list"].clone();
    let path = status["uri"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap().to_owned();
    (path, status["idx"].as_u64().unwrap().try_into().unwrap())
}

/// The indexes that are set in a published list.
#[track_caller]
pub fn set_bits(list: &Reply) -> Vec<usize> {
    assert_eq!(list.status, 200, "{}", list.text());
    let claims = claims(&list.text());
    let packed = URL_SAFE_NO_PAD.decode(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    assert_eq!(i64::try_from(bytes.len() * 8).unwrap(), LIST_CAPACITY);
    (0..bytes.len() * 8).filter(|index| bytes[index / 8] >> (index % 8) & 1 == 1).collect()
}
