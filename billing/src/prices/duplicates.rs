//! Keys that stand twice in an object of a JSON file. A JSON reader takes the last of them in silence; of two prices of one
//! unit neither is the better, so a file with such a key is not imported.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::fault::Fault;
use super::number::keep_digits;

/// Every key that stands twice in its object, with its path, so many levels deep and deeper. Nothing for what is no JSON:
/// reading it says so.
pub(super) fn duplicates(json: &str, from_depth: u32) -> Vec<Fault> {
    let mut faults = Vec::new();
    let walk = Walk { path: String::new(), above: from_depth, faults: &mut faults };
    let json = keep_digits(json.as_bytes());
    match walk.deserialize(&mut serde_json::Deserializer::from_slice(&json)) {
        Ok(()) => faults,
        Err(_) => Vec::new(),
    }
}

struct Walk<'f> {
    path: String,
    /// How many levels are left of which nothing is said.
    above: u32,
    faults: &'f mut Vec<Fault>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let shown: String = key.chars().take(60).collect();
            let path = format!("{}/{shown}", self.path);
            if !seen.insert(key) && self.above == 0 {
                self.faults.push(Fault { at: path.clone(), problem: "stands twice; state it once".into() });
            }
            map.next_value_seed(Walk { path, above: self.above.saturating_sub(1), faults: self.faults })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let above = self.above.saturating_sub(1);
        for at in 0.. {
            let path = format!("{}/{at}", self.path);
            if items.next_element_seed(Walk { path, above, faults: self.faults })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
