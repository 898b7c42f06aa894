//! The attributes that are kept with an observation, so that a later decoder can read them again: facts, never content.

use std::fmt::Write as _;

use super::beside::Beside;
use crate::otlp::{ValueView, WalkError};

/// The size of all kept attributes of a span, in bytes of JSON, without what the decoder adds.
pub(super) const KEPT_BYTES_MAX: usize = 4096;
/// How deep lists are kept.
const DEPTH_MAX: u8 = 4;

/// Attributes as one JSON object, written while they are read. Its memory serves one span after the other.
#[derive(Debug, Default)]
pub(super) struct Verbatim {
    json: String,
    cut: bool,
}

impl Verbatim {
    /// Forgets the span before.
    pub(super) fn begin(&mut self) {
        self.json.clear();
        self.json.push('{');
        self.cut = false;
    }

    /// Notes that an attribute which states something is too long to be kept.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// Keeps an attribute. One that does not fit, or cannot be read, is left out whole; smaller ones after it still go in.
    pub(super) fn keep(&mut self, key: &str, value: &Result<ValueView<'_>, WalkError>) {
        if key.len() > KEPT_BYTES_MAX {
            self.cut = true;
            return;
        }
        let out = &mut self.json;
        let start = out.len();
        if start > 1 {
            out.push(',');
        }
        quote(out, key);
        out.push(':');
        let written = value.as_ref().ok().and_then(|value| write(out, *value, 0));
        // One byte is kept for the closing brace.
        if written.is_none() || out.len() >= KEPT_BYTES_MAX {
            out.truncate(start);
            self.cut = true;
        }
    }

    /// The whole object, and in it what the decoder went by besides.
    pub(super) fn end(&mut self, mut beside: Beside) -> &str {
        beside.cut |= self.cut;
        if beside != Beside::default() {
            if self.json.len() > 1 {
                self.json.push(',');
            }
            self.json.push_str(&beside.as_member());
        }
        self.json.push('}');
        &self.json
    }
}

fn write(out: &mut String, value: ValueView<'_>, depth: u8) -> Option<()> {
    if out.len() > KEPT_BYTES_MAX || depth > DEPTH_MAX {
        return None;
    }
    match value {
        ValueView::Empty => out.push_str("null"),
        ValueView::Str(text) => {
            if text.len() > KEPT_BYTES_MAX {
                return None;
            }
            quote(out, text);
        }
        ValueView::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
        ValueView::Int(int) => write_int(out, int),
        // JSON has no NaN and no infinities; `{:?}` writes the shortest text that reads back the same.
        ValueView::Double(double) if double.is_finite() => write!(out, "{double:?}").ok()?,
        ValueView::Double(_) => out.push_str("null"),
        ValueView::Array(array) => {
            out.push('[');
            for (at, element) in array.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, element.ok()?.view().ok()?, depth + 1)?;
            }
            out.push(']');
        }
        ValueView::KvList(list) => {
            out.push('{');
            for (at, pair) in list.enumerate() {
                let pair = pair.ok()?;
                if at > 0 {
                    out.push(',');
                }
                quote(out, pair.key);
                out.push(':');
                write(out, pair.value.view().ok()?, depth + 1)?;
            }
            out.push('}');
        }
        ValueView::Bytes(_) => return None,
    }
    Some(())
}

/// Text in quotes. What needs no escape, which is nearly everything, is copied in one piece.
fn quote(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = first_to_escape(rest.as_bytes()) {
        // What is escaped is ASCII, so the pieces between end on character boundaries.
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            control => {
                // Writing to a `String` cannot fail.
                let _written = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Where the first byte stands that JSON does not allow as it is: control characters, quotes, backslashes.
fn first_to_escape(text: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const TOP: u64 = EACH << 7;
    let (words, tail) = text.as_chunks::<8>();
    let tail_at = text.len() - tail.len();
    let one_by_one = |from: usize, bytes: &[u8]| {
        let at = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')?;
        Some(from + at)
    };
    for (number, bytes) in words.iter().enumerate() {
        // Eight bytes at a time: the top bit of a byte is set where it is less than another (for bytes below 128).
        let word = u64::from_ne_bytes(*bytes);
        let less = |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word & TOP;
        let is = |byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
        if less(word, 0x20) | is(b'"') | is(b'\\') != 0 {
            // A borrow may have marked a byte behind the right one, never where there is none.
            return one_by_one(number * 8, bytes);
        }
    }
    one_by_one(tail_at, tail)
}

fn write_int(out: &mut String, int: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = int.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if int < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_reads_back_as_json(text in "[a-zé\u{0}-\u{1f}\"\\\\]{0,40}") {
            let mut json = String::new();
            quote(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_integer_reads_back(int: i64) {
            for int in [int, 0, -1, i64::MIN, i64::MAX] {
                let mut json = String::new();
                write_int(&mut json, int);
                prop_assert_eq!(json, int.to_string());
            }
        }
    }

    #[test]
    fn attributes_beyond_the_bound_are_left_out_whole_and_smaller_ones_still_kept() {
        let long = "x".repeat(KEPT_BYTES_MAX - 20);
        let mut kept = Verbatim::default();
        kept.begin();
        for (key, text) in [("a", "1"), ("b", long.as_str()), ("c", long.as_str()), ("d", "2")] {
            kept.keep(key, &Ok(ValueView::Str(text)));
        }
        let json = kept.end(Beside::default());
        let object: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((object["a"].as_str(), object["c"].as_str()), (Some("1"), None));
        assert!(object["b"].is_string());
        assert_eq!(object["ledgerline"]["cut"], true, "and it says so");
    }
}
