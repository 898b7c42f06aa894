//! The attributes that are kept with an observation: beside it, because nothing that settles needs to read them.
//!
//! They are two thirds of what is kept of a span, and only a later decoder reads them again. So evidence travels with them up
//! to the log, which keeps them in a column of their own; what is settled holds their length and hash alone.

/// A span's non-content attributes of AI namespaces, as one JSON object of at most 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes<S = String> {
    /// The object itself, verbatim; empty where none were kept.
    Here(S),
    /// It stands elsewhere.
    Elsewhere(AttributesMark),
}

/// By what attributes that stand elsewhere are known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributesMark {
    /// Their length in bytes.
    pub bytes: u32,
    /// A hash of them, made where they are encoded.
    pub hash: u64,
}

impl<S> Attributes<S> {
    /// The same, the text made into another.
    pub fn map<T>(self, text: impl Fn(S) -> T) -> Attributes<T> {
        match self {
            Self::Here(json) => Attributes::Here(text(json)),
            Self::Elsewhere(mark) => Attributes::Elsewhere(mark),
        }
    }
}

impl<S: AsRef<str>> Attributes<S> {
    /// Their length in bytes, wherever they stand.
    pub fn len(&self) -> usize {
        match self {
            Self::Here(json) => json.as_ref().len(),
            Self::Elsewhere(mark) => mark.bytes as usize,
        }
    }

    /// Whether none were kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object, if it is here.
    pub fn json(&self) -> Option<&str> {
        match self {
            Self::Here(json) => Some(json.as_ref()),
            Self::Elsewhere(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_as_long_elsewhere_as_they_were_here() {
        let here = Attributes::Here(r#"{"a":1}"#);
        let elsewhere: Attributes<&str> = Attributes::Elsewhere(AttributesMark { bytes: 7, hash: 1 });
        assert_eq!(here.len(), elsewhere.len());
        assert_eq!((here.json(), elsewhere.json()), (Some(r#"{"a":1}"#), None));
        assert!(Attributes::Here("").is_empty());
    }
}
