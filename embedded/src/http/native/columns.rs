//! Walks over plain `Native` blocks and writes them again with what a newer client expects in between.

use bytes::Bytes;

use super::super::formats::read_varint;
use super::types::Layout;
use crate::engine::{ErrorCode, Exception};

/// No overflow rows, no bucket: what every block of a result says.
const BLOCK_INFO: [u8; 8] = [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0];

/// No column has a custom serialisation.
const PLAIN_SERIALIZATION: u8 = 0;

/// Rewrites a sequence of whole blocks.
pub(super) fn rewrite(plain: &Bytes, custom_serialization: bool) -> Result<Bytes, Exception> {
    let mut walk = Walk { bytes: plain, at: 0 };
    let mut out = Vec::with_capacity(plain.len() + 64);
    while walk.at < plain.len() {
        let start = walk.at;
        let (columns, rows) = (walk.varint()?, walk.size()?);
        out.extend_from_slice(&BLOCK_INFO);
        out.extend_from_slice(&plain[start..walk.at]);
        for _ in 0..columns {
            let start = walk.at;
            walk.text()?;
            let type_name = walk.text()?;
            out.extend_from_slice(&plain[start..walk.at]);
            if custom_serialization {
                out.push(PLAIN_SERIALIZATION);
            }
            let start = walk.at;
            if rows > 0 {
                let type_name = String::from_utf8_lossy(type_name);
                let layout = Layout::of(&type_name).ok_or_else(|| unknown(&type_name))?;
                walk.prefix(&layout)?;
                walk.column(&layout, rows)?;
            }
            out.extend_from_slice(&plain[start..walk.at]);
        }
    }
    Ok(out.into())
}

struct Walk<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
}

/// Bits of a dictionary's first word.
const KEY_SIZE_BITS: u64 = 0xff;
const GLOBAL_DICTIONARY: u64 = 0x100;
const ADDITIONAL_KEYS: u64 = 0x200;

impl<'bytes> Walk<'bytes> {
    /// What stands before the values: the version of every dictionary.
    fn prefix(&mut self, layout: &Layout) -> Result<(), Exception> {
        match layout {
            Layout::Fixed(_) | Layout::Text => Ok(()),
            Layout::Nullable(inner) | Layout::Array(inner) => self.prefix(inner),
            Layout::Tuple(elements) => elements.iter().try_for_each(|element| self.prefix(element)),
            Layout::LowCardinality(_) => self.skip(8),
        }
    }

    fn column(&mut self, layout: &Layout, rows: usize) -> Result<(), Exception> {
        match layout {
            Layout::Fixed(size) => self.skip(size.checked_mul(rows).ok_or_else(damaged)?),
            Layout::Text => (0..rows).try_for_each(|_| self.text().map(drop)),
            Layout::Nullable(inner) => {
                self.skip(rows)?;
                self.column(inner, rows)
            }
            Layout::Array(inner) => {
                self.skip(8 * rows.saturating_sub(1))?;
                let elements =
                    if rows == 0 { 0 } else { usize::try_from(self.word()?).map_err(|_| damaged())? };
                self.column(inner, elements)
            }
            Layout::Tuple(elements) => elements.iter().try_for_each(|element| self.column(element, rows)),
            // An empty column has no dictionary.
            Layout::LowCardinality(_) if rows == 0 => Ok(()),
            Layout::LowCardinality(keys) => self.dictionary(keys),
        }
    }

    fn dictionary(&mut self, keys: &Layout) -> Result<(), Exception> {
        let flags = self.word()?;
        if flags & GLOBAL_DICTIONARY != 0 || flags & ADDITIONAL_KEYS == 0 {
            return Err(damaged());
        }
        let number_size = match flags & KEY_SIZE_BITS {
            size @ 0..=3 => 1_usize << size,
            _ => return Err(damaged()),
        };
        let key_count = usize::try_from(self.word()?).map_err(|_| damaged())?;
        self.column(keys, key_count)?;
        let rows = usize::try_from(self.word()?).map_err(|_| damaged())?;
        self.skip(number_size.checked_mul(rows).ok_or_else(damaged)?)
    }

    fn varint(&mut self) -> Result<u64, Exception> {
        let (value, at) = read_varint(self.bytes, self.at).ok_or_else(damaged)?;
        self.at = at;
        Ok(value)
    }

    fn size(&mut self) -> Result<usize, Exception> {
        usize::try_from(self.varint()?).map_err(|_| damaged())
    }

    fn text(&mut self) -> Result<&'bytes [u8], Exception> {
        let size = self.size()?;
        let start = self.at;
        self.skip(size)?;
        Ok(&self.bytes[start..self.at])
    }

    fn word(&mut self) -> Result<u64, Exception> {
        let start = self.at;
        self.skip(8)?;
        Ok(u64::from_le_bytes(self.bytes[start..self.at].try_into().expect("eight bytes")))
    }

    fn skip(&mut self, size: usize) -> Result<(), Exception> {
        let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len()).ok_or_else(damaged)?;
        self.at = end;
        Ok(())
    }
}

fn damaged() -> Exception {
    Exception::new(ErrorCode::CannotReadAllData, "The engine's Native block is not laid out as expected")
}

fn unknown(type_name: &str) -> Exception {
    let message = format!(
        "The embedded engine cannot send the type {type_name} in the Native format of a protocol revision; convert it, for \
         example with toString or finalizeAggregation, or ask for another format"
    );
    Exception::new(ErrorCode::NotImplemented, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gets_its_info_and_its_columns_a_mark() {
        let plain = b"\x02\x02\x01a\x05UInt8\x07\x08\x01s\x06String\x01x\x00";
        let expected =
            b"\x01\x00\x02\xff\xff\xff\xff\x00\x02\x02\x01a\x05UInt8\x00\x07\x08\x01s\x06String\x00\x01x\x00";
        assert_eq!(rewrite(&Bytes::from_static(plain), true).unwrap().as_ref(), expected);
    }

    #[test]
    fn a_cut_block_is_an_error() {
        let plain = Bytes::from_static(b"\x02\x02\x01a\x05UInt8\x07\x08\x01s\x06String\x01x\x00");
        for size in 1..plain.len() {
            assert!(rewrite(&plain.slice(..size), true).is_err(), "{size} bytes");
        }
    }
}
