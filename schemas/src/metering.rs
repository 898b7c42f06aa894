//! The ledger's calls by how far their usage is known: counts, sums and sums of squares, by which calls that state no
//! usage are held against calls that do.

use std::str::FromStr;

use clickhouse::Row;
use domain::ledger::State;
use domain::money::Cost;
use domain::price::UnitClass;
use domain::sample::Sample;
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::rows::month_of;

/// The calls that stand in one month for one tenant's feature, of one model, operation and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteredGroup {
    /// The month the calls were made in, whichever they are billed in.
    pub month: BillingPeriod,
    /// The payer; empty where none is known.
    pub tenant: String,
    /// The product feature; empty where none is known.
    pub feature: String,
    /// The provider, by its well-known name.
    pub provider: String,
    /// The model, by the provider's own name.
    pub model: String,
    /// chat, embeddings, …
    pub operation: String,
    /// ISO 4217, of the costs.
    pub currency: String,
    /// Billed, unmetered or partial.
    pub state: State,
    /// How many calls.
    pub calls: u64,
    /// Tokens of their prompts.
    pub input: Sample,
    /// Tokens generated.
    pub output: Sample,
    /// What the provider charges for all of it.
    pub cost: Sample,
    /// What it charges for the tokens generated.
    pub output_cost: Sample,
}

/// The same as the database says it; squares are texts, since they need more digits than an integer has.
#[derive(Row, Serialize, Deserialize)]
struct GroupRow {
    month: u16,
    tenant: String,
    feature: String,
    provider: String,
    model: String,
    operation: String,
    currency: String,
    state: String,
    calls: u64,
    input: i64,
    input_squares: String,
    output: i64,
    output_squares: String,
    #[serde(with = "crate::picos")]
    cost: Cost,
    cost_squares: String,
    #[serde(with = "crate::picos")]
    output_cost: Cost,
    output_cost_squares: String,
}

impl GroupRow {
    fn read(self) -> Option<MeteredGroup> {
        let sample = |sum, squares: &str| Sample {
            calls: self.calls,
            sum,
            // More than a decimal holds: such a sum has no standard error.
            squares: Decimal::from_str(squares).ok(),
        };
        let money = |cost: Cost| Decimal::try_from_i128_with_scale(cost.picos(), 12).unwrap_or(Decimal::MAX);
        Some(MeteredGroup {
            month: month_of(self.month),
            state: State::parse(&self.state)?,
            calls: self.calls,
            input: sample(Decimal::from(self.input), &self.input_squares),
            output: sample(Decimal::from(self.output), &self.output_squares),
            cost: sample(money(self.cost), &self.cost_squares),
            output_cost: sample(money(self.output_cost), &self.output_cost_squares),
            tenant: self.tenant,
            feature: self.feature,
            provider: self.provider,
            model: self.model,
            operation: self.operation,
            currency: self.currency,
        })
    }
}

impl Database {
    /// The calls that stand, of one month or of all, by month of the call, tenant, feature, provider, model, operation and
    /// state, in this order. What was reversed is no call; unpriced calls are left out, since no cost of theirs is known.
    pub async fn metered_groups(
        &self,
        month: Option<BillingPeriod>,
    ) -> Result<Vec<MeteredGroup>, DatabaseError> {
        let made = month.map_or(String::new(), |month| {
            let [from, to] = [month.start(), month.end()].map(|at| at.timestamp());
            format!(" AND occurred_at >= toDateTime64({from}, 9, 'UTC') AND occurred_at < toDateTime64({to}, 9, 'UTC')")
        });
        let generated: Vec<String> = UnitClass::all()
            .filter(|class| class.is_generated_token())
            .map(|class| format!("unit_costs['{}']", class.name()))
            .collect();
        // First by call, since a refinement is an entry of its own and a square of the whole call's figures is meant.
        let sql = format!(
            "SELECT month, toString(tenant) AS tenant, toString(feature) AS feature, toString(provider) AS provider, \
               toString(model) AS model, toString(operation) AS operation, toString(currency) AS currency, \
               toString(state) AS state, count() AS calls, \
               sum(call_input) AS input, toString(sum(toInt256(call_input) * call_input)) AS input_squares, \
               sum(call_output) AS output, toString(sum(toInt256(call_output) * call_output)) AS output_squares, \
               sum(call_cost) AS cost, toString(sum(toDecimal256(call_cost, 12) * call_cost)) AS cost_squares, \
               sum(call_output_cost) AS output_cost, \
               toString(sum(toDecimal256(call_output_cost, 12) * call_output_cost)) AS output_cost_squares \
             FROM (SELECT toStartOfMonth(occurred_at) AS month, tenant, feature, provider, model, operation, currency, state, \
                     sum(e.input_tokens) AS call_input, sum(e.output_tokens) AS call_output, sum(e.cost) AS call_cost, \
                     sum({generated}) AS call_output_cost \
                   FROM ledger_entries AS e FINAL \
                   WHERE entry_type IN ('usage', 'correction') AND state IN ('billed', 'unmetered', 'partial'){made} \
                   GROUP BY call_id, month, tenant, feature, provider, model, operation, currency, state \
                   HAVING sum(e.calls) = 1) \
             GROUP BY month, tenant, feature, provider, model, operation, currency, state \
             ORDER BY month, tenant, feature, provider, model, operation, currency, state",
            generated = generated.join(" + "),
        );
        let rows: Vec<GroupRow> = self
            .client()
            .query(&sql)
            .fetch_all()
            .await
            .map_err(self.failed("sum the calls by how far their usage is known"))?;
        // The statement asks for known states alone.
        Ok(rows.into_iter().filter_map(GroupRow::read).collect())
    }
}
