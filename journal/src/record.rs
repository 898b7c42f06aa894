//! Records: opaque bytes with a kind, packed for one append.
//!
//! On disk a record is `kind: u8`, the length as LEB128, the bytes. Promises: what is pushed is what is read, in
//! order; bytes that do not parse exactly are refused as a whole. Leaves the meaning of kinds to the caller.

/// What a record is, in the caller's terms: 0 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u8);

impl Kind {
    /// The largest kind; those above are kept for the format itself.
    pub const MAX: u8 = 127;

    /// A kind from its number; meant for constants, where a number above [`Kind::MAX`] does not compile.
    pub const fn new(number: u8) -> Self {
        assert!(number <= Self::MAX, "a record's kind is at most 127");
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Records that become durable together or not at all, already in the form in which they are written.
#[derive(Debug, Clone, Default)]
pub struct Records {
    payload: Vec<u8>,
    count: u32,
}

impl Records {
    /// No records yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No records yet, with room for this many bytes of them.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { payload: Vec::with_capacity(bytes), count: 0 }
    }

    /// Adds a record behind the others.
    pub fn push(&mut self, kind: Kind, bytes: &[u8]) {
        self.payload.reserve(bytes.len() + 6);
        self.payload.push(kind.0);
        let mut length = bytes.len();
        while length >= 0x80 {
            self.payload.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.payload.push(length as u8);
        self.payload.extend_from_slice(bytes);
        self.count += 1;
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes they occupy on disk, without the frame's header.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The smallest record: a kind and a length of zero. Bounds how many records a number of bytes can have held.
pub(crate) const RECORD_BYTES_MIN: u64 = 2;

/// The first record of a payload: its kind, its bytes, and where the next one begins.
pub(crate) fn split_first(payload: &[u8]) -> Option<(Kind, &[u8], usize)> {
    let (&kind, _) = payload.split_first()?;
    if kind > Kind::MAX {
        return None;
    }
    let mut length = 0usize;
    let mut at = 1;
    loop {
        let byte = *payload.get(at)?;
        // Five groups of seven bits hold every length a frame can have (32 bits).
        if at > 5 {
            return None;
        }
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte < 0x80 {
            break;
        }
    }
    let end = at.checked_add(length)?;
    Some((Kind(kind), payload.get(at..end)?, end))
}

/// Whether a payload is exactly `count` records.
pub(crate) fn holds_exactly(mut payload: &[u8], count: u32) -> bool {
    for _ in 0..count {
        match split_first(payload) {
            Some((_, _, end)) => payload = &payload[end..],
            None => return false,
        }
    }
    payload.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_pushed_at_every_length_boundary() {
        let lengths = [0, 1, 127, 128, 16_383, 16_384, 2_097_152];
        let mut records = Records::new();
        for (i, length) in lengths.iter().enumerate() {
            records.push(Kind::new(i as u8), &vec![i as u8; *length]);
        }
        assert!(holds_exactly(records.payload(), lengths.len() as u32));
        let mut rest = records.payload();
        for (i, length) in lengths.iter().enumerate() {
            let (kind, bytes, end) = split_first(rest).expect("a record");
            assert_eq!((kind.get(), bytes.len()), (i as u8, *length));
            rest = &rest[end..];
        }
    }

    #[test]
    fn bytes_that_are_not_records_are_refused() {
        let table: [(&[u8], u32); 6] = [
            (&[], 1),
            (&[1], 1),
            (&[1, 2, 9], 1),
            (&[1, 1, 9, 9], 1),
            (&[200, 0], 1),
            (&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 1),
        ];
        for (payload, count) in table {
            assert!(!holds_exactly(payload, count), "{payload:?}");
        }
    }
}
