//! HTML, one file per page.

pub mod home;
