//! What was known at one moment: where an account of a budget stands, and everything there is to say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Utc};
use domain::budget::{Account, Budget, BudgetWindow, Decision, Per, Rate, Shape, Threshold};
use domain::money::Cost;
use schemas::rows::month_number;

use super::follow::{DAYS_LOOKED_BACK, hours_before};
use super::spending::{DAY, Spending, Spent, Sum};
use crate::settle::UnpostedSum;

/// What waits, by account of each shape.
type Waiting = BTreeMap<Shape, HashMap<Account, Vec<UnpostedSum>>>;

/// What was known.
#[derive(Debug, Clone)]
pub struct View {
    budgets: Arc<Vec<Budget>>,
    spending: BTreeMap<Shape, Spending>,
    /// `None`: nobody estimates here what waits.
    waiting: Option<Waiting>,
    as_of: DateTime<Utc>,
}

/// Where an account of a budget stands in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The window.
    pub window: BudgetWindow,
    /// What the ledger says was spent. Corrections may make it less than it was, and less than nothing.
    pub spent: Cost,
    /// Calls of the window whose price is not known; what they will cost is not in `spent`.
    pub unpriced_calls: i64,
    /// What was received and waits to be settled; `None` where that is not known here.
    pub pending: Option<Pending>,
    /// The rate of spending over the short and the long time that the budget watches.
    pub rates: Option<[Rate; 2]>,
    /// When the budget is used up at these rates, if that is within the window.
    pub used_up_at: Option<DateTime<Utc>>,
}

/// What waits, as it would be posted if nothing else came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// Net calls.
    pub calls: i64,
    /// How much.
    pub amount: Cost,
}

/// Something to tell.
#[derive(Debug, Clone)]
pub struct News<'v> {
    /// The budget.
    pub budget: &'v Budget,
    /// The account.
    pub account: &'v Account,
    /// What was crossed.
    pub threshold: Threshold,
    /// Where the account stands.
    pub standing: Standing,
}

impl Standing {
    /// What to tell who is about to spend: what waits counts as if it were posted.
    pub fn decision(&self, budget: &Budget) -> Decision {
        budget.decide(self.spent + self.pending.unwrap_or_default().amount)
    }
}

impl View {
    pub(super) fn new(
        budgets: Arc<Vec<Budget>>,
        spending: BTreeMap<Shape, Spending>,
        unposted: Option<Arc<Vec<UnpostedSum>>>,
        as_of: DateTime<Utc>,
    ) -> Self {
        let by_account = |shape: Shape, sums: &[UnpostedSum]| {
            let mut waiting: HashMap<Account, Vec<UnpostedSum>> = HashMap::new();
            for sum in sums {
                waiting.entry(shape.of(&sum.account)).or_default().push(sum.clone());
            }
            waiting
        };
        let shapes = spending.keys();
        let waiting = unposted
            .map(|sums| shapes.map(|shape| (*shape, by_account(*shape, &sums))).collect::<BTreeMap<_, _>>());
        Self { budgets, spending, waiting, as_of }
    }

    /// When the ledger was asked.
    pub fn as_of(&self) -> DateTime<Utc> {
        self.as_of
    }

    /// Where an account of a budget stands in the window of a moment.
    pub fn standing(&self, budget: &Budget, account: &Account, now: DateTime<Utc>) -> Standing {
        let spent = self.spending.get(&budget.scope.shape()).and_then(|spending| spending.of(account));
        self.of(budget, account, spent, BudgetWindow::containing(budget.per, now), now)
    }

    /// Everything that is to be told of this view, told before or not; the windows of `now` and those that ended lately,
    /// since calls of their last minutes are settled after them.
    pub fn each_news(&self, now: DateTime<Utc>, mut each: impl FnMut(News<'_>)) {
        for budget in self.budgets.iter() {
            let Some(spending) = self.spending.get(&budget.scope.shape()) else { continue };
            let running = BudgetWindow::containing(budget.per, now);
            let mut windows = vec![running];
            if budget.per == Per::Day || now.day() <= DAYS_LOOKED_BACK {
                windows.push(running.previous());
            }
            for (account, spent) in on_budget(budget, spending) {
                for window in &windows {
                    let standing = self.of(budget, account, Some(spent), *window, now);
                    let mut tell =
                        |threshold| each(News { budget, account, threshold, standing: standing.clone() });
                    budget.reached(standing.spent).for_each(|percent| tell(Threshold::Percent(percent)));
                    if let Some(used_up_at) = standing.used_up_at.filter(|_| *window == running) {
                        tell(Threshold::Burn { day: now.date_naive(), used_up_at });
                    }
                }
            }
        }
    }

    /// Where every account that spent anything stands in the window of a moment, with its budget and that one's number.
    pub fn each_running(&self, now: DateTime<Utc>, mut each: impl FnMut(usize, &Budget, Standing)) {
        for (at, budget) in self.budgets.iter().enumerate() {
            let Some(spending) = self.spending.get(&budget.scope.shape()) else { continue };
            let window = BudgetWindow::containing(budget.per, now);
            for (account, spent) in on_budget(budget, spending) {
                each(at, budget, self.of(budget, account, Some(spent), window, now));
            }
        }
    }

    fn of(
        &self,
        budget: &Budget,
        account: &Account,
        spent: Option<&Spent>,
        window: BudgetWindow,
        now: DateTime<Utc>,
    ) -> Standing {
        let sum = spent.map_or(Sum::default(), |spent| match window {
            BudgetWindow::Month(month) => spent.billed_in(month_number(month)),
            BudgetWindow::Day(_) => spent.between(window.from().timestamp(), window.to().timestamp()),
        });
        let now_seconds = now.timestamp();
        let rates = budget.burn.map(|burn| {
            [burn.short_hours, burn.long_hours].map(|hours| {
                let from = hours_before(now_seconds, hours);
                let sum = spent.map_or(Sum::default(), |spent| spent.between(from, now_seconds));
                Rate { spent: sum.of(budget.of), seconds: now_seconds - from }
            })
        });
        let amount = sum.of(budget.of);
        let used_up_at = rates.and_then(|rates| budget.burning(window, amount, rates, now));
        let pending = self.waiting.as_ref().map(|waiting| pending(waiting, budget, account, window));
        Standing { window, spent: amount, unpriced_calls: sum.unpriced, pending, rates, used_up_at }
    }
}

/// The accounts of a budget that spent anything.
fn on_budget<'s>(
    budget: &'s Budget,
    spending: &'s Spending,
) -> impl Iterator<Item = (&'s Account, &'s Spent)> {
    spending.accounts().filter(|(account, _)| {
        let on = [&account.tenant, &account.feature, &account.user].map(|text| Some(text.as_str()));
        budget.scope.account(on[0], on[1], on[2]).as_ref() == Some(*account)
    })
}

fn pending(waiting: &Waiting, budget: &Budget, account: &Account, window: BudgetWindow) -> Pending {
    let sums = waiting.get(&budget.scope.shape()).and_then(|of_shape| of_shape.get(account));
    let mut pending = Pending::default();
    for sum in sums.into_iter().flatten() {
        let within = match window {
            BudgetWindow::Month(month) => sum.period == month,
            BudgetWindow::Day(_) => sum.hour.div_euclid(DAY) * DAY == window.from().timestamp(),
        };
        if within {
            pending.calls += sum.calls;
            pending.amount += Sum { cost: sum.cost, charge: sum.charge, unpriced: 0 }.of(budget.of);
        }
    }
    pending
}
