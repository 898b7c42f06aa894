//! Why this number: each span seen for a call, what became of it, and how its amount was computed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use domain::identity::{CallId, EntryId, SpanId, TraceId};
use domain::ledger::{Entry, EntryType};
use domain::overrides::Act;
use domain::price::{RateCard, UnitPart};
use domain::resolve::{Outcome, SpanRef};
use domain::time::EventTime;
use rust_decimal::Decimal;
use schemas::rows::{DecisionRow, OverrideCallRow, OverrideRow, QuarantineRow, day_of};
use schemas::{Database, DatabaseError, Retired, SeenRow};

use crate::prices::{PriceRow, PriceRowError};
use crate::settle::split_price_id;

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Nothing is known under that name.
    #[error(
        "nothing is known of {0:?}; give a trace id (32 hexadecimal digits), a provider's response id, or an entry or call id \
         of the ledger, and run `ledgerline settle` if the call is fresh"
    )]
    Unknown(String),
    /// Nothing is known under that name any more.
    #[error(
        "nothing is known of {name:?} any more, if anything was: {gone} have gone by retention; what was issued remains in the invoices"
    )]
    Gone {
        /// The name.
        name: String,
        /// What is gone.
        gone: String,
    },
    /// The database failed.
    #[error("the evidence cannot be read")]
    Database(#[from] DatabaseError),
    /// A price that entries name is damaged.
    #[error("a price that entries were rated with cannot be read")]
    Price(#[from] PriceRowError),
}

/// One span and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanExplained {
    /// What was seen.
    pub seen: SeenRow,
    /// `billed`, `merged`, `wrapper`, …; `pending` before settlement.
    pub outcome: String,
    /// The rule that decided.
    pub rule: String,
    /// The particulars.
    pub reason: String,
    /// The report it lost to.
    pub winner: Option<SpanRef>,
    /// The call it reports or repeats.
    pub call: Option<CallId>,
}

/// One unit of an entry's arithmetic: `quantity × unit_price = cost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitExplained {
    /// The exact unit class.
    pub unit: String,
    /// In units.
    pub quantity: i64,
    /// What one costs, where the entry has a price.
    pub unit_price: Option<Decimal>,
    /// What they cost.
    pub cost: domain::money::Cost,
}

/// One entry and its arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryExplained {
    /// The entry.
    pub entry: Entry,
    /// Its units; they sum to its cost.
    pub units: Vec<UnitExplained>,
    /// The rate card in words: provider, model, validity.
    pub price: String,
}

/// What a person decided about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideExplained {
    /// Its id.
    pub id: String,
    /// `reverse`, `reattribute`, `revoke`, and the particulars.
    pub what: String,
    /// When, by whom, and why; nothing where it was begun and never done.
    pub ordered: Option<(EventTime, String, String)>,
    /// The report it names.
    pub span: SpanRef,
}

/// Everything there is to say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// Spans in order of start.
    pub spans: Vec<SpanExplained>,
    /// What people decided, in the order they did.
    pub overrides: Vec<OverrideExplained>,
    /// Entries by call, in the order they were posted.
    pub calls: BTreeMap<CallId, Vec<EntryExplained>>,
    /// What of it went by retention; `None` where all there was is here.
    pub gone: Option<Gone>,
}

/// What of a story went by retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The last day of receipt of which evidence is gone.
    pub received_until: NaiveDate,
    /// Spans that are known by what was decided about them, or posted for them, alone: what became of each, and by which rule.
    pub spans: Vec<(SpanRef, String, String)>,
}

/// Explains a trace id, a response id, an entry id or a call id.
pub async fn explain(database: &Database, name: &str) -> Result<Explanation, ExplainError> {
    let named = find(database, name.trim()).await?;
    let traces = database.traces_beside(&named).await?;
    // A trace of which the log took nothing stands beside no other.
    let refused = database.refused_of_traces(&[traces.as_slice(), &named].concat()).await?;
    let retired = database.retired().await?;
    if traces.is_empty() && refused.is_empty() {
        let name = name.chars().take(120).collect();
        return Err(match gone_in_words(&retired) {
            Some(gone) => ExplainError::Gone { name, gone },
            None => ExplainError::Unknown(name),
        });
    }
    let traces = if traces.is_empty() { named } else { traces };
    let seen = database.seen_of_traces(&traces).await?;
    let decisions = database.decisions_of_traces(&traces).await?;
    let entries = database.entries_of_traces(&traces, 0..=i64::MAX).await?;
    let settled: HashMap<[u8; 16], u64> =
        database.cursors().await?.into_iter().map(|cursor| (cursor.collector_id, cursor.seq)).collect();
    let mut cards = HashMap::new();
    for row in database.prices().await? {
        cards.insert(row.price_id.clone(), PriceRow::from_table(row).card()?);
    }
    let overrides = overrides(database, &traces).await?;
    let gone = gone(&retired, &seen, &decisions, &entries);
    let mut explanation = put_together(seen, decisions, entries, &settled, &cards);
    explanation.spans.extend(refused.into_iter().map(explain_refused));
    explanation.spans.sort_by_key(|span| (span.seen.started_at, span.seen.span_id));
    Ok(Explanation { overrides, gone, ..explanation })
}

/// What went by retention, for a sentence; nothing where nothing did.
pub fn gone_in_words(retired: &Retired) -> Option<String> {
    let evidence = retired.last_day.map(|day| format!("evidence received until {}", day_of(day)));
    let entries = retired.months.last().map(|month| format!("entries billed until {month}"));
    Some(evidence.into_iter().chain(entries).collect::<Vec<_>>().join(" and "))
        .filter(|text| !text.is_empty())
}

/// Spans that decisions and entries know of and the log does not, where their evidence can have gone.
fn gone(retired: &Retired, seen: &[SeenRow], decisions: &[DecisionRow], entries: &[Entry]) -> Option<Gone> {
    let (received_until, until) = (day_of(retired.last_day?), retired.frozen_until?);
    let here: BTreeSet<SpanRef> = seen.iter().filter_map(|seen| span(seen.trace_id, seen.span_id)).collect();
    let mut gone: BTreeMap<SpanRef, (String, String)> = BTreeMap::new();
    for entry in entries {
        let of_call = matches!(entry.entry_type, EntryType::Usage | EntryType::Correction);
        if of_call && entry.facts.occurred_at.nanos() <= until {
            let span = SpanRef { trace: entry.facts.trace, span: entry.facts.span };
            gone.insert(span, (entry.facts.state.name().to_string(), entry.facts.rule.clone()));
        }
    }
    if gone.is_empty() {
        return None;
    }
    for row in decisions {
        if let Some(span) = row.span() {
            gone.insert(span, (row.outcome.clone(), row.rule.clone()));
        }
    }
    gone.retain(|span, _| !here.contains(span));
    let spans: Vec<_> = gone.into_iter().map(|(span, (outcome, rule))| (span, outcome, rule)).collect();
    (!spans.is_empty()).then_some(Gone { received_until, spans })
}

fn span(trace: [u8; 16], span: [u8; 8]) -> Option<SpanRef> {
    Some(SpanRef { trace: TraceId::from_bytes(trace)?, span: SpanId::from_bytes(span)? })
}

async fn overrides(
    database: &Database,
    traces: &[[u8; 16]],
) -> Result<Vec<OverrideExplained>, DatabaseError> {
    let mut decided: Vec<_> = database
        .override_calls_of_traces(traces)
        .await?
        .into_iter()
        .filter_map(OverrideCallRow::decided)
        .map(|(_, span, decided)| (decided, span))
        .collect();
    if decided.is_empty() {
        return Ok(Vec::new());
    }
    decided.sort();
    let known: HashMap<String, OverrideRow> =
        database.overrides().await?.into_iter().map(|row| (row.override_id.clone(), row)).collect();
    let explained = decided.into_iter().map(|(decided, span)| {
        let what = match &decided.act {
            Act::Reverse => "reverse".to_string(),
            Act::Reattribute(to) => {
                let to: Vec<String> = to.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
                format!("reattribute to {}", to.join(", "))
            }
            Act::Revoke(id) => format!("revoke {id}"),
        };
        let ordered = known.get(&decided.id).map(|row| {
            let at = EventTime::from_nanos(row.decided_at.saturating_mul(1000));
            (at, row.decided_by.clone(), row.reason.clone())
        });
        OverrideExplained { id: decided.id, what, ordered, span }
    });
    Ok(explained.collect())
}

async fn find(database: &Database, name: &str) -> Result<Vec<[u8; 16]>, DatabaseError> {
    if let Ok(id) = EntryId::parse(name) {
        let traces = database.traces_of_entry(id.bytes()).await?;
        // The same digits may name a trace.
        return Ok(if traces.is_empty() { vec![id.bytes()] } else { traces });
    }
    let mut traces = database.traces_of_response(name).await?;
    traces.extend(database.traces_refused_with(name).await?);
    Ok(traces)
}

/// A span that sits in quarantine, as `observations` has it.
fn explain_refused(row: QuarantineRow) -> SpanExplained {
    SpanExplained {
        seen: row.seen(),
        outcome: Outcome::Quarantined.name().into(),
        rule: "refused".into(),
        reason: format!("refused by the database: {}", row.code),
        winner: None,
        call: None,
    }
}

fn put_together(
    seen: Vec<SeenRow>,
    decisions: Vec<DecisionRow>,
    entries: Vec<Entry>,
    settled: &HashMap<[u8; 16], u64>,
    cards: &HashMap<String, RateCard>,
) -> Explanation {
    let decided: HashMap<(String, [u8; 16], [u8; 8]), DecisionRow> =
        decisions.into_iter().map(|row| ((row.realm.clone(), row.trace_id, row.span_id), row)).collect();
    let by_span: HashMap<([u8; 16], [u8; 8]), CallId> = entries
        .iter()
        .map(|entry| ((entry.facts.trace.bytes(), entry.facts.span.bytes()), entry.call))
        .collect();
    let spans = seen
        .into_iter()
        .map(|seen| {
            let decision = decided.get(&(seen.realm.clone(), seen.trace_id, seen.span_id));
            let done = settled.get(&seen.collector_id).is_some_and(|seq| seen.seq <= *seq);
            let by_kind = match seen.kind.as_str() {
                kind @ ("link" | "attribution" | "unrecognised") => kind.to_string(),
                _ if done => "billed".to_string(),
                _ => "pending".to_string(),
            };
            let own = by_span.get(&(seen.trace_id, seen.span_id)).copied();
            SpanExplained {
                outcome: decision.map_or(by_kind, |decision| decision.outcome.clone()),
                rule: decision.map(|decision| decision.rule.clone()).unwrap_or_default(),
                reason: decision.map(|decision| decision.outcome_reason.clone()).unwrap_or_default(),
                winner: decision.and_then(DecisionRow::winner),
                call: decision.and_then(|decision| CallId::from_bytes(decision.call_id)).or(own),
                seen,
            }
        })
        .collect();
    let mut calls: BTreeMap<CallId, Vec<EntryExplained>> = BTreeMap::new();
    for entry in entries {
        calls.entry(entry.call).or_default().push(explain_entry(entry, cards));
    }
    for entries in calls.values_mut() {
        // The first posting takes nothing back and answers nothing; what answers it comes after.
        entries.sort_by_key(|explained| {
            (explained.entry.entry_type, -explained.entry.quantities.calls, explained.entry.id)
        });
    }
    Explanation { spans, calls, ..Explanation::default() }
}

fn explain_entry(entry: Entry, cards: &HashMap<String, RateCard>) -> EntryExplained {
    let (card_id, tier) = split_price_id(&entry.facts.price_id);
    let card = cards.get(card_id);
    let unit_price = |unit: &str| card?.unit_price(UnitPart::named(unit)?, tier);
    let named: BTreeSet<&String> =
        entry.quantities.units.keys().chain(entry.quantities.unit_costs.keys()).collect();
    let units = named
        .into_iter()
        .map(|unit| UnitExplained {
            unit: unit.clone(),
            quantity: entry.quantities.units.get(unit).copied().unwrap_or(0),
            unit_price: unit_price(unit),
            cost: entry.quantities.unit_costs.get(unit).copied().unwrap_or_default(),
        })
        .collect();
    let price = card.map(describe).unwrap_or_default();
    EntryExplained { entry, units, price }
}

fn describe(card: &RateCard) -> String {
    let context: Vec<String> = card.context.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let context = if context.is_empty() { String::new() } else { format!(" ({})", context.join(", ")) };
    let clock = |nanos: u64| format!("{:02}:{:02}", nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
    let hours: Vec<String> =
        card.daily.iter().map(|(from, to)| format!(", {}-{} UTC", clock(*from), clock(*to))).collect();
    format!("{} {}{context}, {}{}", card.provider, card.model, validity(card), hours.concat())
}

/// The time of calls that a card is for, in words.
fn validity(card: &RateCard) -> String {
    // A whole day is named by its date.
    let moment = |time: EventTime| match time.utc().time() {
        chrono::NaiveTime::MIN => time.day().to_string(),
        _ => time.to_string(),
    };
    match (card.valid_from, card.valid_to) {
        (None, None) => "valid at all times".to_string(),
        (Some(from), None) => format!("valid from {} on", moment(from)),
        (None, Some(to)) => format!("valid before {}", moment(to)),
        (Some(from), Some(to)) => format!("valid from {} until before {}", moment(from), moment(to)),
    }
}

/// A trace or span id from a table, as people write it; empty for none.
pub fn hex_trace(bytes: [u8; 16]) -> String {
    TraceId::from_bytes(bytes).map(|id| id.to_string()).unwrap_or_default()
}

/// See [`hex_trace`].
pub fn hex_span(bytes: [u8; 8]) -> String {
    SpanId::from_bytes(bytes).map(|id| id.to_string()).unwrap_or_default()
}
