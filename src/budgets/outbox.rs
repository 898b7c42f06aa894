//! Which alerts were raised, and which of them were delivered: a file of the data directory, replaced as a whole.
//!
//! An alert is in the file before it is sent, and marked there after it was taken; a crash in between sends it again under
//! the same id. It stays until its window is over for some days, so that nothing is raised twice. When too many wait nothing
//! more is raised, which loses nothing: what was crossed follows from the ledger, and is found again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const FILE_NAME: &str = "budget-alerts.json";
const VERSION: u32 = 1;
/// Alerts that may wait to be delivered.
const WAITING_MAX: usize = 10_000;
/// How long an alert is kept after its window: longer than a window is looked at after its end.
const KEPT_AFTER: TimeDelta = TimeDelta::days(4);
/// The pause after the first attempt that failed; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// By which receivers drop copies.
    pub id: String,
    /// When its window ends.
    pub window_to: DateTime<Utc>,
    /// What is sent.
    pub body: serde_json::Value,
    /// When it was raised.
    pub raised_at: DateTime<Utc>,
    /// When it was delivered, or logged where there is no webhook.
    pub delivered_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Layout {
    version: u32,
    alerts: Vec<Alert>,
}

/// The alerts, and when each that waits is tried next.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    alerts: BTreeMap<String, Alert>,
    /// Of those that wait: attempts so far, and when the next is due; `None` while one is under way.
    waiting: BTreeMap<String, (u32, Option<Instant>)>,
    /// Whether the file says something else.
    changed: bool,
}

impl Outbox {
    /// Reads what a data directory holds.
    ///
    /// # Errors
    /// When the file cannot be read, or is none of ours.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let alerts = match fs::read(&path) {
            Ok(text) => {
                let layout: Layout = serde_json::from_slice(&text)?;
                if layout.version != VERSION {
                    return Err(io::Error::other(format!(
                        "its version is {}, this program reads {VERSION}",
                        layout.version
                    )));
                }
                layout.alerts
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let alerts: BTreeMap<String, Alert> =
            alerts.into_iter().map(|alert| (alert.id.clone(), alert)).collect();
        let now = Instant::now();
        let unsent = alerts.values().filter(|alert| alert.delivered_at.is_none());
        let waiting = unsent.map(|alert| (alert.id.clone(), (0, Some(now)))).collect();
        Ok(Self { path, alerts, waiting, changed: false })
    }

    /// Where it is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an alert was raised before.
    pub fn knows(&self, id: &str) -> bool {
        self.alerts.contains_key(id)
    }

    /// Whether no more can wait.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes an alert in, to be delivered unless it says that it was. Save before it is sent.
    pub fn raise(&mut self, alert: Alert) {
        if alert.delivered_at.is_none() {
            self.waiting.insert(alert.id.clone(), (0, Some(Instant::now())));
        }
        self.alerts.insert(alert.id.clone(), alert);
        self.changed = true;
    }

    /// When the next attempt is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.values().filter_map(|(_, due)| *due).min()
    }

    /// An alert whose time has come; its attempt is under way from now on.
    pub fn take_due(&mut self, now: Instant) -> Option<Alert> {
        let (id, (_, due)) =
            self.waiting.iter_mut().find(|(_, (_, due))| due.is_some_and(|due| due <= now))?;
        *due = None;
        self.alerts.get(id).cloned()
    }

    /// An attempt succeeded. Until it is saved a crash sends the alert again.
    pub fn delivered(&mut self, id: &str, now: DateTime<Utc>) {
        self.waiting.remove(id);
        if let Some(alert) = self.alerts.get_mut(id) {
            alert.delivered_at = Some(now);
            // Its id is all that is asked of it any more.
            alert.body = serde_json::Value::Null;
            self.changed = true;
        }
    }

    /// An attempt failed; says after which pause the next one is made.
    pub fn failed(&mut self, id: &str, now: Instant) -> Duration {
        let Some((attempts, due)) = self.waiting.get_mut(id) else { return RETRY_FIRST };
        let pause = RETRY_FIRST.saturating_mul(1 << (*attempts).min(16)).min(RETRY_MAX);
        *attempts += 1;
        *due = Some(now + pause);
        pause
    }

    /// Forgets alerts whose window is long over; returns those of them that were never delivered. Save after it.
    pub fn forget_old(&mut self, now: DateTime<Utc>) -> Vec<Alert> {
        let old = |alert: &Alert| alert.window_to + KEPT_AFTER < now;
        let (gone, kept) = std::mem::take(&mut self.alerts).into_iter().partition(|(_, alert)| old(alert));
        self.alerts = kept;
        let gone: BTreeMap<String, Alert> = gone;
        self.changed |= !gone.is_empty();
        gone.into_values().filter(|alert| self.waiting.remove(&alert.id).is_some()).collect()
    }

    /// Writes the file where it says something else: durable when it returns. Blocks, for as long as a disk takes to sync.
    ///
    /// # Errors
    /// What the system said; the old file stands.
    pub fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let draft = self.path.with_extension("json.new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let layout = Layout { version: VERSION, alerts: self.alerts.values().cloned().collect() };
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(&layout)?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        self.changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn alert(id: &str) -> Alert {
        Alert {
            id: id.into(),
            window_to: at("2026-11-11T00:00:00Z"),
            body: serde_json::json!({"type": "budget.threshold"}),
            raised_at: at("2026-11-10T09:00:00Z"),
            delivered_at: None,
        }
    }

    #[test]
    fn what_was_raised_and_not_delivered_waits_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path()).unwrap();
        outbox.raise(alert("a"));
        outbox.raise(alert("b"));
        outbox.delivered("a", at("2026-11-10T09:00:01Z"));
        outbox.save().unwrap();
        let mut again = Outbox::open(dir.path()).unwrap();
        assert!(again.knows("a") && again.knows("b") && !again.knows("c"));
        assert_eq!(again.take_due(Instant::now()).map(|alert| alert.id), Some("b".to_string()));
        assert_eq!((again.take_due(Instant::now()), again.waiting()), (None, 1), "it is under way");
    }

    #[test]
    fn a_failed_attempt_is_repeated_later_and_later_and_never_given_up_within_the_window() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path()).unwrap();
        outbox.raise(alert("a"));
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(outbox.take_due(now).is_some());
            let pause = outbox.failed("a", now);
            assert!(outbox.take_due(now).is_none(), "not before its time");
            assert_eq!(outbox.next_due(), Some(now + pause));
            now += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(outbox.forget_old(at("2026-11-14T00:00:00Z")).is_empty());
        assert_eq!(outbox.forget_old(at("2026-11-16T00:00:00Z")).len(), 1);
        assert_eq!((outbox.waiting(), outbox.knows("a")), (0, false));
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_refused_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for text in ["{", "{\"version\":2,\"alerts\":[]}"] {
            fs::write(&path, text).unwrap();
            assert!(Outbox::open(dir.path()).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
