//! The outside wall: routes, layers, listening.

mod body;
pub mod bounds;
mod cors;
pub mod descriptors;
pub mod front;
pub mod guard;
pub mod layers;
pub mod listen;
mod places;
mod recognition;
pub mod router;
pub mod stop;
pub mod tls;
