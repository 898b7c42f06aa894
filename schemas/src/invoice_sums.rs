//! Sums over a month of the ledger, as invoices need them: grouped in the database, so that memory follows the number
//! of lines and not of entries.

use clickhouse::Row;
use domain::money::Cost;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};

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
    /// The exact unit class.
    pub unit: String,
    /// In units.
    pub quantity: i64,
    /// What they cost.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// Net calls that used the unit.
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
    /// Net calls.
    pub calls: i64,
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

impl Database {
    /// Units by tenant, feature, provider, model and price; sorted; nothing that nets to zero.
    pub async fn unit_sums(&self, period: BillingPeriod) -> Result<Vec<UnitSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, feature, provider, model, state, currency, price_id, toString(unit) AS unit, \
               sum(amount_of) AS quantity, sum(cost_of) AS cost, sum(counted) AS calls \
             FROM (SELECT tenant, feature, provider, model, state, currency, price_id, arrayJoin(mapKeys(usage)) AS unit, \
                     usage[unit] AS amount_of, unit_costs[unit] AS cost_of, e.calls AS counted \
                   FROM ledger_entries AS e FINAL WHERE period = toDate('{}')) \
             GROUP BY tenant, feature, provider, model, state, currency, price_id, unit \
             HAVING quantity != 0 OR cost != 0 \
             ORDER BY tenant, feature, provider, model, unit, price_id, state, currency",
            period.first_day()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("sum the units of a month"))
    }

    /// Unmetered calls by tenant, feature, provider and model.
    pub async fn unmetered_sums(&self, period: BillingPeriod) -> Result<Vec<UnmeteredSum>, DatabaseError> {
        let sql = format!(
            "SELECT tenant, feature, provider, model, currency, sum(e.calls) AS calls \
             FROM ledger_entries AS e FINAL WHERE period = toDate('{}') AND state = 'unmetered' \
             GROUP BY tenant, feature, provider, model, currency HAVING calls != 0 \
             ORDER BY tenant, feature, provider, model, currency",
            period.first_day()
        );
        self.client()
            .query(&sql)
            .fetch_all()
            .await
            .map_err(self.failed("count the unmetered calls of a month"))
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
