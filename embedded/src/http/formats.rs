//! The output formats: their content types, and which of them can be sent piece by piece.
//!
//! The engine formats every piece of a stream on its own. That is right for formats that are just rows; formats with
//! a header repeat it, which is cut off here; documents (JSON, Parquet, …) would be many documents, so they are made
//! whole.

use std::collections::HashMap;

use crate::engine::{Engine, Exception};

/// The content types of the running engine's formats.
pub(crate) struct Formats {
    content_types: HashMap<String, String>,
}

impl Formats {
    pub(crate) fn load(engine: &Engine) -> Result<Self, Exception> {
        let rows = engine.query("SELECT name, content_type FROM system.formats WHERE is_output", "TSVRaw")?;
        let content_types = String::from_utf8_lossy(&rows)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, content_type)| (name.to_owned(), content_type.to_owned()))
            .collect();
        Ok(Self { content_types })
    }

    pub(crate) fn content_type(&self, format: &str) -> &str {
        match self.content_types.get(format) {
            Some(content_type) if !content_type.is_empty() => content_type,
            _ => "text/plain; charset=UTF-8",
        }
    }
}

/// What begins every piece of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    None,
    /// So many lines, and no line ends inside them.
    Lines(usize),
    /// So many lines of CSV, where a quoted name may contain a line end.
    CsvLines(usize),
    /// A count and so many length-prefixed strings a column.
    Binary {
        strings_per_column: usize,
    },
}

/// The header of a format that can be sent in pieces; `None` for a format that must be made whole.
pub(crate) fn streamable(format: &str) -> Option<Header> {
    let header = match format {
        "TabSeparated"
        | "TSV"
        | "TabSeparatedRaw"
        | "TSVRaw"
        | "Raw"
        | "TSKV"
        | "CSV"
        | "JSONEachRow"
        | "JSONLines"
        | "NDJSON"
        | "JSONStringsEachRow"
        | "JSONCompactEachRow"
        | "JSONCompactStringsEachRow"
        | "RowBinary"
        | "Native"
        | "MsgPack"
        | "LineAsString" => Header::None,
        "TabSeparatedWithNames"
        | "TSVWithNames"
        | "TabSeparatedRawWithNames"
        | "TSVRawWithNames"
        | "RawWithNames"
        | "JSONCompactEachRowWithNames"
        | "JSONCompactStringsEachRowWithNames" => Header::Lines(1),
        "TabSeparatedWithNamesAndTypes"
        | "TSVWithNamesAndTypes"
        | "TabSeparatedRawWithNamesAndTypes"
        | "TSVRawWithNamesAndTypes"
        | "RawWithNamesAndTypes"
        | "JSONCompactEachRowWithNamesAndTypes"
        | "JSONCompactStringsEachRowWithNamesAndTypes" => Header::Lines(2),
        "CSVWithNames" => Header::CsvLines(1),
        "CSVWithNamesAndTypes" => Header::CsvLines(2),
        "RowBinaryWithNames" => Header::Binary { strings_per_column: 1 },
        "RowBinaryWithNamesAndTypes" => Header::Binary { strings_per_column: 2 },
        _ => return None,
    };
    Some(header)
}

/// Settings and clauses that put something around or behind the rows, which only a whole result can have.
pub(crate) fn needs_the_whole(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "extremes",
        "output_format_json_array_of_rows",
        "output_format_binary_encode_types_in_binary_format",
        "output_format_native_encode_types_in_binary_format",
        "totals",
    ];
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

impl Header {
    /// Size of the header at the start of `piece`; `None` when it is not all there.
    pub(crate) fn size(self, piece: &[u8]) -> Option<usize> {
        match self {
            Self::None => Some(0),
            Self::Lines(lines) => line_ends(piece, false).nth(lines - 1),
            Self::CsvLines(lines) => line_ends(piece, true).nth(lines - 1),
            Self::Binary { strings_per_column } => binary_size(piece, strings_per_column),
        }
    }
}

/// Offsets behind the line ends of a text, those inside double quotes left out if so asked.
fn line_ends(text: &[u8], quotes: bool) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.iter().enumerate().filter_map(move |(at, byte)| {
        quoted ^= quotes && *byte == b'"';
        (*byte == b'\n' && !quoted).then_some(at + 1)
    })
}

fn binary_size(piece: &[u8], strings_per_column: usize) -> Option<usize> {
    let (columns, mut at) = read_varint(piece, 0)?;
    let strings = usize::try_from(columns).ok()?.checked_mul(strings_per_column)?;
    for _ in 0..strings {
        let (length, start) = read_varint(piece, at)?;
        at = start.checked_add(usize::try_from(length).ok()?)?;
    }
    (at <= piece.len()).then_some(at)
}

/// A LEB128 number at `at`, and the offset behind it.
pub(crate) fn read_varint(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_where_the_rows_begin() {
        let table: &[(&str, &[u8], &[u8])] = &[
            ("TSV", b"1\n", b""),
            ("TSVWithNames", b"a\tb\n1\t2\n", b"a\tb\n"),
            ("TSVWithNamesAndTypes", b"a\nUInt8\n1\n", b"a\nUInt8\n"),
            ("CSVWithNames", b"\"a\nb\",\"c\"\"\n\"\n1,2\n", b"\"a\nb\",\"c\"\"\n\"\n"),
            ("RowBinaryWithNamesAndTypes", b"\x01\x01a\x05UInt8\x07", b"\x01\x01a\x05UInt8"),
            ("RowBinaryWithNames", b"\x02\x01a\x01b\x07", b"\x02\x01a\x01b"),
        ];
        for (format, piece, header) in table {
            assert_eq!(streamable(format).unwrap().size(piece), Some(header.len()), "{format}");
        }
        assert_eq!(streamable("TSVWithNames").unwrap().size(b"a\tb"), None);
        assert_eq!(streamable("RowBinaryWithNames").unwrap().size(b"\x02\x01a\x05b"), None);
    }

    #[test]
    fn documents_are_not_streamed() {
        for format in
            ["JSON", "JSONCompact", "Parquet", "Pretty", "XML", "Values", "Vertical", "Arrow", "Unheard"]
        {
            assert_eq!(streamable(format), None, "{format}");
        }
    }
}
