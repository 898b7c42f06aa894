//! `KILL QUERY` by the query ids that clients know.
//!
//! The engine gives statements ids of its own and takes none, while a client knows its statement by the `query_id` it
//! sent or found in the answer's header. So before a `KILL QUERY` runs, each of its strings that is the id of a running
//! request is replaced by the engine's id of that statement. Promises: ids of the engine itself, as `system.processes`
//! shows them, work as they stand; every other string is left alone.

use super::cancel::MARKER_SETTING;
use crate::engine::Exception;
use crate::ffi::{Parameters, RawConnection};
use crate::sql::{Statement, TokenKind, quote_text};

/// Length of the UUID and the blank that stand before the query id in a mark.
const MARK_PREFIX: usize = 37;

/// Whether the statement is one.
pub(crate) fn is_kill(statement: &Statement<'_>) -> bool {
    let is = |at: usize, word| statement.tokens.get(at).is_some_and(|token| token.is_word(word));
    is(0, "KILL") && is(1, "QUERY")
}

/// The statement in the engine's ids.
pub(crate) fn with_engine_ids(
    connection: &mut RawConnection,
    statement: &Statement<'_>,
) -> Result<String, Exception> {
    Ok(replace(statement, &running(connection)?))
}

/// The ids of what runs: the client's, the engine's.
fn running(connection: &mut RawConnection) -> Result<Vec<(String, String)>, Exception> {
    let sql = format!(
        "SELECT substring(Settings['{MARKER_SETTING}'], {}), query_id FROM system.processes \
         WHERE Settings['{MARKER_SETTING}'] != ''",
        MARK_PREFIX + 1
    );
    let rows = connection.query(&sql, "JSONCompactEachRow", &Parameters::new())?;
    let rows = String::from_utf8_lossy(rows.as_ref());
    Ok(rows.lines().filter_map(|row| serde_json::from_str(row).ok()).collect())
}

fn replace(statement: &Statement<'_>, running: &[(String, String)]) -> String {
    let start = statement.tokens.first().map_or(0, |first| first.start);
    let (mut sql, mut copied) = (String::new(), 0);
    for token in statement.tokens.iter().filter(|token| token.kind == TokenKind::Text) {
        let Some((_, id)) = running.iter().find(|(name, _)| quote_text(name) == token.text) else { continue };
        sql.push_str(&statement.sql[copied..token.start - start]);
        sql.push_str(&quote_text(id));
        copied = token.end() - start;
    }
    sql.push_str(&statement.sql[copied..]);
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let running = [("mine".to_owned(), "e-1".to_owned()), ("it's".to_owned(), "e-2".to_owned())];
        let statement = Statement::read(sql).unwrap();
        assert!(is_kill(&statement));
        assert_eq!(replace(&statement, &running), expected);
    }

    #[test]
    fn strings_that_are_ids_of_clients_become_those_of_the_engine() {
        check("KILL QUERY WHERE query_id = 'mine'", "KILL QUERY WHERE query_id = 'e-1'");
        check(
            "  kill query where query_id in ('x', 'it\\'s', 'mine') sync;",
            "kill query where query_id in ('x', 'e-2', 'e-1') sync",
        );
        check(
            "KILL QUERY WHERE query_id = 'e-1' /* 'mine' */ TEST",
            "KILL QUERY WHERE query_id = 'e-1' /* 'mine' */ TEST",
        );
    }

    #[test]
    fn other_statements_are_not_looked_at() {
        for sql in ["SELECT 'KILL QUERY'", "KILL MUTATION WHERE 1", ""] {
            assert!(!is_kill(&Statement::read(sql).unwrap()), "{sql}");
        }
    }
}
