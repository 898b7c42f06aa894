//! What one line of a call is of: an exact unit class, or what of it lies beyond the bound of a tier.
//!
//! A rate whose tiers hold for the units beyond them splits a class in parts, each with one price. The parts have names of
//! their own in the ledger's maps (`input`, `input>200000`), so that each is quantity times price by itself, differences
//! of entries included, and an invoice shows both.

use std::fmt;

use super::unit::UnitClass;

/// A class, or the part of it beyond a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitPart {
    /// The exact class.
    pub class: UnitClass,
    /// The bound that its units lie beyond; `None` for those below every bound, and where there is none.
    pub beyond: Option<u64>,
}

impl UnitPart {
    /// Reads what `Display` writes, and other names of a class.
    pub fn named(name: &str) -> Option<Self> {
        match name.split_once('>') {
            Some((class, bound)) => {
                let digits = bound.bytes().all(|byte| byte.is_ascii_digit());
                let bound = bound.parse().ok().filter(|_| digits)?;
                Some(Self { class: UnitClass::named(class)?, beyond: Some(bound) })
            }
            None => UnitClass::named(name).map(Self::from),
        }
    }
}

impl From<UnitClass> for UnitPart {
    fn from(class: UnitClass) -> Self {
        Self { class, beyond: None }
    }
}

impl fmt::Display for UnitPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.beyond {
            None => f.pad(self.class.name()),
            Some(bound) => f.pad(&format!("{}>{bound}", self.class.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_written_as_it_is_read() {
        for name in ["input", "input>200000", "web_searches>10"] {
            assert_eq!(UnitPart::named(name).unwrap().to_string(), name);
        }
        for bad in ["input>", "input>x", "input>+1", "smell>1", "smell", ">1"] {
            assert_eq!(UnitPart::named(bad), None, "{bad}");
        }
    }
}
