//! A disk in memory that records every operation, fails on request, and can be crashed between any two operations.
//!
//! The model is what POSIX lets a file system do: until a file is synced, any part of what was written to it may be on
//! disk or not; until the directory is synced, the latest names may be there or not. After a failed sync the data
//! stays readable (the page cache has it) but a later sync that succeeds does not save it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use journal::storage::{Storage, StorageFile};

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EINTR: i32 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Create { name: String, inode: usize },
    Write { inode: usize, offset: u64, bytes: Vec<u8> },
    Truncate { inode: usize, len: u64 },
    Sync { inode: usize },
    FailedSync { inode: usize },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncDir,
}

/// What happens to an operation that is about to be done.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    None,
    Errno(i32),
    /// A write of this many bytes succeeds.
    Short(usize),
}

/// An operation about to be done, as a fault hook sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt<'a> {
    Create(&'a str),
    Write { offset: u64, len: usize },
    Read { offset: u64, len: usize },
    Truncate,
    Sync,
    SyncDir,
    Remove(&'a str),
}

impl Attempt<'_> {
    /// Which operation it is, whatever it is done to.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Write { .. } => "write",
            Self::Read { .. } => "read",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncDir => "sync of the directory",
            Self::Remove(_) => "remove",
        }
    }
}

/// What a crash does to what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// All of it is gone, names too.
    All,
    /// Nothing is: the process was killed, the machine was not.
    Nothing,
    /// The names are there, the data is not.
    Data,
    /// The data is there, the names are not.
    Names,
    /// The files have their length, but zeros in place of the data.
    Zeroed,
    /// The data up to this many bytes is there.
    After(usize),
    /// The first sector of each write is gone, the rest is there.
    FirstSector(usize),
    /// Each sector of this size is there or not, as a generator with this seed has it; so is each name, in order.
    Random { seed: u64, sector: usize },
    /// Each sector of 512 bytes is there or not, and so is each name, later ones also without earlier ones.
    Reordered { seed: u64 },
}

type Hook = Box<dyn FnMut(Attempt<'_>) -> Fault + Send>;

#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    base: BTreeMap<String, Vec<u8>>,
    inodes: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    log: Vec<Op>,
    hook: Option<Hook>,
}

impl Disk {
    pub fn empty() -> Self {
        Self::of(BTreeMap::new())
    }

    /// A disk with these files, all durable.
    pub fn of(base: BTreeMap<String, Vec<u8>>) -> Self {
        let names = base.keys().cloned().enumerate().map(|(inode, name)| (name, inode)).collect();
        let inodes = base.values().cloned().collect();
        Self(Arc::new(Mutex::new(State { base, inodes, names, log: Vec::new(), hook: None })))
    }

    /// Asks before each operation what should happen to it.
    pub fn inject(&self, hook: impl FnMut(Attempt<'_>) -> Fault + Send + 'static) {
        self.0.lock().unwrap().hook = Some(Box::new(hook));
    }

    pub fn heal(&self) {
        self.0.lock().unwrap().hook = None;
    }

    pub fn log(&self) -> Vec<Op> {
        self.0.lock().unwrap().log.clone()
    }

    pub fn ops(&self) -> usize {
        self.0.lock().unwrap().log.len()
    }

    /// The files as a process sees them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.lock().unwrap();
        state.names.iter().map(|(name, inode)| (name.clone(), state.inodes[*inode].clone())).collect()
    }

    /// The disk after a crash behind the first `ops` operations.
    pub fn crashed_after(&self, ops: usize, loss: Loss) -> Self {
        let state = self.0.lock().unwrap();
        let mut replay = Replay::of(&state.base);
        for op in &state.log[..ops] {
            replay.apply(op, loss);
        }
        Self::of(replay.crash(loss))
    }
}

impl Disk {
    /// The disk as the next process finds it when this one is killed behind the first `ops` operations: all that was
    /// written can be read, and what was not synced still is not.
    pub fn killed_after(&self, ops: usize) -> Self {
        let (base, log) = {
            let state = self.0.lock().unwrap();
            (state.base.clone(), state.log[..ops].to_vec())
        };
        let killed = Self::of(base);
        {
            let mut state = killed.0.lock().unwrap();
            for op in &log {
                state.perform(op);
            }
            state.log = log;
        }
        killed
    }
}

/// Knows what is durable and what is not.
struct Replay {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    unsynced_names: Vec<Op>,
    /// Files that were created under names that did not reach the disk.
    unreached: BTreeMap<String, usize>,
    random: u64,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    unsynced: Vec<Op>,
}

impl Replay {
    fn of(base: &BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            files: base.values().map(|b| File { durable: b.clone(), unsynced: Vec::new() }).collect(),
            names: base.keys().cloned().enumerate().map(|(inode, name)| (name, inode)).collect(),
            unsynced_names: Vec::new(),
            unreached: BTreeMap::new(),
            random: 0,
        }
    }

    fn apply(&mut self, op: &Op, loss: Loss) {
        match op {
            Op::Create { inode, .. } => {
                assert_eq!(*inode, self.files.len(), "inodes are numbered in order");
                self.files.push(File::default());
                self.unsynced_names.push(op.clone());
            }
            Op::Write { inode, .. } | Op::Truncate { inode, .. } => {
                self.files[*inode].unsynced.push(op.clone());
            }
            Op::Sync { inode } => self.write_out(*inode, Loss::Nothing),
            Op::FailedSync { inode } => self.write_out(*inode, loss),
            Op::Rename { .. } | Op::Remove { .. } => self.unsynced_names.push(op.clone()),
            Op::SyncDir => self.write_names_out(Loss::Nothing),
        }
    }

    fn crash(mut self, loss: Loss) -> BTreeMap<String, Vec<u8>> {
        for inode in 0..self.files.len() {
            self.write_out(inode, loss);
        }
        self.write_names_out(loss);
        let files = &self.files;
        self.names.iter().map(|(name, inode)| (name.clone(), files[*inode].durable.clone())).collect()
    }

    fn write_out(&mut self, inode: usize, loss: Loss) {
        let unsynced = std::mem::take(&mut self.files[inode].unsynced);
        let mut done = 0;
        for op in unsynced {
            match op {
                Op::Truncate { len, .. } => {
                    if !matches!(loss, Loss::All | Loss::Data) {
                        self.files[inode].durable.truncate(len as usize);
                    }
                }
                Op::Write { offset, bytes, .. } => {
                    for (i, byte) in bytes.iter().enumerate() {
                        let at = offset as usize + i;
                        let kept = match loss {
                            Loss::All | Loss::Data => None,
                            Loss::Nothing | Loss::Names => Some(*byte),
                            Loss::Zeroed => Some(0),
                            Loss::After(limit) => (done < limit).then_some(*byte),
                            Loss::FirstSector(sector) => (i >= sector).then_some(*byte),
                            Loss::Random { seed, sector } => kept_at(seed, inode, at / sector, *byte),
                            Loss::Reordered { seed } => kept_at(seed, inode, at / 512, *byte),
                        };
                        done += 1;
                        if let Some(byte) = kept {
                            let file = &mut self.files[inode].durable;
                            if file.len() <= at {
                                file.resize(at + 1, 0);
                            }
                            file[at] = byte;
                        }
                    }
                }
                _ => unreachable!("only data waits for a file's sync"),
            }
        }
    }

    /// Remembers which file an operation on names is about that does not reach the disk itself.
    fn not_reached(&mut self, op: &Op) {
        match op {
            Op::Create { name, inode } => drop(self.unreached.insert(name.clone(), *inode)),
            // The old name still leads to it.
            Op::Rename { .. } | Op::Remove { .. } => {}
            _ => unreachable!("only names wait for the directory's sync"),
        }
    }

    fn write_names_out(&mut self, loss: Loss) {
        for op in std::mem::take(&mut self.unsynced_names) {
            self.random += 1;
            match loss {
                Loss::All | Loss::Names => return,
                // Names reach the disk in order.
                Loss::Random { seed, .. } if mix(seed ^ self.random << 50) & 1 == 0 => return,
                Loss::Reordered { seed } if mix(seed ^ self.random << 50) & 1 == 0 => {
                    self.not_reached(&op);
                    continue;
                }
                _ => {}
            }
            match op {
                Op::Create { name, inode } => {
                    self.names.insert(name, inode);
                }
                Op::Rename { from, to } => {
                    let before = self.names.remove(&from);
                    // Where the creation did not reach the disk by itself, it does with the new name.
                    let inode = before.or(self.unreached.remove(&from)).expect("a renamed file exists");
                    self.names.insert(to, inode);
                }
                Op::Remove { name } => {
                    self.names.remove(&name);
                }
                _ => unreachable!("only names wait for the directory's sync"),
            }
        }
    }
}

fn kept_at(seed: u64, inode: usize, sector: usize, byte: u8) -> Option<u8> {
    (mix(seed ^ (inode as u64) << 40 ^ sector as u64) & 1 == 0).then_some(byte)
}

/// A generator without state (splitmix64).
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl State {
    fn ask(&mut self, attempt: Attempt<'_>) -> io::Result<Option<usize>> {
        match self.hook.as_mut().map_or(Fault::None, |hook| hook(attempt)) {
            Fault::None => Ok(None),
            Fault::Short(len) => Ok(Some(len)),
            Fault::Errno(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn perform(&mut self, op: &Op) {
        match op {
            Op::Create { name, inode } => {
                self.inodes.push(Vec::new());
                self.names.insert(name.clone(), *inode);
            }
            Op::Write { inode, offset, bytes } => {
                let file = &mut self.inodes[*inode];
                let end = *offset as usize + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset as usize..end].copy_from_slice(bytes);
            }
            Op::Truncate { inode, len } => self.inodes[*inode].truncate(*len as usize),
            Op::Rename { from, to } => {
                let inode = self.names.remove(from).expect("a renamed file exists");
                self.names.insert(to.clone(), inode);
            }
            Op::Remove { name } => {
                self.names.remove(name);
            }
            Op::Sync { .. } | Op::FailedSync { .. } | Op::SyncDir => {}
        }
    }

    /// Performs and records an operation.
    fn log(&mut self, op: Op) {
        self.perform(&op);
        self.log.push(op);
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.0.lock().unwrap();
        state.ask(Attempt::Create(name))?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.log(Op::Create { name: name.to_owned(), inode });
        Ok(Box::new(Handle { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let inode = self.0.lock().unwrap().inode(name)?;
        Ok(Box::new(Handle { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.inode(from)?;
        state.log(Op::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.ask(Attempt::Remove(name))?;
        state.inode(name)?;
        state.log(Op::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.ask(Attempt::SyncDir)?;
        state.log(Op::SyncDir);
        Ok(())
    }
}

struct Handle {
    disk: Disk,
    inode: usize,
}

impl StorageFile for Handle {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().unwrap().inodes[self.inode].len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.0.lock().unwrap();
        let short = state.ask(Attempt::Read { offset, len: bytes.len() })?;
        let file = &state.inodes[self.inode];
        let from = (offset as usize).min(file.len());
        let len = bytes.len().min(file.len() - from).min(short.unwrap_or(usize::MAX));
        bytes[..len].copy_from_slice(&file[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.0.lock().unwrap();
        let short = state.ask(Attempt::Write { offset, len: bytes.len() })?;
        let bytes = &bytes[..bytes.len().min(short.unwrap_or(usize::MAX))];
        state.log(Op::Write { inode: self.inode, offset, bytes: bytes.to_vec() });
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        if let Err(error) = state.ask(Attempt::Sync) {
            state.log(Op::FailedSync { inode: self.inode });
            return Err(error);
        }
        state.log(Op::Sync { inode: self.inode });
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.ask(Attempt::Truncate)?;
        state.log(Op::Truncate { inode: self.inode, len });
        Ok(())
    }
}
