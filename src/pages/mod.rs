//! HTML, one file per page. The look is in `templates/`, the words are in [`texts`].

pub mod account;
pub mod consent;
pub mod device;
pub mod error;
pub mod form_post;
pub mod group;
pub mod home;
pub mod layout;
pub mod login;
pub mod logout;
pub mod select;
pub mod texts;
pub mod user_agent;
pub mod visit;
