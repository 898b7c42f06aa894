//! Crashes, overload and known bugs: the whole program from outside, killed, filled up and starved.
//!
//! What the figures mean, the argument for each place where a process may die, and which test finds which bug:
//! `docs/correctness.md`.

mod campaign;
mod limits;
mod process;
mod release;
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
