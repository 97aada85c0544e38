//! Who is at the browser: passwords and sessions.

pub mod password;
pub mod session;
