//! Taxes: a rate on everything before it on an invoice.

use rust_decimal::Decimal;

use crate::money::Cost;
use crate::time::BillingPeriod;

/// A tax that an invoice ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxRate {
    /// Whose; `None` for every tenant without one of its own in the month.
    pub tenant: Option<String>,
    /// What people call it.
    pub name: String,
    /// Of the sum of all other lines, in percent.
    pub percent: Decimal,
    /// The first month it is added to.
    pub from: Option<BillingPeriod>,
    /// The first month no longer.
    pub to: Option<BillingPeriod>,
}

impl TaxRate {
    /// The taxes of a tenant in a month: its own, else those for everyone.
    pub fn of<'r>(rates: &'r [Self], tenant: &str, month: BillingPeriod) -> Vec<&'r Self> {
        let of = |wanted: Option<&str>| -> Vec<&'r Self> {
            rates.iter().filter(|rate| rate.tenant.as_deref() == wanted && rate.holds_in(month)).collect()
        };
        let own = of(Some(tenant));
        if own.is_empty() { of(None) } else { own }
    }

    /// What it comes to on a net sum, exact to twelve decimals, half to even. `None` beyond all belief.
    pub fn on(&self, net: Cost) -> Option<Cost> {
        net.scaled(self.percent / Decimal::ONE_HUNDRED)
    }

    /// What it is called on an invoice.
    pub fn title(&self) -> String {
        format!("{} {} %", self.name, self.percent.normalize())
    }

    fn holds_in(&self, month: BillingPeriod) -> bool {
        self.from.is_none_or(|from| from <= month) && self.to.is_none_or(|to| month < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_own_taxes_stand_for_everyones() {
        let month = |text: &str| BillingPeriod::parse(text).unwrap();
        let rate = |tenant: Option<&str>, percent: i64, from: Option<&str>, to: Option<&str>| TaxRate {
            tenant: tenant.map(Into::into),
            name: "VAT".into(),
            percent: Decimal::from(percent),
            from: from.map(month),
            to: to.map(month),
        };
        let rates = [
            rate(None, 19, None, Some("2026-07")),
            rate(None, 16, Some("2026-07"), None),
            rate(Some("abroad"), 0, Some("2026-08"), None),
        ];
        for (tenant, at, expected) in [
            ("acme", "2026-06", 19),
            ("acme", "2026-07", 16),
            ("abroad", "2026-07", 16),
            ("abroad", "2026-08", 0),
        ] {
            let of = TaxRate::of(&rates, tenant, month(at));
            assert_eq!(of.iter().map(|rate| rate.percent).collect::<Vec<_>>(), [Decimal::from(expected)]);
        }
        let net = Cost::parse("-10.01").unwrap();
        assert_eq!(rates[0].on(net), Some(Cost::parse("-1.9019").unwrap()), "what is given back, too");
        assert_eq!(rates[0].title(), "VAT 19 %");
    }
}
