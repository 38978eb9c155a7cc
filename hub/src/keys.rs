//! The secret of a data folder, and the pseudonyms made with it.
//!
//! Lanes, and the terms by which people search, are HMACs of identifiers, never the identifiers (H10).
//! The secret is made once, at the first start, in `<data>/hub.key`, readable by its owner only.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::mapping::HmacKey;
use crate::store::Lane;

/// Bytes of the secret.
const SECRET_BYTES: usize = 32;

/// Makes pseudonyms.
#[derive(Clone)]
pub struct Keys {
    hmac: Hmac<Sha256>,
    secret: [u8; SECRET_BYTES],
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("HUB0211 the key file cannot be used: {0}")]
    File(#[from] std::io::Error),
    /// The machine gives no randomness.
    #[error("HUB0212 no randomness for a new key: {0}")]
    Randomness(getrandom::Error),
    /// The file holds something else.
    #[error("HUB0213 the key file does not hold 32 bytes")]
    Damaged,
}

impl Keys {
    /// Reads the secret of `folder`, or makes it.
    pub fn of_folder(folder: &Path) -> Result<Keys, KeyError> {
        let path = folder.join("hub.key");
        let mut secret = [0; SECRET_BYTES];
        if let Ok(mut file) = std::fs::File::open(&path) {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            return bytes.try_into().map(Keys::from_secret).map_err(|_| KeyError::Damaged);
        }
        getrandom::fill(&mut secret).map_err(KeyError::Randomness)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        std::fs::File::open(folder)?.sync_all()?;
        Ok(Keys::from_secret(secret))
    }

    /// Pseudonyms from a given secret.
    pub fn from_secret(secret: [u8; SECRET_BYTES]) -> Keys {
        // HMAC fills a short key up with zeros to its block (RFC 2104 section 2).
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(secret) {
            *to = from;
        }
        Keys { hmac: Hmac::new(&block.into()), secret }
    }

    /// The lane of a key: messages of one source and one key keep their order.
    pub fn lane(&self, source: &str, key: &str) -> Lane {
        self.pseudonym("lane", source, key)
    }

    /// The term by which a message is found, for one kind of identifier.
    pub fn term(&self, kind: &'static str, value: &str) -> Lane {
        self.pseudonym("term", kind, value)
    }

    /// The key for mappings' own pseudonyms.
    pub fn for_mappings(&self) -> HmacKey {
        HmacKey::new(&self.pseudonym("mappings", "", ""))
    }

    /// The key that scrambles the numbers of a day.
    pub fn for_numbers(&self) -> [u8; SECRET_BYTES] {
        self.secret
    }

    fn pseudonym(&self, purpose: &str, kind: &str, value: &str) -> Lane {
        let mut hmac = self.hmac.clone();
        for part in [purpose, kind, value] {
            hmac.update(part.as_bytes());
            hmac.update(&[0]);
        }
        let whole: [u8; 32] = hmac.finalize().into_bytes().into();
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(whole) {
            *to = from;
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_secret_and_two_folders_differ() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let lane = Keys::of_folder(first.path()).unwrap().lane("his", "28001010100013");
        assert_eq!(Keys::of_folder(first.path()).unwrap().lane("his", "28001010100013"), lane);
        assert_ne!(Keys::of_folder(second.path()).unwrap().lane("his", "28001010100013"), lane);
    }

    #[test]
    fn parts_of_a_pseudonym_cannot_slide_into_each_other() {
        let keys = Keys::from_secret([7; 32]);
        assert_ne!(keys.lane("ab", "c"), keys.lane("a", "bc"));
        assert_ne!(keys.lane("patient", "1"), keys.term("patient", "1"));
    }

    #[test]
    fn a_damaged_key_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hub.key"), b"short").unwrap();
        assert!(matches!(Keys::of_folder(folder.path()), Err(KeyError::Damaged)));
        assert_eq!(std::fs::read(folder.path().join("hub.key")).unwrap(), b"short");
    }
}
