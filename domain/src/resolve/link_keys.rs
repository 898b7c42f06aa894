//! What may tie a trace to another trace: the keys by which settlement gathers a closed set of evidence.

use crate::identity::{IdHasher, Realm};
use crate::observation::{Kind, Observation};
use crate::usage::TokenClass;

/// A key that two observations share if they may be reports of one call in different traces. Never zero, which tables
/// use for "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKey {
    /// Hash of realm and strong response id: ties whatever the time.
    Response(u64),
    /// Hash of realm, process and exact input and output: ties only reports whose times touch. The model is no part of
    /// it: one report may name the alias and another the dated model, or none.
    Pair(u64),
}

impl LinkKey {
    /// The key of a strong response id within a realm.
    pub fn response(realm: &Realm, id: &str) -> Self {
        let mut hasher = IdHasher::new("link/response");
        hasher.part(realm.as_str().as_bytes()).part(id.as_bytes());
        Self::Response(short(&hasher))
    }
}

/// The first eight bytes of the hash, never zero.
fn short(hasher: &IdHasher) -> u64 {
    let bytes = hasher.finish();
    u64::from_le_bytes(bytes[..8].try_into().expect("sixteen bytes hold eight")).max(1)
}

/// The keys of an observation. A call with a strong id has both: its partner may have none.
pub fn link_keys(observation: &Observation) -> impl Iterator<Item = LinkKey> + use<> {
    let strong = observation.strong_response_id().map(|id| LinkKey::response(&observation.key.realm, id));
    strong.into_iter().chain(pair_key(observation))
}

/// Only calls and wrappers of a known process that state their input can have a partner in another trace.
fn pair_key(observation: &Observation) -> Option<LinkKey> {
    if observation.process == 0 || !matches!(observation.kind, Kind::Call | Kind::PossibleWrapper) {
        return None;
    }
    let input = observation.usage.get(TokenClass::Input)?;
    let output = observation.usage.count(TokenClass::Output);
    let mut hasher = IdHasher::new("link/pair");
    hasher
        .part(observation.key.realm.as_str().as_bytes())
        .part(&observation.process.to_le_bytes())
        .part(&input.to_le_bytes())
        .part(&output.to_le_bytes());
    Some(LinkKey::Pair(short(&hasher)))
}
