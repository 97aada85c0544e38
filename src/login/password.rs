//! Passwords (NIST SP 800-63B §3.1.1): Argon2id, guesses counted per account and address, and nothing that tells a user
//! who does not exist from a password that is wrong.

use crate::app::{App, Guesses, LoginKey};
use crate::error::OAuthError;
use crate::guessing::{self, Limit};
use crate::store::tenants::Tenant;
use crate::store::users::User;
use crate::types::name::UserName;
use crate::types::secret::{Secret, SecretHash};
use std::net::IpAddr;
use std::sync::Arc;

/// Seconds over which wrong passwords are counted.
pub const WINDOW: i64 = 300;

/// Wrong passwords for one account from one address.
const PER_ACCOUNT_AND_ADDRESS: Limit = Limit { window: WINDOW, attempts: 10 };

/// Wrong passwords for one account from everywhere, where nobody signed in to it lately. It ends by itself: nobody is
/// locked out for good.
const PER_ACCOUNT: Limit = Limit { window: WINDOW, attempts: 100 };

/// Wrong passwords from one address for all accounts: one password tried on many names.
const PER_ADDRESS: Limit = Limit { window: WINDOW, attempts: 200 };

/// Stands in for the hash of a user who does not exist: checking it takes as long as checking a real one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$+dsWZmu9OKGn9JchebVHXw$88fRAksONaCVJ/71jUlLdBhcOiJdY0AjCQaPH9vuFuQ";

/// A person whose password was right.
#[derive(Debug)]
pub struct Proven {
    /// The person.
    pub user: User,
    /// The stored password that it was compared with.
    pub password: SecretHash,
}

/// What became of a login.
#[derive(Debug)]
pub enum Outcome {
    /// It is this person.
    SignedIn(Box<Proven>),
    /// Name or password is wrong; which of them is not said.
    Wrong,
    /// The password is right, and the person may not sign in.
    Disabled,
    /// Too many wrong ones; nothing was looked at.
    Throttled,
}

/// Checks a name and a password.
///
/// # Errors
/// The database does not answer, or too many checks wait already.
pub async fn check(
    app: &App,
    tenant: &Tenant,
    credentials: (&str, &Secret),
    address: IpAddr,
) -> Result<Outcome, OAuthError> {
    let (name, password) = credentials;
    let name = name.trim();
    let key: String = name.to_lowercase().chars().take(120).collect();
    let now = app.clock.now();
    let counts = counts(app, tenant, &key, address);
    let turn = counts[0].0.turn.lock().await;
    if !counts.iter().all(|(guesses, limit)| limit.allows(guesses, now)) {
        drop(turn);
        guessing::hold_back(app).await;
        metrics::counter!("grantor_logins_total", "outcome" => "throttled").increment(1);
        return Ok(Outcome::Throttled);
    }
    // A name that cannot be one is looked up as little as one that is not there, and takes the same time.
    let checked = find_and_verify(app, tenant, (name.parse().ok(), password)).await;
    if matches!(checked, Ok(None)) {
        counts.iter().for_each(|(guesses, limit)| limit.count(guesses, now));
    }
    let Some(proven) = checked? else {
        metrics::counter!("grantor_logins_total", "outcome" => "wrong").increment(1);
        tracing::info!(tenant = %tenant.name, %address, "a login failed: name or password is wrong");
        return Ok(Outcome::Wrong);
    };
    if !proven.user.enabled {
        tracing::info!(tenant = %tenant.name, user = %proven.user.id, "a login failed: the user is disabled");
        return Ok(Outcome::Disabled);
    }
    app.logins.known.insert((tenant.id, key, address), ());
    Ok(Outcome::SignedIn(Box::new(proven)))
}

async fn find_and_verify(
    app: &App,
    tenant: &Tenant,
    credentials: (Option<UserName>, &Secret),
) -> Result<Option<Proven>, OAuthError> {
    let (name, password) = credentials;
    let found = match &name {
        Some(name) => app.store.find_credentials(tenant.id, name).await?,
        None => None,
    };
    let found = found.and_then(|(user, hash)| hash.map(|password| Proven { user, password }));
    let hash = found.as_ref().map_or_else(|| SecretHash::Argon2id(NOBODY.to_owned()), |found| found.password.clone());
    let right = guessing::verify_in_turn(app, vec![hash], vec![password.clone()]).await?.is_some();
    Ok(found.filter(|_| right))
}

/// What a wrong password counts against; the first is what one attempt waits for another at.
fn counts(app: &App, tenant: &Tenant, name: &str, address: IpAddr) -> Vec<(Arc<Guesses>, Limit)> {
    let known = app.logins.known.contains_key(&(tenant.id, name.to_owned(), address));
    let both = (LoginKey::Both(tenant.id, name.to_owned(), address), PER_ACCOUNT_AND_ADDRESS);
    let account = (!known).then(|| (LoginKey::Account(tenant.id, name.to_owned()), PER_ACCOUNT));
    let every = [both, (LoginKey::Address(address), PER_ADDRESS)].into_iter().chain(account);
    every.map(|(key, limit)| (app.logins.failures.get_with(key, Arc::default), limit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // With another cost, or if it could not be parsed at all, time would tell who exists.
    #[test]
    fn the_hash_of_nobody_costs_what_a_real_one_costs() {
        let random = crate::types::random::Random::system();
        let real = SecretHash::argon2id(&Secret::from("a password".to_owned()), &random).to_stored();
        let cost = |phc: &str| phc.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(NOBODY), cost(&real));
        assert_eq!(NOBODY.len(), real.len());
        let nobody = SecretHash::from_stored(NOBODY).unwrap();
        assert!(nobody.verify(&Secret::from("known to the tests alone".to_owned())));
        assert!(!nobody.verify(&Secret::from("a password".to_owned())));
    }
}
