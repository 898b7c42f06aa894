//! Looks at a whole directory and says what is in it; changes nothing.
//!
//! Promises: looking twice finds the same. A segment ends where its successor's header says; only one that no
//! successor speaks of is searched for its end, and there what follows the last whole frame is a torn tail.
//! Leaves to others: walking one segment (`walk`), acting on what was found (`journal`), printing it (`inspect`).

use std::io;

use crate::catalog::Segment;
use crate::checkpoint::CheckpointStore;
use crate::collector_id::CollectorId;
use crate::config::VerifyOnOpen;
use crate::error::{FileError, OpenError};
use crate::gap::{Gap, GapReason};
use crate::recovered::{DamagedPart, DamagedRange, Lost, TornTail};
use crate::scan::read_isolating;
use crate::segment::{
    FORMAT_VERSION, HeaderRead, RegionState, SEGMENT_HEADER_BYTES, SegmentHeader, file_name, ordinal_of,
};
use crate::storage::Storage;
use crate::walk::{Walk, walk};

#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Segments with a readable header, oldest first.
    pub segments: Vec<Segment>,
    /// What was walked of each of them.
    pub walks: Vec<Walk>,
    /// Files whose header is unreadable.
    pub isolated: Vec<Isolated>,
    /// Files whose creation did not finish.
    pub unborn: Vec<String>,
    pub damaged: Vec<DamagedRange>,
    pub torn_tail: Option<TornTail>,
    /// The highest ordinal that any file has.
    pub highest_ordinal: u64,
    /// The id of the newest segment; `None` when there is none, or the disk does not give its header or its last frames.
    pub newest: Option<CollectorId>,
    /// The highest number that the newest segment may have given to a record, torn ones included.
    pub highest_seq: u64,
}

/// A file whose header is unreadable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Isolated {
    pub ordinal: u64,
    pub file_bytes: u64,
}

/// A file whose header was read.
struct Headed {
    header: SegmentHeader,
    file_bytes: u64,
}

pub(crate) fn survey(
    storage: &dyn Storage,
    checkpoints: &CheckpointStore,
    verify: VerifyOnOpen,
) -> Result<Survey, OpenError> {
    let mut survey = Survey::default();
    let headed = survey.read_headers(storage)?;
    for (at, file) in headed.iter().enumerate() {
        let ordinal = file.header.ordinal;
        // Where a creation failed, more than one speaks of it, and all say the same.
        let mut stated = headed[at + 1..].iter().filter_map(|later| later.header.predecessor);
        let stated_end = stated.find(|before| before.ordinal == ordinal).map(|before| before.end);
        let unreleased = |seq| seq > checkpoints.current.get(file.header.collector_id).released;
        let walk = match (stated_end, verify) {
            (Some(end), VerifyOnOpen::Newest) => Walk::trusting(end),
            (Some(end), VerifyOnOpen::Unreleased) if !unreleased(end.seq) => Walk::trusting(end),
            _ => walk(storage, &file.header, file.file_bytes, stated_end)?,
        };
        let newest_isolated = survey.isolated.iter().any(|file| file.ordinal > ordinal);
        let newest = at + 1 == headed.len() && !newest_isolated;
        survey.add(file, walk, newest);
    }
    survey.find_gaps(checkpoints);
    survey.report_isolated();
    Ok(survey)
}

impl Survey {
    /// Sorts the directory's segment files by what their headers are; returns the readable ones, oldest first.
    fn read_headers(&mut self, storage: &dyn Storage) -> Result<Vec<Headed>, OpenError> {
        let names = storage.list().map_err(|e| FileError::new("listing", ".", e))?;
        let mut ordinals: Vec<u64> = names.iter().filter_map(|name| ordinal_of(name)).collect();
        ordinals.sort_unstable();
        self.highest_ordinal = ordinals.last().copied().unwrap_or(0);
        let mut headed = Vec::new();
        for ordinal in ordinals {
            let name = file_name(ordinal);
            let file = match storage.open(&name) {
                // Released by the process that has the journal open, while this one inspects it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(|e| FileError::new("opening", &name, e))?,
            };
            let file_bytes = file.size().map_err(|e| FileError::new("reading", &name, e))?;
            let mut region = vec![0; file_bytes.min(SEGMENT_HEADER_BYTES) as usize];
            let unreadable_to = read_isolating(file.as_ref(), &mut region, 0)
                .map_err(|e| FileError::new("reading", &name, e))?;
            match SegmentHeader::decode(&region, ordinal) {
                HeaderRead::Good(header, state) => {
                    // A copy cut short is a creation that did not finish, and nothing was written behind it.
                    if state == RegionState::Damaged && file_bytes >= SEGMENT_HEADER_BYTES {
                        self.damaged.push(DamagedRange {
                            file: name,
                            collector_id: Some(header.collector_id),
                            offsets: 0..SEGMENT_HEADER_BYTES,
                            part: DamagedPart::HeaderCopy,
                            lost: Lost::Nothing,
                        });
                    }
                    headed.push(Headed { header, file_bytes });
                }
                HeaderRead::Newer(version) => {
                    return Err(OpenError::NewerFormat { file: name, version, supported: FORMAT_VERSION });
                }
                // Frames are only ever written behind a durable header.
                HeaderRead::Unborn if unreadable_to == 0 && file_bytes <= SEGMENT_HEADER_BYTES => {
                    self.unborn.push(name);
                }
                HeaderRead::Unborn | HeaderRead::Unreadable => {
                    self.isolated.push(Isolated { ordinal, file_bytes });
                }
            }
        }
        Ok(headed)
    }

    fn add(&mut self, file: &Headed, walk: Walk, newest: bool) {
        let Headed { header, file_bytes } = file;
        let name = file_name(header.ordinal);
        let frames = |offsets, lost| DamagedRange {
            file: name.clone(),
            collector_id: Some(header.collector_id),
            offsets,
            part: DamagedPart::Frames,
            lost,
        };
        // Bad bytes in the last group of a crashed process were never acknowledged: readers find a void there.
        let confirmed = walk.bad.iter().filter(|bad| bad.from < walk.end.confirmed);
        self.damaged.extend(confirmed.map(|bad| frames(bad.from..bad.to, bad.lost)));
        if newest {
            self.newest = (!walk.tail_unreadable).then_some(header.collector_id);
            self.highest_seq = walk.highest_seq;
        }
        if let Some(tail) = &walk.tail {
            if newest && !walk.tail_unreadable {
                self.torn_tail = Some(TornTail {
                    file: name.clone(),
                    offset: tail.start,
                    bytes: tail.end - tail.start,
                    void_seqs: walk.highest_seq - walk.end.seq,
                });
            } else {
                // The successor that would have said where this segment ends is not readable, or the tail itself is not.
                self.damaged.push(frames(tail.clone(), Lost::Unknown));
            }
        }
        self.segments.push(Segment {
            header: *header,
            end: walk.end,
            file_bytes: *file_bytes,
            gaps_before: Vec::new(),
            end_unreadable: walk.tail_unreadable,
        });
        self.walks.push(walk);
    }

    /// Numbers between the segments of one id: lost where a predecessor had records in them, else void.
    fn find_gaps(&mut self, checkpoints: &CheckpointStore) {
        for at in 0..self.segments.len() {
            let header = self.segments[at].header;
            let released = checkpoints.current.get(header.collector_id).released;
            let before = self.segments[..at].iter().rfind(|s| s.header.collector_id == header.collector_id);
            // Without a segment before, everything up to the cursor went; where that is unknown, no loss is claimed.
            let (before_ordinal, known_to) = match before {
                Some(before) => (before.header.ordinal, before.end.seq),
                None if checkpoints.damaged.is_empty() => (0, released),
                None => (0, header.first_seq - 1),
            };
            let had_records_to = header
                .predecessor
                .filter(|stated| stated.collector_id == header.collector_id)
                .map_or(0, |stated| stated.end.seq);
            let lost = known_to + 1..=had_records_to;
            let void = known_to.max(had_records_to) + 1..=header.first_seq - 1;
            if !lost.is_empty() {
                let between = |ordinal: u64| before_ordinal < ordinal && ordinal < header.ordinal;
                let isolated = self.isolated.iter().any(|file| between(file.ordinal));
                let reason = match (*lost.end() <= released, isolated) {
                    (true, _) => GapReason::Released,
                    (false, true) => GapReason::Damaged,
                    (false, false) => GapReason::Missing,
                };
                let gap = Gap { from: *lost.start(), to: *lost.end(), reason };
                self.segments[at].gaps_before.push(gap);
                if reason == GapReason::Missing {
                    let ordinal = header.predecessor.map_or(0, |stated| stated.ordinal);
                    self.damaged.push(DamagedRange {
                        file: file_name(ordinal),
                        collector_id: Some(header.collector_id),
                        offsets: 0..0,
                        part: DamagedPart::File,
                        lost: Lost::Seqs { from: gap.from, to: gap.to },
                    });
                }
            }
            if !void.is_empty() {
                let gap = Gap { from: *void.start(), to: *void.end(), reason: GapReason::Void };
                self.segments[at].gaps_before.push(gap);
            }
        }
    }

    fn report_isolated(&mut self) {
        for file in &self.isolated {
            // Where the segment behind it speaks of this file, it says which records were in it.
            let successor = self.segments.iter().find(|segment| {
                segment.header.predecessor.is_some_and(|stated| stated.ordinal == file.ordinal)
            });
            let lost = match successor {
                // Nothing is written behind a header before it is durable.
                None if file.file_bytes <= SEGMENT_HEADER_BYTES => Lost::Nothing,
                None => Lost::Unknown,
                Some(successor) => successor
                    .gaps_before
                    .iter()
                    .find(|gap| gap.reason == GapReason::Damaged)
                    .map_or(Lost::Nothing, |gap| Lost::Seqs { from: gap.from, to: gap.to }),
            };
            self.damaged.push(DamagedRange {
                file: file_name(file.ordinal),
                collector_id: successor.map(|segment| segment.header.collector_id),
                offsets: 0..file.file_bytes,
                part: DamagedPart::Header,
                lost,
            });
        }
    }
}
