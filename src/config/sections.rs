//! The table of settings. The doc comment of a key is its line in `docs/reference/config.md`.
//!
//! A line is `key: type = "default";`, the default written as in the file or the environment. A key without a default is
//! unset unless someone sets it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use collector::decode::Ruling;
use domain::budget::Budget;
use domain::money::{Cost, Currency};

use super::place::{HttpUrl, Name, Secret};
use super::quantity::{ByteSize, Keep, Ratio};
use super::setting::{LogFilter, LogFormat};
use super::settings::settings;

settings! {
    {
        /// The directory of everything this collector keeps: its journal, its API keys, the address file of a running
        /// server, and the embedded ClickHouse.
        data_dir: PathBuf = "ledgerline-data";
        /// How long a stopping server may take to drain. What is left then stays in the journal.
        shutdown_timeout: Duration = "25s";
        /// How much may be spent, by whom, a day or a month: tables `[[budget]]`. See `docs/budgets.md`.
        budget: Vec<Budget> = "";
    }

    /// Receiving OTLP.
    otlp: Otlp {
        /// Where OTLP over gRPC is received. Port 0 takes a free one.
        grpc_addr: SocketAddr = "127.0.0.1:4317";
        /// Where OTLP over HTTP is received. Port 0 takes a free one.
        http_addr: SocketAddr = "127.0.0.1:4318";
        /// The largest request body as it arrives, compressed or not.
        body_max: ByteSize = "64MiB";
        /// The largest request body after decompression.
        decompressed_max: ByteSize = "64MiB";
        /// What all requests together may hold in memory; beyond it a client is told to come back.
        in_flight_max: ByteSize = "128MiB";
        /// How many requests are in work at once.
        requests_max: NonZeroU32 = "1024";
        /// How many connections are open at once, gRPC and HTTP together.
        connections_max: NonZeroU32 = "4096";
    }

    /// API keys of clients.
    auth: Auth {
        /// Whether every OTLP request needs an API key. Unset: needed on every address but loopback. A key that is sent
        /// is checked either way.
        required: Option<bool>;
    }

    /// Health, metrics, and commands to a running server.
    admin: Admin {
        /// Where `/healthz`, `/readyz` and `/metrics` answer. Port 0 takes a free one.
        addr: SocketAddr = "127.0.0.1:4319";
    }

    /// The database of the ledger.
    clickhouse: ClickHouse {
        /// The HTTP interface of a ClickHouse server. Unset: the embedded engine on the data directory.
        url: Option<HttpUrl>;
        /// Where the embedded ClickHouse answers HTTP. Port 0 takes a free one.
        addr: SocketAddr = "127.0.0.1:8123";
        /// The user at the server of `clickhouse.url`.
        user: String = "default";
        /// The password of that user.
        password: Secret = "";
        /// The database that holds the tables; made by `schema migrate` and by a starting server.
        database: Name = "ledgerline";
        /// The cluster that the tables are made on, with replicated engines. Unset: one server.
        cluster: Option<Name>;
    }

    /// The embedded ClickHouse engine.
    engine: Engine {
        /// The engine's library file. Unset: looked for in the user's cache directory, then beside the program.
        library: Option<PathBuf>;
        /// What all queries and caches of the engine together may take; a query that would exceed it fails.
        memory_max: ByteSize = "4GiB";
    }

    /// The journal: what was acknowledged is in it until it is settled.
    journal: Journal {
        /// The most disk it takes. Full, it refuses requests; it never drops.
        capacity: ByteSize = "10GiB";
        /// The size of its segment files, the unit in which space is freed.
        segment_size: ByteSize = "64MiB";
        /// How long records are kept after they are settled, within the capacity: a database's yes is only as durable as
        /// its disks.
        keep: Duration = "24h";
    }

    /// Sending the journal's records to ClickHouse.
    ship: Ship {
        /// The most rows of one insert. From 10,000 on the database works at its best.
        rows_max: NonZeroU32 = "50000";
        /// How long records may wait for an insert to fill.
        interval: Duration = "1s";
    }

    /// Settling: from what was reported to what is billed.
    settle: Settle {
        /// Whether this server settles. One settler a ledger is enough.
        enabled: bool = "true";
        /// How long a trace must be quiet before ambiguous reports in it are settled. Only saves corrections; no result
        /// depends on it.
        quiet: Duration = "60s";
        /// How far back, by time of receipt, settlement looks for other reports of a call.
        dedupe_window: Duration = "26h";
        /// The pause between two passes.
        interval: Duration = "1s";
        /// How often days that are over are summed anew where something was posted to them since. Only saves reading: until
        /// then such a day is read entry by entry.
        roll_up_every: Duration = "10m";
    }

    /// Billing rules.
    billing: Billing {
        /// The age, when it is received, beyond which usage is quarantined instead of billed.
        late_limit: Duration = "35d";
        /// How far a client's clock may be ahead before usage is quarantined instead of billed.
        future_limit: Duration = "10m";
        /// How long after its end a month takes late usage before it may be closed.
        grace: Duration = "72h";
        /// The currency of prices and invoices.
        currency: Currency = "USD";
        /// Calls that nobody charges for, by what a span attribute of theirs says: cache hits of a gateway, calls with a
        /// customer's own provider key. See `docs/rules.md`, section 2.
        not_billable: Vec<Ruling> = "";
    }

    /// How long evidence and entries are kept; what is older goes a whole day or month at a time. Sampled spans have
    /// `trace.retention`. See `docs/retention.md`.
    retention: Retention {
        /// How long what was reported of calls is kept after it was received. It stays longer where it is not settled or of
        /// a month that is not closed. Left to the default, `forever` where `billing.late_limit` asks for more than it.
        observations: Keep = "400d";
        /// How long the entries of a month are kept after its end; only of one that is closed and issued. Its invoices and
        /// what it was closed with stay.
        ledger: Keep = "forever";
    }

    /// Telling of budgets.
    alerts: Alerts {
        /// Where alerts of budgets are posted, signed. Unset: they are only logged.
        webhook: Option<HttpUrl>;
        /// The secret they are signed with, at least 16 characters; `whsec_` and base64, or any other text.
        secret: Secret = "";
    }

    /// The trace arm: which spans are kept to look at. Nothing here touches billing.
    trace: Trace {
        /// Whether spans are kept to look at.
        enabled: bool = "true";
        /// The share kept of traces that no rule names, chosen by trace id: all spans of a trace are kept or dropped
        /// together.
        sample_ratio: Ratio = "0.1";
        /// Whether traces with a span that failed are kept for certain.
        keep_errors: bool = "true";
        /// Traces with a model call that took at least so long are kept for certain.
        keep_slow: Option<Duration>;
        /// Traces with a model call that took at least so long to its first token are kept for certain.
        keep_slow_first_token: Option<Duration>;
        /// Traces whose calls cost more than this together are kept for certain, in the currency of prices.
        keep_cost_over: Option<Cost>;
        /// How many of the costliest traces of each tenant and hour are kept for certain.
        keep_top_cost: u32 = "5";
        /// Whether traces are kept for certain in which settlement had to decide between reports of a call.
        keep_conflicts: bool = "false";
        /// Tenants under investigation: every trace that one of them pays for is kept.
        keep_tenants: Vec<String> = "";
        /// Features under investigation: every trace that serves one of them is kept.
        keep_features: Vec<String> = "";
        /// How many traces of one tenant are kept a second, about: so many that a rule names, and so many of the rest.
        /// What is kept then stands for more. Unset: no limit.
        tenant_rate_max: Option<NonZeroU32>;
        /// How long a trace waits for its spans before it is decided. Later ones follow the decision.
        wait: Duration = "10s";
        /// What traces that wait may hold together; beyond it the oldest are decided early.
        hold: ByteSize = "64MiB";
        /// Whether kept spans keep prompts and completions.
        keep_content: bool = "false";
        /// A file of backends that kept spans are sent on to, and metrics and logs with them; see `docs/forwarding.md`.
        forwards: Option<PathBuf>;
        /// How long kept spans stay, in whole days.
        retention: Duration = "14d";
        /// Whether known forms of secrets are replaced in every kept text, and of personal data in kept content.
        redact: bool = "true";
        /// Regular expressions of your own; what they find in a kept text is replaced. Write `\\s` for a blank.
        redact_patterns: Vec<String> = "";
        /// What requests that wait to be sampled may hold together; one beyond it is dropped from the trace arm, and
        /// counted.
        queue: ByteSize = "32MiB";
    }

    /// Names of your own for the span and resource attributes that say whom a call is for. They are looked for before
    /// the names that are built in, the first that a span has is taken.
    attributes: Attributes {
        /// The tenant, who pays; built in are `tenant.id` and its usual spellings.
        tenant: Vec<String> = "";
        /// The product feature; built in are `feature.name` and its usual spellings.
        feature: Vec<String> = "";
        /// The end user; built in are `user.id`, `enduser.id` and their usual spellings.
        user: Vec<String> = "";
        /// The session or conversation; built in are `session.id`, `gen_ai.conversation.id` and their usual spellings.
        session: Vec<String> = "";
    }

    /// Logs, on standard error.
    log: Log {
        /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, also by target as in `info,collector=debug`.
        /// Commands other than `serve` log warnings only, unless this is set.
        level: LogFilter = "info";
        /// `text` for people, `json` for programs, one object a line.
        format: LogFormat = "text";
    }
}
