// SPDX-License-Identifier: MPL-2.0

//! The applications of a service that has several.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};

/// An application and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// The SHA-256 of a secret. A secret is drawn at random, so its hash cannot be guessed back.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// Why a list of applications cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct AccountsError {
    file: PathBuf,
    reason: String,
}

impl Secret {
    /// Returns the hash of this secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads a hash in hexadecimal digits, as `sha256sum` prints it.
    fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// Returns `true` if this is the hash of `given`. The time does not show where they
    /// differ.
    pub(crate) fn is(&self, given: &str) -> bool {
        let other = Self::of(given);
        let pairs = self.0.iter().zip(other.0);
        pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }

    /// Returns the hash in hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The file: `[[account]]` for each application.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accounts {
    account: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    id: String,
    secret_sha256: Option<String>,
    secret_file: Option<PathBuf>,
}

impl Account {
    /// Reads a list of applications in TOML, with an `id` and either `secret-sha256` or
    /// `secret-file` for each. A file is sought from the folder of the list.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is something else or has no application, an id that is empty or
    /// there twice, and an application without a usable secret.
    pub fn read_all(file: &Path) -> Result<Vec<Self>, AccountsError> {
        let failed = |reason: String| AccountsError {
            file: file.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let read: Result<Accounts, _> = toml::from_str(&text);
        let read = read.map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            let before = text.bytes().take(place).filter(|byte| *byte == b'\n');
            failed(format!("line {}: {}", before.count() + 1, error.message()))
        })?;
        if read.account.is_empty() {
            let example = "[[account]] with an id and a secret-sha256";
            return Err(failed(format!("it has no application; write {example}")));
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut accounts: Vec<Self> = Vec::new();
        for entry in read.account {
            let account = entry.account(folder).map_err(failed)?;
            if accounts.iter().any(|known| known.id == account.id) {
                return Err(failed(format!("{:?} is there twice", account.id)));
            }
            accounts.push(account);
        }
        Ok(accounts)
    }
}

impl Entry {
    fn account(self, folder: &Path) -> Result<Account, String> {
        let id = self.id;
        if id.trim().is_empty() {
            return Err("the id of an application is empty".to_owned());
        }
        let secret = match (self.secret_sha256, self.secret_file) {
            (Some(hash), None) => Secret::from_hex(hash.trim()).ok_or_else(|| {
                format!("the secret-sha256 of {id:?} is not 64 hexadecimal digits, as sha256sum prints them")
            }),
            (None, Some(file)) => {
                let file = folder.join(file);
                let read = std::fs::read_to_string(&file);
                let text = read.map_err(|error| format!("{}: {error}", file.display()))?;
                // Editors end the last line.
                let text = text.trim_end_matches(['\n', '\r']);
                match text.trim().is_empty() {
                    true => Err(format!("{} is empty, so anybody could guess it", file.display())),
                    false => Ok(Secret::of(text)),
                }
            }
            _ => Err(format!(
                "{id:?} needs a secret-sha256 or a secret-file, and not both"
            )),
        }?;
        Ok(Account { id, secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Account>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("accounts.toml");
        std::fs::write(folder.path().join("secret"), "s-e-c\n").expect("room");
        std::fs::write(folder.path().join("empty"), "\n").expect("room");
        std::fs::write(&file, text).expect("room");
        Account::read_all(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_a_hash_or_in_a_file() {
        let hash = Secret::of("s-e-c").hex();
        let text = format!(
            "[[account]]\nid = \"a\"\nsecret-sha256 = \"{hash}\"\n\
             [[account]]\nid = \"b\"\nsecret-file = \"secret\"\n"
        );
        let accounts = read(&text).expect("two");
        assert_eq!(accounts.len(), 2);
        for account in &accounts {
            assert!(account.secret.is("s-e-c") && !account.secret.is("s-e-d"));
            assert!(!format!("{account:?}").contains(&hash));
        }
    }

    #[test]
    fn a_list_that_cannot_be_meant_is_refused() {
        let twice = "[[account]]\nid='a'\nsecret-file='secret'\n".repeat(2);
        for (text, says) in [
            ("", "missing field"),
            ("account = []", "no application"),
            ("[[account]]\nid='a'", "secret-sha256 or a secret-file"),
            ("[[account]]\nid=' '\nsecret-file='secret'", "is empty"),
            ("[[account]]\nid='a'\nsecret-file='empty'", "guess"),
            ("[[account]]\nid='a'\nsecret-file='none'", "none: "),
            ("[[account]]\nid='a'\nsecret-sha256='ab'", "64 hexadecimal"),
            ("[[account]]\nid='a'\nsecret='s'", "line 3: unknown field"),
            (&twice, "twice"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
