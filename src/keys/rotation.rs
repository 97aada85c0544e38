//! Making keys and letting them take over from each other.
//!
//! A resource server caches the JWKS for minutes or hours. So a new key is announced a day before it signs, and an
//! old one stays published until the last token it signed has expired.

use super::seal::Kek;
use super::signer::Signer;
use super::{KeyError, jwk::Jwk, label};
use crate::store::keys::{NewKey, Succession};
use crate::store::{AdminError, Store, StoreError};
use crate::types::alg::Alg;
use crate::types::clock::UnixTime;
use crate::types::id::TenantId;
use crate::types::random::Random;

/// A key stays published for at least this long after it stops to sign.
const OVERLAP: i64 = 86_400;

/// When keys change.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// A key signs this long before its successor takes over, in seconds.
    pub every: i64,
    /// A successor is published this long before it signs, in seconds.
    pub announce: i64,
}

/// Everything that making a key needs.
#[derive(Debug, Clone, Copy)]
pub struct Keysmith<'a> {
    /// Where keys are kept.
    pub store: &'a Store,
    /// What they are sealed under.
    pub kek: &'a Kek,
    /// Where nonces come from.
    pub random: &'a Random,
    /// When keys change.
    pub schedule: Schedule,
}

/// A failure to make or change keys.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The database refused or failed.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The key itself failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<StoreError> for RotationError {
    fn from(error: StoreError) -> Self {
        Self::Admin(error.into())
    }
}

impl Keysmith<'_> {
    /// A new sealed key that signs from `activates_at`.
    ///
    /// # Errors
    /// The library refused.
    pub async fn forge(&self, tenant: TenantId, alg: Alg, times: (UnixTime, UnixTime)) -> Result<NewKey, KeyError> {
        let (created_at, activates_at) = times;
        let pkcs8 = tokio::task::spawn_blocking(move || Signer::generate(alg))
            .await
            .map_err(|_| KeyError::Library("a key could not be made"))??;
        let kid = Jwk::new(alg, &Signer::parse(alg, &pkcs8)?.public())?.kid;
        let sealed = self.kek.seal(&label(tenant, &kid), &pkcs8, self.random);
        Ok(NewKey { kid, alg, sealed, created_at, activates_at })
    }

    /// Makes the tenant's first key of an algorithm; answers whether it had none.
    ///
    /// # Errors
    /// The database or the library failed.
    pub async fn ensure(&self, tenant: TenantId, alg: Alg, now: UnixTime) -> Result<bool, RotationError> {
        let stored = self.store.list_keys(tenant, now).await?;
        if stored.iter().any(|key| key.alg == alg && key.retires_at.is_none()) {
            return Ok(false);
        }
        let new = self.forge(tenant, alg, (now, now)).await?;
        Ok(self.store.ensure_key(tenant, &new, now).await?)
    }

    /// Makes a successor that signs from `activates_at`; answers its id, or `None` when somebody else rotated first
    /// (`due_only`) or there is nothing to succeed.
    ///
    /// # Errors
    /// The database or the library failed.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        alg: Alg,
        when: (UnixTime, UnixTime),
        due_only: bool,
    ) -> Result<Option<String>, RotationError> {
        let (now, activates_at) = when;
        let new = self.forge(tenant, alg, (now, activates_at)).await?;
        let active_before = if due_only { self.due_before(now) } else { UnixTime::MAX };
        let done = self.store.succeed_key(tenant, &new, Succession { active_before, overlap: OVERLAP }, now).await?;
        Ok(done.then_some(new.kid))
    }

    /// Announces a successor for every key whose time has come; answers how many.
    ///
    /// # Errors
    /// The database or the library failed.
    pub async fn rotate_due(&self, now: UnixTime) -> Result<usize, RotationError> {
        let mut rotated = 0;
        for (tenant, alg) in self.store.keys_due(self.due_before(now)).await? {
            let activates_at = now + self.schedule.announce;
            if let Some(kid) = self.rotate(tenant, alg, (now, activates_at), true).await? {
                tracing::info!(%tenant, %alg, kid, "a successor of the signing key is announced");
                rotated += 1;
            }
        }
        Ok(rotated)
    }

    // The successor takes over when the key has signed for `every`; it is announced earlier by `announce`.
    fn due_before(&self, now: UnixTime) -> UnixTime {
        now - (self.schedule.every - self.schedule.announce).max(0)
    }
}
