//! A scanner for JSON, and for the text of Python's dictionaries, that looks for a few keys and keeps nothing else.
//!
//! Promises: linear time, no recursion of its own, no allocation. It does not validate: it reads what it can of text that
//! others wrote and cut, and stops (`None`) where it cannot go on; what was read until then stands.

use std::borrow::Cow;

/// A place in the text.
#[derive(Debug, Clone)]
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// One value, as far as it is read: after `Object` and `Array` the scan stands inside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Object,
    Array,
    Str(Text<'a>),
    /// A number, a truth value, `null`, or `None`, as written.
    Bare(&'a str),
}

/// A string between its quotes, escapes not resolved yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string it stands for.
    pub(super) fn get(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        // Python's escapes that JSON lacks (`\'`, `\x`) leave the text as it stands.
        serde_json::from_str(&format!("\"{}\"", self.raw)).map_or(Cow::Borrowed(self.raw), Cow::Owned)
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads a scalar, or enters an object or array.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        self.blank();
        match self.byte()? {
            b'{' => {
                self.at += 1;
                Some(Value::Object)
            }
            b'[' | b'(' => {
                self.at += 1;
                Some(Value::Array)
            }
            quote @ (b'"' | b'\'') => self.string(quote).map(Value::Str),
            b'}' | b']' | b')' | b',' | b':' => None,
            _ => {
                let start = self.at;
                while self.byte().is_some_and(|byte| !b" \t\r\n,:{}[]()\"'".contains(&byte)) {
                    self.at += 1;
                }
                Some(Value::Bare(&self.text[start..self.at]))
            }
        }
    }

    /// Within an object: the next key, with the scan before its value; `Some(None)` where the object ended.
    pub(super) fn key(&mut self) -> Option<Option<&'a str>> {
        self.separators();
        match self.byte()? {
            b'}' => {
                self.at += 1;
                Some(None)
            }
            quote @ (b'"' | b'\'') => {
                let key = self.string(quote)?;
                self.blank();
                if self.byte()? != b':' {
                    return None;
                }
                self.at += 1;
                Some(Some(key.raw))
            }
            _ => None,
        }
    }

    /// Within an array: whether another element follows, with the scan before it.
    pub(super) fn element(&mut self) -> Option<bool> {
        self.separators();
        match self.byte()? {
            b']' | b')' => {
                self.at += 1;
                Some(false)
            }
            _ => Some(true),
        }
    }

    /// Passes over one value, however large and deep.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut depth = match self.value()? {
            Value::Object | Value::Array => 1usize,
            Value::Str(_) | Value::Bare(_) => return Some(()),
        };
        while depth > 0 {
            match self.byte()? {
                quote @ (b'"' | b'\'') => {
                    self.string(quote)?;
                    continue;
                }
                b'{' | b'[' | b'(' => depth += 1,
                b'}' | b']' | b')' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    /// Reads the value if it is a string, and passes over it if not.
    pub(super) fn text(&mut self) -> Option<Option<Cow<'a, str>>> {
        let mut ahead = self.clone();
        match ahead.value()? {
            Value::Str(text) => {
                *self = ahead;
                Some(Some(text.get()))
            }
            _ => self.skip().map(|()| None),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn separators(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b',') {
            self.at += 1;
        }
    }

    fn string(&mut self, quote: u8) -> Option<Text<'a>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        let mut escaped = false;
        loop {
            match *bytes.get(at)? {
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                byte if byte == quote => break,
                _ => at += 1,
            }
        }
        // Both ends are quotes, which are ASCII: the slice lies on character boundaries.
        let raw = self.text.get(start..at)?;
        self.at = at + 1;
        Some(Text { raw, escaped })
    }
}

/// Text without the quotes that some producers put around it a second time (`"\"acme\""`).
pub(super) fn unquoted(text: &str) -> Cow<'_, str> {
    // Nearly every text begins and ends with a letter or digit, and is left as it is.
    if let [first, .., last] = text.as_bytes()
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
    {
        return Cow::Borrowed(text);
    }
    let text = text.trim();
    if text.len() < 2 || !text.starts_with('"') || !text.ends_with('"') {
        return Cow::Borrowed(text);
    }
    match Scan::new(text).value() {
        Some(Value::Str(inner)) => inner.get(),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_found_past_whatever_stands_before_them() {
        for text in [
            r#"{"a": [1, {"id": "no"}], "b": "}\"", "id": "yes"}"#,
            r#"{'a': (1, None), 'b': "it's", 'id': 'yes', 'c': True}"#,
            "{ \"a\" : null , \"id\" : \"y\\u0065s\"",
        ] {
            let mut scan = Scan::new(text);
            assert!(matches!(scan.value(), Some(Value::Object)));
            let found = loop {
                match scan.key().unwrap().unwrap() {
                    "id" => break scan.text().unwrap().unwrap(),
                    _ => scan.skip().unwrap(),
                }
            };
            assert_eq!(found, "yes", "{text}");
        }
    }

    #[test]
    fn a_second_pair_of_quotes_is_taken_off() {
        for (text, plain) in [("\"acme\"", "acme"), ("acme", "acme"), ("\"a\\\"b\"", "a\"b"), ("\"", "\"")] {
            assert_eq!(unquoted(text), plain);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_run_on(text in "[\\[\\]{}()'\",: \\\\a1é]{0,60}") {
            let mut scan = Scan::new(&text);
            for _ in 0..=text.len() {
                if scan.skip().is_none() && scan.key().is_none() && scan.element().is_none() {
                    break;
                }
            }
            unquoted(&text);
        }
    }
}
