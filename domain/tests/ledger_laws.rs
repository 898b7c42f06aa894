//! Laws of sums over the ledger: order and grouping play no part, and what was posted wrongly and put right sums to what
//! was never wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::identity::{Realm, SpanId, TraceId};
use domain::ledger::{Entry, Facts, Periods, Quantities, Standing, State, difference};
use domain::{BillingPeriod, CallId, Cost, EventTime};
use proptest::prelude::*;

const UNITS: [&str; 4] = ["input", "cache_read", "output", "web_searches"];

/// Noon of the tenth of a month of 2026.
fn noon(month: u32) -> EventTime {
    let day = chrono::NaiveDate::from_ymd_opt(2026, month, 10).unwrap().and_hms_opt(12, 0, 0).unwrap();
    EventTime::from_nanos(day.and_utc().timestamp_nanos_opt().unwrap())
}

fn facts(tenant: &str, price: &str, month: u32) -> Facts {
    let text = String::new;
    Facts {
        state: if price.is_empty() { State::Unpriced } else { State::Billed },
        tenant: tenant.into(),
        tenant_source: "span".into(),
        feature: text(),
        user_id: text(),
        session_id: text(),
        agent: text(),
        service: text(),
        environment: text(),
        realm: Realm::new(""),
        provider: "openai".into(),
        request_model: "gpt-4o".into(),
        model: "gpt-4o".into(),
        operation: "chat".into(),
        occurred_at: noon(month),
        service_tier: text(),
        region: text(),
        rule: "call".into(),
        currency: "USD".into(),
        price_id: price.into(),
        plan_id: text(),
        trace: TraceId::from_bytes([1; 16]).unwrap(),
        span: SpanId::from_bytes([1; 8]).unwrap(),
        response_id: text(),
    }
}

/// What one call used and costs: a quantity and a price for each unit, priced or not.
fn quantities(used: &[(u32, u32)], priced: bool) -> Quantities {
    let mut made = Quantities { calls: 1, ..Quantities::default() };
    for (unit, (quantity, picos)) in UNITS.iter().zip(used).filter(|(_, (quantity, _))| *quantity > 0) {
        made.units.insert((*unit).to_string(), i64::from(*quantity));
        let cost = Cost::from_picos(i128::from(*quantity) * i128::from(*picos));
        if priced && !cost.is_zero() {
            made.unit_costs.insert((*unit).to_string(), cost);
            made.unit_charges.insert((*unit).to_string(), cost + cost);
            (made.cost, made.charge) = (made.cost + cost, made.charge + cost + cost);
        }
    }
    made.tokens[0] = i64::from(used[0].0);
    made
}

prop_compose! {
    fn any_quantities()(used in prop::collection::vec((0..1_000_000_u32, any::<u32>()), 4), sign in any::<bool>()) -> Quantities {
        let made = quantities(&used, true);
        if sign { made } else { made.negated() }
    }
}

prop_compose! {
    /// What settlement may come to believe of a call: whose it is, its price, its month, its usage; or that it is none.
    fn any_belief()(tenant in 0..3_u8, price in 0..3_u8, month in 4..8_u32, used in prop::collection::vec((0..1_000_u32, 1..9_u32), 4)) -> Option<(Facts, Quantities)> {
        if tenant == 2 && price == 2 {
            return None;
        }
        let tenant = ["acme", "globex", "initech"][usize::from(tenant)];
        let price = ["", "cheap", "dear"][usize::from(price)];
        Some((facts(tenant, price, month), quantities(&used, !price.is_empty())))
    }
}

fn sum<'q>(all: impl IntoIterator<Item = &'q Quantities>) -> Quantities {
    let mut total = Quantities::default();
    all.into_iter().for_each(|one| total.add(one));
    total
}

/// Sums of entries by their facts, without those that come to nothing.
fn by_facts(entries: &[Entry]) -> BTreeMap<Facts, Quantities> {
    let mut sums: BTreeMap<Facts, Quantities> = BTreeMap::new();
    for entry in entries {
        sums.entry(entry.facts.clone()).or_default().add(&entry.quantities);
    }
    sums.retain(|_, quantities| !quantities.is_zero());
    sums
}

/// Sums of entries by the month they are billed in.
fn by_period(entries: &[Entry]) -> BTreeMap<BillingPeriod, Quantities> {
    let mut sums: BTreeMap<BillingPeriod, Quantities> = BTreeMap::new();
    for entry in entries {
        sums.entry(entry.period).or_default().add(&entry.quantities);
    }
    sums
}

/// What stands after these entries, which came in some order and perhaps twice.
fn standing<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Standing {
    let mut stands = Standing::default();
    entries.into_iter().for_each(|entry| stands.add(Arc::new(entry.clone())));
    stands
}

fn call() -> CallId {
    CallId::of_response(&Realm::new(""), "chatcmpl-0123456789abcdef")
}

/// Posts one belief after the other, each as the difference to what stands. Before belief `at` the month `closing[at]` is
/// closed, where there is one.
fn post(
    beliefs: &[Option<(Facts, Quantities)>],
    closing: &[Option<u32>],
) -> Result<(Vec<Entry>, Periods), TestCaseError> {
    let (mut entries, mut periods): (Vec<Entry>, Periods) = (Vec::new(), Periods::default());
    for (at, belief) in beliefs.iter().enumerate() {
        if let Some(month) = closing.get(at).copied().flatten() {
            periods.close(BillingPeriod::containing(noon(month)));
        }
        let before = by_period(&entries);
        let target = belief.as_ref().map(|(facts, quantities)| (facts, quantities));
        let posted = difference(call(), &standing(&entries), target, &periods);
        prop_assert!(posted.iter().all(|entry| !periods.is_closed(entry.period)), "into a closed month");
        entries.extend(posted);
        let after = by_period(&entries);
        for (period, was) in before.iter().filter(|(period, _)| periods.is_closed(**period)) {
            prop_assert_eq!(&after[period], was, "closed month {} changed", period);
        }
        let again = difference(call(), &standing(&entries), target, &periods);
        prop_assert_eq!(again, vec![], "posting again posts something");
    }
    Ok((entries, periods))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn sums_are_the_same_in_any_order_and_grouping(
        all in prop::collection::vec(any_quantities(), 0..12), order in any::<prop::sample::Index>(), groups in 1..5_usize,
    ) {
        let total = sum(&all);
        let mut turned = all.clone();
        turned.rotate_left(if all.is_empty() { 0 } else { order.index(all.len()) });
        turned.reverse();
        prop_assert_eq!(sum(&turned), total.clone());
        let parts: Vec<Quantities> = (0..groups).map(|group| sum(all.iter().skip(group).step_by(groups))).collect();
        prop_assert_eq!(sum(&parts), total.clone());
        let negative: Vec<Quantities> = all.iter().map(Quantities::negated).collect();
        prop_assert_eq!(sum(&negative), total.negated());
        prop_assert!(sum([&total, &total.negated()]).is_zero());
        prop_assert_eq!(total.unit_costs.values().copied().sum::<Cost>(), total.cost);
        prop_assert_eq!(total.unit_charges.values().copied().sum::<Cost>(), total.charge);
    }

    #[test]
    fn what_was_posted_wrongly_and_put_right_sums_to_what_was_never_wrong(
        wrong in prop::collection::vec(any_belief(), 0..6), right in any_belief(),
    ) {
        let beliefs: Vec<_> = wrong.into_iter().chain([right.clone()]).collect();
        let (entries, _) = post(&beliefs, &[])?;
        let (never_wrong, _) = post(&[right], &[])?;
        prop_assert_eq!(by_facts(&entries), by_facts(&never_wrong));
        // Month by month too, as long as none is closed: a reversal goes where the entry is that it takes back.
        let of = |entries: &[Entry]| -> BTreeMap<BillingPeriod, Quantities> {
            by_period(entries).into_iter().filter(|(_, sum)| !sum.is_zero()).collect()
        };
        prop_assert_eq!(of(&entries), of(&never_wrong));
    }

    #[test]
    fn closed_months_stay_and_all_months_together_sum_to_what_was_never_wrong(
        beliefs in prop::collection::vec(any_belief(), 1..7), closing in prop::collection::vec(prop::option::of(4..9_u32), 0..7),
    ) {
        let (entries, _) = post(&beliefs, &closing)?;
        let (never_wrong, _) = post(&beliefs[beliefs.len() - 1..], &[])?;
        prop_assert_eq!(by_facts(&entries), by_facts(&never_wrong));
        prop_assert_eq!(
            sum(entries.iter().map(|entry| &entry.quantities)),
            sum(never_wrong.iter().map(|entry| &entry.quantities))
        );
    }

    #[test]
    fn what_stands_is_the_same_in_whatever_order_and_however_often_entries_are_read(
        beliefs in prop::collection::vec(any_belief(), 1..7), turn in any::<prop::sample::Index>(), next in any_belief(),
    ) {
        let (entries, periods) = post(&beliefs, &[])?;
        let once = standing(&entries);
        let mut turned: Vec<&Entry> = entries.iter().chain(&entries).collect();
        let len = turned.len();
        turned.rotate_left(if len == 0 { 0 } else { turn.index(len) });
        turned.reverse();
        let often = standing(turned);
        prop_assert_eq!(&often, &once);
        let target = next.as_ref().map(|(facts, quantities)| (facts, quantities));
        // So two settlers that saw the same ledger post entries of the same names, which are one.
        prop_assert_eq!(
            difference(call(), &often, target, &periods),
            difference(call(), &once, target, &periods)
        );
    }
}
