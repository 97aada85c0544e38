//! People and what an operator does to them, and to clients that act for them.

use super::{TestApp, TestClient};
use grantor::store::client_settings::SettingChanges;
use grantor::store::clients::{Client, ClientParts};
use grantor::store::groups::Group;
use grantor::store::members::Member;
use grantor::store::users::{User, UserUpdate};
use grantor::types::id::MemberId;
use grantor::types::secret::{Secret, SecretHash};

impl TestApp {
    /// A user as stored.
    pub async fn find_user(&self, username: &str) -> User {
        self.app.store.find_user(self.tenant_id().await, username).await.unwrap().unwrap()
    }

    /// Changes what a user is called and where to write to them.
    pub async fn update_user(&self, username: &str, display_name: Option<&str>, email: Option<&str>) {
        let update = UserUpdate {
            display_name: Some(display_name.map(|name| name.parse().unwrap())),
            email: Some(email.map(|email| email.parse().unwrap())),
        };
        let (tenant, user) = (self.tenant_id().await, self.find_user(username).await);
        self.app.store.update_user(tenant, &user, &update, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Enables or disables a user.
    pub async fn set_user_enabled(&self, username: &str, enabled: bool) {
        let (tenant, user) = (self.tenant_id().await, self.find_user(username).await);
        self.app.store.set_user_enabled(tenant, &user, enabled, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Deletes a user.
    pub async fn delete_user(&self, username: &str) {
        let (tenant, user) = (self.tenant_id().await, self.find_user(username).await);
        self.app.store.delete_user(tenant, &user, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Sets a new password.
    pub async fn set_password(&self, username: &str, password: &str) {
        let hash = SecretHash::argon2id(&Secret::password(password).unwrap(), &self.app.random);
        let (tenant, user) = (self.tenant_id().await, self.find_user(username).await);
        self.app.store.set_password(tenant, &user, &hash, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Puts a user into a group.
    pub async fn add_user(&self, group: &Group, username: &str) {
        let member = Member::Subject(MemberId::User(self.find_user(username).await.id));
        self.app.store.add_member(self.tenant_id().await, group, member, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Makes a user an owner of a group.
    pub async fn add_user_owner(&self, group: &Group, username: &str) {
        let owner = MemberId::User(self.find_user(username).await.id);
        self.app.store.add_owner(self.tenant_id().await, group, owner, self.clock.now()).await.unwrap();
        self.sync().await;
    }

    /// Decides something about a client anew.
    pub async fn set_client(&self, id: &str, settings: SettingChanges) -> Client {
        self.update_client(id, ClientParts { settings, ..ClientParts::default() }).await
    }

    /// Makes a client ours.
    pub async fn first_party(&self, id: &str) -> Client {
        self.set_client(id, SettingChanges { first_party: Some(true), ..SettingChanges::default() }).await
    }

    /// A further confidential client with a redirect URI.
    pub async fn web_client(&self, id: &str, allowed: &[&str], redirect_uri: &str) -> TestClient {
        let made = self.client(id, allowed).await;
        self.redirects(id, redirect_uri).await;
        self.set_grants(id, &["client_credentials", "authorization_code", "refresh_token"]).await;
        made
    }
}
