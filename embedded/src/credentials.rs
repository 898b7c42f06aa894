//! The owner's password: made once per data directory, kept in a file only its owner can read.
//!
//! Promises: 192 random bits; the file is complete or absent, never half written; the password is compared in
//! constant time and shown by no `Debug`. Leaves who may do what to the HTTP front.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::TryRngCore;

/// The user who may run any statement.
pub const OWNER: &str = "ledgerline";

/// The file in the data directory that holds the owner's password.
pub const PASSWORD_FILE: &str = "clickhouse-owner-password";

/// The owner's password.
#[derive(Clone)]
pub struct Credentials {
    password: String,
    digest: blake3::Hash,
}

/// The password file cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the owner's password at {}", path.display())]
pub struct CredentialsError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Credentials {
    /// The password of `data_dir`; made with the directory's first use.
    ///
    /// # Errors
    /// [`CredentialsError`] when the file cannot be read or written, or is empty.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, CredentialsError> {
        let path = data_dir.join(PASSWORD_FILE);
        let failed = |action| {
            let path = path.clone();
            move |source| CredentialsError { action, path, source }
        };
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(Self::from_password(text.trim())),
            Ok(_) => {
                return Err(failed("use")(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("read")(error)),
            Err(_) => {}
        }
        let credentials = Self::from_password(&random_password().map_err(failed("make"))?);
        fs::create_dir_all(data_dir).map_err(failed("make"))?;
        write_private(data_dir, &path, &credentials.password).map_err(failed("write"))?;
        Ok(credentials)
    }

    /// Credentials with a password that is already known.
    pub fn from_password(password: &str) -> Self {
        Self { password: password.to_owned(), digest: blake3::hash(password.as_bytes()) }
    }

    /// The password, for clients of the owner.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Whether `password` is the owner's, in a time that says nothing about either.
    pub(crate) fn matches(&self, password: &str) -> bool {
        // Comparing two hashes of this type takes the same time whatever they are.
        blake3::hash(password.as_bytes()) == self.digest
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

fn random_password() -> io::Result<String> {
    let mut bytes = [0_u8; 24];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Written beside and linked into place, so that a crash leaves no half password and a second process that is as
/// fast cannot replace the first one's.
fn write_private(data_dir: &Path, path: &Path, password: &str) -> io::Result<()> {
    let draft = data_dir.join(format!("{PASSWORD_FILE}.{}", std::process::id()));
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(password.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_survives_a_restart_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Credentials::load_or_create(dir.path()).unwrap();
        let second = Credentials::load_or_create(dir.path()).unwrap();
        assert_eq!(first.password(), second.password());
        assert!(first.password().len() >= 32);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(PASSWORD_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn two_directories_have_different_passwords() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = Credentials::load_or_create(a.path()).unwrap();
        assert_ne!(a.password(), Credentials::load_or_create(b.path()).unwrap().password());
    }

    #[test]
    fn an_empty_password_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PASSWORD_FILE), "\n").unwrap();
        assert!(Credentials::load_or_create(dir.path()).is_err());
    }

    #[test]
    fn only_the_password_matches_and_debug_hides_it() {
        let credentials = Credentials::from_password("secret");
        assert!(credentials.matches("secret"));
        assert!(!credentials.matches("secre") && !credentials.matches(""));
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
