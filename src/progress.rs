//! A progress bar for work that may take minutes: on a terminal, on standard error, and nowhere else.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use schemas::progress::Step;

const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Waits for work, and meanwhile shows how far `look` says it is.
pub async fn shown<T>(work: impl Future<Output = T>, look: impl AsyncFn() -> Option<Step>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    let bar = ProgressBar::new_spinner();
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        tokio::select! {
            done = &mut work => break done,
            step = look() => show(&bar, &step.unwrap_or_default()),
        }
    };
    bar.finish_and_clear();
    done
}

/// A bar over so many things of a kind; nothing where nobody looks.
#[derive(Debug)]
pub struct Counted(ProgressBar);

impl Counted {
    /// A bar at its beginning.
    pub fn over(total: usize, what: &str) -> Self {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        show(&bar, &Step { what: what.to_string(), done: 0, total });
        Self(bar)
    }

    /// One of them is done.
    pub fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn show(bar: &ProgressBar, step: &Step) {
    let template = if step.total == 0 {
        "{elapsed_precise} {msg}"
    } else {
        "{elapsed_precise} {bar:30} {human_pos}/{human_len} {msg}"
    };
    // The templates are constant and right; a bar that cannot be drawn is no reason to stop working.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_length(step.total.max(step.done));
    bar.set_position(step.done);
    bar.set_message(if step.what.is_empty() { "working".to_string() } else { step.what.clone() });
    bar.tick();
}
