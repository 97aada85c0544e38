//! Identifiers of rows. Each is a UUID of its own type, so that a group cannot be passed for a client.

use uuid::Uuid;

macro_rules! row_id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
        pub struct $name(Uuid);

        impl $name {
            /// The bare UUID, for the database and the wire.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

row_id! {
    /// A tenant; the `tid` claim.
    TenantId,
    /// A protected resource.
    ResourceId,
    /// A client's directory object; the `oid` claim of its own tokens. The OAuth client id is text and may be chosen.
    ClientOid,
    /// A user's directory object; the `oid` claim of the user's tokens.
    UserId,
    /// A group.
    GroupId,
    /// One of a client's secrets.
    SecretId,
    /// A published status list.
    StatusListId,
    /// A person's session in a browser; the `sid` claim.
    SessionId,
    /// One authorization: who let whom do what.
    GrantId,
}

/// The subject of a token as the directory knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberId {
    /// A client acting for itself.
    Client(ClientOid),
    /// A person.
    User(UserId),
}

impl MemberId {
    /// The bare UUID; client and user ids share one space.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Client(id) => id.uuid(),
            Self::User(id) => id.uuid(),
        }
    }
}
