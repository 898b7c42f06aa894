//! Rows of `overrides` and `override_calls`.

use clickhouse::Row;
use domain::identity::{Realm, SpanId, TraceId};
use domain::money::Cost;
use domain::overrides::{Act, Override};
use domain::resolve::SpanRef;
use serde::{Deserialize, Serialize};

/// What a person ordered, as it is on record once it is done.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct OverrideRow {
    /// Its id.
    pub override_id: String,
    /// `credit`, `charge`, `reverse`, `reattribute`, `revoke`.
    pub kind: String,
    /// Microseconds since the epoch.
    pub decided_at: i64,
    /// Who.
    pub decided_by: String,
    /// Why.
    pub reason: String,
    /// What it was asked for by, as JSON.
    pub asked: String,
    /// The override that no longer counts.
    pub revokes: String,
    /// Whose credit or charge.
    pub tenant: String,
    /// How much of a credit or charge.
    #[serde(with = "crate::picos")]
    pub amount: Cost,
    /// ISO 4217, of a credit or charge.
    pub currency: String,
    /// Days since the epoch: the month a credit or charge is posted in, or a credit may be used from.
    pub period: u16,
    /// Days since the epoch: the first month that may not use the credit; none for one that is posted at once.
    pub expires: Option<u16>,
    /// How many calls it is of.
    pub calls: u64,
    /// The program's version.
    pub program: String,
}

/// An override of one call, named by the report it was billed by then.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct OverrideCallRow {
    /// The report's trace.
    pub trace_id: [u8; 16],
    /// The report.
    pub span_id: [u8; 8],
    /// The account.
    pub realm: String,
    /// The override.
    pub override_id: String,
    /// `reverse`, `reattribute`, `revoke`.
    pub kind: String,
    /// Microseconds since the epoch.
    pub decided_at: i64,
    /// Of a reattribution: dimension to its new value.
    pub moves: Vec<(String, String)>,
    /// The override that no longer counts.
    pub revokes: String,
}

/// A report that a call stands by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Row, Serialize, Deserialize)]
pub struct StandingReport {
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}

impl OverrideCallRow {
    /// The row of a decision about a report.
    pub fn of(report: StandingReport, decided: &Override) -> Self {
        let (mut moves, mut revokes) = (Vec::new(), String::new());
        match &decided.act {
            Act::Reverse => {}
            Act::Reattribute(to) => moves.extend(to.clone()),
            Act::Revoke(id) => revokes.clone_from(id),
        }
        Self {
            trace_id: report.trace_id,
            span_id: report.span_id,
            realm: report.realm,
            override_id: decided.id.clone(),
            kind: decided.act.name().into(),
            decided_at: decided.decided_at,
            moves,
            revokes,
        }
    }

    /// What was decided, about which report of which account; `None` where a newer version of this program wrote it.
    pub fn decided(self) -> Option<(Realm, SpanRef, Override)> {
        let act = match self.kind.as_str() {
            "reverse" => Act::Reverse,
            "reattribute" => Act::Reattribute(self.moves.into_iter().collect()),
            "revoke" => Act::Revoke(self.revokes),
            _ => return None,
        };
        let span =
            SpanRef { trace: TraceId::from_bytes(self.trace_id)?, span: SpanId::from_bytes(self.span_id)? };
        Some((
            Realm::new(self.realm),
            span,
            Override { decided_at: self.decided_at, id: self.override_id, act },
        ))
    }
}
