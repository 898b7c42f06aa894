//! Budgets: a list of tables, as `[[budget]]` in the file.

use std::time::Duration;

use domain::budget::{Budget, Burn, Measure, Per, Scope, Whose};
use domain::money::Cost;
use toml::{Table, Value};

use super::setting::Setting;

/// Longer names are no names: they stand in addresses and labels of metrics.
const NAME_CHARS_MAX: usize = 64;
/// What is told unless the budget says otherwise, in percent of the limit.
const THRESHOLDS: [u16; 3] = [50, 80, 100];
const THRESHOLD_MAX: i64 = 1_000;
/// Over which hours the rate of spending is watched unless the budget says otherwise. A month has busy and quiet hours, so
/// its long time is a day.
const BURN_OF_DAY: Burn = Burn { short_hours: 1, long_hours: 4 };
const BURN_OF_MONTH: Burn = Burn { short_hours: 1, long_hours: 24 };
/// Older hours are kept by day.
const BURN_HOURS_MAX: u64 = 24;

const KEYS: [&str; 9] = ["name", "tenant", "feature", "user", "per", "of", "limit", "thresholds", "burn"];

impl Setting for Vec<Budget> {
    const EXPECTED: &'static str = "a list of tables, each of a name (letters, digits, `.`, `-`, `_`; no two alike), per \
        (\"day\" or \"month\"), of (\"charge\" or \"cost\"), a limit such as \"500.00\", and optionally tenant, feature, user, \
        thresholds and burn, as docs/budgets.md has them (in a variable: the same as text)";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(tables) => {
                let budgets: Self = tables.iter().map(budget).collect::<Option<_>>()?;
                let distinct = |(at, budget): (usize, &Budget)| {
                    budgets[..at].iter().all(|other| other.name != budget.name)
                };
                budgets.iter().enumerate().all(distinct).then_some(budgets)
            }
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => {
                match toml::from_str::<Table>(&format!("list = {text}")).ok()?.get("list")? {
                    list @ Value::Array(_) => Self::read(list),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().map(written).collect()))
    }
}

fn budget(value: &Value) -> Option<Budget> {
    let table = value.as_table().filter(|table| table.keys().all(|key| KEYS.contains(&key.as_str())))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let name = table.get("name")?.as_str()?;
    let named = !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(plain);
    let per = match table.get("per")?.as_str()? {
        "day" => Per::Day,
        "month" => Per::Month,
        _ => return None,
    };
    let of = match table.get("of")?.as_str()? {
        "charge" => Measure::Charge,
        "cost" => Measure::Cost,
        _ => return None,
    };
    let limit = Cost::read(table.get("limit")?).filter(|limit| *limit > Cost::ZERO)?;
    let scope = Scope {
        tenant: whose(table, "tenant")?,
        feature: whose(table, "feature")?,
        user: whose(table, "user")?,
    };
    let thresholds = table.get("thresholds").map_or(Some(THRESHOLDS.to_vec()), thresholds)?;
    let burn = match (table.get("burn"), per) {
        (None, Per::Day) => Some(BURN_OF_DAY),
        (None, Per::Month) => Some(BURN_OF_MONTH),
        (Some(Value::Boolean(false)), _) => None,
        (Some(times), _) => Some(burn(times)?),
    };
    named.then(|| Budget { name: name.to_owned(), scope, per, of, limit, thresholds, burn })
}

fn whose(table: &Table, key: &str) -> Option<Whose> {
    match table.get(key) {
        None => Some(Whose::Anyone),
        Some(value) => value.as_str().map(|text| match text {
            "*" => Whose::Each,
            one => Whose::One(one.to_owned()),
        }),
    }
}

fn thresholds(value: &Value) -> Option<Vec<u16>> {
    let percent = |value: &Value| {
        let percent = value.as_integer().filter(|percent| (1..=THRESHOLD_MAX).contains(percent))?;
        u16::try_from(percent).ok()
    };
    let percents: Vec<u16> = value.as_array()?.iter().map(percent).collect::<Option<_>>()?;
    percents.is_sorted_by(|one, next| one < next).then_some(percents)
}

fn burn(value: &Value) -> Option<Burn> {
    let hours = |value: &Value| {
        let seconds = Duration::read(value)?.as_secs();
        let whole = seconds % 3_600 == 0 && (1..=BURN_HOURS_MAX).contains(&(seconds / 3_600));
        u32::try_from(seconds / 3_600).ok().filter(|_| whole)
    };
    let [short, long] = value.as_array()?.as_slice() else { return None };
    let burn = Burn { short_hours: hours(short)?, long_hours: hours(long)? };
    (burn.short_hours < burn.long_hours).then_some(burn)
}

fn written(budget: &Budget) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    let mut table = Table::new();
    table.insert("name".into(), text(&budget.name));
    let scope = &budget.scope;
    for (key, whose) in [("tenant", &scope.tenant), ("feature", &scope.feature), ("user", &scope.user)] {
        match whose {
            Whose::Anyone => {}
            Whose::Each => drop(table.insert(key.into(), text("*"))),
            Whose::One(one) => drop(table.insert(key.into(), text(one))),
        }
    }
    table.insert("per".into(), text(budget.per.name()));
    table.insert("of".into(), text(budget.of.name()));
    table.insert("limit".into(), text(&budget.limit.to_string()));
    let percents = budget.thresholds.iter().map(|percent| Value::Integer(i64::from(*percent)));
    table.insert("thresholds".into(), Value::Array(percents.collect()));
    let burn = budget.burn.map_or(Value::Boolean(false), |burn| {
        Value::Array([burn.short_hours, burn.long_hours].map(|hours| text(&format!("{hours}h"))).to_vec())
    });
    table.insert("burn".into(), burn);
    Value::Table(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<Budget>> {
        Vec::<Budget>::read(&Value::String(text.to_owned()))
    }

    const SHORT: &str = r#"[{ name = "all", per = "month", of = "cost", limit = "1000" }]"#;

    #[test]
    fn a_variable_says_what_the_file_does_and_both_read_back() {
        let file: Table = toml::from_str(
            "[[budget]]\nname = \"each-user\"\ntenant = \"acme\"\nuser = \"*\"\nper = \"day\"\nof = \"charge\"\n\
             limit = \"2.50\"\nthresholds = [90, 100, 150]\nburn = [\"2h\", \"12h\"]\n",
        )
        .unwrap();
        let budgets = Vec::<Budget>::read(&file["budget"]).unwrap();
        let scope = &budgets[0].scope;
        assert_eq!(
            [&scope.tenant, &scope.feature, &scope.user],
            [&Whose::One("acme".into()), &Whose::Anyone, &Whose::Each]
        );
        assert_eq!(budgets[0].burn, Some(Burn { short_hours: 2, long_hours: 12 }));
        for budgets in [budgets, read(SHORT).unwrap(), Vec::new()] {
            let written = budgets.write().unwrap();
            assert_eq!(Vec::<Budget>::read(&written), Some(budgets.clone()));
            assert_eq!(read(&written.to_string()), Some(budgets), "as it is printed");
        }
    }

    #[test]
    fn a_budget_that_says_too_little_or_something_else_is_refused() {
        assert!(read(SHORT).is_some());
        for (from, to) in [
            ("\"all\"", "\"\""),
            ("\"all\"", "\"a/b\""),
            ("\"month\"", "\"week\""),
            ("\"cost\"", "\"revenue\""),
            ("\"1000\"", "\"0\""),
            ("\"1000\"", "\"-1\""),
            ("\"1000\"", "1000.5"),
            ("limit", "limits"),
            ("limit", "thresholds = [80, 50], limit"),
            ("limit", "thresholds = [0], limit"),
            ("limit", "thresholds = [1.5], limit"),
            ("limit", "burn = true, limit"),
            ("limit", "burn = [\"6h\", \"1h\"], limit"),
            ("limit", "burn = [\"30m\", \"1h\"], limit"),
            ("limit", "burn = [\"1h\", \"48h\"], limit"),
            ("limit", "tenant = 7, limit"),
            ("limit", "tenat = \"acme\", limit"),
            ("[{", "[{ name = \"all\", per = \"day\", of = \"cost\", limit = \"1\" }, {"),
        ] {
            let text = SHORT.replacen(from, to, 1);
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
