//! The rows behind `VALUES`, watched for a second statement.
//!
//! The engine stops reading at a semicolon and ignores what follows; a client that sent a second statement would be
//! told that all went well. Quotes are followed, nothing else is looked at.

use std::io::{self, Read};

/// Passes rows on, and fails at anything but white space behind a semicolon.
pub(crate) struct ValuesData<R> {
    source: R,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    Quoted(u8),
    Escaped(u8),
    AfterSemicolon,
}

/// Something follows the semicolon behind the rows.
#[derive(Debug, thiserror::Error)]
#[error("Multi-statements are not allowed: there is something behind the semicolon that ends the VALUES")]
pub(crate) struct SecondStatement;

impl<R: Read> ValuesData<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, place: Place::Plain }
    }
}

impl<R: Read> Read for ValuesData<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.source.read(buffer)?;
        for byte in &buffer[..size] {
            self.place = match (self.place, *byte) {
                (Place::Plain, quote @ (b'\'' | b'"' | b'`')) => Place::Quoted(quote),
                (Place::Plain, b';') => Place::AfterSemicolon,
                (Place::Quoted(quote), b'\\') => Place::Escaped(quote),
                // A doubled quote ends one string and begins the next, which comes to the same.
                (Place::Quoted(quote), byte) if byte == quote => Place::Plain,
                (Place::Escaped(quote), _) => Place::Quoted(quote),
                (Place::AfterSemicolon, byte) if !byte.is_ascii_whitespace() && byte != b';' => {
                    return Err(io::Error::other(SecondStatement));
                }
                (place, _) => place,
            };
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(rows: &str) -> bool {
        ValuesData::new(rows.as_bytes()).read_to_end(&mut Vec::new()).is_ok()
    }

    #[test]
    fn only_white_space_may_follow_the_semicolon() {
        for rows in ["(1), (2)", "(1);", "(1) ;\n ", "(';'), ('a''; b'), ('\\'; c')", "(\"a;b\")", ""] {
            assert!(passes(rows), "{rows}");
        }
        for rows in ["(1); DROP TABLE t", "(';'); (2)", "('a\\\\'); x"] {
            assert!(!passes(rows), "{rows}");
        }
    }
}
