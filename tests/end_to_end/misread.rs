//! What an older decoder left in the log: what this one reads, made wrong in a known way, straight into the journal.

use std::path::Path;

use collector::append::EVIDENCE;
use collector::decode::{AiTraces, DecodeConfig, Decoded, Decoder};
use collector::otlp::json;
use domain::observation::{Evidence, KeyStamp, Kind, Observation};
use domain::usage::Usage;
use domain::{EventTime, ReceivedAt};
use journal::{Config, Journal, Records};
use schemas::record;
use serde_json::Value;

use crate::money_spans::{Call, export};
use crate::server::Server;

pub const MINUTE: i64 = 60_000_000_000;

/// What this decoder reads of a call, received so long after its end.
pub fn read(call: Call<'_>, after: i64) -> Observation {
    let end = chrono::DateTime::parse_from_rfc3339(call.at).unwrap().timestamp_nanos_opt().unwrap();
    let received = ReceivedAt::from_nanos(EventTime::from_nanos(end).nanos() + after);
    let body = json::to_protobuf(&export(&[call])).unwrap();
    let mut decoded = Decoded::default();
    Decoder::new(&DecodeConfig::default())
        .decode(&body, &KeyStamp::default(), received, &AiTraces::default(), &mut decoded)
        .unwrap();
    match decoded.evidence.swap_remove(0) {
        Evidence::Observation(observation) => *observation,
        Evidence::Link(_) => panic!("a call leaves no link"),
    }
}

/// Leaves observations in the journal of a data directory that no server runs on.
pub fn write(data_dir: &Path, observations: impl IntoIterator<Item = Observation>) {
    std::fs::create_dir_all(data_dir).unwrap();
    let (journal, _) = Journal::open(&data_dir.join("journal"), Config::default()).unwrap();
    let mut records = Records::default();
    for observation in observations {
        records.push(EVIDENCE, &record::encode(&Evidence::Observation(Box::new(observation))));
    }
    let (done, told) = std::sync::mpsc::channel();
    journal.appender().submit(records, move |result| done.send(result).unwrap()).unwrap();
    told.recv().unwrap().unwrap();
    journal.close();
}

/// As a decoder left it that understood nothing of it.
pub fn unrecognised(read: Observation) -> Observation {
    Observation {
        kind: Kind::Unrecognised,
        operation: String::new(),
        provider: None,
        request_model: None,
        response_id: None,
        usage: Usage::default(),
        dimensions: Default::default(),
        decoder_version: 1,
        ..read
    }
}

/// Tenant, month, net calls, input, output and cost.
pub fn ledger(server: &Server) -> Vec<String> {
    let sql = "SELECT tenant, toString(period) AS month, sum(l.calls) AS calls, sum(l.input_tokens) AS input, \
               sum(l.output_tokens) AS output, toString(sum(l.cost)) AS cost \
               FROM ledgerline.ledger AS l GROUP BY tenant, period ORDER BY tenant, period";
    let shown = |row: Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_string();
        let count = |key: &str| row[key].as_i64().unwrap();
        let (calls, input, output) = (count("calls"), count("input"), count("output"));
        format!("{} {} {calls} {input}+{output} {}", text("tenant"), &text("month")[..7], text("cost"))
    };
    server.rows(sql).into_iter().map(shown).collect()
}

/// Rows of the ledger.
pub fn entries(server: &Server) -> i64 {
    server.rows("SELECT count() AS n FROM ledgerline.ledger")[0]["n"].as_i64().unwrap()
}
