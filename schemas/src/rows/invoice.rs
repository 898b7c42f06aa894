//! Rows of `periods`, `issued_invoices`, `issued_invoice_lines` and `prices`.

use clickhouse::Row;
use domain::ledger::{ChainId, Head};
use domain::money::Cost;
use serde::{Deserialize, Serialize};

/// A closed month.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct PeriodRow {
    /// Days since the epoch of the month's first day.
    pub period: u16,
    /// Microseconds since the epoch.
    pub closed_at: i64,
    /// Entries it was closed with.
    pub entries: u64,
    /// Their cost.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// Their charge.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
    /// Their net calls.
    pub calls: i64,
    /// The root of the tree over them; zeros: closed by a version that made none.
    pub merkle_root: [u8; 32],
    /// Content hash of the price book in force.
    pub price_book: String,
    /// Content hash of the plans in force.
    pub plans: String,
    /// Hash of the configuration that billing depends on.
    pub config: String,
    /// The program's version.
    pub program: String,
    /// Who closed it.
    pub settler: [u8; 16],
    /// Content hash of the rate file in force; empty for none.
    pub rates: String,
    /// Where the chains of vouchers were: chain, number, head. Empty: closed by a version that made none.
    pub chain_heads: Vec<(ChainId, u64, Head)>,
}

/// An issued invoice.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct InvoiceRow {
    /// Unique, without gaps.
    pub invoice_number: String,
    /// The payer.
    pub tenant: String,
    /// Days since the epoch, first day.
    pub period_start: u16,
    /// Days since the epoch, first day after.
    pub period_end: u16,
    /// ISO 4217.
    pub currency: String,
    /// The sum of its lines.
    #[serde(with = "crate::picos")]
    pub amount: Cost,
    /// Net calls.
    pub calls: i64,
    /// Microseconds since the epoch.
    pub issued_at: i64,
    /// `invoice` or `credit_note`.
    pub kind: String,
    /// Content hash of the plan file in force when it was issued; empty for none.
    pub terms: String,
    /// ISO 4217: what the entries are in.
    pub ledger_currency: String,
    /// What the entries add up to.
    #[serde(with = "crate::picos")]
    pub ledger_amount: Cost,
    /// What the amounts were converted by, in units of 10⁻¹²; `None`: they were not.
    pub rate: Option<i128>,
    /// The day the rate is of, in days since the epoch.
    pub rate_date: Option<u16>,
    /// Who states the rate.
    pub rate_source: String,
}

/// A line of an issued invoice.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct InvoiceLineRow {
    /// The invoice.
    pub invoice_number: String,
    /// The payer.
    pub tenant: String,
    /// Days since the epoch, first day.
    pub period_start: u16,
    /// Days since the epoch, first day after.
    pub period_end: u16,
    /// From 1.
    pub line: u32,
    /// usage, adjustment, credit, discount, commitment, minimum, tax.
    pub kind: String,
    /// The product feature.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The exact unit class.
    pub unit: String,
    /// In units.
    pub quantity: i64,
    /// Price of one unit, in units of 10⁻¹⁸.
    pub unit_price: i128,
    /// The line's amount.
    #[serde(with = "crate::picos")]
    pub amount: Cost,
    /// ISO 4217.
    pub currency: String,
    /// Net calls.
    pub calls: i64,
    /// For people.
    pub description: String,
    /// Days since the epoch, first day of the month the usage is of.
    pub service_month: u16,
    /// The invoice that the line corrects; empty for none.
    pub corrects: String,
    /// The sum of the entries, before the line was rounded to coins.
    #[serde(with = "crate::picos")]
    pub exact: Cost,
    /// ISO 4217: what `exact` and `ledger_price` are in.
    pub ledger_currency: String,
    /// The unit price before it was converted, in units of 10⁻¹⁸.
    pub ledger_price: i128,
    /// What the line was converted by, in units of 10⁻¹²; `None`: it was not.
    pub rate: Option<i128>,
    /// The day the rate is of, in days since the epoch.
    pub rate_date: Option<u16>,
    /// Who states the rate.
    pub rate_source: String,
}

/// A rate card that entries were rated with.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct PriceRow {
    /// What entries name.
    pub price_id: String,
    /// The price book's provider.
    pub provider: String,
    /// The price book's model.
    pub model: String,
    /// Nanoseconds since the epoch; `None` for ever before.
    pub valid_from: Option<i64>,
    /// Nanoseconds since the epoch; `None` for ever after.
    pub valid_to: Option<i64>,
    /// Hours of the day it holds, nanoseconds since midnight; empty for all day.
    pub daily: Vec<(u64, u64)>,
    /// Service tier and the like; empty for standard rates.
    pub context: Vec<(String, String)>,
    /// Unit class to the price of one unit, as decimal text with its tiers.
    pub rates: Vec<(String, String)>,
    /// Price keys of the source that were not understood.
    pub unsupported: Vec<String>,
    /// Unit class to the least that is billed.
    pub minimums: Vec<(String, u64)>,
    /// Where the price was read.
    pub source: String,
    /// Content hash of the price book.
    pub book: String,
    /// Microseconds since the epoch.
    pub known_from: i64,
}
