//! What `grantor client create` and `update` decide about a client that acts for people, and how `show` tells it.

use super::output::{list, yes};
use crate::store::client_settings::SettingChanges;
use crate::store::clients::{Client, ClientParts};
use crate::types::duration::Seconds;
use crate::types::policy::RefreshPolicy;
use crate::types::uri::{Origin, RedirectUri};
use clap::Args;
use serde_json::{Value, json};

#[derive(Args)]
#[command(next_help_heading = "Clients that act for people")]
pub struct Settings {
    /// It is ours: people are not asked for consent; with =false, they are [default: false]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    first_party: Option<bool>,
    /// Demand PKCE; a public client needs it always [default: true]
    #[arg(long, value_name = "BOOL")]
    require_pkce: Option<bool>,
    /// When it gets refresh tokens: offline-access (when that scope was granted) or always [default: offline-access]
    #[arg(long, value_name = "WHEN")]
    refresh: Option<RefreshPolicy>,
    /// Each use of a refresh token gives a new one; false is for confidential clients such as Kafka's Strimzi, which
    /// keep the first one [default: true]
    #[arg(long, value_name = "BOOL")]
    refresh_rotation: Option<bool>,
    /// A refresh token that is unused for this long ends [default: 14d]
    #[arg(long, value_name = "DURATION")]
    refresh_idle: Option<Seconds>,
    /// An authorization ends after this time, however much it is used [default: 90d]
    #[arg(long, value_name = "DURATION")]
    refresh_lifetime: Option<Seconds>,
    /// Where a browser may be sent after signing out; can be repeated
    #[arg(long = "logout-uri", value_name = "URI")]
    logout_uris: Vec<RedirectUri>,
    /// Let web pages of this origin call the server from the browser (CORS); can be repeated
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    origins: Vec<Origin>,
}

impl Settings {
    /// Adds what the flags say to what is to be written.
    pub fn add_to(self, parts: &mut ClientParts) {
        parts.add_logout_uris = self.logout_uris;
        parts.add_origins = self.origins;
        parts.settings = SettingChanges {
            first_party: self.first_party,
            require_pkce: self.require_pkce,
            refresh_policy: self.refresh,
            refresh_rotation: self.refresh_rotation,
            refresh_idle: self.refresh_idle,
            refresh_lifetime: self.refresh_lifetime,
        };
    }
}

/// The lines of `grantor client show` about it.
pub fn lines(client: &Client) -> [(&'static str, String); 5] {
    let settings = &client.settings;
    let when = match settings.refresh_policy {
        RefreshPolicy::OfflineAccess => "with offline_access",
        RefreshPolicy::Always => "always",
    };
    let rotated = if settings.refresh_rotation { "rotated" } else { "not rotated" };
    let (idle, lifetime) = (Seconds::stored(settings.refresh_idle), Seconds::stored(settings.refresh_lifetime));
    [
        ("First party", yes(settings.first_party)),
        ("PKCE", if settings.require_pkce { "required" } else { "not required" }.to_owned()),
        ("Refresh tokens", format!("{when}, {rotated}, unused for at most {idle}, for {lifetime} in all")),
        ("Logout URIs", list(&client.logout_uris)),
        ("CORS origins", list(&client.origins)),
    ]
}

/// The same for programs, as members of `client`'s JSON object.
pub fn add_json(client: &Client, value: &mut Value) {
    let settings = json!(client.settings);
    for (name, setting) in settings.as_object().into_iter().flatten() {
        value[name] = setting.clone();
    }
    value["logout_uris"] = json!(client.logout_uris);
    value["cors_origins"] = json!(client.origins);
}
