//! A statement against the ledger's hours: what differs, day by day, model by model, class by class, and most likely why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, NaiveDate};
use domain::naming;
use rust_decimal::Decimal;
use schemas::ProviderHour;

use super::statement::{Class, Figure, Statement, tier};

const HOUR_SECS: i64 = 3_600;
const DAY_SECS: i64 = 24 * HOUR_SECS;

/// The zones of the world lie within fourteen hours of UTC.
pub const ZONE_HOURS: i64 = 14;

/// How much may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// The part of the larger figure, for instance 0.001.
    pub share: Decimal,
}

impl Tolerance {
    fn takes(self, ledger: Decimal, stated: Decimal) -> bool {
        (stated - ledger).abs() <= self.share * ledger.abs().max(stated.abs())
    }
}

/// Why two figures differ, as far as they tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The provider counts calls that no span shows: failed or lost answers, applications without instrumentation.
    MissingCalls(Option<Decimal>),
    /// The ledger has calls that the provider does not count: another account, reports that were not merged.
    ExtraCalls(Option<Decimal>),
    /// So many calls whose spans state no usage, or not all of it.
    Unmetered(i64),
    /// So many calls without a price.
    Unpriced(i64),
    /// The prompt agrees, the parts of it do not.
    CacheClass,
    /// The service tiers differ, or the price of one does.
    ServiceTier,
    /// The same usage at so many times the price.
    Rate(Decimal),
    /// The statement's days are those of a zone so many hours ahead of UTC (below zero: behind).
    TimeZone(i64),
    /// The same calls, other counts.
    Counts,
}

impl Cause {
    /// A stable name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MissingCalls(_) => "missing_calls",
            Self::ExtraCalls(_) => "extra_calls",
            Self::Unmetered(_) => "unmetered",
            Self::Unpriced(_) => "unpriced",
            Self::CacheClass => "cache_class",
            Self::ServiceTier => "service_tier",
            Self::Rate(_) => "rate",
            Self::TimeZone(_) => "time_zone",
            Self::Counts => "counts",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingCalls(Some(calls)) => write!(f, "{calls} calls that no span shows"),
            Self::MissingCalls(None) => f.write_str("calls that no span shows"),
            Self::ExtraCalls(Some(calls)) => write!(f, "{calls} calls that the provider does not count"),
            Self::ExtraCalls(None) => f.write_str("calls that the provider does not count"),
            Self::Unmetered(calls) => write!(f, "{calls} calls whose spans do not state all usage"),
            Self::Unpriced(calls) => write!(f, "{calls} calls without a price"),
            Self::CacheClass => f.write_str("other classes of cache, the same prompt"),
            Self::ServiceTier => f.write_str("another service tier"),
            Self::Rate(factor) => write!(f, "another rate: {factor} times the price book's"),
            Self::TimeZone(hours) => write!(f, "another time zone: days of UTC{hours:+}"),
            Self::Counts => f.write_str("the same calls, other counts"),
        }
    }
}

/// One figure that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The day of the statement.
    pub day: NaiveDate,
    /// The model, or its family where the two sides name it differently; empty where the statement names none.
    pub model: String,
    /// The service tier, where it is the tiers that differ.
    pub tier: Option<String>,
    /// What is counted.
    pub class: Class,
    /// In the ledger.
    pub ledger: Decimal,
    /// In the statement.
    pub stated: Decimal,
    /// Why.
    pub cause: Cause,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What differs by more than is tolerated, in the order of day, model and class.
    pub differences: Vec<Difference>,
    /// Over all days and models: what the ledger has, and what the statement says.
    pub totals: BTreeMap<Class, (Decimal, Decimal)>,
    /// How many figures were compared.
    pub figures: u64,
}

impl Comparison {
    /// The share of what the provider counts, or charges, that no span shows; nothing where it counts none.
    pub fn unseen(&self, class: Class) -> Option<Decimal> {
        let (ledger, stated) = self.totals.get(&class)?;
        (!stated.is_zero()).then(|| ((stated - ledger) / stated).max(Decimal::ZERO).round_dp(6).normalize())
    }
}

type Key = (NaiveDate, String, Class);

/// One side, summed.
#[derive(Debug, Default)]
struct Side {
    sums: BTreeMap<Key, Decimal>,
    by_tier: BTreeMap<(Key, String), Decimal>,
}

impl Side {
    fn add(&mut self, key: Key, tier: &str, quantity: Decimal) {
        *self.sums.entry(key.clone()).or_default() += quantity;
        *self.by_tier.entry((key, tier.to_string())).or_default() += quantity;
    }

    fn get(&self, key: &Key) -> Decimal {
        self.sums.get(key).copied().unwrap_or_default()
    }
}

/// What is wrong with the calls of a day and model, as the ledger itself knows.
#[derive(Debug, Clone, Copy, Default)]
struct Doubts {
    unmetered: i64,
    unpriced: i64,
}

/// Compares. `hours` reach [`ZONE_HOURS`] beyond both ends of the statement's time.
pub fn compare(statement: &Statement, hours: &[ProviderHour], tolerance: Tolerance) -> Comparison {
    let classes = statement.classes();
    let names = Names::of(statement, hours);
    let calendar = Calendar::of(statement);
    let mut stated = Side::default();
    for figure in &statement.figures {
        let key = (calendar.day(figure.from, 0), names.shown(&figure.model), figure.class);
        stated.add(key, &figure.tier, figure.quantity);
    }
    // A provider leaves out days on which nothing happened.
    let (from, to) = statement.span();
    let days = calendar.day(from, 0)..=calendar.day(to - 1, 0);
    let ledger_at = |shift: i64| {
        let (mut ledger, mut doubts) = (Side::default(), BTreeMap::<(NaiveDate, String), Doubts>::new());
        for hour in hours {
            let day = calendar.day(hour.hour, shift);
            if !days.contains(&day) {
                continue;
            }
            let model = names.shown(&hour.model);
            let doubt = doubts.entry((day, model.clone())).or_default();
            doubt.unmetered += hour.unmetered + hour.partial;
            doubt.unpriced += hour.unpriced;
            for &class in &classes {
                ledger.add(
                    (day, model.clone(), class),
                    tier(&hour.service_tier),
                    counted(hour, class, &classes),
                );
            }
        }
        (ledger, doubts)
    };
    let (ledger, doubts) = ledger_at(0);
    let zone =
        calendar.of_days.then(|| zone(&stated, &ledger, |shift| ledger_at(shift).0, tolerance)).flatten();
    let rates = Rates::of(&stated, &ledger);

    let mut comparison = Comparison::default();
    let keys: BTreeSet<&Key> = stated.sums.keys().chain(ledger.sums.keys()).collect();
    for key in keys {
        let (has, says) = (ledger.get(key), stated.get(key));
        let total = comparison.totals.entry(key.2).or_default();
        *total = (total.0 + has, total.1 + says);
        comparison.figures += 1;
        let mut differs = |tier: Option<String>, has, says, cause| {
            let (day, model, class) = key.clone();
            comparison.differences.push(Difference {
                day,
                model,
                tier,
                class,
                ledger: has,
                stated: says,
                cause,
            });
        };
        if !tolerance.takes(has, says) {
            let doubt = doubts.get(&(key.0, key.1.clone())).copied().unwrap_or_default();
            let sides = Sides { stated: &stated, ledger: &ledger, classes: &classes, tolerance };
            let cause = zone.map_or_else(|| sides.cause(key, doubt, &rates), Cause::TimeZone);
            differs(None, has, says, cause);
        } else if statement.tells_tiers && key.2 != Class::Cost {
            let of_tier = |side: &Side, tier: &str| {
                side.by_tier.get(&(key.clone(), tier.to_string())).copied().unwrap_or_default()
            };
            let tiers: BTreeSet<&String> = stated
                .by_tier
                .keys()
                .chain(ledger.by_tier.keys())
                .filter(|(known, _)| known == key)
                .map(|(_, tier)| tier)
                .collect();
            for name in tiers {
                let (has, says) = (of_tier(&ledger, name), of_tier(&stated, name));
                if !tolerance.takes(has, says) {
                    let shown = if name.is_empty() { "standard" } else { name };
                    differs(Some(shown.to_string()), has, says, Cause::ServiceTier);
                }
            }
        }
    }
    comparison
}

/// What of an hour is counted as a class, given what the statement tells apart.
fn counted(hour: &ProviderHour, class: Class, apart: &BTreeSet<Class>) -> Decimal {
    let if_apart = |class, quantity: i64| if apart.contains(&class) { quantity } else { 0 };
    let audio_input = if_apart(Class::AudioInput, hour.audio_input);
    let writes = if apart.contains(&Class::CacheWrite5m) || apart.contains(&Class::CacheWrite1h) {
        hour.cache_write
    } else {
        0
    };
    let count = match class {
        Class::Requests => hour.calls,
        Class::Prompt => hour.input - audio_input,
        Class::Input => hour.input - hour.cache_read - writes - audio_input,
        Class::CacheRead => hour.cache_read,
        Class::CacheWrite5m => hour.cache_write - if_apart(Class::CacheWrite1h, hour.cache_write_1h),
        Class::CacheWrite1h => hour.cache_write_1h,
        Class::Output => hour.output - if_apart(Class::AudioOutput, hour.audio_output),
        Class::AudioInput => hour.audio_input,
        Class::AudioOutput => hour.audio_output,
        Class::WebSearches => hour.web_searches,
        Class::Cost => {
            return Decimal::try_from_i128_with_scale(hour.cost.picos(), 12)
                .unwrap_or(Decimal::MAX)
                .normalize();
        }
    };
    Decimal::from(count)
}

/// Which day a moment belongs to, as the statement cuts its days.
struct Calendar {
    /// Seconds after midnight UTC at which its days begin.
    begins: i64,
    /// Whether it knows nothing shorter than days.
    of_days: bool,
}

impl Calendar {
    fn of(statement: &Statement) -> Self {
        let of_days = statement.figures.iter().all(|figure| (figure.to - figure.from) % DAY_SECS == 0);
        let begins: BTreeSet<i64> =
            statement.figures.iter().map(|figure| figure.from.rem_euclid(DAY_SECS)).collect();
        match begins.first() {
            Some(&begins) if of_days && statement_has_one(&statement.figures, begins) => {
                Self { begins, of_days }
            }
            _ => Self { begins: 0, of_days },
        }
    }

    fn day(&self, moment: i64, shift_hours: i64) -> NaiveDate {
        let moment = moment - self.begins + shift_hours * HOUR_SECS;
        DateTime::from_timestamp(moment, 0).unwrap_or_default().date_naive()
    }
}

fn statement_has_one(figures: &[Figure], begins: i64) -> bool {
    figures.iter().all(|figure| figure.from.rem_euclid(DAY_SECS) == begins)
}

/// What a model is called in the report: its name, or its family where the two sides use different names of it.
struct Names {
    shown: BTreeMap<String, String>,
    named: bool,
}

impl Names {
    fn of(statement: &Statement, hours: &[ProviderHour]) -> Self {
        let named = statement.figures.iter().all(|figure| !figure.model.is_empty());
        let mut families: BTreeMap<String, [BTreeSet<&str>; 2]> = BTreeMap::new();
        for figure in &statement.figures {
            families.entry(family(&figure.model)).or_default()[0].insert(&figure.model);
        }
        for hour in hours {
            families.entry(family(&hour.model)).or_default()[1].insert(&hour.model);
        }
        let mut shown = BTreeMap::new();
        for (family, [stated, ledger]) in families {
            let apart = stated.is_empty() || ledger.is_empty() || stated == ledger;
            for name in stated.into_iter().chain(ledger) {
                shown.insert(name.to_string(), if apart { name.to_string() } else { family.clone() });
            }
        }
        Self { shown, named }
    }

    fn shown(&self, model: &str) -> String {
        match self.named {
            true => self.shown.get(model).cloned().unwrap_or_else(|| model.to_string()),
            false => String::new(),
        }
    }
}

/// A model without its date; `Claude Sonnet 4.5` as people read it is `claude-sonnet-4-5`.
fn family(model: &str) -> String {
    let plain = naming::model(model).unwrap_or(model).to_lowercase().replace([' ', '.'], "-");
    naming::model_family(&plain).to_string()
}

/// By how many hours the statement's days differ from the ledger's, if that explains what differs.
fn zone(stated: &Side, ledger: &Side, shifted: impl Fn(i64) -> Side, tolerance: Tolerance) -> Option<i64> {
    let differs = |ledger: &Side| {
        let keys: BTreeSet<&Key> = stated.sums.keys().chain(ledger.sums.keys()).collect();
        keys.into_iter().filter(|key| !tolerance.takes(ledger.get(key), stated.get(key))).count()
    };
    if differs(ledger) == 0 {
        return None;
    }
    let mut shifts: Vec<i64> = (-ZONE_HOURS..=ZONE_HOURS).filter(|shift| *shift != 0).collect();
    shifts.sort_by_key(|shift| (shift.abs(), *shift));
    shifts.into_iter().find(|shift| differs(&shifted(*shift)) == 0)
}

/// How many times the price book's price a model is charged, where that is the same on several days.
struct Rates {
    factors: BTreeMap<String, Decimal>,
}

impl Rates {
    fn of(stated: &Side, ledger: &Side) -> Self {
        let mut of_model: BTreeMap<&str, Vec<Decimal>> = BTreeMap::new();
        for (key, says) in stated.sums.iter().filter(|((_, _, class), _)| *class == Class::Cost) {
            let has = ledger.get(key);
            if !has.is_zero() && !says.is_zero() {
                of_model.entry(&key.1).or_default().push(says / has);
            }
        }
        let mut factors = BTreeMap::new();
        for (model, found) in of_model {
            let (least, most) = (found.iter().min().copied(), found.iter().max().copied());
            if let (Some(least), Some(most), 2..) = (least, most, found.len())
                && (most - least) <= least.abs() * Decimal::new(5, 3)
            {
                factors.insert(model.to_string(), least.round_dp(4).normalize());
            }
        }
        Self { factors }
    }
}

/// Both sides, to look for a cause in.
struct Sides<'s> {
    stated: &'s Side,
    ledger: &'s Side,
    classes: &'s BTreeSet<Class>,
    tolerance: Tolerance,
}

impl Sides<'_> {
    fn both(&self, (day, model, _): &Key, class: Class) -> (Decimal, Decimal) {
        let key = (*day, model.clone(), class);
        (self.ledger.get(&key), self.stated.get(&key))
    }

    /// Whether everything but money agrees, and something but money is known.
    fn usage_agrees(&self, key: &Key) -> bool {
        let mut usage = self.classes.iter().filter(|class| **class != Class::Cost).peekable();
        usage.peek().is_some()
            && usage.all(|class| {
                let (has, says) = self.both(key, *class);
                self.tolerance.takes(has, says)
            })
    }

    fn cause(&self, key: &Key, doubt: Doubts, rates: &Rates) -> Cause {
        let (has, says) = self.both(key, key.2);
        if key.2 == Class::Cost {
            self.cause_of_cost(key, has, says, doubt, rates)
        } else {
            self.cause_of_usage(key, has, says, doubt)
        }
    }

    fn cause_of_usage(&self, key: &Key, has: Decimal, says: Decimal, doubt: Doubts) -> Cause {
        if key.2.is_of_prompt() {
            let parts =
                self.classes.iter().filter(|class| class.is_of_prompt()).map(|class| self.both(key, *class));
            let (prompt_has, prompt_says) =
                parts.fold((Decimal::ZERO, Decimal::ZERO), |sum, part| (sum.0 + part.0, sum.1 + part.1));
            if self.tolerance.takes(prompt_has, prompt_says) {
                return Cause::CacheClass;
            }
        }
        if self.classes.contains(&Class::Requests) {
            let (calls, requests) = self.both(key, Class::Requests);
            if requests > calls {
                return Cause::MissingCalls(Some(requests - calls));
            }
            if calls > requests {
                return Cause::ExtraCalls(Some(calls - requests));
            }
            return match doubt.unmetered {
                unmetered if unmetered > 0 && says > has => Cause::Unmetered(unmetered),
                _ => Cause::Counts,
            };
        }
        match (says > has, doubt.unmetered > 0) {
            (true, true) => Cause::Unmetered(doubt.unmetered),
            (true, false) => Cause::MissingCalls(None),
            (false, _) => Cause::ExtraCalls(None),
        }
    }

    fn cause_of_cost(&self, key: &Key, has: Decimal, says: Decimal, doubt: Doubts, rates: &Rates) -> Cause {
        if doubt.unpriced > 0 && says > has {
            return Cause::Unpriced(doubt.unpriced);
        }
        if doubt.unmetered > 0 && says > has {
            return Cause::Unmetered(doubt.unmetered);
        }
        let factor = (!has.is_zero() && !says.is_zero()).then(|| (says / has).round_dp(4).normalize());
        // Batches and flexible processing cost half the standard price with every large provider.
        let half = |factor: Decimal| (factor - Decimal::new(5, 1)).abs() <= Decimal::new(25, 4);
        match (factor, rates.factors.get(&key.1)) {
            (Some(factor), _) if half(factor) => Cause::ServiceTier,
            (Some(factor), _) if self.usage_agrees(key) => Cause::Rate(factor),
            (Some(_), Some(factor)) => Cause::Rate(*factor),
            _ if says > has => Cause::MissingCalls(None),
            _ => Cause::ExtraCalls(None),
        }
    }
}
