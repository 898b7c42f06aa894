//! Shipping and settling through a proxy that lies in every way a database can.

use std::path::PathBuf;

use crate::proxy::{LIES, Lie, Proxy};
use crate::replay::ledger;
use crate::server::Server;
use crate::spans::{request, response_id};

const CALLS_A_REQUEST: u64 = 5;

/// A database (a server that does not settle) behind a proxy, and a collector that knows only the proxy.
pub struct Stage {
    database: Option<Server>,
    pub proxy: Proxy,
    collector: Option<Server>,
    config: PathBuf,
    dirs: (tempfile::TempDir, tempfile::TempDir),
    sent: u64,
}

const DOES_NOT_SETTLE: [(&str, &str); 1] = [("LEDGERLINE_SETTLE_ENABLED", "false")];

impl Stage {
    pub fn set() -> Self {
        let dirs = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let database = Server::start_with(dirs.0.path(), &[], &DOES_NOT_SETTLE);
        let password = std::fs::read_to_string(dirs.0.path().join("clickhouse-owner-password")).unwrap();
        let config = dirs.1.path().join("collector.toml");
        let text = format!("[clickhouse]\nuser = \"ledgerline\"\npassword = \"{}\"\n", password.trim());
        std::fs::write(&config, text).unwrap();
        let proxy = Proxy::before(&database.clickhouse);
        let mut stage = Self { database: Some(database), proxy, collector: None, config, dirs, sent: 0 };
        stage.start_collector();
        stage
    }

    fn start_collector(&mut self) {
        let flags = ["--config", self.config.to_str().unwrap(), "--clickhouse-url", self.proxy.url.as_str()];
        let fast = [("LEDGERLINE_SETTLE_INTERVAL", "50ms"), ("LEDGERLINE_SHIP_INTERVAL", "20ms")];
        self.collector = Some(Server::start_with(&self.dirs.1.path().join("data"), &flags, &fast));
    }

    /// Kills the collector and starts it again on its data directory.
    pub fn restart_collector(&mut self) {
        self.collector.take().expect("it runs").kill();
        self.start_collector();
    }

    pub fn collector(&self) -> &Server {
        self.collector.as_ref().expect("it runs but while it is restarted")
    }

    pub fn database(&self) -> &Server {
        self.database.as_ref().expect("it runs but while it is restarted")
    }

    /// Sends requests; each must be acknowledged, whatever the database does.
    pub fn send(&mut self, requests: u64) {
        for _ in 0..requests {
            let calls = self.sent..self.sent + CALLS_A_REQUEST;
            let answer = self.collector().post("application/json", &request(calls)).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            self.sent += CALLS_A_REQUEST;
        }
    }

    /// How many calls were acknowledged.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The arguments of a command on the collector's configuration.
    pub fn line(&self, line: &str) -> String {
        format!("{line} --config {}", self.config.display())
    }

    /// Sends while the database lies, until each of these lies was told this often.
    fn send_through(&mut self, lies: &[Lie], times: u64) {
        self.proxy.lie(lies);
        while !self.proxy.were_told(lies, times) {
            self.send(1);
            self.proxy.until_more_come(3);
        }
        self.proxy.lie(&[]);
    }

    pub fn command(&self, line: &str) -> String {
        self.collector().succeed(&self.line(line))
    }

    /// Kills the database and starts it again, elsewhere.
    fn restart_database(&mut self) {
        self.database.take().expect("it runs").kill();
        let database = Server::start_with(self.dirs.0.path(), &[], &DOES_NOT_SETTLE);
        self.proxy.stand_before(&database.clickhouse);
        self.database = Some(database);
    }

    /// Every call that was acknowledged is in the ledger once, and nothing else is.
    pub fn check(&self) {
        self.command("settle");
        let rows = self.database().rows(
            "SELECT response_id, sum(l.calls) AS net FROM ledgerline.ledger AS l GROUP BY response_id ORDER BY response_id",
        );
        let doubled: Vec<_> = rows.iter().filter(|row| row["net"] != 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
        let mut billed: Vec<_> = rows.iter().map(|row| row["response_id"].as_str().unwrap()).collect();
        let mut sent: Vec<_> = (0..self.sent).map(response_id).collect();
        billed.sort_unstable();
        sent.sort_unstable();
        assert_eq!(billed, sent);
        assert!(self.command("verify").contains("everything holds"));
    }
}

/// Scenario: every lie is told while requests come; the database is unreachable and killed; it lies on about what it
/// applied; then it tells the truth, and what was held back is applied.
/// Guarantees: every request is acknowledged; once the lies stop, everything acknowledged is in the ledger once (I1, I2,
/// I3), `verify` holds, and what is applied late changes nothing.
#[test]
fn whatever_the_database_lies_about_the_ledger_is_exact_when_it_stops() {
    let mut stage = Stage::set();
    stage.send_through(&LIES, 1);
    stage.check();

    stage.proxy.down(true);
    stage.send(10);
    stage.restart_database();
    stage.send(10);
    stage.proxy.down(false);
    stage.check();

    stage.send_through(&[Lie::ReplyLost, Lie::AppliedLate, Lie::Half], 3);
    stage.check();

    let before = ledger(stage.database());
    stage.proxy.apply_late();
    stage.check();
    assert_eq!(ledger(stage.database()), before);
    let told = stage.proxy.told();
    println!(
        "{} lies of {} kinds, {} calls acknowledged, 0 lost, 0 doubled",
        told.values().sum::<u64>(),
        told.len(),
        stage.sent
    );
}
