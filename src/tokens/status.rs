//! The published Token Status List (draft-ietf-oauth-status-list §5.1: JWT, §4: one bit, zlib).

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::store::tenants::Tenant;
use crate::types::alg::Alg;
use crate::types::id::StatusListId;
use crate::types::secret::sha256;
use crate::types::status::PublishedList;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::json;
use std::io::Write;
use std::sync::Arc;

/// Seconds for which a reader may keep the list: `ttl` and `Cache-Control: max-age`.
pub const TTL: i64 = 5;

/// Seconds between two looks at the database. Together with [`TTL`] under the 10 seconds within which a revocation
/// must be seen.
const LOOK: i64 = 2;

/// A list is signed anew after this many seconds, changed or not.
const RESIGN: i64 = 600;

/// `exp` of the list: beyond it a reader that cannot reach us must not rely on it.
const LIFETIME: i64 = 3600;

/// The list as it is now; `None` when the tenant has none of that id.
///
/// # Errors
/// The database or the signing key cannot be used.
pub async fn publish(app: &App, tenant: &Tenant, list: StatusListId) -> Result<Option<Arc<PublishedList>>, OAuthError> {
    let now = app.clock.now();
    let last = app.published.get(&list);
    if let Some(last) = &last
        && (last.checked_at..last.checked_at + LOOK).contains(&now)
        && last.tenant == tenant.id
    {
        return Ok(Some(last.clone()));
    }
    let Some(size) = app.store.status_list_size(tenant.id, list).await? else { return Ok(None) };
    let bits = bits(size, &app.store.revoked_indexes(list).await?);
    let digest = sha256(&bits);
    let ring = app.key_ring(tenant.id).await?;
    // A key may be taken out of the JWKS at any time; nobody could verify the list any more.
    let fresh = |last: &Arc<PublishedList>| {
        (0..RESIGN).contains(&(now - last.signed_at)) && ring.find(&last.kid, now).is_some()
    };
    if let Some(last) = last.filter(|last| last.digest == digest && fresh(last)) {
        let same = Arc::new(PublishedList { checked_at: now, jwt: last.jwt.clone(), kid: last.kid.clone(), ..*last });
        app.published.insert(list, same.clone());
        return Ok(Some(same));
    }
    let payload = json!({
        "sub": format!("{}/statuslists/{list}", app.issuer(tenant)),
        "iss": app.issuer(tenant),
        "iat": now,
        "exp": now + LIFETIME,
        "ttl": TTL,
        "status_list": { "bits": 1, "lst": compress(bits).await? },
    });
    let key = ring.signing(Alg::Rs256, now)?;
    let jwt = key.sign("statuslist+jwt", payload.to_string().as_bytes())?;
    let kid = key.jwk.kid.clone();
    let published = Arc::new(PublishedList { tenant: tenant.id, jwt, kid, digest, checked_at: now, signed_at: now });
    app.published.insert(list, published.clone());
    Ok(Some(published))
}

/// The uncompressed list: bit `i` is in byte `i / 8`, least significant first (§4.1).
fn bits(size: i64, set: &[i64]) -> Vec<u8> {
    let mut bytes = vec![0_u8; usize::try_from(size / 8).unwrap_or(0)];
    for index in set.iter().filter_map(|index| usize::try_from(*index).ok()) {
        if let Some(byte) = bytes.get_mut(index / 8) {
            *byte |= 1 << (index % 8);
        }
    }
    bytes
}

async fn compress(bits: Vec<u8>) -> Result<String, OAuthError> {
    let failed = |error: String| OAuthError::from(reason::INTERNAL).because(error);
    tokio::task::spawn_blocking(move || {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bits)?;
        encoder.finish().map(|packed| URL_SAFE_NO_PAD.encode(packed))
    })
    .await
    .map_err(|error| failed(error.to_string()))?
    .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::bits;

    // The sixteen statuses of the draft's example in §4.1 and the two bytes they make.
    #[test]
    fn status_list_s4_1_example_of_one_bit_statuses() {
        let statuses = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        let set: Vec<i64> = (0..16).filter(|index| statuses[*index as usize] == 1).collect();
        assert_eq!(bits(16, &set), [0xb9, 0xa3]);
    }
}
