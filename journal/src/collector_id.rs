//! The identity under which a journal numbers its records.
//!
//! Promises: random, 128 bits, `Display` is what `parse` takes. When an id is kept or renewed is `identity`'s matter.

use std::fmt;

/// A journal's identity: positions are `(CollectorId, seq)`, unique for all time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectorId([u8; 16]);

impl CollectorId {
    /// A new id that nobody else has.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads the 32 hexadecimal digits that `Display` writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits_only = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = digits_only.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(value.to_be_bytes()))
    }

    /// The id from its 16 bytes, in the order `Display` writes them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, in the order `Display` writes them.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for CollectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for CollectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectorId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_display_writes_parse_reads() {
        let id = CollectorId::random();
        assert_eq!(CollectorId::parse(&id.to_string()), Some(id));
        let small = CollectorId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(small.to_string(), "00000000000000000000000000000007");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "7", "+0000000000000000000000000000007", "g0000000000000000000000000000007"] {
            assert_eq!(CollectorId::parse(text), None, "{text}");
        }
    }
}
