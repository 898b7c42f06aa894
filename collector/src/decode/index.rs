//! Every attribute name that means something, found with one hash: the conventions' tables and the configured names together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::config::{DecodeConfig, Dimension};
use super::convention::{Fact, Namespace};
use super::conventions;
use super::prefixes::Prefixes;
use super::rulings::Rulings;

/// What an attribute's name means.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// The name itself: known to be text, which the name on the wire need not be asked any more.
    pub(super) name: Box<str>,
    /// The fact it states.
    pub(super) fact: Option<Ranked>,
    /// The dimension it tells, and how strong its name is (0 is strongest).
    pub(super) dimension: Option<(Dimension, u16)>,
    /// Whether it holds dimensions as a JSON object.
    pub(super) json_object: bool,
    /// Whether rulings are about it.
    pub(super) ruled: bool,
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
    entries: Entries,
    /// Configured names alone, for keys behind a prefix or in a JSON object.
    names: HashMap<Box<[u8]>, (Dimension, u16), BuildHasherDefault<NameHasher>>,
    prefixes: Prefixes,
    pub(super) rulings: Rulings,
}

/// How many places a name may be found in: of its own, behind a prefix, in a JSON object. Strength counts names first.
const PLACES: u16 = 3;

impl Index {
    pub(super) fn new(config: &DecodeConfig) -> Self {
        let mut entries = Entries::default();
        let mut prefixes = Prefixes::default();
        let mut rank = 0;
        for (table, convention) in conventions::ALL.iter().enumerate() {
            for (name, fact) in convention.facts {
                let ranked = Ranked { fact: *fact, rank, convention: table as u8 };
                entry_of(&mut entries, name).fact.get_or_insert(ranked);
                rank += 1;
            }
            for (prefix, namespace) in convention.prefixes {
                prefixes.add_namespace(prefix, *namespace);
            }
        }
        let mut names: HashMap<Box<[u8]>, (Dimension, u16), _> = HashMap::default();
        for dimension in Dimension::ALL {
            for (strength, name) in (0..).zip(config.names(dimension)) {
                let told = (dimension, PLACES * strength);
                entry_of(&mut entries, name).dimension.get_or_insert(told);
                names.entry(name.as_bytes().into()).or_insert(told);
            }
        }
        for name in &config.json_objects {
            entry_of(&mut entries, name).json_object = true;
        }
        config.prefixes.iter().for_each(|prefix| prefixes.add_dimensions(prefix));
        let mut index = Self { entries, names, prefixes, rulings: Rulings::default() };
        index.rule(config);
        index
    }

    /// Takes over the rulings, but for those about content: what is never kept could not be read again.
    fn rule(&mut self, config: &DecodeConfig) {
        let is_content = |name: &str| match self.entries.get(name.as_bytes()).and_then(|entry| entry.fact) {
            Some(ranked) => ranked.fact.is_content(),
            None => self.under(name).namespace == Some(Namespace::Content),
        };
        let (refused, taken): (Vec<_>, Vec<_>) =
            config.not_billable.iter().partition(|ruling| is_content(&ruling.attribute));
        for ruling in refused {
            let (name, attribute) = (&ruling.name, &ruling.attribute);
            tracing::warn!(name, attribute, "a ruling is about an attribute of content and rules nothing");
        }
        for ruling in &taken {
            // The name now has an entry, which must not hide the dimension that it tells by its prefix.
            let dimension = self.under(&ruling.attribute).dimension;
            let entry = entry_of(&mut self.entries, &ruling.attribute);
            entry.ruled = true;
            entry.dimension = entry.dimension.or(dimension);
        }
        self.rulings = Rulings::new(taken.into_iter());
    }

    /// What a name means as a whole.
    pub(super) fn entry(&self, name: &[u8]) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// What a name means by its start.
    pub(super) fn under(&self, name: &str) -> Under {
        let start = self.prefixes.start_of(name);
        let dimension = start.dimensions_behind.and_then(|at| self.name(name.get(at..)?, 1));
        Under { namespace: start.namespace, dimension }
    }

    /// The name behind a configured prefix, if rulings are about that.
    pub(super) fn ruled_behind<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.rulings.is_empty() {
            return None;
        }
        let behind = name.get(self.prefixes.start_of(name).dimensions_behind?..)?;
        self.rulings.are_about(behind).then_some(behind)
    }

    /// The dimension that a key of a JSON object tells.
    pub(super) fn json_key(&self, key: &str) -> Option<(Dimension, u16)> {
        self.name(key, 2)
    }

    fn name(&self, name: &str, place: u16) -> Option<(Dimension, u16)> {
        self.names.get(name.as_bytes()).map(|(dimension, strength)| (*dimension, strength + place))
    }
}

type Entries = HashMap<Box<[u8]>, Entry, BuildHasherDefault<NameHasher>>;

fn entry_of<'a>(entries: &'a mut Entries, name: &str) -> &'a mut Entry {
    let new = || Entry { name: name.into(), ..Entry::default() };
    entries.entry(name.as_bytes().into()).or_insert_with(new)
}

/// Hashes a short name, eight bytes in a step. Names come from clients, but the tables are fixed: nobody can fill a bucket.
#[derive(Debug, Default)]
pub(super) struct NameHasher(u64);

impl NameHasher {
    #[inline(always)]
    fn add(&mut self, word: u64) {
        // Any odd number with bits all over; the rotation brings the well-mixed high bits to where the next step needs them.
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match bytes.last_chunk::<8>() {
            // The last step may see bytes of the one before again, which costs nothing.
            Some(last) => {
                let (words, _) = bytes.as_chunks::<8>();
                words.iter().for_each(|word| self.add(u64::from_ne_bytes(*word)));
                self.add(u64::from_ne_bytes(*last));
            }
            None => self.add(bytes.iter().fold(1, |word, byte| word << 8 | u64::from(*byte))),
        }
    }

    /// A slice's length.
    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.add(length as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
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
            assert_eq!(under(name).namespace, namespace, "{name}");
        }
        assert_eq!(under("http.request.method"), Under { namespace: None, dimension: None });
    }

    #[test]
    fn a_stronger_name_wins_wherever_it_stands() {
        let index = Index::new(&DecodeConfig::default());
        let plain = index.entry(b"feature").unwrap().dimension.unwrap();
        let prefixed = index.under("ai.telemetry.metadata.feature.name").dimension.unwrap();
        let json = index.json_key("feature.name").unwrap();
        assert!(prefixed.1 < json.1 && json.1 < plain.1);
        assert_eq!(prefixed.0, Dimension::Feature);
    }
}
