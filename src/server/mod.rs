//! The outside wall: routes, layers, listening.

mod cors;
pub mod front;
pub mod guard;
pub mod layers;
pub mod listen;
pub mod router;
pub mod tls;
