//! What a resource or a client decides about its tokens.

use super::word_enum;

word_enum! {
    /// Which groups of the subject are stamped into the `groups` claim of a resource's tokens.
    GroupsPolicy, "groups policy" {
        /// No `groups` claim.
        None = "none",
        /// Only groups that hold a role on the resource or that it requires.
        Assigned = "assigned",
        /// Every group, direct or nested.
        All = "all",
    }
}

word_enum! {
    /// How a group is written in the `groups` claim.
    GroupFormat, "group format" {
        /// The group's UUID, as Microsoft Entra does.
        Id = "id",
        /// The group's name.
        Name = "name",
    }
}

word_enum! {
    /// The shape of a resource's access tokens.
    ClaimsProfile, "claims profile" {
        /// RFC 9068.
        Standard = "standard",
        /// Microsoft Entra's names (`appid`, `scp`, `ver` …) on top of the claims that RFC 9068 requires.
        Entra = "entra",
    }
}

word_enum! {
    /// What a resource's access tokens look like on the wire.
    TokenFormat, "token format" {
        /// A JWT that says everything itself (RFC 9068).
        Jwt = "jwt",
        /// Random characters; what they stand for is asked at the introspection endpoint (RFC 7662).
        Opaque = "opaque",
    }
}

word_enum! {
    /// When a client gets a refresh token.
    RefreshPolicy, "refresh policy" {
        /// When the scope `offline_access` was granted (OpenID Connect Core §11).
        OfflineAccess = "offline-access",
        /// With every authorization.
        Always = "always",
    }
}
