//! Invoices in the columns of FOCUS 1.2, the FinOps Foundation's common form of cost and usage: one row a line, all
//! tenants in one table.
//!
//! The issuer is provider and issuer of the invoice, a tenant is a billing account, who runs the model is the publisher. An
//! empty cell is a null. Column names are FOCUS's and come first, in alphabetical order; ours begin with `x_`.
//! What is left out, and why, stands in `docs/invoices.md`.

use domain::money::{Cost, ExchangeRate};
use domain::price::UnitPart;
use domain::time::BillingPeriod;
use rust_decimal::Decimal;

use super::csv::{inert, table};
use super::issue::Invoice;
use super::line::Line;
use crate::plans::PlanFile;

type Column = (&'static str, fn(&Row<'_>) -> String);

/// One row: a line of an invoice.
struct Row<'a> {
    invoice: &'a Invoice,
    line: &'a Line,
    at: usize,
    terms: &'a PlanFile,
}

/// The columns, in order. A text that people chose is made inert; figures and fixed words need not be.
const COLUMNS: &[Column] = &[
    ("BilledCost", |row| row.line.amount.to_string()),
    ("BillingAccountId", |row| inert(row.account())),
    ("BillingAccountName", |row| inert(row.account_name())),
    ("BillingCurrency", |row| row.invoice.draft.currency.clone()),
    ("BillingPeriodEnd", |row| start(row.invoice.draft.period.next())),
    ("BillingPeriodStart", |row| start(row.invoice.draft.period)),
    ("ChargeCategory", |row| row.category().into()),
    ("ChargeClass", |row| if row.is_correction() { "Correction".into() } else { String::new() }),
    ("ChargeDescription", |row| inert(&row.description())),
    ("ChargeFrequency", |row| row.frequency().into()),
    ("ChargePeriodEnd", |row| start(row.line.service_month.next())),
    ("ChargePeriodStart", |row| start(row.line.service_month)),
    // Nothing here is bought ahead, but rules on what was consumed look at it.
    ("CommitmentDiscountStatus", |_| String::new()),
    ("ConsumedQuantity", |row| row.quantity()),
    ("ConsumedUnit", |row| row.measure()),
    ("ContractedCost", |row| row.contracted()),
    ("ContractedUnitPrice", |row| row.of_usage(|line| line.unit_price.normalize().to_string())),
    ("EffectiveCost", |row| row.line.amount.to_string()),
    ("InvoiceId", |row| inert(row.invoice.number())),
    ("InvoiceIssuerName", |row| inert(row.issuer())),
    ("ListCost", |row| row.line.amount.to_string()),
    ("PricingCategory", |row| row.of_usage(|_| "Standard".into())),
    ("PricingCurrency", |row| row.invoice.draft.ledger_currency().into()),
    ("PricingCurrencyContractedUnitPrice", |row| {
        row.of_usage(|line| line.ledger_price.normalize().to_string())
    }),
    ("PricingCurrencyEffectiveCost", |row| row.priced().to_string()),
    ("PricingQuantity", |row| row.quantity()),
    ("PricingUnit", |row| row.measure()),
    ("ProviderName", |row| inert(row.issuer())),
    ("PublisherName", |row| inert(row.publisher())),
    ("ServiceCategory", |_| "AI and Machine Learning".into()),
    ("ServiceName", |_| SERVICE.into()),
    ("ServiceSubcategory", |_| "Generative AI".into()),
    ("SkuId", |row| row.of_usage(|_| inert(&row.sku()))),
    ("SkuMeter", |row| row.of_usage(|line| line.unit.clone())),
    ("SkuPriceDetails", |row| {
        row.of_usage(|line| serde_json::json!({ "x_UnitClass": line.unit }).to_string())
    }),
    ("SkuPriceId", |row| {
        row.of_usage(|line| inert(&format!("{}@{}", row.sku(), line.ledger_price.normalize())))
    }),
    ("Tags", |row| row.tags()),
    ("x_Calls", |row| row.line.calls.to_string()),
    ("x_ExchangeRate", |row| row.of_rate(|rate| rate.rate.normalize().to_string())),
    ("x_ExchangeRateDate", |row| row.of_rate(|rate| rate.date.to_string())),
    ("x_ExchangeRateSource", |row| row.of_rate(|rate| inert(&rate.source))),
    ("x_InvoiceLine", |row| row.at.to_string()),
    ("x_Kind", |row| row.line.kind.clone()),
    ("x_Model", |row| inert(&row.line.model)),
];

/// What is sold: calls of AI models.
const SERVICE: &str = "AI model calls";

/// Who issues invoices where the plan file has no `[issuer]`.
const NO_ISSUER: &str = "(issuer not stated)";

/// Whose account it is where no tenant could be found. On drafts only: such lines are on no invoice.
const NO_TENANT: &str = "(unattributed)";

/// All lines of the invoices.
pub(super) fn table_of(invoices: &[Invoice], terms: &PlanFile) -> Vec<u8> {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let rows = invoices.iter().flat_map(|invoice| {
        let row = move |(line, at)| Row { invoice, line, at, terms };
        invoice.draft.lines.iter().zip(1..).map(row)
    });
    table(&names, rows.map(|row| COLUMNS.iter().map(|(_, cell)| cell(&row)).collect()))
}

impl Row<'_> {
    fn is_usage(&self) -> bool {
        self.line.kind == "usage"
    }

    /// A cell that only lines of usage have.
    fn of_usage(&self, cell: impl FnOnce(&Line) -> String) -> String {
        if self.is_usage() { cell(self.line) } else { String::new() }
    }

    /// A cell that only converted lines have.
    fn of_rate(&self, cell: impl FnOnce(&ExchangeRate) -> String) -> String {
        self.line.conversion.as_ref().map(cell).unwrap_or_default()
    }

    /// What it comes to in the currency that prices are in.
    fn priced(&self) -> Cost {
        match self.invoice.draft.conversion {
            Some(_) => self.line.exact,
            None => self.line.amount,
        }
    }

    /// Whether it changes what an earlier invoice said.
    fn is_correction(&self) -> bool {
        !self.line.corrects.is_empty()
    }

    fn account(&self) -> &str {
        let tenant = self.invoice.draft.tenant.as_str();
        if tenant.is_empty() { NO_TENANT } else { tenant }
    }

    fn account_name(&self) -> &str {
        let customer = self.terms.customers.get(&self.invoice.draft.tenant);
        customer.map(|known| known.name.as_str()).filter(|name| !name.is_empty()).unwrap_or(self.account())
    }

    fn issuer(&self) -> &str {
        let name = self.terms.issuer.name.as_str();
        if name.is_empty() { NO_ISSUER } else { name }
    }

    /// Who runs the model; of what no model is behind, the issuer.
    fn publisher(&self) -> &str {
        if self.line.provider.is_empty() { self.issuer() } else { &self.line.provider }
    }

    fn category(&self) -> &'static str {
        match self.line.kind.as_str() {
            "usage" => "Usage",
            "credit" => "Credit",
            "tax" => "Tax",
            // A discount, a minimum, a commitment that was not used up: nothing is bought by them.
            _ => "Adjustment",
        }
    }

    fn frequency(&self) -> &'static str {
        match self.line.kind.as_str() {
            "usage" => "Usage-Based",
            "credit" => "One-Time",
            _ => "Recurring",
        }
    }

    /// With a decimal, as readers that guess a column's type by its values would else take it for integers.
    fn quantity(&self) -> String {
        self.of_usage(|line| format!("{}.0", line.quantity))
    }

    fn measure(&self) -> String {
        self.of_usage(|line| measure(&line.unit))
    }

    /// Quantity times price to the last digit, which the specification asks for even where the line is rounded.
    fn contracted(&self) -> String {
        let line = self.line;
        let product = Decimal::from(line.quantity).checked_mul(line.unit_price);
        match product.filter(|_| self.is_usage()) {
            Some(product) => product.normalize().to_string(),
            None => line.amount.to_string(),
        }
    }

    fn sku(&self) -> String {
        format!("{}/{}/{}", self.line.provider, self.line.model, self.line.unit)
    }

    fn description(&self) -> String {
        let line = self.line;
        let what = if self.is_usage() {
            format!(
                "{} of {}",
                line.unit,
                if line.model.is_empty() { "an unnamed model" } else { &line.model }
            )
        } else {
            line.kind.clone()
        };
        let said = line.said();
        if said.is_empty() { what } else { format!("{what}: {said}") }
    }

    /// The feature, as the one tag there is. A JSON object, which no spreadsheet runs.
    fn tags(&self) -> String {
        if self.line.feature.is_empty() {
            return String::new();
        }
        serde_json::json!({ "feature": self.line.feature }).to_string()
    }
}

/// The instant a month begins.
fn start(month: BillingPeriod) -> String {
    month.start().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a unit class counts, as FOCUS writes units: capitalised words.
fn measure(unit: &str) -> String {
    let unit = match UnitPart::named(unit) {
        Some(part) if part.class.price_key().0.ends_with("_mtok") => return "Tokens".into(),
        Some(part) => part.class.name(),
        None => unit,
    };
    if unit.ends_with("seconds") {
        return "Seconds".into();
    }
    let word = |word: &str| -> String {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    };
    unit.split('_').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
