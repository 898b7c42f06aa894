//! Where the statement of a request ends and its data begins.
//!
//! A request is one text: the URL's `query`, then the body. A statement is read into memory, up to a bound; the data
//! of an insert stays in the body and is read as the engine takes it.

use std::io::Read;

use super::body::{self, Decoded};
use crate::engine::{ErrorCode, Exception};
use crate::sql::{Kind, Statement};

/// Read at first; the head of any insert fits.
const HEAD_BYTES: usize = 64 << 10;

/// A statement, and the data that follows it.
pub(crate) struct StatementText {
    pub(crate) sql: String,
    /// The rows of an insert: the bytes already read, then the rest of the body.
    pub(crate) data: Option<Decoded>,
}

/// Reads the statement of a request.
pub(crate) fn read(
    url_query: String,
    mut rest: Decoded,
    bytes_max: usize,
) -> Result<StatementText, Exception> {
    if let Some(head) = insert_head(&url_query, true) {
        let (sql, inline) = url_query.split_at(head);
        let inline = inline.as_bytes().to_vec();
        let data: Decoded =
            if inline.is_empty() { rest } else { Box::new(body::in_memory(inline).chain(rest)) };
        return Ok(StatementText { sql: sql.to_owned(), data: Some(data) });
    }
    let mut text = url_query.into_bytes();
    let separator = usize::from(!text.is_empty());
    text.extend(&b"\n"[..separator]);
    let from_url = text.len();
    let mut wanted = HEAD_BYTES;
    loop {
        let size_before = text.len();
        let read = (&mut rest)
            .take(wanted as u64)
            .read_to_end(&mut text)
            .map_err(|error| body::exception(&error))?;
        let ended = read < wanted;
        let readable = readable(&text);
        if let Some(head) = insert_head(readable, ended || readable.len() < text.len()) {
            let data = text.split_off(head);
            let sql = String::from_utf8(text).expect("the readable part of the text");
            return Ok(StatementText { sql, data: Some(Box::new(body::in_memory(data).chain(rest))) });
        }
        if ended {
            break;
        }
        if text.len() > bytes_max {
            let message =
                format!("The statement is larger than {bytes_max} bytes; send rows as the data of an INSERT");
            return Err(Exception::new(ErrorCode::QueryIsTooLarge, message));
        }
        wanted = text.len().max(size_before);
    }
    if text.len() == from_url {
        text.truncate(from_url - separator);
    }
    let sql = String::from_utf8(text).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Exception::new(ErrorCode::BadArguments, format!("The statement is not UTF-8 text: byte {at}"))
    })?;
    Ok(StatementText { sql, data: None })
}

/// The part of the text that is UTF-8; the data of an insert need not be.
fn readable(text: &[u8]) -> &str {
    match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).expect("valid up to there"),
    }
}

/// Offset of the data, when the text begins with the head of an insert that takes data.
fn insert_head(text: &str, is_whole: bool) -> Option<usize> {
    let Ok(statement) = Statement::read(text) else { return None };
    let Kind::InsertData(insert) = statement.kind else { return None };
    insert.data_at.or_else(|| is_whole.then_some(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(url: &str, body: &[u8]) -> (String, Option<Vec<u8>>) {
        let text = read(url.to_owned(), body::in_memory(body.to_vec()), 1 << 20).ok().unwrap();
        let data = text.data.map(|mut data| {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes).unwrap();
            bytes
        });
        (text.sql, data)
    }

    #[test]
    fn a_statement_may_stand_in_the_url_the_body_or_both() {
        assert_eq!(split("SELECT 1", b""), ("SELECT 1".to_owned(), None));
        assert_eq!(split("", b"SELECT 1"), ("SELECT 1".to_owned(), None));
        assert_eq!(split("SELECT", b"1"), ("SELECT\n1".to_owned(), None));
    }

    #[test]
    fn data_follows_an_insert_wherever_it_stands() {
        let data = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(
            split("INSERT INTO t FORMAT CSV", b"1\n"),
            ("INSERT INTO t FORMAT CSV".to_owned(), data(b"1\n"))
        );
        assert_eq!(
            split("INSERT INTO t FORMAT CSV 1", b",2"),
            ("INSERT INTO t FORMAT CSV ".to_owned(), data(b"1,2"))
        );
        let native = b"INSERT INTO t FORMAT Native\n\xff\x00;'";
        assert_eq!(split("", native), ("INSERT INTO t FORMAT Native\n".to_owned(), data(b"\xff\x00;'")));
        assert_eq!(
            split("", b"INSERT INTO t VALUES (1)"),
            ("INSERT INTO t VALUES".to_owned(), data(b" (1)"))
        );
        let both = ("INSERT INTO t\nFORMAT CSV\n".to_owned(), data(b"1"));
        assert_eq!(split("INSERT INTO t", b"FORMAT CSV\n1"), both);
    }

    #[test]
    fn data_larger_than_the_bound_of_statements_is_not_held() {
        let mut body = b"INSERT INTO t FORMAT TSV\n".to_vec();
        body.resize(3 << 20, b'1');
        let (sql, data) = split("", &body);
        assert_eq!(sql, "INSERT INTO t FORMAT TSV\n");
        assert_eq!(data.unwrap().len(), body.len() - sql.len());
    }

    #[test]
    fn a_statement_beyond_the_bound_is_refused() {
        let body = format!("SELECT '{}'", "x".repeat(3 << 20));
        let error = read(String::new(), body::in_memory(body.into_bytes()), 1 << 20).err().unwrap();
        assert_eq!(error.code(), 229);
    }
}
