//! The authorization endpoint (RFC 6749 §3.1). No grant that uses it is offered yet; clients need its address in the
//! metadata all the same, so it answers what the specification has for it.

use crate::error::{OAuthError, reason};
use crate::extract::tenant::TenantPath;

/// Refuses every response type. Never redirects, because no redirect URI is proven here (§4.1.2.1).
///
/// # Errors
/// Always `unsupported_response_type`.
pub async fn get(_: TenantPath) -> Result<(), OAuthError> {
    Err(reason::RESPONSE_TYPE_UNSUPPORTED.into())
}
