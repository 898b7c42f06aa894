//! Crashes, overload and known bugs: the whole program from outside, killed, filled up and starved.
//!
//! What the figures mean, the argument for each place where a process may die, and which test finds which bug:
//! `docs/correctness.md`.

mod campaign;
mod limits;
mod points;
mod process;
mod release;
#[path = "../wire/mod.rs"]
mod wire;
#[cfg(feature = "bugs")]
mod bugs;

/// Guarantees: the page argues for every point and names what finds every bug.
#[test]
fn the_page_speaks_of_every_point_and_every_bug() {
    let page = include_str!("../../docs/correctness.md");
    let names = sabotage::Point::ALL.iter().map(|point| point.name());
    let names = names.chain(sabotage::Bug::ALL.iter().map(|bug| bug.name()));
    let missing: Vec<_> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/correctness.md says nothing of {missing:?}");
}

/// Guarantees: no alert waits for a metric that there is not.
#[test]
fn alerts_speak_of_metrics_that_there_are() {
    let (rules, page) =
        (include_str!("../../dashboards/alerts.yml"), include_str!("../../docs/reference/metrics.md"));
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: Vec<&str> = words.filter(|word| word.starts_with("ledgerline_")).collect();
    assert!(named.len() > 5);
    let unknown: Vec<_> = named.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
