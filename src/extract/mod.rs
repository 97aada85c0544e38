//! From HTTP to our own values. Extractors know the application, not the routes.

pub mod bearer;
pub mod browser;
pub mod form;
pub mod json;
pub mod peer;
pub mod tenant;
