//! A failure on standard error: one line with the whole chain of causes, and sometimes a hint.

use crate::config::ConfigError;
use crate::output::OutputError;

/// What ClickHouse and the system say, and what helps. The first that is found in the message is shown.
const HINTS: &[(&str, &str)] = &[
    ("UNKNOWN_DATABASE", "`ledgerline schema migrate` makes the tables"),
    ("UNKNOWN_TABLE", "`ledgerline schema migrate` makes the tables"),
    (
        "AUTHENTICATION_FAILED",
        "set clickhouse.user and clickhouse.password; the embedded ClickHouse takes its owner's password from its own --data-dir",
    ),
    ("REQUIRED_PASSWORD", "set clickhouse.user and clickhouse.password"),
    (
        "ACCESS_DENIED",
        "the user of clickhouse.user needs rights on the database; see `ledgerline schema print`",
    ),
    (
        "onnection refused",
        "nothing answers there; see that ClickHouse or `ledgerline serve` runs, or name another --clickhouse-url or --data-dir",
    ),
    (
        "client error (Connect)",
        "nothing answers there; see that ClickHouse or `ledgerline serve` runs, or name another --clickhouse-url or --data-dir",
    ),
];

/// The text for standard error; `None` where nobody needs to know.
pub fn report(error: &anyhow::Error) -> Option<String> {
    if matches!(error.downcast_ref(), Some(OutputError::ReaderGone)) {
        return None;
    }
    let line = one_line(error);
    let hint = HINTS.iter().find(|(said, _)| line.contains(said)).map(|(_, hint)| format!("\nhint: {hint}"));
    Some(format!("error: {line}{}", hint.unwrap_or_default()))
}

/// Whether the command line itself is at fault: a flag with a value that its key does not allow.
pub fn is_wrong_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ConfigError::blames_a_flag)
}

/// An error and its causes on one line, each said once: some libraries repeat their cause in their own text.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        let text = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_chain_is_one_line_and_says_nothing_twice() {
        let error =
            anyhow!("bad\n  response: 7").context("bad response: bad response: 7").context("cannot sum");
        assert_eq!(one_line(&error), "cannot sum: bad response: bad response: 7");
        assert_eq!(one_line(&anyhow!("low").context("high")), "high: low");
    }

    #[test]
    fn what_helps_is_said_on_a_line_of_its_own() {
        let text =
            report(&anyhow!("Code: 60. DB::Exception: no (UNKNOWN_TABLE)").context("cannot sum")).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().last().unwrap().starts_with("hint: `ledgerline schema migrate`"), "{text}");
    }

    #[test]
    fn a_reader_that_has_read_enough_is_no_failure() {
        assert_eq!(report(&OutputError::ReaderGone.into()), None);
    }
}
