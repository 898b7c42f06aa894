//! Rows of `ledger_entries` and `decisions`.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use clickhouse::Row;
use domain::identity::{CallId, EntryId, Realm, SpanId, TraceId};
use domain::ledger::{Entry, EntryType, Facts, Quantities, State, leaf};
use domain::money::Cost;
use domain::resolve::SpanRef;
use domain::time::{BillingPeriod, EventTime};
use serde::{Deserialize, Serialize};

/// A row of the ledger that no version of this program wrote.
#[derive(Debug, thiserror::Error)]
#[error(
    "ledger row {entry_id} has an impossible {column}; the table was changed by something else, run `ledgerline verify`"
)]
pub struct RowError {
    entry_id: String,
    column: &'static str,
}

/// One ledger entry.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub struct LedgerRow {
    entry_id: [u8; 16],
    entry_type: String,
    call_id: [u8; 16],
    state: String,
    tenant: String,
    feature: String,
    user_id: String,
    session_id: String,
    agent: String,
    service: String,
    environment: String,
    realm: String,
    provider: String,
    request_model: String,
    model: String,
    operation: String,
    occurred_at: i64,
    posted_at: i64,
    period: u16,
    calls: i64,
    input_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    cache_write_1h_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    usage: Vec<(String, i64)>,
    unit_costs: Vec<(String, i128)>,
    unit_charges: Vec<(String, i128)>,
    service_tier: String,
    region: String,
    rule: String,
    tenant_source: String,
    #[serde(with = "crate::picos")]
    cost: Cost,
    #[serde(with = "crate::picos")]
    charge: Cost,
    currency: String,
    price_id: String,
    plan_id: String,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    response_id: String,
    reverses: [u8; 16],
}

/// Days since the epoch of the first day of a month.
pub fn month_number(period: BillingPeriod) -> u16 {
    u16::try_from(period.first_day().num_days_from_ce() - epoch().num_days_from_ce()).unwrap_or(0)
}

/// The month that a day number lies in.
pub fn month_of(number: u16) -> BillingPeriod {
    BillingPeriod::of_day(day_of(number))
}

/// The day of a day number.
pub fn day_of(number: u16) -> NaiveDate {
    epoch() + chrono::Days::new(u64::from(number))
}

/// A day as the tables hold it.
pub fn date_number(day: NaiveDate) -> u16 {
    u16::try_from((day - epoch()).num_days())
        .expect("a day from 1970 to 2149, as whoever read it has seen to")
}

fn epoch() -> NaiveDate {
    NaiveDate::default()
}

impl LedgerRow {
    /// The row of an entry. `posted_at` is in microseconds since the epoch.
    pub fn from_entry(entry: &Entry, posted_at: i64) -> Self {
        let (facts, quantities) = (entry.facts.clone(), &entry.quantities);
        let [input, cache_read, cache_write, cache_write_1h, output, reasoning] = quantities.tokens;
        Self {
            entry_id: entry.id.bytes(),
            entry_type: entry.entry_type.name().into(),
            call_id: entry.call.bytes(),
            state: facts.state.name().into(),
            tenant: facts.tenant,
            feature: facts.feature,
            user_id: facts.user_id,
            session_id: facts.session_id,
            agent: facts.agent,
            service: facts.service,
            environment: facts.environment,
            realm: facts.realm.as_str().to_string(),
            provider: facts.provider,
            request_model: facts.request_model,
            model: facts.model,
            operation: facts.operation,
            occurred_at: facts.occurred_at.nanos(),
            posted_at,
            period: month_number(entry.period),
            calls: quantities.calls,
            input_tokens: input,
            cache_read_tokens: cache_read,
            cache_write_tokens: cache_write,
            cache_write_1h_tokens: cache_write_1h,
            output_tokens: output,
            reasoning_tokens: reasoning,
            usage: quantities.units.iter().map(|(unit, quantity)| (unit.clone(), *quantity)).collect(),
            unit_costs: quantities
                .unit_costs
                .iter()
                .map(|(unit, cost)| (unit.clone(), cost.picos()))
                .collect(),
            unit_charges: quantities
                .unit_charges
                .iter()
                .map(|(unit, charge)| (unit.clone(), charge.picos()))
                .collect(),
            service_tier: facts.service_tier,
            region: facts.region,
            rule: facts.rule,
            tenant_source: facts.tenant_source,
            cost: quantities.cost,
            charge: quantities.charge,
            currency: facts.currency,
            price_id: facts.price_id,
            plan_id: facts.plan_id,
            trace_id: facts.trace.bytes(),
            span_id: facts.span.bytes(),
            response_id: facts.response_id,
            reverses: entry.reverses.map_or([0; 16], |id| id.bytes()),
        }
    }

    /// When it was posted, in microseconds since the epoch.
    pub fn posted_at(&self) -> i64 {
        self.posted_at
    }

    /// Its id; none where that was overwritten with zeros.
    pub fn entry_id(&self) -> Option<EntryId> {
        EntryId::from_bytes(self.entry_id)
    }

    /// What stands for it in a voucher. No voucher holds 0, which is that of a row no version of this program wrote.
    pub fn leaf(&self) -> u64 {
        let Ok(entry) = self.clone().to_entry() else { return 0 };
        // What an entry does not see of its row must not be another, either.
        if Self::from_entry(&entry, self.posted_at) == *self { leaf(&entry) } else { 0 }
    }

    /// The entry of a row.
    pub fn to_entry(self) -> Result<Entry, RowError> {
        let id = EntryId::from_bytes(self.entry_id);
        let refuse = |column| RowError { entry_id: id.map(|id| id.to_string()).unwrap_or_default(), column };
        let units: BTreeMap<String, i64> = self.usage.into_iter().collect();
        let costs = |costs: Vec<(String, i128)>| -> BTreeMap<String, Cost> {
            costs.into_iter().map(|(unit, picos)| (unit, Cost::from_picos(picos))).collect()
        };
        let (unit_costs, unit_charges) = (costs(self.unit_costs), costs(self.unit_charges));
        Ok(Entry {
            id: id.ok_or_else(|| refuse("entry_id"))?,
            entry_type: EntryType::parse(&self.entry_type).ok_or_else(|| refuse("entry_type"))?,
            call: CallId::from_bytes(self.call_id).ok_or_else(|| refuse("call_id"))?,
            period: month_of(self.period),
            facts: Facts {
                state: State::parse(&self.state).ok_or_else(|| refuse("state"))?,
                tenant: self.tenant,
                tenant_source: self.tenant_source,
                feature: self.feature,
                user_id: self.user_id,
                session_id: self.session_id,
                agent: self.agent,
                service: self.service,
                environment: self.environment,
                realm: Realm::new(self.realm),
                provider: self.provider,
                request_model: self.request_model,
                model: self.model,
                operation: self.operation,
                occurred_at: EventTime::from_nanos(self.occurred_at),
                service_tier: self.service_tier,
                region: self.region,
                rule: self.rule,
                currency: self.currency,
                price_id: self.price_id,
                plan_id: self.plan_id,
                trace: TraceId::from_bytes(self.trace_id).ok_or_else(|| refuse("trace_id"))?,
                span: SpanId::from_bytes(self.span_id).ok_or_else(|| refuse("span_id"))?,
                response_id: self.response_id,
            },
            quantities: Quantities {
                calls: self.calls,
                tokens: [
                    self.input_tokens,
                    self.cache_read_tokens,
                    self.cache_write_tokens,
                    self.cache_write_1h_tokens,
                    self.output_tokens,
                    self.reasoning_tokens,
                ],
                units,
                unit_costs,
                unit_charges,
                cost: self.cost,
                charge: self.charge,
            },
            reverses: EntryId::from_bytes(self.reverses),
        })
    }
}

/// What became of a span that is not plainly billed.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub struct DecisionRow {
    /// The account.
    pub realm: String,
    /// The span's trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// What became of it.
    pub outcome: String,
    /// The particulars.
    pub outcome_reason: String,
    /// The rule that decided.
    pub rule: String,
    /// Zeros: none.
    pub call_id: [u8; 16],
    /// Zeros: none.
    pub winner_trace_id: [u8; 16],
    /// Zeros: none.
    pub winner_span_id: [u8; 8],
    /// Microseconds since the epoch.
    pub decided_at: i64,
}

impl DecisionRow {
    /// The span.
    pub fn span(&self) -> Option<SpanRef> {
        Some(SpanRef { trace: TraceId::from_bytes(self.trace_id)?, span: SpanId::from_bytes(self.span_id)? })
    }

    /// The span a report lost to.
    pub fn winner(&self) -> Option<SpanRef> {
        Some(SpanRef {
            trace: TraceId::from_bytes(self.winner_trace_id)?,
            span: SpanId::from_bytes(self.winner_span_id)?,
        })
    }
}
