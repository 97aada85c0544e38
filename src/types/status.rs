//! Places in a Token Status List and the list as published (draft-ietf-oauth-status-list).

use super::clock::UnixTime;
use super::id::{StatusListId, TenantId};

/// Where one token's bit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusIndex {
    /// The list.
    pub list: StatusListId,
    /// The bit in it, from 0.
    pub index: u32,
}

/// A signed list, ready to be sent.
#[derive(Debug)]
pub struct PublishedList {
    /// Whose.
    pub tenant: TenantId,
    /// The JWT in compact form.
    pub jwt: String,
    /// The key that signed it.
    pub kid: String,
    /// SHA-256 of the uncompressed bits: tells whether a new read changed anything.
    pub digest: [u8; 32],
    /// When the bits were last compared with the database.
    pub checked_at: UnixTime,
    /// When it was signed.
    pub signed_at: UnixTime,
}
