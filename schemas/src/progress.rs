//! How far a long reading is, for whoever waits for it.
//!
//! Handles on one database share it, so that what one task reads another can tell of. It is for people: nothing depends on it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What is being done, and how much of it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// What; empty while nothing long is.
    pub what: String,
    /// So much of it is done.
    pub done: u64,
    /// So much there is to do, as far as that is known.
    pub total: u64,
}

/// The step that is being done.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    step: Arc<Mutex<Step>>,
}

impl Progress {
    /// How far it is.
    pub fn step(&self) -> Step {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A step begins. It ends when the mark is dropped.
    pub(crate) fn begin(&self, what: &str, total: u64) -> Mark {
        self.set(Step { what: what.to_string(), done: 0, total });
        Mark { progress: self.clone(), done: 0 }
    }

    fn set(&self, step: Step) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }
}

/// A step under way.
#[derive(Debug)]
pub(crate) struct Mark {
    progress: Progress,
    done: u64,
}

/// Told in portions: most of what is counted takes less time than telling of it.
const PORTION: u64 = 1024;

impl Mark {
    /// One of many small things is done.
    pub fn count(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(PORTION) {
            self.tell();
        }
    }

    /// One of few large things is done.
    pub fn advance(&mut self) {
        self.done += 1;
        self.tell();
    }

    fn tell(&self) {
        self.progress.step.lock().unwrap_or_else(PoisonError::into_inner).done = self.done;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.progress.set(Step::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_to_others_while_it_lasts() {
        let progress = Progress::default();
        let other = progress.clone();
        assert_eq!(other.step(), Step::default());
        let mut mark = progress.begin("reading", 5_000);
        for _ in 0..2_000 {
            mark.count();
        }
        assert_eq!(other.step(), Step { what: "reading".into(), done: 1_024, total: 5_000 });
        mark.advance();
        assert_eq!(other.step().done, 2_001);
        drop(mark);
        assert_eq!(other.step(), Step::default());
    }
}
