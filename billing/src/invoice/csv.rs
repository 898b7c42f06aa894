//! Invoices as CSV: RFC 4180, UTF-8, `\n`, a header row, sorted; the same invoices give the same bytes.

use std::path::{Path, PathBuf};

use domain::time::BillingPeriod;

use super::draft::{Draft, Line};

const INVOICE_HEADER: [&str; 16] = [
    "invoice_number",
    "tenant",
    "period_start",
    "period_end",
    "line",
    "kind",
    "feature",
    "provider",
    "model",
    "unit",
    "quantity",
    "unit_price",
    "amount",
    "currency",
    "calls",
    "description",
];
const SUMMARY_HEADER: [&str; 5] = ["tenant", "invoice_number", "calls", "amount", "currency"];

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFile {
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

/// The files of a month: one a tenant and a summary. Each invoice comes with its number, empty for a draft.
pub fn files<'d>(
    period: BillingPeriod,
    invoices: impl IntoIterator<Item = (&'d str, &'d Draft)>,
) -> Vec<CsvFile> {
    let mut files = Vec::new();
    let mut summary = vec![SUMMARY_HEADER.map(str::to_string).to_vec()];
    for (number, draft) in invoices {
        let mut rows = vec![INVOICE_HEADER.map(str::to_string).to_vec()];
        rows.extend(draft.lines.iter().enumerate().map(|(at, line)| line_cells(number, draft, at + 1, line)));
        let name = format!("invoice-{period}-{}.csv", file_name_part(&draft.tenant));
        files.push(CsvFile { name, bytes: encode(&rows) });
        summary.push(vec![
            inert(&draft.tenant),
            inert(number),
            draft.calls.to_string(),
            draft.amount.to_string(),
            draft.currency.clone(),
        ]);
    }
    files.push(CsvFile { name: format!("summary-{period}.csv"), bytes: encode(&summary) });
    files
}

/// Writes files into a directory, which is made if it is missing. Returns their paths.
pub fn write(dir: &Path, files: &[CsvFile]) -> Result<Vec<PathBuf>, ExportError> {
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
            Ok(path)
        })
        .collect()
}

fn line_cells(number: &str, draft: &Draft, at: usize, line: &Line) -> Vec<String> {
    vec![
        inert(number),
        inert(&draft.tenant),
        draft.period.first_day().to_string(),
        draft.period.next().first_day().to_string(),
        at.to_string(),
        line.kind.clone(),
        inert(&line.feature),
        inert(&line.provider),
        inert(&line.model),
        line.unit.clone(),
        line.quantity.to_string(),
        line.unit_price.normalize().to_string(),
        line.amount.to_string(),
        draft.currency.clone(),
        line.calls.to_string(),
        inert(&line.description),
    ]
}

/// A text that no spreadsheet runs: one that starts like a formula gets an apostrophe before it, as spreadsheets
/// themselves write text.
fn inert(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text.to_string() }
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

fn encode(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("writing to memory, rows of equal length");
    }
    writer.into_inner().expect("flushing to memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Cost;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_made_inert() {
        for (text, cell) in [("=cmd()", "'=cmd()"), ("+1", "'+1"), ("@x", "'@x"), ("a=b", "a=b"), ("", "")] {
            assert_eq!(inert(text), cell);
        }
    }

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

    #[test]
    fn files_say_everything_once_and_end_lines_with_lf() {
        let period = BillingPeriod::parse("2026-10").unwrap();
        let draft = Draft {
            tenant: "a,b".into(),
            period,
            currency: "USD".into(),
            lines: vec![Line {
                kind: "usage".into(),
                feature: "=f".into(),
                provider: "openai".into(),
                model: "gpt-4o".into(),
                unit: "input_tokens".into(),
                quantity: 1000,
                unit_price: "0.0000025".parse().unwrap(),
                amount: Cost::parse("0.0025").unwrap(),
                calls: 2,
                description: String::new(),
            }],
            amount: Cost::parse("0.0025").unwrap(),
            calls: 2,
        };
        let files = files(period, [("2026-10-0001", &draft)]);
        assert_eq!(
            String::from_utf8(files[0].bytes.clone()).unwrap(),
            "invoice_number,tenant,period_start,period_end,line,kind,feature,provider,model,unit,quantity,unit_price,amount,currency,calls,description\n\
             2026-10-0001,\"a,b\",2026-10-01,2026-11-01,1,usage,'=f,openai,gpt-4o,input_tokens,1000,0.0000025,0.002500000000,USD,2,\n"
        );
        assert_eq!(
            String::from_utf8(files[1].bytes.clone()).unwrap(),
            "tenant,invoice_number,calls,amount,currency\n\"a,b\",2026-10-0001,2,0.002500000000,USD\n"
        );
    }
}
