//! Rows of `observation_log`.

use clickhouse::Row;
use domain::attributes::Attributes;
use domain::observation::{Evidence, SpanStatus};
use domain::resolve::{LinkKey, link_keys};
use domain::usage::TokenClass;
use serde::{Deserialize, Serialize};

use crate::record;

/// One piece of evidence: the record, and columns for people that are derived from it.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub struct ObservationRow {
    /// Days since the epoch of `received_at`, UTC.
    pub received_day: u16,
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// Nanoseconds since the epoch.
    pub received_at: i64,
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// Zeros: none.
    pub parent_span_id: [u8; 8],
    /// `call`, `possible_wrapper`, `attribution`, `unrecognised`, `link`.
    pub kind: String,
    /// Nanoseconds since the epoch.
    pub started_at: i64,
    /// Nanoseconds since the epoch.
    pub ended_at: i64,
    /// The span's name.
    pub span_name: String,
    /// The instrumentation.
    pub scope_name: String,
    /// Its version.
    pub scope_version: String,
    /// The decoder's table.
    pub convention: String,
    /// The operation.
    pub operation: String,
    /// The provider.
    pub provider: String,
    /// The model asked for.
    pub request_model: String,
    /// The model that answered.
    pub response_model: String,
    /// The provider's name for the answer.
    pub response_id: String,
    /// Hash of realm and strong response id; 0: none.
    pub response_key: u64,
    /// Hash by which a report without id finds its partner in another trace; 0: none.
    pub pair_key: u64,
    /// `unset`, `ok`, `error`.
    pub status: String,
    /// What failed.
    pub error_type: String,
    /// As stated on the span.
    pub tenant: String,
    /// As stated on the span.
    pub feature: String,
    /// Whole prompt.
    pub input_tokens: Option<u64>,
    /// Part of input.
    pub cache_read_tokens: Option<u64>,
    /// Part of input.
    pub cache_write_tokens: Option<u64>,
    /// Part of cache writes.
    pub cache_write_1h_tokens: Option<u64>,
    /// Everything generated.
    pub output_tokens: Option<u64>,
    /// Part of output.
    pub reasoning_tokens: Option<u64>,
    /// Code of the usage fault.
    pub fault: String,
    /// The version of the decoder that read it; 0 in rows from before it had a column.
    pub decoder_version: u32,
    /// How often it was read anew; 0 as it came.
    pub reread: u32,
    /// Non-content attributes, JSON.
    pub attributes: String,
    /// The evidence as journaled, up to its attributes.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
}

/// What settlement reads back: the record and where it stands.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub struct RecordRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// The evidence as journaled, up to its attributes.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
}

const NANOS_A_DAY: i64 = 86_400_000_000_000;

/// Days since the epoch; the range of ClickHouse's `Date` is 1970 to 2149.
pub fn day_number(nanos: i64) -> u16 {
    u16::try_from(nanos.div_euclid(NANOS_A_DAY).clamp(0, i64::from(u16::MAX))).unwrap_or(u16::MAX)
}

/// `DateTime64(9)` holds nanoseconds from 1900 to 2262; spans may say anything. The record keeps what was said.
fn clamp(nanos: i64) -> i64 {
    nanos.max(0)
}

impl ObservationRow {
    /// The row of a record at a position. `evidence` is what the record decodes to.
    pub fn new(collector_id: [u8; 16], seq: u64, evidence: Evidence, record: &[u8]) -> Self {
        let received_at = evidence.received_at().nanos();
        let mut row = Self {
            received_day: day_number(received_at),
            collector_id,
            seq,
            received_at: clamp(received_at),
            realm: evidence.realm().as_str().to_string(),
            trace_id: evidence.trace().bytes(),
            span_id: evidence.span().bytes(),
            parent_span_id: evidence.parent().map_or([0; 8], |parent| parent.bytes()),
            kind: "link".into(),
            started_at: 0,
            ended_at: 0,
            span_name: String::new(),
            scope_name: String::new(),
            scope_version: String::new(),
            convention: String::new(),
            operation: String::new(),
            provider: String::new(),
            request_model: String::new(),
            response_model: String::new(),
            response_id: String::new(),
            response_key: 0,
            pair_key: 0,
            status: String::new(),
            error_type: String::new(),
            tenant: String::new(),
            feature: String::new(),
            input_tokens: None,
            cache_read_tokens: None,
            cache_write_tokens: None,
            cache_write_1h_tokens: None,
            output_tokens: None,
            reasoning_tokens: None,
            fault: String::new(),
            decoder_version: 0,
            reread: 0,
            attributes: String::new(),
            record: record::without_attributes(record).to_vec(),
        };
        match evidence {
            Evidence::Link(link) => {
                row.started_at = clamp(link.start.nanos());
                row.ended_at = clamp(link.end.nanos());
            }
            Evidence::Observation(observation) => {
                for key in link_keys(&observation) {
                    match key {
                        LinkKey::Response(key) => row.response_key = key,
                        LinkKey::Pair(key) => row.pair_key = key,
                    }
                }
                let usage = &observation.usage;
                row.input_tokens = usage.get(TokenClass::Input);
                row.cache_read_tokens = usage.get(TokenClass::CacheRead);
                row.cache_write_tokens = usage.get(TokenClass::CacheWrite);
                row.cache_write_1h_tokens = usage.get(TokenClass::CacheWrite1h);
                row.output_tokens = usage.get(TokenClass::Output);
                row.reasoning_tokens = usage.get(TokenClass::Reasoning);
                row.decoder_version = observation.decoder_version;
                row.reread = observation.reread;
                row.kind = observation.kind.name().into();
                row.started_at = clamp(observation.start.nanos());
                row.ended_at = clamp(observation.end.nanos());
                row.status = match observation.status {
                    SpanStatus::Unset => "unset",
                    SpanStatus::Ok => "ok",
                    SpanStatus::Error => "error",
                }
                .into();
                row.fault =
                    observation.fault.as_ref().map(|fault| fault.code().to_string()).unwrap_or_default();
                row.span_name = observation.name;
                row.scope_name = observation.scope.name;
                row.scope_version = observation.scope.version;
                row.convention = observation.convention;
                row.operation = observation.operation;
                row.provider = observation.provider.unwrap_or_default();
                row.request_model = observation.request_model.unwrap_or_default();
                row.response_model = observation.response_model.unwrap_or_default();
                row.response_id = observation.response_id.map(|id| id.text).unwrap_or_default();
                row.error_type = observation.error_type.unwrap_or_default();
                row.tenant = observation.dimensions.tenant.unwrap_or_default();
                row.feature = observation.dimensions.feature.unwrap_or_default();
                if let Attributes::Here(json) = observation.attributes {
                    row.attributes = json;
                }
            }
        }
        row
    }
}
