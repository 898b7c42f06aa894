//! Finding the engine's shared library on this machine.
//!
//! Promises: looks in a fixed, documented order and never guesses; when nothing is found, the error lists every
//! place it looked. Leaves fetching the library to the installer and loading it to the engine.

use std::env;
use std::path::{Path, PathBuf};

/// The engine release this crate was written for and tested with; also the name of its folder in the cache.
pub const ENGINE_VERSION: &str = "26.7.3-stable.1";

/// The environment variable that names the library file.
pub const LIBRARY_VARIABLE: &str = "LEDGERLINE_ENGINE_LIBRARY";

const FILE_NAME: &str = if cfg!(target_os = "macos") { "libchdb.dylib" } else { "libchdb.so" };

/// A library file that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    path: PathBuf,
}

/// No engine library where it may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the embedded ClickHouse engine is not installed; looked at {}; run ./run once to fetch it, set {LIBRARY_VARIABLE} \
     to the library file, or use a ClickHouse server with --clickhouse-url",
    list(looked_at)
)]
pub struct LibraryNotFound {
    /// Every file that was tried, in order.
    pub looked_at: Vec<PathBuf>,
}

impl Library {
    /// Finds the library: the explicit path if one is given, else the environment variable
    /// `LEDGERLINE_ENGINE_LIBRARY`, else the user's cache folder, else the folder of the running program. A path
    /// that was named explicitly is the only one tried.
    ///
    /// # Errors
    /// [`LibraryNotFound`] with every path that was tried.
    pub fn locate(explicit: Option<&Path>) -> Result<Self, LibraryNotFound> {
        let named =
            explicit.map(Path::to_path_buf).or_else(|| non_empty(LIBRARY_VARIABLE).map(PathBuf::from));
        let candidates = match named {
            Some(path) => vec![path],
            None => [cached(), beside_program()].into_iter().flatten().collect(),
        };
        match candidates.iter().find(|path| path.is_file()) {
            Some(path) => Ok(Self { path: path.clone() }),
            None => Err(LibraryNotFound { looked_at: candidates }),
        }
    }

    /// The library file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn cached() -> Option<PathBuf> {
    let cache = match non_empty("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(non_empty("HOME")?).join(".cache"),
    };
    Some(cache.join("ledgerline").join("engine").join(ENGINE_VERSION).join(FILE_NAME))
}

fn beside_program() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.join(FILE_NAME))
}

fn non_empty(variable: &str) -> Option<std::ffi::OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_library_that_is_missing_is_not_replaced_by_another() {
        let missing = Path::new("/nowhere/libchdb.so");
        let error = Library::locate(Some(missing)).unwrap_err();
        assert_eq!(error.looked_at, [missing]);
        let text = error.to_string();
        assert!(text.contains("/nowhere/libchdb.so") && text.contains("--clickhouse-url"), "{text}");
    }

    #[test]
    fn a_named_library_that_exists_is_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Library::locate(Some(file.path())).unwrap().path(), file.path());
    }
}
