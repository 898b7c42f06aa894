//! Drafts of a month that is open, as they would be issued were it closed now: with what its totals lead to, with rounding and
//! taxes, converted by the rates in force. The same functions work it out that do so at close; nothing is posted.

use std::collections::BTreeMap;

use domain::money::Cost;
use domain::plan::Adjustment;
use domain::time::BillingPeriod;
use schemas::{AdjustmentSum, Database, TenantSum};

use super::convert;
use super::draft::{Draft, DraftError, Sums, assemble, gather};
use super::finish;
use super::line::Line;
use crate::period;
use crate::rates::RateShelf;

impl Draft {
    /// The drafts of an open month, foreseen. A month without any entry has none: nothing says its currency.
    pub(super) async fn foreseen(
        database: &Database,
        month: BillingPeriod,
        as_of: i64,
    ) -> Result<Vec<Self>, DraftError> {
        let (mut sums, known) = gather(database, month, as_of).await?;
        let plans = &known.plans;
        let rates = RateShelf::of(database).await?.rates;
        let due = period::due(database, plans, month, i64::MAX).await?;
        // What people ordered stands as it is; what an interrupted close left is worked out anew.
        let ordered = database.posted_by_order(month).await?;
        sums.lead_to(ordered, due);
        let mut drafts = assemble(month, sums, &known, None)?;
        for draft in &mut drafts {
            let due = finish::due(draft, plans);
            if let Some(coins) = finish::whole_coins(plans, draft) {
                finish::round(&mut draft.lines, coins);
            }
            for tax in due.into_iter().filter(|due| due.kind == finish::TAX) {
                let (tenant, currency) = (draft.tenant.clone(), draft.currency.clone());
                draft.lines.push(Line::of_adjustment(sum_of(tenant, currency, tax), month));
            }
            draft.lines.sort_by_cached_key(Line::order);
            draft.amount = draft.lines.iter().map(|line| line.amount).sum();
            // The rate of a month may be stated when it is over; until then it shows in the ledger's currency, and says so.
            match convert::convert(draft, (plans, &rates), &known) {
                Err(DraftError::RateMissing(missing)) => convert::leave(draft, &missing),
                converted => converted?,
            }
        }
        Ok(drafts)
    }
}

impl Sums {
    /// The same month with what people ordered and what is due, and no other adjustments.
    fn lead_to(&mut self, ordered: Vec<AdjustmentSum>, due: period::Due) {
        let mut posted: BTreeMap<(String, String), Cost> = BTreeMap::new();
        for sum in std::mem::take(&mut self.adjustments) {
            *posted.entry((sum.tenant, sum.currency)).or_default() += sum.charge;
        }
        for sum in &mut self.tenants {
            sum.charge -= posted.remove(&(sum.tenant.clone(), sum.currency.clone())).unwrap_or_default();
        }
        let Some(currency) = self.tenants.first().map(|sum| sum.currency.clone()) else { return };
        let due = due.into_iter().flat_map(|(tenant, due)| {
            due.into_iter().map(move |one| (tenant.clone(), one)).collect::<Vec<_>>()
        });
        let due = due.map(|(tenant, one)| sum_of(tenant, currency.clone(), one));
        for one in ordered.into_iter().filter(|one| !one.charge.is_zero()).chain(due) {
            let of_tenant = |sum: &&mut TenantSum| sum.tenant == one.tenant && sum.currency == one.currency;
            match self.tenants.iter_mut().find(of_tenant) {
                Some(sum) => sum.charge += one.charge,
                // A commitment without any usage.
                None => self.tenants.push(TenantSum {
                    tenant: one.tenant.clone(),
                    currency: one.currency.clone(),
                    calls: 0,
                    entries: 0,
                    cost: Cost::ZERO,
                    charge: one.charge,
                }),
            }
            self.adjustments.push(one);
        }
        self.tenants.sort_by(|a, b| (&a.tenant, &a.currency).cmp(&(&b.tenant, &b.currency)));
    }
}

fn sum_of(tenant: String, currency: String, due: Adjustment) -> AdjustmentSum {
    AdjustmentSum { tenant, currency, kind: due.kind.to_string(), name: due.name, charge: due.amount }
}
