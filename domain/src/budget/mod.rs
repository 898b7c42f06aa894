//! Budgets: how much may be spent, by whom, in which stretch of time, and what is to be said when it is.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | what a budget is, and whose spending counts toward it |
//! | `window.rs` | the day or month that it holds for |
//! | `judge.rs` | thresholds, the rate of spending, and a hint for who is about to spend |
//! | `threshold.rs` | what there is to say, named so that it is said once |
//!
//! A budget limits nothing by itself: the ledger takes every call that was made. It answers who asks before a call, and
//! tells of what was spent. Everything here is pure; money is compared as integers, never as a ratio.

mod window;
mod judge;
mod threshold;

pub use judge::{Burn, Decision, Rate};
pub use threshold::Threshold;
pub use window::{BudgetWindow, Per};

use crate::money::Cost;

/// How much may be spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What people and addresses call it: unique among budgets.
    pub name: String,
    /// Whose spending counts.
    pub scope: Scope,
    /// How often it begins anew.
    pub per: Per,
    /// What is summed.
    pub of: Measure,
    /// How much: more than nothing.
    pub limit: Cost,
    /// Percents of the limit that are worth telling when reached, ascending.
    pub thresholds: Vec<u16>,
    /// Over which times the rate of spending is watched; `None`: it is not.
    pub burn: Option<Burn>,
}

/// What a budget sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// What tenants are charged.
    Charge,
    /// What providers charge.
    Cost,
}

impl Measure {
    /// Its name in configurations and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Cost => "cost",
        }
    }
}

/// Whose spending counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The payer.
    pub tenant: Whose,
    /// The product feature.
    pub feature: Whose,
    /// The end user.
    pub user: Whose,
}

/// What a budget asks of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Whose {
    /// Nothing: all values together.
    #[default]
    Anyone,
    /// Each value has the budget for itself.
    Each,
    /// Only this value counts. Empty: what has none.
    One(String),
}

/// Whom an entry is for, as far as budgets ask; also one account of a budget, empty where the budget does not ask.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Account {
    /// The payer.
    pub tenant: String,
    /// The product feature.
    pub feature: String,
    /// The end user.
    pub user: String,
}

/// Which dimensions are told apart: tenant, feature, user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(pub [bool; 3]);

impl Whose {
    fn account(&self, value: Option<&str>) -> Option<String> {
        match (self, value) {
            (Self::Anyone, _) => Some(String::new()),
            (Self::Each, value) => value.map(str::to_string),
            (Self::One(own), None) => Some(own.clone()),
            (Self::One(own), Some(value)) => (own == value).then(|| own.clone()),
        }
    }

    fn asks(&self) -> bool {
        *self != Self::Anyone
    }
}

impl Scope {
    /// The account that spending of these is on; `None` where it does not count. What is not said is taken from the
    /// scope where that names one.
    pub fn account(
        &self,
        tenant: Option<&str>,
        feature: Option<&str>,
        user: Option<&str>,
    ) -> Option<Account> {
        Some(Account {
            tenant: self.tenant.account(tenant)?,
            feature: self.feature.account(feature)?,
            user: self.user.account(user)?,
        })
    }

    /// Which dimensions it asks for.
    pub fn shape(&self) -> Shape {
        Shape([self.tenant.asks(), self.feature.asks(), self.user.asks()])
    }

    /// Whether there is one account and no more.
    pub fn is_one(&self) -> bool {
        [&self.tenant, &self.feature, &self.user].into_iter().all(|whose| *whose != Whose::Each)
    }
}

impl Shape {
    /// What of an account it tells apart.
    pub fn of(self, account: &Account) -> Account {
        let [tenant, feature, user] = self.0;
        let keep = |kept: bool, text: &String| if kept { text.clone() } else { String::new() };
        Account {
            tenant: keep(tenant, &account.tenant),
            feature: keep(feature, &account.feature),
            user: keep(user, &account.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spending_is_on_the_account_that_the_scope_names() {
        let one = |text: &str| Whose::One(text.into());
        let scope = |tenant, feature, user| Scope { tenant, feature, user };
        let account = |scope: &Scope, tenant, user| {
            scope.account(tenant, Some("search"), user).map(|account| [account.tenant, account.user])
        };
        let acme = scope(one("acme"), Whose::Anyone, Whose::Anyone);
        assert_eq!(account(&acme, Some("acme"), Some("u")), Some(["acme".into(), String::new()]));
        assert_eq!(account(&acme, Some("globex"), None), None);
        assert_eq!(account(&acme, None, None), Some(["acme".into(), String::new()]), "the only one there is");
        let each = scope(Whose::Each, Whose::Anyone, Whose::Each);
        assert_eq!(account(&each, Some("acme"), Some("u")), Some(["acme".into(), "u".into()]));
        assert_eq!(account(&each, Some("acme"), None), None, "which one was not said");
        let nobody = scope(one(""), Whose::Anyone, Whose::Anyone);
        assert_eq!(account(&nobody, Some(""), None), Some([String::new(), String::new()]));
        assert_eq!(account(&nobody, Some("acme"), None), None);
        assert!(acme.is_one() && !each.is_one());
    }
}
