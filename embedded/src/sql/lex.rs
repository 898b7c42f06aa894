//! Cuts SQL text into tokens the way ClickHouse does.
//!
//! Promises: comments, strings, quoted names, here-documents and numbers are each one token, so that nothing inside
//! them is mistaken for SQL; every byte belongs to exactly one token or to the white space between; what ClickHouse
//! would not accept is an error, never a guess.

use std::fmt;

/// One token: what it is and where it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'sql> {
    pub(crate) kind: TokenKind,
    /// The token as written.
    pub(crate) text: &'sql str,
    /// Offset of its first byte.
    pub(crate) start: usize,
}

impl<'sql> Token<'sql> {
    /// Offset behind its last byte.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether this is the unquoted word `keyword`, in any case.
    pub(crate) fn is_word(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub(crate) fn is_punctuation(&self, byte: u8) -> bool {
        self.kind == TokenKind::Punctuation && self.text.as_bytes() == [byte]
    }

    /// The name a word or quoted name stands for.
    pub(crate) fn name(&self) -> Option<std::borrow::Cow<'sql, str>> {
        match self.kind {
            TokenKind::Word => Some(self.text.into()),
            TokenKind::QuotedName => Some(unquote(self.text).into()),
            _ => None,
        }
    }
}

/// The kinds of tokens a front has to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or an unquoted name.
    Word,
    /// A name in back quotes, double quotes or typographic double quotes.
    QuotedName,
    /// A string in single or typographic single quotes, a hex or bit string, or a here-document.
    Text,
    Number,
    /// `;`
    Semicolon,
    /// Any other single character of the language.
    Punctuation,
}

/// Text that ClickHouse would not accept as tokens either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LexError {
    /// Offset of the offending byte.
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

impl fmt::Display for LexError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Syntax error: failed at position {}: {}", self.at + 1, self.what)
    }
}

/// Walks over a text, token by token. Stops for good at the first error.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'sql> {
    sql: &'sql str,
    at: usize,
    /// A dot after a name is a qualifier, a dot after nothing starts a number; numbers after a dot are tuple indexes.
    previous: Previous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    Dot,
    Operand,
    Other,
}

impl<'sql> Lexer<'sql> {
    pub(crate) fn new(sql: &'sql str) -> Self {
        Self { sql, at: 0, previous: Previous::Other }
    }

    fn rest(&self) -> &'sql str {
        &self.sql[self.at..]
    }

    fn skip_white_space_and_comments(&mut self) -> Result<(), LexError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(is_white_space);
            self.at += rest.len() - trimmed.len();
            let line_comment = trimmed.starts_with("--")
                || trimmed.starts_with("//")
                || trimmed.starts_with("# ")
                || trimmed.starts_with("#!");
            if line_comment {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.at += block_comment(trimmed).ok_or_else(|| self.error("the comment is not closed"))?;
            } else {
                return Ok(());
            }
        }
    }

    fn error(&self, what: &'static str) -> LexError {
        LexError { at: self.at, what }
    }

    /// Kind and size of the token at the current position.
    fn measure(&self) -> Result<(TokenKind, usize), LexError> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let first = bytes[0];
        let second = bytes.get(1).copied();
        let closed = |kind, size: Option<usize>, what| Ok((kind, size.ok_or_else(|| self.error(what))?));
        match first {
            b'\'' => closed(TokenKind::Text, quoted(bytes, b'\''), "single quoted string is not closed"),
            b'"' => closed(TokenKind::QuotedName, quoted(bytes, b'"'), "double quoted name is not closed"),
            b'`' => closed(TokenKind::QuotedName, quoted(bytes, b'`'), "back quoted name is not closed"),
            b';' => Ok((TokenKind::Semicolon, 1)),
            b'0'..=b'9' => Ok(number_or_word(bytes, self.previous == Previous::Dot)),
            b'.' if second.is_some_and(|byte| byte.is_ascii_digit())
                && self.previous != Previous::Operand =>
            {
                Ok((TokenKind::Number, fraction(bytes)))
            }
            b'x' | b'X' | b'b' | b'B' if second == Some(b'\'') => {
                closed(TokenKind::Text, coded_string(bytes), "coded string is not closed")
            }
            b'$' => Ok(dollar(rest)),
            _ if is_word_byte(first) => Ok((TokenKind::Word, word(bytes))),
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b'.' | b'+' | b'-' | b'*' | b'/' | b'%'
            | b'=' | b'!' | b'<' | b'>' | b'?' | b':' | b'|' | b'@' | b'^' | b'&' | b'~' => {
                Ok((TokenKind::Punctuation, 1))
            }
            _ if rest.starts_with('‘') => {
                closed(TokenKind::Text, until(rest, '’'), "quoted string is not closed")
            }
            _ if rest.starts_with('“') => {
                closed(TokenKind::QuotedName, until(rest, '”'), "quoted name is not closed")
            }
            _ if rest.starts_with('−') => Ok((TokenKind::Punctuation, '−'.len_utf8())),
            _ => Err(self.error("unrecognized token")),
        }
    }
}

impl<'sql> Iterator for Lexer<'sql> {
    type Item = Result<Token<'sql>, LexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let scanned = self
            .skip_white_space_and_comments()
            .and_then(|()| if self.rest().is_empty() { Ok(None) } else { self.measure().map(Some) });
        let (kind, size) = match scanned {
            Ok(found) => found?,
            Err(error) => {
                self.at = self.sql.len();
                return Some(Err(error));
            }
        };
        let start = self.at;
        self.at += size;
        let text = &self.sql[start..self.at];
        self.previous = match (kind, text) {
            (TokenKind::Punctuation, ".") => Previous::Dot,
            (TokenKind::Word | TokenKind::QuotedName | TokenKind::Number, _) => Previous::Operand,
            (TokenKind::Punctuation, ")" | "]") => Previous::Operand,
            _ => Previous::Other,
        };
        Some(Ok(Token { kind, text, start }))
    }
}

fn is_white_space(character: char) -> bool {
    // ClickHouse also skips these marks, which Unicode does not count as white space.
    character.is_whitespace()
        || matches!(character, '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_name_byte(byte: u8) -> bool {
    is_word_byte(byte) || byte == b'$'
}

fn run(bytes: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| matches(**byte)).count()
}

fn word(bytes: &[u8]) -> usize {
    run(bytes, is_name_byte)
}

/// Size of a comment `/* … */`; such comments nest.
fn block_comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Size of a quoted token; the quote itself is written doubled or after a backslash.
fn quoted(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn coded_string(bytes: &[u8]) -> Option<usize> {
    let digits = run(&bytes[2..], |byte| byte.is_ascii_hexdigit());
    (bytes.get(2 + digits) == Some(&b'\'')).then_some(digits + 3)
}

fn until(text: &str, close: char) -> Option<usize> {
    text.find(close).map(|at| at + close.len_utf8())
}

/// A here-document `$tag$ … $tag$`, else a word with dollars in it, else the sign itself.
fn dollar(text: &str) -> (TokenKind, usize) {
    if let Some(size) = here_document(text) {
        return (TokenKind::Text, size);
    }
    match word(text.as_bytes()) {
        1 => (TokenKind::Punctuation, 1),
        size => (TokenKind::Word, size),
    }
}

fn here_document(text: &str) -> Option<usize> {
    let tag_size = text[1..].find('$')? + 2;
    let (tag, body) = text.split_at(tag_size);
    body.find(tag).map(|at| tag_size + at + tag_size)
}

fn number_or_word(bytes: &[u8], after_dot: bool) -> (TokenKind, usize) {
    let digits = run(bytes, |byte| byte.is_ascii_digit() || byte == b'_');
    let radix = bytes.get(1).copied().unwrap_or_default();
    let size = if after_dot {
        digits
    } else if bytes[0] == b'0' && matches!(radix, b'x' | b'X') {
        2 + run(&bytes[2..], |byte| byte.is_ascii_hexdigit() || matches!(byte, b'_' | b'.' | b'p' | b'P'))
    } else {
        digits + fraction(&bytes[digits..])
    };
    // A word may start with a digit: `1st`.
    match run(&bytes[size..], is_name_byte) {
        0 => (TokenKind::Number, size),
        more => (TokenKind::Word, size + more),
    }
}

/// Size of what may follow the whole part of a number: a fraction and an exponent.
fn fraction(bytes: &[u8]) -> usize {
    let mut at = 0;
    if bytes.first() == Some(&b'.') {
        at = 1 + run(&bytes[1..], |byte| byte.is_ascii_digit() || byte == b'_');
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let digits = run(&bytes[at + 1 + sign..], |byte| byte.is_ascii_digit());
        if digits > 0 {
            at += 1 + sign + digits;
        }
    }
    at
}

/// The name inside a quoted name, with its escapes resolved.
fn unquote(text: &str) -> String {
    let mut inner = text.chars();
    let quote = inner.next();
    inner.next_back();
    if quote == Some('“') {
        return inner.collect();
    }
    let mut name = String::with_capacity(text.len());
    while let Some(character) = inner.next() {
        let escaped = character == '\\' || Some(character) == quote;
        name.push(if escaped { inner.next().unwrap_or(character) } else { character });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        Lexer::new(sql).map(|token| token.unwrap().text).collect()
    }

    #[test]
    fn nothing_inside_quotes_or_comments_is_a_token() {
        let table: &[(&str, &[&str])] = &[
            ("a;b", &["a", ";", "b"]),
            ("'a;b'", &["'a;b'"]),
            (r"'a\';b'", &[r"'a\';b'"]),
            ("'a'';b'", &["'a'';b'"]),
            (r"'a\\';b", &[r"'a\\'", ";", "b"]),
            ("\"a;b\"", &["\"a;b\""]),
            ("`a;``b`", &["`a;``b`"]),
            ("$$a;b$$c", &["$$a;b$$", "c"]),
            ("$tag$a;$b$tag$", &["$tag$a;$b$tag$"]),
            ("$tag$ a", &["$tag$", "a"]),
            ("a$b$;c", &["a$b$", ";", "c"]),
            ("1 -- ;\n2", &["1", "2"]),
            ("1 --;", &["1"]),
            ("1 # ;\n2", &["1", "2"]),
            ("1 #!;\n2", &["1", "2"]),
            ("1 // ;\n2", &["1", "2"]),
            ("1 /* ; /* ; */ ; */ 2", &["1", "2"]),
            ("x'41' b'01'", &["x'41'", "b'01'"]),
            ("‘a;b’ “c;d”", &["‘a;b’", "“c;d”"]),
            ("1\u{a0}2", &["1", "2"]),
        ];
        for (sql, expected) in table {
            assert_eq!(texts(sql), *expected, "{sql}");
        }
    }

    #[test]
    fn dots_and_numbers_are_told_apart() {
        let table: &[(&str, &[&str])] = &[
            ("a.b", &["a", ".", "b"]),
            ("a . `b`", &["a", ".", "`b`"]),
            ("t.1.2", &["t", ".", "1", ".", "2"]),
            ("1.5e-3", &["1.5e-3"]),
            (".5", &[".5"]),
            ("f().1", &["f", "(", ")", ".", "1"]),
            ("0x1F", &["0x1F"]),
            ("1st", &["1st"]),
            ("1e", &["1e"]),
            ("1-2", &["1", "-", "2"]),
            ("12.", &["12."]),
        ];
        for (sql, expected) in table {
            assert_eq!(texts(sql), *expected, "{sql}");
        }
    }

    #[test]
    fn what_is_not_closed_is_an_error_and_ends_the_text() {
        for sql in ["'a;", "\"a", "`a", "/* a /* b */ ;", "‘a", "x'zz'", "#x", "\\G", "\0"] {
            let mut lexer = Lexer::new(sql);
            assert!(lexer.next().unwrap().is_err(), "{sql}");
            assert!(lexer.next().is_none(), "{sql}");
        }
    }

    #[test]
    fn names_are_read_through_their_quotes() {
        let table = [
            ("a", "a"),
            ("`a``b`", "a`b"),
            (r"`a\`b`", "a`b"),
            ("\"a.b\"", "a.b"),
            ("“x”", "x"),
            ("SELECT", "SELECT"),
        ];
        for (sql, expected) in table {
            let token = Lexer::new(sql).next().unwrap().unwrap();
            assert_eq!(token.name().unwrap(), expected);
        }
        assert_eq!(Lexer::new("'a'").next().unwrap().unwrap().name(), None);
    }
}
