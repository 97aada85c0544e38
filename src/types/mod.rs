//! Leaves: values that are valid by construction. Nothing here imports anything else of ours.

pub mod alg;
pub mod authorized;
pub mod claim;
pub mod clock;
pub mod duration;
pub mod email;
pub mod form;
pub mod id;
pub mod name;
pub mod network;
pub mod pkce;
pub mod policy;
pub mod random;
pub mod redaction;
pub mod refresh_token;
pub mod scope;
pub mod secret;
pub mod status;
pub mod template;
pub mod uri;
pub mod user_code;

/// A value from outside that is not what it claims to be. The text is for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {shown} is not usable: {why}")]
pub struct Invalid {
    what: &'static str,
    shown: String,
    why: &'static str,
}

impl Invalid {
    /// `what` is the noun ("scope"), `value` what was given (shown shortened), `why` the rule it breaks.
    pub fn new(what: &'static str, value: &str, why: &'static str) -> Self {
        let seen = value.chars().filter(|c| !c.is_control() && !name::is_unseen(*c));
        let mut shown: String = seen.take(80).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { what, shown: format!("'{shown}'"), why }
    }
}

/// An enumeration whose members have one written form, used in the database, the command line and JSON alike.
macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every written form, in the order of declaration.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The written form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::types::Invalid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::types::Invalid::new($what, text, concat!("the values are", $(" ", $word),+))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use word_enum;
