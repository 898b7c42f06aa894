//! Budgets over made sums: what counts toward which window, what is told and under which id, and what folding keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::budget::{Account, Budget, Burn, Decision, Measure, Per, Scope, Threshold, Whose};
use domain::money::Cost;
use domain::time::BillingPeriod;
use schemas::SpentRow;
use schemas::rows::month_number;

use super::spending::{DAY, Part, Spending};
use super::view::{Pending, View};
use crate::settle::UnpostedSum;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn cost(text: &str) -> Cost {
    Cost::parse(text).unwrap()
}

fn month(text: &str) -> BillingPeriod {
    BillingPeriod::parse(text).unwrap()
}

/// Acme's budget.
fn budget(per: Per, limit: &str) -> Budget {
    Budget {
        name: "acme".into(),
        scope: Scope { tenant: Whose::One("acme".into()), ..Scope::default() },
        per,
        of: Measure::Charge,
        limit: cost(limit),
        thresholds: vec![50, 80, 100],
        burn: None,
    }
}

fn acme() -> Account {
    Account { tenant: "acme".into(), ..Account::default() }
}

/// Acme's ledger: the hour of a call, the month that bills it, and its charge; all of it read at once.
struct Ledger(Vec<(&'static str, &'static str, &'static str)>);

impl Ledger {
    fn spending(&self, now: DateTime<Utc>) -> Spending {
        let days_before = now.timestamp().div_euclid(DAY) * DAY - DAY;
        let rows = self.0.iter().map(|(hour, period, charge)| {
            let period = month_number(month(period));
            SpentRow {
                period,
                part: Part::of_hour(period, at(hour).timestamp(), days_before).start,
                tenant: "acme".into(),
                feature: String::new(),
                user: String::new(),
                cost: cost("1"),
                charge: cost(charge),
                unpriced: 0,
            }
        });
        let mut spending = Spending::default();
        spending.replace(&[], rows.collect(), days_before);
        spending
    }

    fn view(&self, budget: &Budget, now: DateTime<Utc>, waiting: Option<Vec<UnpostedSum>>) -> View {
        let spending = BTreeMap::from([(budget.scope.shape(), self.spending(now))]);
        View::new(Arc::new(vec![budget.clone()]), spending, waiting.map(Arc::new), now)
    }
}

/// Every id there is to tell at a moment, with what it says.
fn told(ledger: &Ledger, budget: &Budget, now: &str) -> BTreeSet<(String, String)> {
    let now = at(now);
    let mut told = BTreeSet::new();
    ledger.view(budget, now, None).each_news(now, |news| {
        let id = news.threshold.id(news.budget, news.account, news.standing.window);
        let said = match news.threshold {
            Threshold::Percent(percent) => {
                format!("{percent} of {}", news.standing.window.from().format("%m-%d"))
            }
            Threshold::Burn { .. } => "burn".to_string(),
        };
        told.insert((said, id));
    });
    told
}

fn said(told: &BTreeSet<(String, String)>) -> Vec<&str> {
    told.iter().map(|(said, _)| said.as_str()).collect()
}

#[test]
fn a_threshold_is_told_once_a_window_and_again_in_the_next() {
    let budget = budget(Per::Day, "10");
    let mut ledger = Ledger(vec![("2026-11-10T09:00:00Z", "2026-11", "6")]);
    let first = told(&ledger, &budget, "2026-11-10T09:30:00Z");
    assert_eq!(said(&first), ["50 of 11-10"]);
    // A correction takes it back, later usage crosses it again: the same id, so the same news.
    ledger.0.push(("2026-11-10T09:00:00Z", "2026-11", "-4"));
    assert_eq!(said(&told(&ledger, &budget, "2026-11-10T10:30:00Z")), [""; 0]);
    ledger.0.push(("2026-11-10T11:00:00Z", "2026-11", "4"));
    assert_eq!(told(&ledger, &budget, "2026-11-10T11:30:00Z"), first);
    ledger.0.push(("2026-11-11T08:00:00Z", "2026-11", "5"));
    let next = told(&ledger, &budget, "2026-11-11T09:00:00Z");
    assert_eq!(said(&next), ["50 of 11-10", "50 of 11-11"]);
    assert!(next.is_superset(&first));
}

#[test]
fn calls_of_the_last_minutes_are_told_of_their_own_window() {
    let day = budget(Per::Day, "10");
    let ledger = Ledger(vec![("2026-10-31T23:00:00Z", "2026-10", "8")]);
    assert_eq!(said(&told(&ledger, &day, "2026-11-01T00:01:00Z")), ["50 of 10-31", "80 of 10-31"]);
    let month = budget(Per::Month, "10");
    assert_eq!(said(&told(&ledger, &month, "2026-11-01T00:01:00Z")), ["50 of 10-01", "80 of 10-01"]);
    assert_eq!(said(&told(&ledger, &month, "2026-11-03T00:01:00Z")), [""; 0]);
}

#[test]
fn a_month_counts_what_it_bills_and_a_day_what_happened_on_it() {
    let now = at("2026-11-10T12:00:00Z");
    // Late usage of October, billed in November; and usage of today that an odd clock put into October's bill.
    let ledger = Ledger(vec![
        ("2026-10-30T09:00:00Z", "2026-11", "3"),
        ("2026-11-10T09:00:00Z", "2026-11", "2"),
        ("2026-11-10T08:00:00Z", "2026-10", "0.5"),
    ]);
    let spent = |per| {
        let budget = budget(per, "10");
        ledger.view(&budget, now, None).standing(&budget, &acme(), now).spent
    };
    assert_eq!(spent(Per::Month), cost("5"));
    assert_eq!(spent(Per::Day), cost("2.5"));
}

#[test]
fn rates_are_told_while_they_outrun_the_window() {
    let burn = Some(Burn { short_hours: 1, long_hours: 6 });
    let budget = Budget { burn, thresholds: vec![100], ..budget(Per::Day, "30") };
    let mut ledger = Ledger(vec![
        ("2026-11-10T06:00:00Z", "2026-11", "3"),
        ("2026-11-10T08:00:00Z", "2026-11", "3"),
        ("2026-11-10T10:00:00Z", "2026-11", "4"),
        ("2026-11-10T11:00:00Z", "2026-11", "5"),
    ]);
    let noon = told(&ledger, &budget, "2026-11-10T12:00:00Z");
    assert_eq!(said(&noon), ["burn"]);
    assert_eq!(said(&told(&ledger, &budget, "2026-11-10T15:00:00Z")), [""; 0], "nothing was spent since");
    ledger.0.push(("2026-11-10T18:00:00Z", "2026-11", "10"));
    ledger.0.push(("2026-11-10T19:00:00Z", "2026-11", "4"));
    assert_eq!(told(&ledger, &budget, "2026-11-10T20:00:00Z"), noon, "once a day");
}

#[test]
fn what_waits_stands_apart_and_counts_for_the_hint() {
    let now = at("2026-11-10T12:00:00Z");
    let budget = budget(Per::Day, "10");
    let ledger = Ledger(vec![("2026-11-10T09:00:00Z", "2026-11", "7")]);
    let waits = |hour: &str, feature: &str, charge: &str| UnpostedSum {
        account: Account { tenant: "acme".into(), feature: feature.into(), user: "u".into() },
        period: month("2026-11"),
        hour: at(hour).timestamp(),
        calls: 1,
        cost: cost("1"),
        charge: cost(charge),
    };
    let waiting = vec![
        waits("2026-11-10T11:00:00Z", "search", "2"),
        waits("2026-11-10T11:00:00Z", "chat", "1.5"),
        waits("2026-11-09T23:00:00Z", "chat", "100"),
    ];
    let standing = ledger.view(&budget, now, Some(waiting)).standing(&budget, &acme(), now);
    assert_eq!(
        (standing.spent, standing.pending),
        (cost("7"), Some(Pending { calls: 2, amount: cost("3.5") }))
    );
    assert_eq!(standing.decision(&budget), Decision::Deny);
    let unknown = ledger.view(&budget, now, None).standing(&budget, &acme(), now);
    assert_eq!((unknown.pending, unknown.decision(&budget)), (None, Decision::Warn));
    let nobody = Account { tenant: "nobody".into(), ..Account::default() };
    assert_eq!(ledger.view(&budget, now, None).standing(&budget, &nobody, now).spent, Cost::ZERO);
}

#[test]
fn reading_a_part_again_replaces_it_and_folding_hours_into_days_keeps_sums() {
    let now = at("2026-11-10T12:00:00Z");
    let ledger = Ledger(vec![
        ("2026-11-02T09:00:00Z", "2026-11", "1"),
        ("2026-11-09T09:00:00Z", "2026-11", "2"),
        ("2026-11-10T09:00:00Z", "2026-11", "4"),
    ]);
    let period = month_number(month("2026-11"));
    let billed = |spending: &Spending| spending.of(&acme()).map(|spent| spent.billed_in(period).charge);
    let days_before = now.timestamp().div_euclid(DAY) * DAY - DAY;
    let mut spending = ledger.spending(now);
    let part = Part::of_hour(period, at("2026-11-10T09:00:00Z").timestamp(), days_before);
    let row = |charge: &str| SpentRow {
        period,
        part: part.start,
        tenant: "acme".into(),
        feature: String::new(),
        user: String::new(),
        cost: cost("1"),
        charge: cost(charge),
        unpriced: 0,
    };
    for _ in 0..2 {
        spending.replace(&[part], vec![row("5")], days_before);
        assert_eq!(billed(&spending), Some(cost("8")));
    }
    let shared = spending.clone();
    spending.fold(days_before + DAY, |_| true);
    assert_eq!(billed(&spending), Some(cost("8")), "folded");
    // Late evidence of a day that is folded: the day is read anew.
    let day = Part::of_hour(period, at("2026-11-09T22:00:00Z").timestamp(), days_before + DAY);
    let of_the_day = SpentRow { part: day.start, ..row("2.5") };
    spending.replace(&[day], vec![of_the_day], days_before + DAY);
    assert_eq!(billed(&spending), Some(cost("8.5")));
    spending.replace(&[part], Vec::new(), days_before);
    assert_eq!(billed(&spending), Some(cost("3.5")), "what was moved away is gone");
    assert_eq!(billed(&shared), Some(cost("8")), "who looks at an older view sees what it was");
    spending.fold(days_before, |_| false);
    assert_eq!(billed(&spending), None);
}
