//! The attributes that are kept with an observation, so that a later decoder can read them again: facts, never content.

use std::fmt::Write as _;

use crate::otlp::{AnyValue, ValueView};

/// The size of all kept attributes of a span, in bytes of JSON.
pub(super) const KEPT_BYTES_MAX: usize = 4096;
/// How deep lists are kept.
const DEPTH_MAX: u8 = 4;

/// Attributes as one JSON object. One that does not fit, or cannot be read, is left out whole; smaller ones after it still go in.
pub(super) fn object<'a>(attributes: impl Iterator<Item = (&'a str, AnyValue<'a>)>) -> String {
    let mut out = String::with_capacity(1024);
    out.push('{');
    for (key, value) in attributes.filter(|(key, _)| key.len() <= KEPT_BYTES_MAX) {
        let start = out.len();
        if start > 1 {
            out.push(',');
        }
        quote(&mut out, key);
        out.push(':');
        // One byte is kept for the closing brace.
        if write(&mut out, value, 0).is_none() || out.len() >= KEPT_BYTES_MAX {
            out.truncate(start);
        }
    }
    out.push('}');
    out
}

fn write(out: &mut String, value: AnyValue<'_>, depth: u8) -> Option<()> {
    if out.len() > KEPT_BYTES_MAX || depth > DEPTH_MAX {
        return None;
    }
    match value.view().ok()? {
        ValueView::Empty => out.push_str("null"),
        ValueView::Str(text) => {
            if text.len() > KEPT_BYTES_MAX {
                return None;
            }
            quote(out, text);
        }
        ValueView::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
        ValueView::Int(int) => write!(out, "{int}").ok()?,
        // JSON has no NaN and no infinities; `{:?}` writes the shortest text that reads back the same.
        ValueView::Double(double) if double.is_finite() => write!(out, "{double:?}").ok()?,
        ValueView::Double(_) => out.push_str("null"),
        ValueView::Array(array) => {
            out.push('[');
            for (at, element) in array.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, element.ok()?, depth + 1)?;
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
                write(out, pair.value, depth + 1)?;
            }
            out.push('}');
        }
        ValueView::Bytes(_) => return None,
    }
    Some(())
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                control if control < ' ' => {
                    // Writing to a `String` cannot fail.
                    let _written = write!(out, "\\u{:04x}", u32::from(control));
                }
                other => out.push(other),
            }
        }
    }
    out.push('"');
}
