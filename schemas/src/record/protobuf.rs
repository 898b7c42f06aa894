//! The few forms that protobuf has for a field, written one behind the other into a buffer.
//!
//! Promises: the bytes that any protobuf library writes, fields in the order of the calls. As in proto3, a plain field that
//! is zero or empty is left out, and an optional one is written whatever it is, if it is there.

/// A message being written at the end of a buffer.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.delimited(field, value);
        }
    }

    pub(super) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(super) fn optional_text<S: AsRef<str>>(&mut self, field: u32, value: Option<&S>) {
        if let Some(value) = value {
            self.delimited(field, value.as_ref().as_bytes());
        }
    }

    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.optional_number(field, (value != 0).then_some(value));
    }

    pub(super) fn optional_number(&mut self, field: u32, value: Option<u64>) {
        if let Some(value) = value {
            self.key(field, VARINT);
            self.varint(value);
        }
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, FIXED64);
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A message within the message, written however empty it is. Its length is known only afterwards: room for it is left
    /// as `expected_bytes` of it would need, and what was written moves where that was wrong.
    pub(super) fn message(&mut self, field: u32, expected_bytes: usize, write: impl FnOnce(&mut Writer<'_>)) {
        self.key(field, BYTES);
        let start = self.out.len();
        let room = varint_bytes(expected_bytes as u64);
        self.out.resize(start + room, 0);
        write(&mut Writer { out: self.out });
        let length = (self.out.len() - start - room) as u64;
        let mut prefix = [0; 10];
        let prefix = put_varint(&mut prefix, length);
        if prefix.len() == room {
            self.out[start..start + room].copy_from_slice(prefix);
        } else {
            self.out.splice(start..start + room, prefix.iter().copied());
        }
    }

    fn delimited(&mut self, field: u32, value: &[u8]) {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    fn key(&mut self, field: u32, form: u32) {
        self.varint(u64::from(field << 3 | form));
    }

    fn varint(&mut self, value: u64) {
        if value < 0x80 {
            self.out.push(value as u8);
        } else {
            let mut bytes = [0; 10];
            self.out.extend_from_slice(put_varint(&mut bytes, value));
        }
    }
}

/// The field that bytes begin with, key and length included, and what follows it; `None` unless it is the given one, of
/// the form that texts and messages have.
pub(super) fn split_delimited(field: u32, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, after_key) = read_varint(bytes)?;
    let (length, after_length) = read_varint(after_key)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= after_length.len())?;
    (key == u64::from(field << 3 | BYTES)).then(|| bytes.split_at(bytes.len() - after_length.len() + length))
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

pub(super) fn varint_bytes(value: u64) -> usize {
    put_varint(&mut [0; 10], value).len()
}

/// Seven bits a byte, the lowest first, the top bit set on all but the last.
fn put_varint(bytes: &mut [u8; 10], mut value: u64) -> &[u8] {
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    &bytes[..=len]
}
