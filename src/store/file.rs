//! Which file a SQLite database is.

use super::StoreError;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A database file as it was opened. SQLite goes on writing into a file that has another name by now, or none: what is
/// acknowledged then is lost with the process.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: Identity,
}

impl DatabaseFile {
    /// The file that is there now.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(&std::fs::metadata(path)?) })
    }

    /// # Errors
    /// Its name leads to no file or to another one.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if std::fs::metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was moved, removed or replaced while it was in use: put it back, or start again over what is there",
            self.path.display()
        )))
    }
}

/// File system and inode.
type Identity = (u64, u64);

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use crate::store::{DatabaseUrl, Store, StoreError};

    #[tokio::test]
    async fn nothing_is_acknowledged_into_a_file_that_is_not_there_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("grantor.db"), folder.path().join("moved.db"));
        let store = Store::open(&DatabaseUrl::Sqlite(path.clone())).await.unwrap();
        let works = async || {
            let (asked, written) = (store.ping().await, store.purge_changes(0).await);
            for error in [asked.as_ref().err(), written.as_ref().err()].into_iter().flatten() {
                assert!(matches!(error, StoreError::Unavailable(text) if text.contains("put it back")), "{error}");
            }
            (asked.is_ok(), written.is_ok())
        };
        assert_eq!(works().await, (true, true));
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(works().await, (false, false), "moved");
        std::fs::write(&path, "").unwrap();
        assert_eq!(works().await, (false, false), "replaced");
        std::fs::rename(&moved, &path).unwrap();
        assert_eq!(works().await, (true, true), "put back");
    }
}
