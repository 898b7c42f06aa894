//! Who is who: the ids of spans, collectors, calls and entries.
//!
//! Each id is a newtype whose `Display` writes what its `parse` reads. Derived ids ([`CallId`], [`EntryId`]) are
//! 128 bits of BLAKE3 over length-prefixed parts, so that no choice of attribute text can make two different
//! things share an id, and nothing that a retry can change goes into one.

use std::fmt;
use std::sync::Arc;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}; expected {digits} hexadecimal digits, not all zero")]
pub struct ParseIdError {
    kind: &'static str,
    digits: usize,
    text: String,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id with these bytes; `None` for all zeros, which OpenTelemetry reserves for "no id".
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// The id in a slice of exactly the right length; `None` for another length or all zeros.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Self::from_bytes(bytes.try_into().ok()?)
            }

            /// The bytes, big end first.
            pub fn bytes(&self) -> [u8; $bytes] {
                self.0
            }

            /// Reads what `Display` writes: lowercase or uppercase hexadecimal.
            pub fn parse(text: &str) -> Result<Self, ParseIdError> {
                let refuse = || ParseIdError { kind: $kind, digits: 2 * $bytes, text: text.chars().take(80).collect() };
                if text.len() != 2 * $bytes || !text.is_ascii() {
                    return Err(refuse());
                }
                let mut bytes = [0; $bytes];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| refuse())?;
                }
                Self::from_bytes(bytes).ok_or_else(refuse)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hex_id!(
    /// The 16 bytes that all spans of one OpenTelemetry trace share.
    TraceId, 16, "trace id"
);
hex_id!(
    /// The 8 bytes that name a span within its trace.
    SpanId, 8, "span id"
);
hex_id!(
    /// Names one journal: random, renewed when the machine or the path differ, so that positions never repeat.
    CollectorId, 16, "collector id"
);
hex_id!(
    /// Names one AI call for ever, fixed when its first entry is posted.
    CallId, 16, "call id"
);
hex_id!(
    /// Names one ledger entry: a pure function of the call, of the entries it answers, and of what it says.
    EntryId, 16, "entry id"
);

/// The account within which reports of a call may merge. Everything without an API key is in [`Realm::DEFAULT`].
/// Cheap to clone: every span names its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(Arc<str>);

impl Realm {
    /// The name of the realm of requests that came without an API key.
    pub const DEFAULT: &'static str = "default";

    /// A realm by name; the empty name is the default realm.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self(if name.is_empty() { Self::DEFAULT.into() } else { name })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Builds a derived id from parts. Each part is prefixed by its length, so `("ab","c")` and `("a","bc")` differ.
#[derive(Debug, Clone)]
pub struct IdHasher {
    /// What is not hashed yet. Most ids are made of less than [`IdHasher::GATHERED_MAX`], and hashing that at once costs a
    /// fraction of hashing it part by part.
    gathered: Vec<u8>,
    hashed: Option<Box<blake3::Hasher>>,
}

impl IdHasher {
    const GATHERED_MAX: usize = 4096;

    /// Starts a hash in a named domain, so that ids of different kinds never coincide.
    pub fn new(purpose: &str) -> Self {
        let mut hasher = Self { gathered: Vec::with_capacity(1024), hashed: None };
        hasher.part(purpose.as_bytes());
        hasher
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.gathered.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() > Self::GATHERED_MAX {
            self.hashed.get_or_insert_default().update(&self.gathered);
            self.gathered.clear();
        }
        self
    }

    /// The whole hash.
    pub fn finish_whole(&self) -> [u8; 32] {
        let hash = match &self.hashed {
            None => blake3::hash(&self.gathered),
            Some(hashed) => hashed.as_ref().clone().update(&self.gathered).finalize(),
        };
        hash.into()
    }

    /// The first 16 bytes of the hash.
    pub fn finish(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.finish_whole()[..16]);
        // All zeros means "no id" elsewhere; a hash that hits it (2^-128) is moved aside.
        if id == [0; 16] { [0xff; 16] } else { id }
    }
}

impl CallId {
    /// The id of what belongs to no span: an adjustment. Closes a hash over what it is.
    pub fn of_adjustment(hasher: &IdHasher) -> Self {
        Self(hasher.finish())
    }

    /// The id of a call that its provider named: the same wherever and however often it is reported.
    pub fn of_response(realm: &Realm, response_id: &str) -> Self {
        Self(
            IdHasher::new("call/response")
                .part(realm.as_str().as_bytes())
                .part(response_id.as_bytes())
                .finish(),
        )
    }

    /// The id of a call known only by the span that reported it best when it was first posted.
    pub fn of_span(realm: &Realm, trace: TraceId, span: SpanId) -> Self {
        Self(IdHasher::new("call/span").part(realm.as_str().as_bytes()).part(&trace.0).part(&span.0).finish())
    }

    /// The id of a call that was split from the one with this id, which goes on without it.
    pub fn apart(self) -> Self {
        Self(IdHasher::new("call/apart").part(&self.0).finish())
    }
}

impl EntryId {
    /// Closes a hash that covers the call, the entries seen, and the content.
    pub fn of(hasher: &IdHasher) -> Self {
        Self(hasher.finish())
    }
}

/// Whether a response id is strong enough to merge reports on its own: a pure function of its text.
///
/// At least 16 characters after the prefix (what stands before the last `-` or `_` that follows only letters,
/// `chatcmpl-…`, `msg_…`), at least 8 of them distinct. Local servers answer ids like `chatcmpl-123`, which
/// repeat from call to call and would merge strangers.
pub fn is_strong_response_id(text: &str) -> bool {
    let rest = match text.find(['-', '_', ':']) {
        Some(at) if text[..at].chars().all(|c| c.is_ascii_alphabetic()) => &text[at + 1..],
        _ => text,
    };
    // One bit for each ASCII letter or digit that occurs.
    let distinct = rest.bytes().filter(u8::is_ascii_alphanumeric).fold(0_u128, |seen, byte| seen | 1 << byte);
    rest.chars().count() >= 16 && distinct.count_ones() >= 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_ids_are_long_and_varied_after_their_prefix() {
        for (text, strong) in [
            ("chatcmpl-123", false),
            ("chatcmpl-BxY3kq9ZLm0aP2dTr7uVw", true),
            ("msg_22c21eaa298149c9a955d3fa", true),
            ("resp_0000000000000000000000", false),
            ("abc", false),
            ("", false),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", true),
            ("cmpl-aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("gen-1716000000-abcdefghij", true),
        ] {
            assert_eq!(is_strong_response_id(text), strong, "{text}");
        }
    }

    #[test]
    fn display_writes_what_parse_reads() {
        let id = TraceId::parse("0102030405060708090a0b0c0d0e0f10").unwrap();
        assert_eq!(TraceId::parse(&id.to_string()).unwrap(), id);
        assert!(TraceId::parse("00000000000000000000000000000000").is_err());
        assert!(SpanId::parse("xyz").unwrap_err().to_string().contains("span id"));
    }

    #[test]
    fn parts_of_a_derived_id_do_not_run_together() {
        let long = [7; 3000];
        let parts = IdHasher::new("t").part(&long).part(&long).part(b"c").finish();
        let mut whole = blake3::Hasher::new();
        for part in [&b"t"[..], &long, &long, b"c"] {
            whole.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        assert_eq!(
            parts[..],
            whole.finalize().as_bytes()[..16],
            "however much is gathered before it is hashed"
        );
        let one = IdHasher::new("t").part(b"ab").part(b"c").finish();
        let two = IdHasher::new("t").part(b"a").part(b"bc").finish();
        assert_ne!(one, two);
    }
}
