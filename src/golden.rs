//! Golden files: what a person or a program reads, kept in the repository and compared to the byte.
#![cfg(test)]

use std::fs;
use std::path::Path;

/// Compares with a file of the repository. `UPDATE_GOLDEN=1` writes it instead.
pub fn check(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == actual,
        "{path} differs; UPDATE_GOLDEN=1 writes it anew. It should now be:\n{actual}"
    );
}
