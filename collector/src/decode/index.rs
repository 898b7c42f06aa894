//! Every attribute name that means something, found with one hash: the conventions' tables and the configured names together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::config::{DecodeConfig, Dimension};
use super::convention::{Fact, Namespace};
use super::conventions;

/// What an attribute's name means.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// The fact it states.
    pub(super) fact: Option<Ranked>,
    /// The dimension it tells, and how strong its name is (0 is strongest).
    pub(super) dimension: Option<(Dimension, u16)>,
    /// Whether it holds dimensions as a JSON object.
    pub(super) json_object: bool,
}

/// A fact with its place among all conventions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    pub(super) fact: Fact,
    /// Its row, counted over all tables: less is stronger.
    pub(super) rank: u16,
    /// The table, as an index into [`conventions::ALL`].
    pub(super) convention: u8,
}

/// What the start of an attribute's name means, where the whole of it means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Under {
    /// What kind of attribute stands there.
    pub(super) namespace: Option<Namespace>,
    /// The dimension its remainder names.
    pub(super) dimension: Option<(Dimension, u16)>,
}

/// The names of attributes, looked up.
#[derive(Debug)]
pub(super) struct Index {
    entries: HashMap<Box<str>, Entry, BuildHasherDefault<NameHasher>>,
    /// Configured names alone, for keys behind a prefix or in a JSON object.
    names: HashMap<Box<str>, (Dimension, u16), BuildHasherDefault<NameHasher>>,
    /// Longest first, so that the first that fits is the one that says most.
    namespaces: Vec<(&'static str, Namespace)>,
    prefixes: Vec<String>,
    /// Which first bytes any prefix has: most names of other spans end here.
    first_bytes: [bool; 256],
}

/// How many places a name may be found in: of its own, behind a prefix, in a JSON object. Strength counts names first.
const PLACES: u16 = 3;

impl Index {
    pub(super) fn new(config: &DecodeConfig) -> Self {
        let mut entries: HashMap<Box<str>, Entry, _> = HashMap::default();
        let mut namespaces = Vec::new();
        let mut rank = 0;
        for (table, convention) in conventions::ALL.iter().enumerate() {
            for (name, fact) in convention.facts {
                let ranked = Ranked { fact: *fact, rank, convention: table as u8 };
                entries.entry((*name).into()).or_default().fact.get_or_insert(ranked);
                rank += 1;
            }
            namespaces.extend_from_slice(convention.prefixes);
        }
        let mut names: HashMap<Box<str>, (Dimension, u16), _> = HashMap::default();
        for dimension in Dimension::ALL {
            for (strength, name) in (0..).zip(config.names(dimension)) {
                let told = (dimension, PLACES * strength);
                entries.entry(name.as_str().into()).or_default().dimension.get_or_insert(told);
                names.entry(name.as_str().into()).or_insert(told);
            }
        }
        for name in &config.json_objects {
            entries.entry(name.as_str().into()).or_default().json_object = true;
        }
        // Stable: of two prefixes of one length the stronger convention's stands first.
        namespaces.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let mut first_bytes = [false; 256];
        let starts =
            namespaces.iter().map(|(prefix, _)| *prefix).chain(config.prefixes.iter().map(String::as_str));
        for first in starts.filter_map(|prefix| prefix.bytes().next()) {
            first_bytes[usize::from(first)] = true;
        }
        Self { entries, names, namespaces, prefixes: config.prefixes.clone(), first_bytes }
    }

    /// What a name means as a whole.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// What a name means by its start.
    pub(super) fn under(&self, name: &str) -> Option<Under> {
        let first = name.bytes().next()?;
        if !self.first_bytes[usize::from(first)] {
            return None;
        }
        let behind = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()));
        let dimension = behind.and_then(|rest| self.name(rest, 1));
        let namespace =
            self.namespaces.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, space)| *space);
        Some(Under { namespace, dimension })
    }

    /// The dimension that a key of a JSON object tells.
    pub(super) fn json_key(&self, key: &str) -> Option<(Dimension, u16)> {
        self.name(key, 2)
    }

    fn name(&self, name: &str, place: u16) -> Option<(Dimension, u16)> {
        self.names.get(name).map(|(dimension, strength)| (*dimension, strength + place))
    }
}

/// Hashes a short name in one step. Names come from clients, but the tables are fixed: nobody can fill a bucket.
#[derive(Debug, Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    /// The end mark of a string: nothing follows that it would have to be told from.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_stands_in_two_tables_with_two_meanings() {
        let mut seen = HashSet::new();
        for convention in conventions::ALL {
            for (name, _) in convention.facts {
                assert!(seen.insert(*name), "{name} stands twice, the second time in {}", convention.name);
            }
        }
    }

    #[test]
    fn the_longest_prefix_says_what_an_attribute_is() {
        let index = Index::new(&DecodeConfig::default());
        let under = |name| index.under(name);
        for (name, namespace) in [
            ("gen_ai.prompt.0.content", Some(Namespace::Content)),
            ("gen_ai.usage.of_tomorrow", Some(Namespace::Ai)),
            ("llm.openai.id", Some(Namespace::RawAnswer)),
            ("llm.token_count.of_tomorrow", Some(Namespace::Ai)),
            ("ai.response.text", Some(Namespace::Content)),
            ("langfuse.observation.output.x", Some(Namespace::Ai)),
            ("metadata.anything", None),
        ] {
            assert_eq!(under(name).and_then(|under| under.namespace), namespace, "{name}");
        }
        assert_eq!(under("http.request.method"), None);
    }

    #[test]
    fn a_stronger_name_wins_wherever_it_stands() {
        let index = Index::new(&DecodeConfig::default());
        let plain = index.entry("feature").unwrap().dimension.unwrap();
        let prefixed = index.under("ai.telemetry.metadata.feature.name").unwrap().dimension.unwrap();
        let json = index.json_key("feature.name").unwrap();
        assert!(prefixed.1 < json.1 && json.1 < plain.1);
        assert_eq!(prefixed.0, Dimension::Feature);
    }
}
