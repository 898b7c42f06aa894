//! An invoice as a page that is sent to a customer: one file, no scripts, nothing fetched, made to be read on a screen and
//! printed on paper.
//!
//! Whatever a tenant, a model or a feature is called is text here: escaped, isolated from the direction of the text around
//! it, without control characters. The figures are those of the CSV; zeros at the end that say nothing are left out.

use domain::invoice::{Customer, Issuer};
use domain::money::{Cost, Currency};
use domain::price::UnitPart;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use rust_decimal::Decimal;

use super::draft::{Draft, Kind};
use super::issue::Invoice;
use super::line::Line;
use crate::plans::PlanFile;

const STYLE: &str = include_str!("invoice.css");

/// Nothing is fetched, nothing runs, whatever a name says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page of one invoice.
pub(super) fn invoice(invoice: &Invoice, terms: &PlanFile) -> Vec<u8> {
    let draft = &invoice.draft;
    let title = title(invoice);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) " " (text(invoice.number())) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        div { h1 { (title) } (name(invoice.number())) }
                        (issuer(&terms.issuer))
                    }
                    @if invoice.issued.is_none() {
                        p.draft { "A draft: it shows the month as it stands, has no number, and asks for no payment." }
                    }
                    div.to {
                        (customer(draft, terms.customers.get(&draft.tenant)))
                        (facts(invoice))
                    }
                    (lines(draft))
                    (totals(draft))
                    (footer(draft, &terms.issuer))
                }
            }
        }
    };
    let mut bytes = page.into_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

fn title(invoice: &Invoice) -> &'static str {
    match (invoice.draft.kind(), &invoice.issued) {
        (Kind::Invoice, Some(_)) => "Invoice",
        (Kind::CreditNote, Some(_)) => "Credit note",
        (Kind::Invoice, None) => "Draft invoice",
        (Kind::CreditNote, None) => "Draft credit note",
    }
}

fn issuer(issuer: &Issuer) -> Markup {
    html! {
        address.issuer {
            @if !issuer.name.is_empty() { strong { (name(&issuer.name)) } br; }
            @for line in &issuer.address { (name(line)) br; }
            @if !issuer.tax_id.is_empty() { "Tax number " (name(&issuer.tax_id)) }
        }
    }
}

fn customer(draft: &Draft, customer: Option<&Customer>) -> Markup {
    let called = customer.map(|known| known.name.as_str()).filter(|name| !name.is_empty());
    let called = called.unwrap_or(if draft.tenant.is_empty() {
        "Nobody: no tenant could be found"
    } else {
        &draft.tenant
    });
    html! {
        address {
            h2 { "To" }
            strong { (name(called)) } br;
            @if let Some(customer) = customer {
                @for line in &customer.address { (name(line)) br; }
                @if !customer.tax_id.is_empty() { "Tax number " (name(&customer.tax_id)) }
            }
        }
    }
}

fn facts(invoice: &Invoice) -> Markup {
    let draft = &invoice.draft;
    let issued = invoice.issued.as_ref().and_then(|issue| chrono::DateTime::from_timestamp_micros(issue.at));
    let last_day = draft.period.next().first_day().pred_opt().unwrap_or(draft.period.first_day());
    html! {
        dl.facts {
            @if let Some(issued) = issued { dt { "Date" } dd { (issued.format("%Y-%m-%d")) } }
            dt { "Period" } dd { (draft.period.first_day()) " to " (last_day) " (UTC)" }
            @if !draft.tenant.is_empty() { dt { "Account" } dd { (name(&draft.tenant)) } }
            @let corrects = draft.corrects();
            @if !corrects.is_empty() {
                dt { "Corrects" } dd { (corrects.into_iter().collect::<Vec<_>>().join(", ")) }
            }
            dt { "Currency" } dd { (draft.currency) }
            @if let Some(rate) = &draft.conversion {
                dt { "Exchange rate" } dd { (rate.equation()) br; small { (name(&rate.source)) ", " (rate.date) } }
            }
        }
    }
}

fn lines(draft: &Draft) -> Markup {
    let mut groups: Vec<(String, Vec<&Line>)> = Vec::new();
    for line in draft.lines.iter().filter(|line| line.kind != "tax") {
        let heading = heading(line, draft);
        match groups.last_mut().filter(|(last, _)| *last == heading) {
            Some((_, group)) => group.push(line),
            None => groups.push((heading, vec![line])),
        }
    }
    html! {
        table {
            thead { tr {
                th { "Usage and charges" } th.figure { "Quantity" } th.figure { "Unit price" } th.figure { "Amount" }
            } }
            @for (heading, group) in &groups {
                tbody {
                    tr.group { td colspan="4" { (heading) } }
                    @for line in group { (row(line, draft)) }
                }
            }
        }
    }
}

fn row(line: &Line, draft: &Draft) -> Markup {
    html! {
        tr {
            td.what { (what(line, draft)) }
            @if line.kind == "usage" {
                td.figure { (grouped(&line.quantity.to_string())) }
                td.figure { (price(line, draft)) }
            } @else { td {} td {} }
            td.figure { (money(line.amount, draft)) }
        }
    }
}

/// What stands above lines of one sort.
fn heading(line: &Line, draft: &Draft) -> String {
    match line.kind.as_str() {
        "usage" if line.service_month == draft.period => format!("Usage in {}", line.service_month),
        "usage" if line.corrects.is_empty() => format!("Usage of {} billed later", line.service_month),
        "usage" => format!("Corrections of {}", line.service_month),
        _ => "Charges and discounts of the month".into(),
    }
}

fn what(line: &Line, draft: &Draft) -> Markup {
    if line.kind != "usage" {
        return html! {
            (name(&capital(&line.description))) @if line.kind == "credit" { small { "Credit" } }
            (converted(line, draft))
        };
    }
    let model = if line.model.is_empty() { "unnamed model" } else { &line.model };
    html! {
        (name(model)) " \u{b7} " (unit(&line.unit))
        @if !line.feature.is_empty() { small { "Feature " (name(&line.feature)) } }
        @if !line.description.is_empty() { small { (name(&capital(&line.description))) } }
        (converted(line, draft))
    }
}

/// What a line was before it was converted, and by which rate where that is not the invoice's.
fn converted(line: &Line, draft: &Draft) -> Markup {
    let Some(rate) = line.conversion.as_ref().filter(|_| !line.exact.is_zero()) else { return html! {} };
    html! {
        small {
            (written(&line.exact.to_string(), rate.base.decimals())) " " (rate.base)
            @if line.conversion != draft.conversion { " at " (name(&rate.terms())) }
        }
    }
}

/// A unit in words.
fn unit(name: &str) -> String {
    let words = |name: &str| name.replace('_', " ");
    match name.split_once('>') {
        Some((class, bound)) => format!("{} beyond {} a call", words(class), grouped(bound)),
        None => words(name),
    }
}

fn totals(draft: &Draft) -> Markup {
    let taxes: Vec<&Line> = draft.lines.iter().filter(|line| line.kind == "tax").collect();
    let tax: Cost = taxes.iter().map(|line| line.amount).sum();
    html! {
        table.totals {
            tbody {
                @if !taxes.is_empty() {
                    tr { td { "Net" } td.figure { (money(draft.amount - tax, draft)) } }
                    @for line in &taxes {
                        tr { td { (name(&line.description)) } td.figure { (money(line.amount, draft)) } }
                    }
                }
                tr.total {
                    td { @if draft.kind() == Kind::CreditNote { "To your credit" } @else { "Total" } " " (draft.currency) }
                    td.figure { (money(draft.amount, draft)) }
                }
            }
        }
    }
}

fn footer(draft: &Draft, issuer: &Issuer) -> Markup {
    html! {
        footer {
            @if !issuer.terms.is_empty() && draft.kind() == Kind::Invoice { p.terms { (name(&issuer.terms)) } }
            p {
                @if draft.calls > 0 { (grouped(&draft.calls.to_string())) " calls of AI models. " }
                "Each amount is the sum of what the calls were charged"
                @if draft.conversion.is_some() {
                    " in " (draft.ledger_currency()) ", converted once a line at the exchange rate above and rounded to the smallest coin"
                }
                "; the calls behind a line are available on request."
            }
        }
    }
}

/// A text that people chose: it keeps its own direction to itself, and says nothing to the page.
fn name(chosen: &str) -> Markup {
    html! { bdi { (text(chosen)) } }
}

/// Without control characters, which no page may hold, and without overrides of direction, which no language needs and
/// which make a name read as another.
fn text(chosen: &str) -> String {
    let harmful =
        |letter: char| letter.is_control() && letter != '\n' || matches!(letter, '\u{202d}' | '\u{202e}');
    chosen.chars().map(|letter| if harmful(letter) { '\u{fffd}' } else { letter }).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The price of a unit; of tokens that of a million, as price lists have it.
fn price(line: &Line, draft: &Draft) -> String {
    // No price, or none that is charged: the description says which.
    if line.unit_price.is_zero() && !line.description.is_empty() {
        return "\u{2013}".into();
    }
    let tokens = UnitPart::named(&line.unit).is_some_and(|unit| unit.class.price_key().0.ends_with("_mtok"));
    let million = line.unit_price.checked_mul(Decimal::from(1_000_000)).filter(|_| tokens);
    match million {
        Some(million) => format!("{} / 1M", shown(&million.normalize().to_string(), draft)),
        None => shown(&line.unit_price.normalize().to_string(), draft),
    }
}

fn money(amount: Cost, draft: &Draft) -> String {
    shown(&amount.to_string(), draft)
}

/// Digits in groups of three, with the decimals of the currency and as many more as say something; a minus sign, no hyphen.
fn shown(decimal: &str, draft: &Draft) -> String {
    written(decimal, Currency::parse(&draft.currency).map_or(2, Currency::decimals))
}

fn written(decimal: &str, least: u32) -> String {
    let least = least as usize;
    let (whole, decimals) = decimal.split_once('.').unwrap_or((decimal, ""));
    let said = decimals.trim_end_matches('0');
    let whole = grouped(whole);
    if least == 0 && said.is_empty() { whole } else { format!("{whole}.{said:0<least$}") }
}

/// An integer with its digits in groups of three.
fn grouped(integer: &str) -> String {
    let (sign, digits) = integer.strip_prefix('-').map_or(("", integer), |digits| ("\u{2212}", digits));
    let mut out = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn page(invoice: &Invoice) -> String {
        String::from_utf8(super::invoice(invoice, &sample::terms())).unwrap()
    }

    #[test]
    fn the_pages_stay_as_they_are() {
        let mut lines = sample::invoice().draft.lines;
        lines.push(sample::led_to("tax", "VAT 20 %", "3.6063"));
        sample::check_golden("invoice.html", page(&sample::of("acme", lines)).as_bytes());
        let back = Line {
            service_month: sample::month("2026-09"),
            corrects: "2026-09-0007".into(),
            ..sample::usage("gpt-4o", "output", -1_000_000, "0.00001")
        };
        sample::check_golden("credit_note.html", page(&sample::of(sample::HOSTILE, vec![back])).as_bytes());
    }

    #[test]
    fn no_name_gets_out_of_its_place() {
        let long = "x".repeat(10 * 1024);
        for hostile in [
            sample::HOSTILE,
            "</style><script>",
            "\"><img src=x onerror=alert(1)>",
            "a\u{0}\u{1b}[31mb",
            &long,
        ] {
            let line = Line {
                model: hostile.into(),
                feature: hostile.into(),
                description: hostile.into(),
                ..sample::usage("", "input", 1, "1")
            };
            let page = page(&sample::of(hostile, vec![line, sample::led_to("credit", hostile, "-1")]));
            let inside = page.replacen("<style>", "", 1).replacen("</style>", "", 1);
            for markup in ["<script", "<img", "<style", "</style", "\u{0}", "\u{1b}"] {
                assert!(!inside.contains(markup), "{markup:?} in {inside}");
            }
            let begins: Vec<_> = page.match_indices("<bdi>").collect();
            assert_eq!(begins.len(), page.matches("</bdi>").count());
            assert!(!page.contains('\u{202e}'), "nothing on the page reads backwards by force");
        }
    }

    #[test]
    fn figures_are_written_for_people_and_lose_nothing() {
        let draft = sample::invoice().draft;
        for (decimal, written) in [
            ("1234567.500000000000", "1,234,567.50"),
            ("-0.070000000000", "\u{2212}0.07"),
            ("0.000000250000", "0.00000025"),
            ("12", "12.00"),
            ("-100", "\u{2212}100.00"),
        ] {
            assert_eq!(shown(decimal, &draft), written);
        }
        let yen = Draft { currency: "JPY".into(), ..draft };
        assert_eq!(shown("1250.000000000000", &yen), "1,250");
    }
}
