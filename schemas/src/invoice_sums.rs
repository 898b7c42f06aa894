//! Sums over a month of the ledger, as invoices need them: grouped in the database, so that memory follows the number
//! of lines and not of entries.

use clickhouse::Row;
use domain::ledger::Entry;
use domain::money::Cost;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::rows::LedgerRow;

/// The net of one unit class of one tenant's usage at one price.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct UnitSum {
    /// The payer.
    pub tenant: String,
    /// The product feature.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// `billed`, `partial` or `unpriced`.
    pub state: String,
    /// ISO 4217.
    pub currency: String,
    /// The rate card and tier; empty where unpriced.
    pub price_id: String,
    /// The plan; empty where the cost is passed through.
    pub plan_id: String,
    /// The environment, where the plan is that of usage that is not invoiced; else empty.
    pub environment: String,
    /// Days since the epoch of the first day of the month the usage is of.
    pub service_month: u16,
    /// Whether it is a change of what an earlier month was closed with.
    pub corrects: bool,
    /// The exact unit class.
    pub unit: String,
    /// In units.
    pub quantity: i64,
    /// What they cost.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// What the tenant is charged for them.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
    /// Net calls that used the unit.
    pub calls: i64,
}

/// Net calls of one tenant's model that have a price.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct CallSum {
    /// The payer.
    pub tenant: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Net calls.
    pub calls: i64,
}

/// Net calls of one tenant's feature and model that state no usage.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct UnmeteredSum {
    /// The payer.
    pub tenant: String,
    /// The product feature.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// ISO 4217.
    pub currency: String,
    /// Days since the epoch of the first day of the month the calls are of.
    pub service_month: u16,
    /// Whether it is a change of what an earlier month was closed with.
    pub corrects: bool,
    /// Net calls.
    pub calls: i64,
}

/// What a month's total led to, or people ordered, by what people call it.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct AdjustmentSum {
    /// The payer.
    pub tenant: String,
    /// ISO 4217.
    pub currency: String,
    /// The kind of invoice line.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What it adds to the charge.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
}

/// How much of a credit months used.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct CreditUse {
    /// Whose.
    pub tenant: String,
    /// The credit.
    pub name: String,
    /// How much, as a charge: below zero.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
}

/// What a tenant owes for a month, straight from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct TenantSum {
    /// The payer.
    pub tenant: String,
    /// ISO 4217.
    pub currency: String,
    /// Net calls.
    pub calls: i64,
    /// Entries.
    pub entries: u64,
    /// What the providers charge.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// What the tenant is charged.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
}

/// Whether an entry changes what an earlier month was closed with. A change of late usage that is billed in the same month is
/// no such thing: it comes to what was billed there had all of it been known at once.
fn earlier(period: BillingPeriod) -> String {
    format!(
        "(entry_type = 'correction' AND toStartOfMonth(occurred_at) < period AND call_id NOT IN \
           (SELECT call_id FROM ledger_entries \
            WHERE period = toDate('{}') AND entry_type = 'usage' AND toStartOfMonth(occurred_at) < period))",
        period.first_day()
    )
}

/// The month an entry's usage is of, and whether it changes what an earlier month was closed with.
fn served(period: BillingPeriod) -> String {
    format!("toStartOfMonth(occurred_at) AS service_month, toBool({}) AS corrects", earlier(period))
}

/// An id, for a statement: nothing in it can end a text.
fn hex_only(id: &str) -> String {
    id.chars().filter(char::is_ascii_hexdigit).collect()
}

impl Database {
    /// Units by tenant, feature, provider, model, price and the month they are of; sorted; nothing that nets to zero.
    /// `not_invoiced` is the plan of usage that is not.
    ///
    /// The calls of a unit are those that come to any of it, however often they were refined: an entry that only adds a unit to
    /// a call is of no call itself, so refined calls are added up one by one.
    pub async fn unit_sums(
        &self,
        period: BillingPeriod,
        not_invoiced: &str,
    ) -> Result<Vec<UnitSum>, DatabaseError> {
        const KEY: &str = "tenant, feature, provider, model, state, currency, price_id, plan_id, environment, \
                           service_month, corrects";
        let day = period.first_day();
        let month = format!("period = toDate('{day}')");
        let key = format!(
            "tenant, feature, provider, model, state, currency, price_id, plan_id, \
             if(plan_id = '{}', e.environment, '') AS environment, {}",
            hex_only(not_invoiced),
            served(period)
        );
        let refined = format!(
            "SELECT call_id FROM ledger_entries WHERE {month} AND entry_type = 'correction' AND calls = 0"
        );
        let sql = format!(
            "SELECT {KEY}, toString(unit) AS unit, \
               sum(amount_of) AS quantity, sum(cost_of) AS cost, sum(charge_of) AS charge, sum(counted) AS calls \
             FROM (SELECT {key}, arrayJoin(mapKeys(usage)) AS unit, usage[unit] AS amount_of, unit_costs[unit] AS cost_of, \
                     if(plan_id = '', unit_costs[unit], unit_charges[unit]) AS charge_of, \
                     if(amount_of = 0 OR call_id IN ({refined}), 0, e.calls) AS counted \
                   FROM ledger_entries AS e FINAL WHERE {month} \
                   UNION ALL \
                   SELECT {KEY}, unit, 0 AS amount_of, 0 AS cost_of, 0 AS charge_of, counted \
                   FROM (SELECT {key}, call_id, sum(e.calls) AS counted, sumMap(e.usage) AS units \
                         FROM ledger_entries AS e FINAL WHERE {month} AND call_id IN ({refined}) GROUP BY {KEY}, call_id) \
                   ARRAY JOIN mapKeys(units) AS unit WHERE units[unit] != 0) \
             GROUP BY {KEY}, unit \
             HAVING quantity != 0 OR cost != 0 OR charge != 0 \
             ORDER BY tenant, feature, provider, model, service_month, corrects, unit, price_id, plan_id, environment, state, currency"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum the units of a month"))
    }

    /// Calls of a month that have a price, by tenant, provider and model; without those that are not invoiced, and without
    /// what changes earlier months.
    pub async fn call_sums(
        &self,
        period: BillingPeriod,
        not_invoiced: &str,
    ) -> Result<Vec<CallSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, toString(provider) AS provider, toString(model) AS model, sum(e.calls) AS calls \
             FROM ledger_entries AS e FINAL WHERE period = toDate('{}') AND entry_type IN ('usage', 'correction') \
               AND state IN ('billed', 'partial') AND plan_id != '{}' AND NOT {} \
             GROUP BY tenant, provider, model HAVING calls != 0 ORDER BY tenant, provider, model",
            period.first_day(),
            hex_only(not_invoiced),
            earlier(period),
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("count the calls of a month"))
    }

    /// Unmetered calls by tenant, feature, provider, model and the month they are of.
    pub async fn unmetered_sums(&self, period: BillingPeriod) -> Result<Vec<UnmeteredSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, feature, provider, model, currency, {}, sum(e.calls) AS calls \
             FROM ledger_entries AS e FINAL WHERE period = toDate('{}') AND state = 'unmetered' \
             GROUP BY tenant, feature, provider, model, currency, service_month, corrects HAVING calls != 0 \
             ORDER BY tenant, feature, provider, model, service_month, corrects, currency",
            served(period),
            period.first_day()
        );
        self.client()
            .query(&sql)
            .fetch_all()
            .await
            .map_err(self.failed("count the unmetered calls of a month"))
    }

    /// Adjustments and credits of a month that do not net to nothing.
    pub async fn adjustment_sums(&self, period: BillingPeriod) -> Result<Vec<AdjustmentSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, currency, toString(rule) AS kind, toString(operation) AS name, sum(e.charge) AS charge \
             FROM ledger_entries AS e FINAL \
             WHERE period = toDate('{}') AND entry_type IN ('adjustment', 'credit') \
             GROUP BY tenant, currency, kind, name HAVING charge != 0 ORDER BY tenant, currency, kind, name",
            period.first_day()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum the adjustments of a month"))
    }

    /// The adjustments and credits posted into a month when it was being closed.
    pub async fn adjustments_of(&self, period: BillingPeriod) -> Result<Vec<Entry>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM ledger_entries FINAL \
             WHERE period = toDate('{}') AND entry_type IN ('adjustment', 'credit')",
            period.first_day()
        );
        let rows: Vec<LedgerRow> = self
            .client()
            .query(&sql)
            .fetch_all()
            .await
            .map_err(self.failed("read the adjustments of a month"))?;
        rows.into_iter().map(|row| row.to_entry().map_err(DatabaseError::from)).collect()
    }

    /// What of each credit was used, in all months but this, posted up to a moment (microseconds since the epoch).
    pub async fn credits_used(
        &self,
        beside: Option<BillingPeriod>,
        at: i64,
    ) -> Result<Vec<CreditUse>, DatabaseError> {
        let beside =
            beside.map_or(String::new(), |month| format!(" AND period != toDate('{}')", month.first_day()));
        // A month of which the use was put down apart is about to be retired, or is: its entries count no more.
        let sql = format!(
            "SELECT tenant, name, sum(charge) AS charge FROM (\
               SELECT tenant, toString(operation) AS name, e.charge AS charge, posted_at FROM ledger_entries AS e FINAL \
               WHERE entry_type = 'credit' AND tenant_source = 'plan'{beside} \
                 AND period NOT IN (SELECT period FROM retired_credits) \
               UNION ALL \
               SELECT tenant, name, charge, posted_at FROM retired_credits FINAL WHERE 1{beside}\
             ) WHERE toUnixTimestamp64Micro(posted_at) <= {at} GROUP BY tenant, name ORDER BY tenant, name"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum the credits used"))
    }

    /// What people ordered to be given to tenants or charged to them at once, in a month.
    pub async fn posted_by_order(&self, period: BillingPeriod) -> Result<Vec<AdjustmentSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, currency, toString(rule) AS kind, toString(operation) AS name, sum(e.charge) AS charge \
             FROM ledger_entries AS e FINAL \
             WHERE entry_type IN ('adjustment', 'credit') AND tenant_source = 'override' AND period = toDate('{}') \
             GROUP BY tenant, currency, kind, name ORDER BY tenant, currency, kind, name",
            period.first_day()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum what was ordered to be posted"))
    }

    /// What each tenant's usage of a month is charged, without adjustments, and without what changes earlier months.
    pub async fn usage_charges(&self, period: BillingPeriod) -> Result<Vec<TenantSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, currency, sum(e.calls) AS calls, count() AS entries, sum(e.cost) AS cost, sum(e.charge) AS charge \
             FROM ledger_entries AS e FINAL WHERE period = toDate('{}') AND entry_type IN ('usage', 'correction') \
               AND NOT {} \
             GROUP BY tenant, currency ORDER BY tenant, currency",
            period.first_day(),
            earlier(period)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum the usage of a month by tenant"))
    }

    /// What corrections of earlier months, billed in this one, come to for each tenant.
    pub async fn correction_charges(&self, period: BillingPeriod) -> Result<Vec<TenantSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, currency, sum(e.calls) AS calls, count() AS entries, sum(e.cost) AS cost, sum(e.charge) AS charge \
             FROM ledger_entries AS e FINAL WHERE period = toDate('{}') AND {} \
             GROUP BY tenant, currency ORDER BY tenant, currency",
            period.first_day(),
            earlier(period)
        );
        self.client()
            .query(&sql)
            .fetch_all()
            .await
            .map_err(self.failed("sum the corrections of earlier months"))
    }

    /// What each tenant owes for a month.
    pub async fn tenant_sums(&self, period: BillingPeriod) -> Result<Vec<TenantSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, currency, sum(e.calls) AS calls, count() AS entries, sum(e.cost) AS cost, sum(e.charge) AS charge \
             FROM ledger_entries AS e FINAL WHERE period = toDate('{}') \
             GROUP BY tenant, currency ORDER BY tenant, currency",
            period.first_day()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum a month by tenant"))
    }
}
