//! Invoices for tests of the formats, with one of everything, and the golden files they are compared with.

use std::path::Path;

use domain::invoice::{Customer, Issuer};
use domain::money::{Cost, Currency, ExchangeRate};
use domain::time::BillingPeriod;

use super::draft::Draft;
use super::issue::{Invoice, Issue};
use super::line::Line;
use crate::plans::PlanFile;

/// A tenant whose name is a formula, a path, markup, and runs from right to left.
pub const HOSTILE: &str = "=cmd()|../../x<script>alert(\"1\")</script>&,'\u{202e}txt.exe\u{202c} שלום";

pub fn month(text: &str) -> BillingPeriod {
    BillingPeriod::parse(text).unwrap()
}

/// A line of usage.
pub fn usage(model: &str, unit: &str, quantity: i64, unit_price: &str) -> Line {
    let unit_price: rust_decimal::Decimal = unit_price.parse().unwrap();
    let amount =
        Cost::parse(&(rust_decimal::Decimal::from(quantity) * unit_price).normalize().to_string()).unwrap();
    Line {
        kind: "usage".into(),
        feature: "search".into(),
        provider: "openai".into(),
        model: model.into(),
        service_month: month("2026-10"),
        corrects: String::new(),
        unit: unit.into(),
        quantity,
        unit_price,
        ledger_price: unit_price,
        exact: amount,
        amount,
        conversion: None,
        calls: 2,
        description: String::new(),
    }
}

/// A line of what the month's total led to.
pub fn led_to(kind: &str, name: &str, amount: &str) -> Line {
    let exact = Cost::parse(amount).unwrap();
    Line {
        kind: kind.into(),
        feature: String::new(),
        provider: String::new(),
        model: String::new(),
        unit: String::new(),
        quantity: 1,
        unit_price: amount.parse().unwrap(),
        ledger_price: amount.parse().unwrap(),
        exact,
        amount: exact,
        calls: 0,
        description: name.into(),
        ..usage("", "", 0, "0")
    }
}

/// An invoice with lines of every sort.
pub fn invoice() -> Invoice {
    let partial = Line {
        description: "not charged yet: no price is known; posted when one arrives".into(),
        ..usage("mystery-1", "output", 800, "0")
    };
    let late = Line {
        service_month: month("2026-09"),
        description: "usage of 2026-09, reported after that month was closed".into(),
        ..usage("gpt-4o", "input", 400, "0.0000025")
    };
    let corrected = Line {
        service_month: month("2026-09"),
        corrects: "2026-09-0007".into(),
        calls: -1,
        description: "corrects 2026-09-0007: usage of 2026-09".into(),
        ..usage("gpt-4o", "output", -100, "0.00001")
    };
    of(
        "acme",
        vec![
            usage("gpt-4o", "input", 3_400_000, "0.0000025"),
            usage("gpt-4o", "cache_read", 1_200, "0.00000125"),
            Line { feature: "=f".into(), ..usage("gpt-4o", "web_searches", 3, "0.01") },
            partial,
            late,
            corrected,
            led_to("discount", "discount", "-0.5"),
            led_to("minimum", "minimum charge", "20"),
            led_to("credit", "welcome", "-10"),
        ],
    )
}

/// The second invoice issued for October, of these lines.
pub fn of(tenant: &str, lines: Vec<Line>) -> Invoice {
    let draft = Draft {
        tenant: tenant.into(),
        period: month("2026-10"),
        currency: "USD".into(),
        conversion: None,
        amount: lines.iter().map(|line| line.amount).sum(),
        calls: 6,
        lines,
    };
    // 2026-11-04T09:30:00Z
    let at = 1_793_784_600_000_000;
    Invoice { issued: Some(Issue { number: "2026-10-0002".into(), at, terms: String::new() }), draft }
}

/// A rate of the dollar.
pub fn rate(quote: Currency, rate: &str) -> ExchangeRate {
    ExchangeRate {
        base: Currency::Usd,
        quote,
        rate: rate.parse().unwrap(),
        date: "2026-10-30".parse().unwrap(),
        source: "ECB euro reference rates".into(),
    }
}

/// Names and addresses of both sides.
pub fn terms() -> PlanFile {
    let text = str::to_string;
    let lines = |lines: &[&str]| lines.iter().map(|line| text(line)).collect();
    let mut terms = PlanFile {
        issuer: Issuer {
            name: text("Example AI Ltd"),
            address: lines(&["1 Sample Street", "London"]),
            tax_id: text("GB 123 4567 89"),
            terms: text("Payable within 30 days."),
        },
        ..PlanFile::default()
    };
    let customer = Customer {
        name: text("Acme Inc."),
        address: lines(&["42 Road Runner Way"]),
        tax_id: text("US 98-7654321"),
    };
    terms.customers.insert("acme".into(), customer);
    terms
}

/// Compares with a golden file beside this one; `UPDATE_GOLDEN=1` writes it instead.
pub fn check_golden(name: &str, actual: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/invoice/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_default();
    let shown = String::from_utf8_lossy(actual);
    assert!(expected == actual, "{name} differs; UPDATE_GOLDEN=1 writes it anew. It should now be:\n{shown}");
}
