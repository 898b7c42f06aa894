//! What the journal promises, tried on disks that tear, fill, fail, forget and flip bits, and on a real directory.
//!
//! `disk` is the simulated disk, `ledger` what a test remembers of a journal's answers and checks against what is read.

mod disk;
mod ledger;

mod append;
mod bit_flips;
mod crash_points;
mod directory;
mod enumeration;
mod faults;
mod foreign_files;
mod identity;
mod model;
mod read;
mod release;
mod torn_tail;
