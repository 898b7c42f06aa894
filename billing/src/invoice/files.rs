//! The files of an export: which there are, what they are called, and how they get into a directory.
//!
//! Names are safe on every file system, whatever a tenant is called, and no two tenants share one.

use std::path::{Path, PathBuf};

use domain::time::BillingPeriod;

use super::issue::Invoice;
use super::{csv, focus, html, json};
use crate::plans::PlanFile;

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One CSV a tenant, and a summary.
    Csv,
    /// One JSON document a tenant, and a summary.
    Json,
    /// One table of all lines in the columns of FOCUS 1.2.
    Focus,
    /// One page a tenant, to be sent and printed.
    Html,
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Its name, safe on every file system.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written; choose another --out or make room", path.display())]
pub struct ExportError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The files of a month's invoices. `terms` says whose names stand on them.
pub fn files(
    format: Format,
    period: BillingPeriod,
    invoices: &[Invoice],
    terms: &PlanFile,
) -> Vec<ExportFile> {
    let file = |name: String, bytes| ExportFile { name, bytes };
    let each = |ending: &str, write: &dyn Fn(&Invoice) -> Vec<u8>| -> Vec<ExportFile> {
        let named = |invoice: &Invoice| {
            let name = format!("invoice-{period}-{}.{ending}", file_name_part(&invoice.draft.tenant));
            file(name, write(invoice))
        };
        invoices.iter().map(named).collect()
    };
    let mut files = match format {
        Format::Csv => each("csv", &csv::invoice),
        Format::Json => each("json", &json::invoice),
        Format::Html => each("html", &|invoice| html::invoice(invoice, terms)),
        Format::Focus => Vec::new(),
    };
    match format {
        Format::Csv => files.push(file(format!("summary-{period}.csv"), csv::summary(invoices))),
        Format::Json => files.push(file(format!("summary-{period}.json"), json::summary(period, invoices))),
        Format::Html => {}
        Format::Focus => files.push(file(format!("focus-{period}.csv"), focus::table_of(invoices, terms))),
    }
    files
}

/// Writes files into a directory, which is made if it is missing, and tells of each. Returns their paths.
pub fn write(
    dir: &Path,
    files: &[ExportFile],
    mut written: impl FnMut(),
) -> Result<Vec<PathBuf>, ExportError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ExportError { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    files
        .iter()
        .map(|file| {
            let path = dir.join(&file.name);
            std::fs::write(&path, &file.bytes).map_err(failed(&path))?;
            written();
            Ok(path)
        })
        .collect()
}

/// A tenant as part of a file's name: what is not a letter, a digit, `-`, `_` or `.` is percent-encoded, and so is a
/// leading `.` or `_`; what is left of a long name ends in a hash of all of it. No two tenants share a name.
fn file_name_part(tenant: &str) -> String {
    const LENGTH_MAX: usize = 100;
    if tenant.is_empty() {
        return "_unattributed".into();
    }
    let mut name = String::new();
    for (at, byte) in tenant.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // Capitals are kept apart, for file systems that do not.
        if plain || (at > 0 && matches!(byte, b'.' | b'_')) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.len() > LENGTH_MAX {
        let hash = domain::identity::IdHasher::new("file name").part(tenant.as_bytes()).finish();
        name.truncate(LENGTH_MAX);
        name.push('~');
        hash.iter().take(8).for_each(|byte| name.push_str(&format!("{byte:02x}")));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_differ() {
        for (tenant, name) in [
            ("acme", "acme"),
            ("Acme", "%41cme"),
            ("../../x", "%2E.%2F..%2Fx"),
            ("a,b\"c", "a%2Cb%22c"),
            ("", "_unattributed"),
            ("_unattributed", "%5Funattributed"),
        ] {
            assert_eq!(file_name_part(tenant), name);
        }
        let long = |end: &str| file_name_part(&format!("{}{end}", "x".repeat(10_000)));
        assert!(long("a").len() < 130 && long("a") != long("b"));
    }
}
