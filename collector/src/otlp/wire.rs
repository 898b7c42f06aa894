//! Protobuf's wire format: fields one after the other, each a number and a value.
//!
//! Knows nothing of OTLP. Every slice carries its offset in the body, so that an error can say where.

/// What is wrong with the bytes of a request, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {offset}: {what}")]
pub struct WalkError {
    /// The offset in the request's body, in bytes.
    pub offset: usize,
    /// What was found there.
    pub what: &'static str,
}

/// Bytes of the body, and where in it they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: usize,
}

impl<'a> Slice<'a> {
    pub(super) const EMPTY: Self = Slice { bytes: &[], offset: 0 };

    pub(super) fn body(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The text in the slice, if it is UTF-8.
    pub(super) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes).ok()
    }

    #[cold]
    #[inline(never)]
    pub(super) fn error(self, what: &'static str) -> WalkError {
        WalkError { offset: self.offset, what }
    }
}

/// The value of one field, as far as the wire tells its type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Slice<'a>),
}

/// A message, field by field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    message: Slice<'a>,
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: Slice<'a>) -> Self {
        Self { message, at: 0 }
    }

    /// How far into the message the next field starts, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The same message from a position that [`Self::position`] gave.
    pub(super) fn from(message: Slice<'a>, position: usize) -> Self {
        Self { message, at: position.min(message.bytes.len()) }
    }

    /// The next field's number and value; `None` at the end of the message.
    ///
    /// Inlined everywhere, so that each walk keeps only the fields it asks for; what goes wrong is told out of line.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, WalkError> {
        if self.at >= self.message.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = match u32::try_from(tag >> 3) {
            Ok(0) => return Err(self.error("field number zero")),
            Ok(number) => number,
            Err(_) => return Err(self.error("a field number beyond 32 bits")),
        };
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = self.varint()?;
                Wire::Bytes(self.take(len)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups (3 and 4) left protobuf before OTLP began; 6 and 7 never existed.
            _ => return Err(self.error("an unknown wire type")),
        };
        Ok(Some((number, value)))
    }

    /// Tags and most lengths are one byte, and nearly all other numbers of a span's frame two.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WalkError> {
        match self.message.bytes[self.at..] {
            [byte, ..] if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            [low, high, ..] if high < 0x80 => {
                self.at += 2;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WalkError> {
        let rest = &self.message.bytes[self.at..];
        let mut value = 0u64;
        for (i, &byte) in rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(self.error(if rest.len() < 10 { "a number that is cut off" } else { "a number beyond 64 bits" }))
    }

    #[inline(always)]
    fn take(&mut self, len: u64) -> Result<Slice<'a>, WalkError> {
        let rest = &self.message.bytes[self.at..];
        match usize::try_from(len) {
            Ok(len) if len <= rest.len() => {
                let offset = self.message.offset + self.at;
                self.at += len;
                Ok(Slice { bytes: &rest[..len], offset })
            }
            _ => Err(self.error("a length that runs past the end")),
        }
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WalkError> {
        let slice = self.take(N as u64)?;
        slice.bytes.try_into().map_err(|_| slice.error("a number that is cut off"))
    }

    #[cold]
    #[inline(never)]
    fn error(&self, what: &'static str) -> WalkError {
        WalkError { offset: self.message.offset + self.at, what }
    }
}

/// The occurrences of one field that holds messages. Ends after the first error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeated<'a> {
    fields: Fields<'a>,
    number: u32,
    broken: bool,
}

impl<'a> Repeated<'a> {
    pub(super) fn of(fields: Fields<'a>, number: u32) -> Self {
        Self { fields, number, broken: false }
    }
}

impl<'a> Iterator for Repeated<'a> {
    type Item = Result<Slice<'a>, WalkError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.broken {
            match self.fields.next() {
                Ok(None) => return None,
                Ok(Some((number, Wire::Bytes(slice)))) if number == self.number => return Some(Ok(slice)),
                Ok(Some((number, _))) if number == self.number => {
                    self.broken = true;
                    return Some(Err(self.fields.error("a message field that holds a number")));
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    self.broken = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Result<Option<(u32, Wire<'_>)>, WalkError> {
        Fields::of(Slice::body(bytes)).next()
    }

    #[test]
    fn an_error_says_where_and_what() {
        for (bytes, offset, what) in [
            (&[0x08, 0x80][..], 1, "a number that is cut off"),
            (&[0x0a, 0x05, b'x'][..], 2, "a length that runs past the end"),
            (&[0x00, 0x01][..], 1, "field number zero"),
            (&[0x0b][..], 1, "an unknown wire type"),
            (&[0x09, 1, 2, 3][..], 1, "a length that runs past the end"),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2][..], 1, "a number beyond 64 bits"),
        ] {
            assert_eq!(first(bytes).unwrap_err(), WalkError { offset, what }, "{bytes:?}");
        }
    }

    #[test]
    fn the_largest_number_is_read() {
        let bytes = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert!(matches!(first(&bytes), Ok(Some((1, Wire::Varint(u64::MAX))))));
    }

    #[test]
    fn a_repeated_field_ends_after_its_first_error() {
        let bytes = [0x0a, 0x01, b'a', 0x0a, 0x09];
        let mut repeated = Repeated::of(Fields::of(Slice::body(&bytes)), 1);
        assert_eq!(repeated.next().unwrap().unwrap().text(), Some("a"));
        assert!(repeated.next().unwrap().is_err());
        assert!(repeated.next().is_none());
    }
}
