//! The device authorization grant (RFC 8628 §3.4, §3.5): a device polls until a person has answered.

use super::{Answer, Exchange, Given, Grant, delegated};
use crate::error::{OAuthError, reason};
use crate::store::codes::Redeemed;
use crate::store::device_codes::Decision;
use crate::tokens::issue::Issued;
use crate::types::secret::sha256;

/// The grant.
pub const GRANT: Grant = Grant {
    name: "urn:ietf:params:oauth:grant-type:device_code",
    // MSAL for Node.
    aliases: &["device_code"],
    for_public: true,
    by_default: Given::OnlyNamed,
    exchange: |request| Box::pin(exchange(request)) as Answer<'_>,
};

async fn exchange(request: Exchange<'_>) -> Result<Issued, OAuthError> {
    let Exchange { app, tenant, client, form } = request;
    let missing = || OAuthError::from(reason::PARAMETER_MISSING).about("device_code");
    let presented = form.get("device_code").ok_or_else(missing)?;
    let hash = sha256(presented.as_bytes());
    // RFC 8628 §3.4: the code must have been issued to this client.
    let found = app.store.find_device_code(tenant.id, hash).await?.filter(|code| code.client == client.client().oid);
    let code = found.ok_or(reason::DEVICE_CODE_UNKNOWN)?;
    let now = app.clock.now();
    let authorization = match code.decision {
        Decision::Spent => return Err(reason::DEVICE_CODE_SPENT.into()),
        Decision::Denied => return Err(reason::DEVICE_DENIED.into()),
        _ if code.expires_at <= now => return Err(reason::DEVICE_CODE_EXPIRED.into()),
        Decision::Pending if app.store.poll_device_code(hash, now).await? => {
            return Err(reason::AUTHORIZATION_PENDING.into());
        }
        Decision::Pending => return Err(reason::SLOW_DOWN.into()),
        Decision::Approved(authorization) => authorization,
    };
    if authorization.revoked {
        return Err(reason::DEVICE_CODE_UNKNOWN.into());
    }
    let prepared = delegated::prepare(&request, &authorization, true).await?;
    let first = delegated::first_tokens(&request, &authorization, &prepared);
    let mut answer = delegated::answer(&request, &authorization, prepared, None).await?;
    match app.store.redeem_device_code(hash, &first.redemption(), now).await? {
        Redeemed::Now => {}
        // Another poll was faster. That is no theft: the one that was faster keeps what it got.
        Redeemed::Before => return Err(reason::DEVICE_CODE_SPENT.into()),
        Redeemed::Gone => return Err(reason::DEVICE_CODE_UNKNOWN.into()),
    }
    answer.refresh_token = first.refresh_token();
    answer.issued()
}
