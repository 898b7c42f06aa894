//! What a resource says: whom its process works for, and which process it is.

use std::borrow::Cow;

use domain::observation::Dimensions;

use super::dimensions::Told;
use super::index::Index;
use crate::otlp::{ResourceView, ValueView, WalkError};

/// A resource's facts, read once for all its spans.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// Whom its process works for.
    pub(super) dimensions: Dimensions,
    /// A hash of what identifies the process; 0 where nothing does.
    pub(super) process: u64,
    /// Whether OpenLIT set up the export: its scopes do not all say so.
    pub(super) openlit: bool,
}

/// What tells one process from another. The service alone is better than nothing: it is all that many exports say.
const PROCESS: &[&str] = &[
    "service.namespace",
    "service.name",
    "service.instance.id",
    "host.name",
    "host.id",
    "container.id",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "process.pid",
];

impl Resource {
    pub(super) fn read(view: &ResourceView<'_>, index: &Index) -> Result<Self, WalkError> {
        let mut told = Told::default();
        let mut identity = [const { None }; PROCESS.len()];
        let mut openlit = false;
        for attribute in view.attributes() {
            let attribute = attribute?;
            let value = attribute.value.view()?;
            if let Some(at) = PROCESS.iter().position(|name| *name == attribute.key) {
                identity[at] = Some(value);
            }
            if attribute.key == "telemetry.sdk.name" {
                openlit = matches!(value, ValueView::Str("openlit"));
            }
            let entry = index.entry(attribute.key.as_bytes());
            if let Some(dimension) = entry.and_then(|entry| entry.dimension) {
                told.take(dimension, value);
            } else if let Some(dimension) = index.under(attribute.key).dimension {
                told.take(dimension, value);
            }
            if entry.is_some_and(|entry| entry.json_object)
                && let ValueView::Str(text) = value
            {
                told.take_json(index, text);
            }
        }
        Ok(Self { dimensions: told.dimensions().map(Cow::into_owned), process: hash(&identity), openlit })
    }
}

/// The order of the attributes does not count, nor where one ends and the next begins.
fn hash(identity: &[Option<ValueView<'_>>]) -> u64 {
    if identity.iter().all(Option::is_none) {
        return 0;
    }
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for value in identity {
        match value {
            None => hasher.update(&[0]),
            Some(ValueView::Str(text)) => {
                hasher.update(&[1]);
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            Some(ValueView::Int(int)) => {
                hasher.update(&[2]);
                hasher.update(&int.to_le_bytes());
            }
            Some(_) => hasher.update(&[3]),
        }
    }
    // Zero says that nothing identifies the process.
    hasher.digest().max(1)
}
