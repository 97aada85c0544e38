//! Private keys at rest: sealed with AES-256-GCM under a key-encryption key that is not in the database, so that a
//! stolen database signs nothing.

use super::KeyError;
use crate::types::random::Random;
use crate::types::secret::sha256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::io::Write;
use std::path::Path;

/// The file in the keys folder that holds the key-encryption key.
pub const KEK_FILE: &str = "kek";

const VERSION: u8 = 1;
const ID_LENGTH: usize = 4;
const HEAD: usize = 1 + ID_LENGTH + NONCE_LEN;

/// The key-encryption key.
pub struct Kek {
    key: LessSafeKey,
    // Tells "sealed under another key" from "damaged"; says nothing about the key itself.
    id: [u8; ID_LENGTH],
}

impl Kek {
    /// From 32 bytes in base64, as the file and the environment hold them.
    ///
    /// # Errors
    /// Not base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::KekUnreadable)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::KekUnreadable)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::KekUnreadable)?;
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&sha256(&[b"grantor kek id", bytes.as_slice()].concat())[..ID_LENGTH]);
        Ok(Self { key: LessSafeKey::new(key), id })
    }

    /// Reads `folder/kek`; `None` when there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or others than its owner may read it.
    pub fn load(folder: &Path) -> Result<Option<Self>, KeyError> {
        let path = folder.join(KEK_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                check_private(&path)?;
                Self::from_base64(&text).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyError::File(path, error.to_string())),
        }
    }

    /// Makes a new one in `folder/kek`, readable by its owner alone. Does not replace one that is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(folder: &Path, random: &Random) -> Result<Self, KeyError> {
        let path = folder.join(KEK_FILE);
        let failed = |error: std::io::Error| KeyError::File(path.clone(), error.to_string());
        std::fs::create_dir_all(folder).map_err(failed)?;
        let text = STANDARD.encode(random.bytes::<32>());
        // Written beside it and linked into place: nobody ever reads half a key, and of two that start at once the
        // second finds the first one's.
        let draft = folder.join(format!(".{KEK_FILE}-{}", random.uuid_v4()));
        let written = write_private(&draft, text.as_bytes()).and_then(|()| std::fs::hard_link(&draft, &path));
        let _ = std::fs::remove_file(&draft);
        match written {
            Ok(()) => Self::from_base64(&text),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Self::load(folder)?.ok_or(KeyError::KekMissing)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Seals `private`, bound to `label` (whose key it is): a sealed key moved to another row does not open there.
    pub fn seal(&self, label: &str, private: &[u8], random: &Random) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut body = private.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(label.as_bytes()), &mut body)
            .expect("a key of a few kilobytes is within AES-GCM's limit");
        [&[VERSION], self.id.as_slice(), &nonce, &body].concat()
    }

    /// Opens what [`Kek::seal`] made with the same label.
    ///
    /// # Errors
    /// Sealed under another key, damaged, or labelled differently.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        if sealed.len() < HEAD || sealed[0] != VERSION {
            return Err(KeyError::Damaged);
        }
        if sealed[1..=ID_LENGTH] != self.id {
            return Err(KeyError::OtherKek);
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[1 + ID_LENGTH..HEAD]).map_err(|_| KeyError::Damaged)?;
        let mut body = sealed[HEAD..].to_vec();
        let length =
            self.key.open_in_place(nonce, Aad::from(label.as_bytes()), &mut body).map_err(|_| KeyError::Damaged)?.len();
        body.truncate(length);
        Ok(body)
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kek")
    }
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// The file exists or cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let mode =
        std::fs::metadata(path).map_err(|error| KeyError::File(path.into(), error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyError::KekOpen(path.into()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_only_under_its_own_key_and_label_and_unchanged() {
        let random = Random::system();
        let kek = Kek::from_base64(&STANDARD.encode([7; 32])).unwrap();
        let sealed = kek.seal("tenant kid", b"private", &random);
        assert_eq!(kek.open("tenant kid", &sealed).unwrap(), b"private");
        assert!(matches!(kek.open("other kid", &sealed), Err(KeyError::Damaged)));
        let mut damaged = sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(matches!(kek.open("tenant kid", &damaged), Err(KeyError::Damaged)));
        let other = Kek::from_base64(&STANDARD.encode([8; 32])).unwrap();
        assert!(matches!(other.open("tenant kid", &sealed), Err(KeyError::OtherKek)));
    }
}
