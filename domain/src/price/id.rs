//! Names of prices and price books: hashes of what they say.

use std::fmt;

use crate::identity::IdHasher;

/// A text that is not the id of a price or a price book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}; expected 32 hexadecimal digits")]
pub struct ParsePriceIdError {
    kind: &'static str,
    text: String,
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Closes a hash over all that is named.
            pub(super) fn of(hasher: &IdHasher) -> Self {
                Self(hasher.finish())
            }

            /// Reads what `Display` writes.
            pub fn parse(text: &str) -> Result<Self, ParsePriceIdError> {
                let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let id = if digits { u128::from_str_radix(text, 16).ok() } else { None };
                let refuse = || ParsePriceIdError { kind: $kind, text: text.chars().take(80).collect() };
                id.map(|id| Self(id.to_be_bytes())).ok_or_else(refuse)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hash_id!(
    /// Names a rate card for ever: a hash of its provider, model, start, daily hours, context and rates.
    ///
    /// The end is left out on purpose: a card whose successor becomes known is still the same price.
    PriceId, "price id"
);
hash_id!(
    /// Names the content of a price book: every rule and every rate in it, and nothing else.
    PriceBookVersion, "price book version"
);
