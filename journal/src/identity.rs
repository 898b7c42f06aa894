//! Which collector id a journal continues with.
//!
//! A position may be used once. A directory copied to another machine or path would go on counting where the original
//! goes on, so it gets an id of its own; the records it brought keep theirs (each segment states its id) and ship as
//! the same rows again. Not noticed: a directory set back to an earlier state on the same machine and path, such as a
//! restored snapshot of a virtual machine; remove `journal.json` after doing that.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::collector_id::CollectorId;
use crate::error::FileError;
use crate::storage::Storage;

pub(crate) const IDENTITY_FILE: &str = "journal.json";

/// Where a journal lives: an id is bound to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    machine: String,
    path: String,
}

impl Place {
    /// A place from a text that identifies the machine and the journal's path on it.
    pub fn new(machine: &str, path: &str) -> Self {
        // A machine id is meant to stay on its machine; a digest tells two apart just as well.
        let digest = xxhash_rust::xxh3::xxh3_128(machine.as_bytes());
        Self { machine: format!("{digest:032x}"), path: path.to_owned() }
    }

    /// The place of an existing directory on this machine: its machine id (else host name) and canonical path.
    ///
    /// # Errors
    /// The directory's path cannot be resolved.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let path = dir.canonicalize()?;
        Ok(Self::new(&machine(), &path.to_string_lossy()))
    }
}

/// The machine's id, else its host name, else nothing: then only the path tells copies apart.
fn machine() -> String {
    ["/etc/machine-id", "/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// What became of the recorded id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityChange {
    /// It is continued.
    Kept,
    /// There was none: a new journal, or `journal.json` was removed or unreadable.
    Created,
    /// It is not used for new records any more.
    Renewed {
        /// The recorded id.
        previous: CollectorId,
        /// Why.
        reason: RenewReason,
    },
}

/// Why an id is not continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewReason {
    /// Another machine.
    Machine,
    /// Another path.
    Path,
    /// The newest segment does not tell which number comes next under this id: it is gone, another id's, or its header or
    /// its end is unreadable.
    PositionUnknown,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    collector_id: String,
    #[serde(flatten)]
    place: Place,
}

/// The recorded id and place; `None` where there is no readable record. A changed bit needs no checksum to be noticed:
/// place or id no longer match, and the id is renewed.
pub(crate) fn load(storage: &dyn Storage) -> Option<(CollectorId, Place)> {
    let bytes = atomic_file::read(storage, IDENTITY_FILE).ok().flatten()?;
    let recorded: Recorded = serde_json::from_slice(&bytes).ok()?;
    Some((CollectorId::parse(&recorded.collector_id)?, recorded.place))
}

/// Records id and place, durable before any record is numbered under the id.
pub(crate) fn store(
    storage: &dyn Storage,
    collector_id: CollectorId,
    place: &Place,
) -> Result<(), FileError> {
    let recorded = Recorded { collector_id: collector_id.to_string(), place: place.clone() };
    let mut bytes = serde_json::to_vec_pretty(&recorded).expect("strings are JSON");
    bytes.push(b'\n');
    atomic_file::replace(storage, IDENTITY_FILE, &bytes)
}

/// Whether the recorded id is continued. `newest` is the id of the newest segment, if that can be
/// read to its end.
pub(crate) fn decide(
    recorded: Option<&(CollectorId, Place)>,
    here: &Place,
    newest: Option<CollectorId>,
) -> IdentityChange {
    let Some((previous, there)) = recorded else { return IdentityChange::Created };
    let reason = if there.machine != here.machine {
        RenewReason::Machine
    } else if there.path != here.path {
        RenewReason::Path
    } else if newest != Some(*previous) {
        RenewReason::PositionUnknown
    } else {
        return IdentityChange::Kept;
    };
    IdentityChange::Renewed { previous: *previous, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_only_at_its_place_and_with_its_position_known() {
        let (id, other) = (CollectorId::from_bytes([1; 16]), CollectorId::from_bytes([2; 16]));
        let here = Place::new("m", "/a");
        let recorded = (id, here.clone());
        let renewed = |reason| IdentityChange::Renewed { previous: id, reason };
        let check =
            |here: Place, newest, expected| assert_eq!(decide(Some(&recorded), &here, newest), expected);

        check(here.clone(), Some(id), IdentityChange::Kept);
        check(Place::new("n", "/a"), Some(id), renewed(RenewReason::Machine));
        check(Place::new("m", "/b"), Some(id), renewed(RenewReason::Path));
        check(here.clone(), Some(other), renewed(RenewReason::PositionUnknown));
        check(here.clone(), None, renewed(RenewReason::PositionUnknown));
        assert_eq!(decide(None, &here, Some(id)), IdentityChange::Created);
    }
}
