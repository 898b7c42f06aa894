//! The rules of FOCUS 1.2 that a table of invoice lines can break, checked without the validator.

use std::collections::BTreeMap;

use super::super::sample;
use super::*;

/// The columns that the specification wants in every table.
const MANDATORY: [&str; 23] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "InvoiceId",
];

/// Columns that are null for some rows; every other is null for none.
const NULLABLE: [&str; 14] = [
    "ChargeClass",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "InvoiceId",
    "PricingCategory",
    "PricingCurrencyContractedUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
];

fn rows(invoices: &[Invoice]) -> Vec<BTreeMap<String, String>> {
    let bytes = table_of(invoices, &sample::terms());
    let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no decimal"))
}

#[test]
fn the_table_stays_as_it_is() {
    let with_tax = sample::of(
        "acme",
        vec![
            sample::usage("gpt-4o", "input", 1_000, "0.0000025"),
            sample::led_to("tax", "VAT 20 %", "0.0005"),
        ],
    );
    let invoices = [sample::invoice(), with_tax, sample::of(sample::HOSTILE, sample::invoice().draft.lines)];
    sample::check_golden("focus.csv", &table_of(&invoices, &sample::terms()));
}

#[test]
fn every_mandatory_column_is_there_and_ours_come_last_under_their_prefix() {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    for wanted in MANDATORY {
        assert!(names.contains(&wanted), "{wanted}");
    }
    let (ours, focus): (Vec<&&str>, Vec<&&str>) = names.iter().partition(|name| name.starts_with("x_"));
    assert!(focus.is_sorted() && names.ends_with(&ours.iter().map(|name| **name).collect::<Vec<_>>()));
}

#[test]
fn values_are_of_their_types_and_null_where_the_rules_say_so() {
    for row in rows(&[sample::invoice(), sample::of("acme", vec![sample::led_to("tax", "VAT", "1")])]) {
        let cell = |name: &str| row[name].as_str();
        for (name, value) in &row {
            let nullable = NULLABLE.contains(&name.as_str()) || name == "Tags" || name.starts_with("x_");
            assert!(nullable || !value.trim().is_empty(), "{name} must not be null: {row:?}");
        }
        for cost in ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost"] {
            decimal(cell(cost));
        }
        for time in ["BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"] {
            assert!(cell(time).ends_with("-01T00:00:00Z") && cell(time).len() == 20, "{row:?}");
        }
        let usage = cell("ChargeCategory") == "Usage";
        assert!(["Usage", "Credit", "Adjustment", "Tax"].contains(&cell("ChargeCategory")));
        assert!(["Usage-Based", "One-Time", "Recurring"].contains(&cell("ChargeFrequency")));
        assert!(["", "Correction"].contains(&cell("ChargeClass")));
        for only_usage in [
            "ConsumedQuantity",
            "ContractedUnitPrice",
            "PricingCategory",
            "PricingQuantity",
            "SkuId",
            "SkuPriceId",
        ] {
            assert_eq!(!cell(only_usage).is_empty(), usage, "{only_usage}: {row:?}");
        }
        assert_eq!(cell("PricingUnit").is_empty(), cell("PricingQuantity").is_empty());
        assert_eq!(cell("ConsumedUnit").is_empty(), cell("ConsumedQuantity").is_empty());
        if usage {
            let price = decimal(cell("ContractedUnitPrice"));
            assert!(price >= Decimal::ZERO);
            assert_eq!(price * decimal(cell("PricingQuantity")), decimal(cell("ContractedCost")), "{row:?}");
        } else {
            assert_eq!(cell("ContractedCost"), cell("BilledCost"), "{row:?}");
        }
        assert_eq!(cell("ListCost"), cell("BilledCost"), "no list price: the list cost is what is billed");
    }
}

#[test]
fn a_price_belongs_to_one_sku_and_a_correction_says_that_it_is_one() {
    let rows = rows(&[sample::invoice()]);
    let mut skus: BTreeMap<&str, &str> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row["SkuPriceId"].is_empty()) {
        let sku = skus.entry(&row["SkuPriceId"]).or_insert(&row["SkuId"]);
        assert_eq!(*sku, row["SkuId"]);
    }
    let corrections: Vec<_> = rows.iter().filter(|row| row["ChargeClass"] == "Correction").collect();
    assert_eq!(corrections.len(), 1);
    assert_eq!(corrections[0]["ChargePeriodStart"], "2026-09-01T00:00:00Z", "of the month it corrects");
    assert_eq!(corrections[0]["BillingPeriodStart"], "2026-10-01T00:00:00Z", "billed in this one");
}

#[test]
fn what_is_billed_adds_up_to_the_invoice_of_that_id() {
    let invoice = sample::invoice();
    let billed: Decimal = rows(std::slice::from_ref(&invoice))
        .iter()
        .filter(|row| row["InvoiceId"] == invoice.number())
        .map(|row| decimal(&row["BilledCost"]))
        .sum();
    assert_eq!(billed, decimal(&invoice.draft.amount.to_string()));
}

#[test]
fn units_are_words_that_the_specification_would_write() {
    for (unit, words) in [
        ("input", "Tokens"),
        ("audio_cache_read", "Tokens"),
        ("audio_input_seconds", "Seconds"),
        ("web_searches", "Web Searches"),
        ("requests", "Requests"),
        ("calls", "Calls"),
        ("somersaults", "Somersaults"),
    ] {
        assert_eq!(measure(unit), words);
    }
}

#[test]
fn what_belongs_to_nobody_is_named_so() {
    let rows = rows(&[sample::of("", vec![sample::usage("gpt-4o", "input", 1, "1")])]);
    assert_eq!(rows[0]["BillingAccountId"], NO_TENANT);
}
