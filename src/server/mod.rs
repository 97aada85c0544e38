//! The outside wall: routes, layers, listening.

pub mod layers;
pub mod listen;
pub mod router;
pub mod tls;
