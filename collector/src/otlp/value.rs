//! Attributes and their values, read only when somebody asks.

use super::wire::{Fields, Repeated, Slice, WalkError, Wire};

/// How deep values may nest. Deeper ones are an error where they are looked into, never a deeper recursion.
pub const DEPTH_MAX: u8 = 16;

/// One attribute: a key and a value that is not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// The key.
    pub key: &'a str,
    /// The value.
    pub value: AnyValue<'a>,
}

/// An attribute whose key is not known to be text yet: most keys are looked up first, and need not be.
#[derive(Debug, Clone, Copy)]
pub struct RawAttribute<'a> {
    key: Slice<'a>,
    /// The value.
    pub value: AnyValue<'a>,
}

impl<'a> RawAttribute<'a> {
    /// The bytes of the key.
    pub fn key_bytes(&self) -> &'a [u8] {
        self.key.bytes
    }

    /// The attribute, if its key is text.
    pub fn read(self) -> Result<Attribute<'a>, WalkError> {
        let key = self.key.text().ok_or_else(|| self.key.error("an attribute key that is not UTF-8"))?;
        Ok(Attribute { key, value: self.value })
    }
}

/// A value in wire form. [`AnyValue::view`] reads it.
#[derive(Debug, Clone, Copy)]
pub struct AnyValue<'a> {
    bytes: Slice<'a>,
    depth: u8,
}

/// A value, one level deep; arrays and lists are walked by their iterators.
#[derive(Debug, Clone, Copy)]
pub enum ValueView<'a> {
    /// No value at all.
    Empty,
    /// A string.
    Str(&'a str),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Values in order.
    Array(ArrayView<'a>),
    /// Keys and values in order.
    KvList(Attributes<'a>),
    /// Bytes; also a string that is not UTF-8, so that one bad prompt does not cost a span its usage.
    Bytes(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    /// The value of an attribute, of its bytes.
    pub(super) fn of(bytes: Slice<'a>) -> Self {
        Self { bytes, depth: 0 }
    }

    /// The size of the value on the wire, in bytes: an upper bound for the text in it.
    pub fn wire_len(&self) -> usize {
        self.bytes.bytes.len()
    }

    /// The field of a value that has just one, as every producer writes it.
    #[inline(always)]
    fn only_field(&self) -> Option<(u32, Wire<'a>)> {
        let mut fields = Fields::of(self.bytes);
        let field = fields.next().ok()??;
        (fields.position() == self.bytes.bytes.len()).then_some(field)
    }

    /// Whether it may be a number: whatever is plainly a text, a list or a truth value is none. Malformed ones may be.
    pub fn may_be_number(&self) -> bool {
        !matches!(self.only_field(), Some((1 | 5 | 6 | 7, Wire::Bytes(_)) | (2, Wire::Varint(_))))
    }

    /// Reads one level of the value. As in protobuf's `oneof`, the last of several values stands.
    #[inline]
    pub fn view(&self) -> Result<ValueView<'a>, WalkError> {
        match self.only_field() {
            Some((1, Wire::Bytes(text))) if self.depth <= DEPTH_MAX => Ok(text_view(text)),
            Some((2, Wire::Varint(truth))) if self.depth <= DEPTH_MAX => Ok(ValueView::Bool(truth != 0)),
            Some((3, Wire::Varint(bits))) if self.depth <= DEPTH_MAX => {
                Ok(ValueView::Int(bits.cast_signed()))
            }
            _ => self.view_any(),
        }
    }

    fn view_any(&self) -> Result<ValueView<'a>, WalkError> {
        if self.depth > DEPTH_MAX {
            return Err(self.bytes.error("values nested too deep"));
        }
        let mut value = ValueView::Empty;
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next()? {
            value = match field {
                (1, Wire::Bytes(text)) => text_view(text),
                (2, Wire::Varint(truth)) => ValueView::Bool(truth != 0),
                (3, Wire::Varint(bits)) => ValueView::Int(bits.cast_signed()),
                (4, Wire::Fixed64(bits)) => ValueView::Double(f64::from_bits(bits)),
                (5, Wire::Bytes(array)) => ValueView::Array(ArrayView {
                    values: Repeated::of(Fields::of(array), 1),
                    depth: self.depth + 1,
                }),
                (6, Wire::Bytes(list)) => {
                    ValueView::KvList(Attributes::of(Fields::of(list), 1, self.depth + 1))
                }
                (7, Wire::Bytes(bytes)) => ValueView::Bytes(bytes.bytes),
                (1..=7, _) => return Err(self.bytes.error("a value of the wrong wire type")),
                _ => value,
            };
        }
        Ok(value)
    }

    /// The string, if the value is one. Malformed values are no string.
    pub fn text(&self) -> Option<&'a str> {
        match self.view() {
            Ok(ValueView::Str(text)) => Some(text),
            _ => None,
        }
    }
}

fn text_view(text: Slice<'_>) -> ValueView<'_> {
    text.text().map_or(ValueView::Bytes(text.bytes), ValueView::Str)
}

/// The elements of an array value.
#[derive(Debug, Clone, Copy)]
pub struct ArrayView<'a> {
    values: Repeated<'a>,
    depth: u8,
}

impl<'a> Iterator for ArrayView<'a> {
    type Item = Result<AnyValue<'a>, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let depth = self.depth;
        Some(self.values.next()?.map(|bytes| AnyValue { bytes, depth }))
    }
}

/// The attributes of a span, a resource, a scope, an event, or a list value, in the order they were written.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    pairs: Repeated<'a>,
    depth: u8,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(fields: Fields<'a>, number: u32, depth: u8) -> Self {
        Self { pairs: Repeated::of(fields, number), depth }
    }

    #[inline(always)]
    fn pair(&self, pair: Slice<'a>) -> Result<RawAttribute<'a>, WalkError> {
        let mut key = Slice::EMPTY;
        let mut value = Slice::EMPTY;
        let mut fields = Fields::of(pair);
        while let Some(field) = fields.next()? {
            match field {
                (1, Wire::Bytes(text)) => key = text,
                (2, Wire::Bytes(bytes)) => value = bytes,
                (1 | 2, _) => return Err(pair.error("an attribute of the wrong wire type")),
                _ => {}
            }
        }
        Ok(RawAttribute { key, value: AnyValue { bytes: value, depth: self.depth } })
    }

    /// The attributes with their keys as bytes.
    #[inline]
    pub fn raw(mut self) -> impl Iterator<Item = Result<RawAttribute<'a>, WalkError>> {
        std::iter::from_fn(move || {
            let pair = self.pairs.next()?;
            Some(pair.and_then(|pair| self.pair(pair)))
        })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.next()?;
        Some(pair.and_then(|pair| self.pair(pair)?.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> AnyValue<'_> {
        AnyValue { bytes: Slice::body(bytes), depth: 0 }
    }

    #[test]
    fn text_that_is_not_utf8_is_bytes() {
        assert!(matches!(value(&[0x0a, 1, 0xff]).view(), Ok(ValueView::Bytes(&[0xff]))));
    }

    #[test]
    fn nesting_ends_at_the_bound() {
        let mut bytes = vec![0x18, 7];
        for _ in 0..100 {
            // An array (field 5) with one value (field 1) in it.
            let mut element = vec![0x0a];
            varint(&mut element, bytes.len());
            element.append(&mut bytes);
            bytes = vec![0x2a];
            varint(&mut bytes, element.len());
            bytes.append(&mut element);
        }
        let mut levels = 0;
        let mut inner = value(&bytes);
        while let Ok(ValueView::Array(mut array)) = inner.view() {
            levels += 1;
            inner = array.next().unwrap().unwrap();
        }
        assert_eq!(levels, u32::from(DEPTH_MAX) + 1);
        assert_eq!(inner.view().unwrap_err().what, "values nested too deep");
    }

    fn varint(out: &mut Vec<u8>, mut value: usize) {
        while value > 127 {
            out.push((value & 127) as u8 | 128);
            value >>= 7;
        }
        out.push(value as u8);
    }
}
