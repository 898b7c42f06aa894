//! `ledgerline serve` as processes: a collector without ClickHouse, a host of the engine alone, and a collector on it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use super::{Place, Process, TraceArm};

/// The discard port, where nobody listens: a ClickHouse that is down.
const NO_CLICKHOUSE: &str = "http://127.0.0.1:9";

/// A running server on a data directory of its own, which goes with it.
#[derive(Debug)]
pub struct Ledgerline {
    pub process: Process,
    pub otlp_grpc: String,
    pub otlp_http: String,
    /// URL of the ClickHouse it uses.
    pub clickhouse: String,
    admin: String,
    /// Takes connections and answers nothing, for a backend that hangs.
    _deaf: TcpListener,
    // After the process: it is dropped, and removed, when the process is gone.
    data_dir: TempDir,
}

impl Ledgerline {
    /// A collector whose ClickHouse cannot be reached: all it can do is acknowledge.
    pub fn with_shipping_paused(place: &Place) -> anyhow::Result<Self> {
        Self::start(place, &["--clickhouse-url", NO_CLICKHOUSE], &[], None)
    }

    /// The same with its trace arm in some state.
    pub fn with_shipping_paused_and(place: &Place, arm: TraceArm) -> anyhow::Result<Self> {
        Self::start(place, &["--clickhouse-url", NO_CLICKHOUSE], &[], Some(arm))
    }

    /// A server that receives nothing and settles nothing: what it spends, its engine spends.
    pub fn engine_host(place: &Place) -> anyhow::Result<Self> {
        Self::start(
            place,
            &["--clickhouse-addr", "127.0.0.1:0"],
            &[("LEDGERLINE_SETTLE_ENABLED", "false")],
            None,
        )
    }

    /// A collector that ships to and settles in the engine of another process.
    pub fn on(place: &Place, engine: &Self) -> anyhow::Result<Self> {
        Self::on_another(place, engine, None, false)
    }

    /// The same with its trace arm in some state.
    pub fn on_with(place: &Place, engine: &Self, arm: TraceArm) -> anyhow::Result<Self> {
        Self::on_another(place, engine, Some(arm), false)
    }

    /// One that rolls days up every second.
    pub fn rolling_up(place: &Place, engine: &Self) -> anyhow::Result<Self> {
        Self::on_another(place, engine, Some(TraceArm::Off), true)
    }

    fn on_another(
        place: &Place,
        engine: &Self,
        arm: Option<TraceArm>,
        rolling_up: bool,
    ) -> anyhow::Result<Self> {
        let password = engine.owner_password()?;
        let variables = [
            ("LEDGERLINE_CLICKHOUSE_USER", "ledgerline"),
            ("LEDGERLINE_CLICKHOUSE_PASSWORD", &password),
            // Longer than most experiments, unless days are waited for.
            ("LEDGERLINE_SETTLE_ROLL_UP_EVERY", if rolling_up { "1s" } else { "10m" }),
        ];
        Self::start(place, &["--clickhouse-url", &engine.clickhouse], &variables, arm)
    }

    /// A server that does everything, with the engine in it.
    pub fn whole(place: &Place) -> anyhow::Result<Self> {
        Self::start(place, &["--clickhouse-addr", "127.0.0.1:0"], &[], None)
    }

    /// Its data directory, for commands beside it.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.path().join("data")
    }

    fn start(
        place: &Place,
        flags: &[&str],
        variables: &[(&str, &str)],
        arm: Option<TraceArm>,
    ) -> anyhow::Result<Self> {
        let data_dir = place.temporary()?;
        // Whoever connects is let in by the system, and nobody ever reads.
        let deaf = TcpListener::bind("127.0.0.1:0")?;
        let of_arm = match arm {
            Some(arm) => arm.variables(data_dir.path(), &deaf.local_addr()?.to_string())?,
            None => Vec::new(),
        };
        let mut command = Command::new(&place.ledgerline);
        // A place without a configuration file, and a surrounding without settings: defaults are measured.
        command.current_dir(data_dir.path()).args(["serve", "--data-dir"]).arg(data_dir.path().join("data"));
        for flag in ["--otlp-grpc-addr", "--otlp-http-addr", "--admin-addr"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEDGERLINE_")) {
            if name != "LEDGERLINE_ENGINE_LIBRARY" {
                command.env_remove(name);
            }
        }
        command.args(flags).envs(variables.iter().copied()).envs(of_arm).env("LEDGERLINE_LOG_LEVEL", "warn");
        let mut process = Process::start(&mut command, Stdio::piped(), data_dir.path().join("stderr"))?;
        let ready = process.first_line()?;
        let address = |key: &str| {
            let found = ready.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            let found =
                found.with_context(|| format!("the server did not start: {}", process.last_words()))?;
            anyhow::Ok(found.to_string())
        };
        let (otlp_grpc, otlp_http) = (address("otlp_grpc")?, address("otlp_http")?);
        let (admin, clickhouse) = (address("admin")?, address("clickhouse")?);
        Ok(Self { process, otlp_grpc, otlp_http, clickhouse, admin, _deaf: deaf, data_dir })
    }

    /// The password of the engine's owner.
    pub fn owner_password(&self) -> anyhow::Result<String> {
        let path = self.data_dir().join("clickhouse-owner-password");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.trim().to_string())
    }

    /// How many calls it says it has posted to the ledger.
    pub async fn calls_posted(&self) -> anyhow::Result<u64> {
        self.metric("ledgerline_calls_posted_total").await
    }

    /// A metric, summed over its labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        sum_of_metric(&self.metrics().await?, name)
    }

    /// Whether it has drawn the balance of the whole ledger since it started.
    pub async fn has_drawn_balance(&self) -> anyhow::Result<bool> {
        Ok(self.metrics().await?.lines().any(|line| line.starts_with("ledgerline_balance_calls ")))
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

/// Sums a metric over its labels.
fn sum_of_metric(page: &str, name: &str) -> anyhow::Result<u64> {
    let samples = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    samples
        .map(|line| {
            let value = line.rsplit(' ').next().unwrap_or_default();
            value.parse::<u64>().with_context(|| format!("not a count: {line}"))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other() {
        let page =
            "# TYPE calls counter\ncalls{state=\"billed\"} 40\ncalls{state=\"unpriced\"} 2\ncalls_lost 7\n";
        assert_eq!(sum_of_metric(page, "calls").unwrap(), 42);
        assert_eq!(sum_of_metric(page, "absent").unwrap(), 0);
        assert!(sum_of_metric("calls nan", "calls").is_err());
    }
}
