//! The key itself: made from 256 random bits, shown once, kept only as a hash.
//!
//! One pass of BLAKE3 is the right hash here. Slow, salted hashes protect passwords because people choose them from a
//! small set that can be tried one by one; a key drawn uniformly from 2^256 cannot be tried at any speed, while a
//! slow hash on every request would hand anyone who sends wrong keys a way to keep the collector busy.

use std::fmt;

use rand::Rng;
use rand::TryRngCore;
use rand::distr::Alphanumeric;
use rand::rngs::OsRng;

/// What every key starts with, so that people and secret scanners recognise one.
pub(super) const PREFIX: &str = "llk_";

/// Characters after the prefix: the least number of base-62 digits that hold 256 bits (43 × log2 62 = 256.03).
const DIGITS: usize = 43;

/// An API key in clear. `Debug` masks it; only [`Secret::reveal`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Draws a new key from the operating system's random source.
    pub(super) fn generate() -> Self {
        let digits = OsRng.unwrap_err().sample_iter(Alphanumeric).take(DIGITS).map(char::from);
        Self(PREFIX.chars().chain(digits).collect())
    }

    /// The key in clear, to be shown to the person who asked for it and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({PREFIX}…)")
    }
}

/// What is kept of a key: BLAKE3 of its text.
///
/// Finding a key by its hash leaks, at most, how long a prefix of *hashes* agrees, and nobody can steer a hash
/// without knowing a key that gives it; so a lookup need not be constant in time beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of what a client presented.
    pub(super) fn of(secret: &str) -> Self {
        Self(*blake3::hash(secret.as_bytes()).as_bytes())
    }

    /// Reads 64 hexadecimal digits.
    pub(super) fn parse(hex: &str) -> Option<Self> {
        blake3::Hash::from_hex(hex).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_prefix_and_256_bits_and_never_repeats() {
        let (one, two) = (Secret::generate(), Secret::generate());
        assert_ne!(one, two);
        let digits = one.reveal().strip_prefix(PREFIX).unwrap();
        assert_eq!(digits.len(), DIGITS);
        assert!(digits.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn debug_does_not_show_a_key() {
        let secret = Secret::generate();
        assert!(!format!("{secret:?}").contains(&secret.reveal()[PREFIX.len()..]));
    }

    #[test]
    fn display_of_a_hash_writes_what_parse_reads() {
        let hash = SecretHash::of("llk_x");
        assert_eq!(SecretHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(SecretHash::parse("zz"), None);
    }
}
