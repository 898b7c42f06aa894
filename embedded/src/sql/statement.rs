//! What kind of statement a text is: its first word, its output format, and where the data of an insert begins.
//!
//! Promises: more than one statement, `INTO OUTFILE` and `FROM INFILE` are recognised wherever they stand and refused
//! for everybody (they are a command line's features, and would reach this machine's files); data behind
//! `INSERT … FORMAT x` or `VALUES` is never looked at.

use super::{LexError, Lexer, Token, TokenKind};
use crate::engine::{ErrorCode, Exception};

/// A text that is one statement, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement<'sql> {
    pub(crate) kind: Kind<'sql>,
    /// The statement without the white space, comments and semicolons behind it, and without the data of an insert.
    pub(crate) sql: &'sql str,
    /// The output format the text itself asks for.
    pub(crate) format: Option<String>,
    /// Its tokens, the data of an insert excluded.
    pub(crate) tokens: Vec<Token<'sql>>,
}

/// Statements the front treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'sql> {
    /// No statement at all.
    Empty,
    /// `SELECT`, `WITH`, `FROM … SELECT`, or such in parentheses.
    Select,
    /// An insert whose rows follow as data.
    InsertData(InsertData<'sql>),
    /// `SHOW`, `DESCRIBE`, `EXPLAIN`, `EXISTS`.
    Inspect,
    /// `SET`
    Set,
    /// `USE`
    Use,
    /// Anything else; an insert from a select too.
    Other,
}

/// Where the rows of an insert are and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InsertData<'sql> {
    pub(crate) format: &'sql str,
    /// Offset in the text of the first byte of the rows; `None` when the text ends before it is clear where they begin.
    pub(crate) data_at: Option<usize>,
}

/// Why a text is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Unreadable(LexError),
    #[error("Multi-statements are not allowed: send one statement a request")]
    MultiStatement,
    #[error("INTO OUTFILE is a feature of the command line client and is not allowed here")]
    IntoOutfile,
    #[error("FROM INFILE is a feature of the command line client and is not allowed here")]
    FromInfile,
}

impl Refusal {
    pub(crate) fn exception(self) -> Exception {
        let code = match self {
            Self::Unreadable(_) | Self::MultiStatement => ErrorCode::SyntaxError,
            Self::IntoOutfile | Self::FromInfile => ErrorCode::AccessDenied,
        };
        Exception::new(code, self)
    }
}

impl<'sql> Statement<'sql> {
    /// Reads a text that may be followed by nothing but the data of an insert.
    pub(crate) fn read(sql: &'sql str) -> Result<Self, Refusal> {
        let mut lexer = Lexer::new(sql);
        let mut tokens = Vec::new();
        if let Some(insert) = Insert::read(&mut lexer.clone(), sql).map_err(Refusal::Unreadable)? {
            return insert.into_statement(sql);
        }
        for token in lexer.by_ref() {
            let token = token.map_err(Refusal::Unreadable)?;
            if token.kind == TokenKind::Semicolon {
                if !tokens.is_empty() {
                    break;
                }
            } else {
                tokens.push(token);
            }
        }
        for token in lexer {
            if token.map_err(Refusal::Unreadable)?.kind != TokenKind::Semicolon {
                return Err(Refusal::MultiStatement);
            }
        }
        refuse_files(&tokens)?;
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
            return Ok(Self { kind: Kind::Empty, sql: "", format: None, tokens });
        };
        let (kind, text) = (kind(&tokens), &sql[first.start..last.end()]);
        Ok(Self { kind, sql: text, format: output_format(&tokens), tokens })
    }
}

fn kind<'sql>(tokens: &[Token<'sql>]) -> Kind<'sql> {
    let Some(word) = tokens.iter().find(|token| !token.is_punctuation(b'(')) else { return Kind::Other };
    let is = |keywords: &[&str]| keywords.iter().any(|keyword| word.is_word(keyword));
    if is(&["SELECT", "WITH", "FROM"]) {
        Kind::Select
    } else if is(&["SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"]) {
        Kind::Inspect
    } else if is(&["SET"]) {
        Kind::Set
    } else if is(&["USE"]) {
        Kind::Use
    } else {
        Kind::Other
    }
}

/// `FORMAT name` at the end, where only a `SETTINGS` clause may follow.
fn output_format(tokens: &[Token<'_>]) -> Option<String> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        depth = depth_after(depth, token);
        if depth > 0 || !token.is_word("FORMAT") {
            continue;
        }
        let Some(name) = tokens.get(index + 1).and_then(Token::name) else { continue };
        if tokens.get(index + 2).is_none_or(|next| next.is_word("SETTINGS")) {
            return Some(name.into_owned());
        }
    }
    None
}

fn refuse_files(tokens: &[Token<'_>]) -> Result<(), Refusal> {
    let insert = tokens.first().is_some_and(|first| first.is_word("INSERT"));
    for (index, pair) in tokens.windows(2).enumerate() {
        // `INSERT INTO outfile` names a table.
        if pair[0].is_word("INTO") && pair[1].is_word("OUTFILE") && !(insert && index == 1) {
            return Err(Refusal::IntoOutfile);
        }
        if insert && pair[0].is_word("FROM") && pair[1].is_word("INFILE") {
            return Err(Refusal::FromInfile);
        }
    }
    Ok(())
}

fn depth_after(depth: usize, token: &Token<'_>) -> usize {
    match token.text {
        "(" | "[" | "{" if token.kind == TokenKind::Punctuation => depth + 1,
        ")" | "]" | "}" if token.kind == TokenKind::Punctuation => depth.saturating_sub(1),
        _ => depth,
    }
}

/// The head of `INSERT INTO … FORMAT x` or `… VALUES`.
struct Insert<'sql> {
    head: Vec<Token<'sql>>,
    /// End of the statement as the engine wants it: without `FORMAT x` or `VALUES`.
    head_end: usize,
    data: InsertData<'sql>,
}

impl<'sql> Insert<'sql> {
    /// `None` when the text is no insert, or one from a select. Reads no further than the head.
    fn read(lexer: &mut Lexer<'sql>, sql: &'sql str) -> Result<Option<Self>, LexError> {
        let mut head: Vec<Token<'sql>> = Vec::new();
        let mut depth = 0;
        while let Some(token) = lexer.next() {
            // A text that cannot be read further is judged by the caller, from its start.
            let Ok(token) = token else { return Ok(None) };
            if head.is_empty() && !token.is_word("INSERT") {
                return Ok(None);
            }
            if token.kind == TokenKind::Semicolon {
                break;
            }
            depth = depth_after(depth, &token);
            let in_select =
                depth <= 1 && ["SELECT", "WITH", "FROM"].iter().any(|keyword| token.is_word(keyword));
            // Names of columns and settings stand in the places these words could be mistaken for a clause.
            let is_name =
                head.last().is_some_and(|previous| previous.is_punctuation(b',') || names_follow(previous));
            if in_select
                && !is_name
                && (depth == 0 || head.last().is_some_and(|before| before.is_punctuation(b'(')))
            {
                return Ok(None);
            }
            if depth == 0 && !is_name && token.is_word("VALUES") {
                let data = InsertData { format: "Values", data_at: Some(token.end()) };
                return Ok(Some(Self { head, head_end: token.start, data }));
            }
            if depth == 0 && !is_name && token.is_word("FORMAT") {
                let Some(Ok(name)) = lexer.next() else { return Ok(None) };
                let data = InsertData { format: name.text, data_at: data_start(sql, name.end()) };
                return Ok(Some(Self { head, head_end: token.start, data }));
            }
            head.push(token);
        }
        Ok(None)
    }

    fn into_statement(self, sql: &'sql str) -> Result<Statement<'sql>, Refusal> {
        refuse_files(&self.head)?;
        let start = self.head.first().map_or(0, |token| token.start);
        let text = sql[start..self.head_end].trim_end();
        Ok(Statement { kind: Kind::InsertData(self.data), sql: text, format: None, tokens: self.head })
    }
}

/// Whether the word before makes the next word a name: `INTO format`, `TABLE values`, `db.format`.
fn names_follow(previous: &Token<'_>) -> bool {
    previous.is_word("INTO")
        || previous.is_word("TABLE")
        || previous.is_word("FUNCTION")
        || previous.is_punctuation(b'.')
}

/// Data starts behind the first line end after the format's name, or else behind the white space.
fn data_start(sql: &str, format_end: usize) -> Option<usize> {
    let rest = &sql[format_end..];
    let data = rest.trim_start_matches([' ', '\t', '\r', '\x0b', '\x0c']);
    let at = format_end + rest.len() - data.len();
    match data.as_bytes().first() {
        Some(b'\n') => Some(at + 1),
        Some(_) => Some(at),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(sql: &str) -> Option<String> {
        Statement::read(sql).unwrap().format
    }

    #[test]
    fn more_than_one_statement_is_refused() {
        for sql in ["SELECT 1; SELECT 2", "SELECT 1;;SELECT 2", "; SELECT 1 ; x", "SET a=1; SELECT 1"] {
            assert_eq!(Statement::read(sql), Err(Refusal::MultiStatement), "{sql}");
        }
        for sql in [
            "SELECT 1;",
            "SELECT 1 ; ; -- done",
            ";SELECT 1",
            "SELECT ';'",
            "SELECT $$;$$",
            "SELECT 1 -- ; x",
        ] {
            assert!(Statement::read(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn what_follows_the_statement_is_cut() {
        let table = [
            ("SELECT 1 FORMAT CSV ; -- end", "SELECT 1 FORMAT CSV"),
            (" /* a */ SELECT 1;", "SELECT 1"),
            ("SELECT 1 -- x", "SELECT 1"),
            ("-- nothing", ""),
        ];
        for (sql, expected) in table {
            assert_eq!(Statement::read(sql).unwrap().sql, expected, "{sql}");
        }
    }

    #[test]
    fn files_of_this_machine_are_refused_wherever_they_are_named() {
        for sql in [
            "SELECT 1 INTO OUTFILE 'x'",
            "SELECT 1 into/**/outfile 'x' FORMAT CSV",
            "EXPLAIN SELECT 1 INTO OUTFILE 'x'",
            "INSERT INTO t SELECT 1 INTO OUTFILE 'x'",
        ] {
            assert_eq!(Statement::read(sql), Err(Refusal::IntoOutfile), "{sql}");
        }
        assert_eq!(Statement::read("INSERT INTO t FROM INFILE 'x' FORMAT CSV"), Err(Refusal::FromInfile));
        assert!(Statement::read("SELECT 'INTO OUTFILE'").is_ok());
        assert!(Statement::read("INSERT INTO outfile FORMAT CSV 1").is_ok());
    }

    #[test]
    fn unreadable_text_is_refused_not_guessed() {
        assert!(matches!(Statement::read("SELECT 'a"), Err(Refusal::Unreadable(_))));
        assert!(matches!(Statement::read("SELECT 1; 'a"), Err(Refusal::Unreadable(_))));
    }

    #[test]
    fn the_output_format_is_the_one_at_the_end() {
        let table = [
            ("SELECT 1", None),
            ("SELECT 1 FORMAT JSON", Some("JSON")),
            ("SELECT 1 format `CSV`;", Some("CSV")),
            ("SELECT 1 AS format FORMAT TSV", Some("TSV")),
            ("SELECT format FROM t", None),
            ("SELECT 1 FORMAT TSV SETTINGS max_threads = 1", Some("TSV")),
            ("SELECT 1 SETTINGS max_threads = 1 FORMAT TSV", Some("TSV")),
            ("SELECT format('{}', a) FROM t", None),
            ("SELECT * FROM (SELECT 1 AS x) FORMAT Native", Some("Native")),
            ("SHOW TABLES FORMAT JSON", Some("JSON")),
        ];
        for (sql, expected) in table {
            assert_eq!(format_of(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn kinds_follow_the_first_word() {
        let table = [
            ("select 1", Kind::Select),
            ("(SELECT 1) UNION ALL (SELECT 2)", Kind::Select),
            ("WITH 1 AS x SELECT x", Kind::Select),
            ("FROM t SELECT a", Kind::Select),
            ("SHOW TABLES", Kind::Inspect),
            ("desc t", Kind::Inspect),
            ("SET a = 1", Kind::Set),
            ("USE db", Kind::Use),
            ("CREATE TABLE t (a UInt8) ENGINE = Memory", Kind::Other),
            ("INSERT INTO t SELECT 1", Kind::Other),
            ("INSERT INTO t (a) WITH 1 AS x SELECT x", Kind::Other),
            ("INSERT INTO t (SELECT 1)", Kind::Other),
            ("INSERT INTO t (a)", Kind::Other),
            ("", Kind::Empty),
            (" ; ", Kind::Empty),
        ];
        for (sql, expected) in table {
            assert_eq!(Statement::read(sql).unwrap().kind, expected, "{sql}");
        }
    }

    #[test]
    fn the_data_of_an_insert_is_found_and_never_read() {
        let table = [
            ("INSERT INTO t FORMAT TSV\n1;2'", "INSERT INTO t", "TSV", "1;2'"),
            ("INSERT INTO t FORMAT TSV 1\t2", "INSERT INTO t", "TSV", "1\t2"),
            ("INSERT INTO t FORMAT TSV \r\n\n1", "INSERT INTO t", "TSV", "\n1"),
            ("INSERT INTO t (a, `b;`) FORMAT RowBinary\n'", "INSERT INTO t (a, `b;`)", "RowBinary", "'"),
            (
                "INSERT INTO d.t(format, values) VALUES (1,';')",
                "INSERT INTO d.t(format, values)",
                "Values",
                " (1,';')",
            ),
            ("insert into format values (1)", "insert into format", "Values", " (1)"),
            ("INSERT INTO d.values FORMAT CSV 1", "INSERT INTO d.values", "CSV", "1"),
            (
                "INSERT INTO t SETTINGS async_insert=0, x='FORMAT y' FORMAT CSV\n1",
                "INSERT INTO t SETTINGS async_insert=0, x='FORMAT y'",
                "CSV",
                "1",
            ),
        ];
        for (sql, head, format, data) in table {
            let statement = Statement::read(sql).unwrap();
            let Kind::InsertData(insert) = statement.kind else { panic!("{sql}: {:?}", statement.kind) };
            assert_eq!((statement.sql, insert.format), (head, format), "{sql}");
            assert_eq!(&sql[insert.data_at.unwrap()..], data, "{sql}");
        }
    }

    #[test]
    fn where_data_begins_is_open_until_the_byte_after_the_format() {
        let statement = Statement::read("INSERT INTO t FORMAT Native").unwrap();
        assert_eq!(statement.kind, Kind::InsertData(InsertData { format: "Native", data_at: None }));
    }
}
