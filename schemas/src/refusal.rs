//! Which errors of an insert are about what is in its rows, and so would come again for ever.
//!
//! Promises: the list is closed and short, and everything that is not on it is tried again: load, memory, a table that is
//! read-only or of another shape, a server that is away, an answer that is cut or makes no sense. What is on it is a suspicion
//! and no verdict: whoever ships still has to see that other rows are taken at the same time.
//! Leaves to others: what to do about it (`collector::ship`).

use crate::database::DatabaseError;

/// The errors that ClickHouse gives for a value, by number and name (`src/Common/ErrorCodes.cpp` of its source). Our rows are
/// typed and need no parsing, so these come from what an operator put on the table: a constraint, a column made narrower, a
/// view that computes something. Both number and name must be there, since either alone may be text that was quoted.
///
/// Left out on purpose, though they may be about a row: 117 `INCORRECT_DATA`, 33 `CANNOT_READ_ALL_DATA` and 40
/// `CHECKSUM_DOESNT_MATCH` (a body that was cut or changed on its way), 53 `TYPE_MISMATCH`, 16 `NO_SUCH_COLUMN_IN_TABLE` and 44
/// `ILLEGAL_COLUMN` (the table's shape).
pub const ABOUT_VALUES: [(u32, &str); 13] = [
    (6, "CANNOT_PARSE_TEXT"),
    (38, "CANNOT_PARSE_DATE"),
    (41, "CANNOT_PARSE_DATETIME"),
    (69, "ARGUMENT_OUT_OF_BOUND"),
    (70, "CANNOT_CONVERT_TYPE"),
    (72, "CANNOT_PARSE_NUMBER"),
    (131, "TOO_LARGE_STRING_SIZE"),
    (153, "ILLEGAL_DIVISION"),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
    (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    (407, "DECIMAL_OVERFLOW"),
    (469, "VIOLATED_CONSTRAINT"),
];

/// How much is kept of what the database said.
const TEXT_CHARS_MAX: usize = 1_000;

/// What the database said against the content of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error's name, for instance `VIOLATED_CONSTRAINT`.
    pub code: &'static str,
    /// Its text, cut.
    pub text: String,
}

impl DatabaseError {
    /// What it says against the content of the rows, if that is what it is about.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Statement { source: clickhouse::error::Error::BadResponse(text), .. } => refusal(text),
            _ => None,
        }
    }
}

/// Reads an exception: `Code: 469. DB::Exception: … (VIOLATED_CONSTRAINT) (version 25.8 …)`. What rows hold may be quoted
/// in between, so the number counts only at the very start, and the name only at the very end.
fn refusal(text: &str) -> Option<Refusal> {
    let (number, said) = text.trim().strip_prefix("Code: ")?.split_once(". ")?;
    let number: u32 = number.parse().ok()?;
    let said = said.strip_prefix("DB::Exception: ")?;
    let named = match said.rsplit_once(" (version ") {
        Some((before, _)) => before,
        None => said,
    };
    let name = named.strip_suffix(')')?.rsplit_once('(')?.1;
    let (_, code) = ABOUT_VALUES.into_iter().find(|known| *known == (number, name))?;
    Some(Refusal { code, text: text.trim().chars().take(TEXT_CHARS_MAX).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Option<&'static str> {
        refusal(text).map(|refusal| refusal.code)
    }

    #[test]
    fn what_is_on_the_list_is_about_values_with_or_without_a_version() {
        for (number, name) in ABOUT_VALUES {
            let said = format!("Code: {number}. DB::Exception: no: (tenant = 'a)') is wrong. ({name})");
            assert_eq!(check(&said), Some(name));
            assert_eq!(check(&format!("{said} (version 25.8.2.29 (official build))\n")), Some(name));
        }
    }

    /// Load, outage, shape, and what proxies say: all of it is tried again.
    #[test]
    fn everything_else_is_tried_again() {
        let retried = [
            (3, "UNEXPECTED_END_OF_FILE"),
            (16, "NO_SUCH_COLUMN_IN_TABLE"),
            (33, "CANNOT_READ_ALL_DATA"),
            (40, "CHECKSUM_DOESNT_MATCH"),
            (44, "ILLEGAL_COLUMN"),
            (53, "TYPE_MISMATCH"),
            (60, "UNKNOWN_TABLE"),
            (81, "UNKNOWN_DATABASE"),
            (117, "INCORRECT_DATA"),
            (159, "TIMEOUT_EXCEEDED"),
            (164, "READONLY"),
            (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
            (209, "SOCKET_TIMEOUT"),
            (210, "NETWORK_ERROR"),
            (241, "MEMORY_LIMIT_EXCEEDED"),
            (242, "TABLE_IS_READ_ONLY"),
            (243, "NOT_ENOUGH_SPACE"),
            (252, "TOO_MANY_PARTS"),
            (285, "TOO_FEW_LIVE_REPLICAS"),
            (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE"),
            (319, "UNKNOWN_STATUS_OF_INSERT"),
            (394, "QUERY_WAS_CANCELLED"),
            (425, "SYSTEM_ERROR"),
            (497, "ACCESS_DENIED"),
            (516, "AUTHENTICATION_FAILED"),
            (999, "KEEPER_EXCEPTION"),
            (1000, "POCO_EXCEPTION"),
            (1001, "STD_EXCEPTION"),
        ];
        for (number, name) in retried {
            let said = format!("Code: {number}. DB::Exception: something. ({name}) (version 25.8.2.29)");
            assert_eq!(check(&said), None, "{said}");
        }
        for said in [
            "",
            "Code: 469",
            "Code: 469. DB::Exception: Constraint `c` is viol",
            "Code: 469. DB::Exception: cut before its name (VIOLATED_CONSTR",
            "<html>502 Code: 469. DB::Exception: quoted (VIOLATED_CONSTRAINT)</html>",
            "Code: 469. DB::Exception: the name of another (MEMORY_LIMIT_EXCEEDED)",
            "Code: 241. DB::Exception: of another number (VIOLATED_CONSTRAINT)",
            "Code: 241. DB::Exception: tenant = '(VIOLATED_CONSTRAINT)' (MEMORY_LIMIT_EXCEEDED)",
            "(VIOLATED_CONSTRAINT)",
        ] {
            assert_eq!(check(said), None, "{said}");
        }
    }

    #[test]
    fn what_is_no_answer_of_the_database_is_no_refusal() {
        let error = |source| DatabaseError::Statement { what: "x".into(), url: "y".into(), source };
        let text = "Code: 469. DB::Exception: no. (VIOLATED_CONSTRAINT)".to_owned();
        assert!(error(clickhouse::error::Error::BadResponse(text.clone())).refusal().is_some());
        assert!(error(clickhouse::error::Error::Custom(text.clone())).refusal().is_none());
        assert!(error(clickhouse::error::Error::SchemaMismatch(text)).refusal().is_none());
        assert!(error(clickhouse::error::Error::TimedOut).refusal().is_none());
    }
}
