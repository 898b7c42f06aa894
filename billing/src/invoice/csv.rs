//! Invoices as CSV: RFC 4180, UTF-8, `\n`, a header row, sorted; the same invoices give the same bytes.

use super::issue::Invoice;
use super::line::Line;

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

/// The lines of one invoice.
pub(super) fn invoice(invoice: &Invoice) -> Vec<u8> {
    let cells = |(line, at): (&Line, usize)| line_cells(invoice, at, line);
    table(&INVOICE_HEADER, invoice.draft.lines.iter().zip(1..).map(cells))
}

/// What each invoice comes to.
pub(super) fn summary(invoices: &[Invoice]) -> Vec<u8> {
    let cells = |invoice: &Invoice| {
        let draft = &invoice.draft;
        vec![
            inert(&draft.tenant),
            inert(invoice.number()),
            draft.calls.to_string(),
            draft.amount.to_string(),
            draft.currency.clone(),
        ]
    };
    table(&SUMMARY_HEADER, invoices.iter().map(cells))
}

fn line_cells(invoice: &Invoice, at: usize, line: &Line) -> Vec<String> {
    let draft = &invoice.draft;
    vec![
        inert(invoice.number()),
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
        inert(&line.said()),
    ]
}

/// A text that no spreadsheet runs: one that starts like a formula gets an apostrophe before it, as spreadsheets
/// themselves write text. What starts like one behind apostrophes gets one more, so that no two texts are the same cell:
/// of a cell that reads so, take the first apostrophe off.
pub(super) fn inert(text: &str) -> String {
    let bare = text.trim_start_matches('\'');
    // What some programs take off before they look.
    let shown = bare.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    let formula = bare.starts_with(['\t', '\r', '\n'])
        || shown.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text.to_string() }
}

/// A header and rows as one file.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(header).expect("writing to memory");
    for row in rows {
        writer.write_record(row).expect("writing to memory, rows as long as the header");
    }
    writer.into_inner().expect("flushing to memory")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_made_inert() {
        for (text, cell) in [
            ("=cmd()", "'=cmd()"),
            ("'=cmd()", "''=cmd()"),
            ("+1", "'+1"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            (" \u{feff}\u{0}=x", "' \u{feff}\u{0}=x"),
            ("＝x", "'＝x"),
            ("a=b", "a=b"),
            ("'tis", "'tis"),
            ("", ""),
        ] {
            assert_eq!(inert(text), cell);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_two_texts_are_the_same_cell(one in "['= \t+a]{0,5}", other in "['= \t+a]{0,5}") {
            proptest::prop_assert!(one == other || inert(&one) != inert(&other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn an_invoice_says_everything_once_and_ends_lines_with_lf() {
        let invoice = sample::invoice();
        sample::check_golden("invoice.csv", &super::invoice(&invoice));
        sample::check_golden("summary.csv", &summary(&[invoice]));
    }
}
