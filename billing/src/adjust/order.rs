//! What a person orders, as it travels and as it is kept on record, and what is wrong with it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::identity::{EntryId, IdHasher};
use domain::money::Cost;
use domain::overrides::DIMENSIONS;
use domain::time::BillingPeriod;
use schemas::{CallFilter, CallName};
use serde::{Deserialize, Serialize};

/// What is ordered, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its id; without one it follows from what is asked for and why.
    pub id: Option<String>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What.
    pub asked: Asked,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Asked {
    /// Money for a tenant.
    Credit {
        /// Whose.
        tenant: String,
        /// How much, above zero.
        amount: String,
        /// ISO 4217; that of the ledger.
        currency: String,
        /// `YYYY-MM`: the month it is posted in, or from which on it may be used.
        month: String,
        /// `YYYY-MM`: the first month that may not use it any more. Without it, it is posted at once and whole.
        expires: Option<String>,
    },
    /// Money from a tenant, posted at once and whole.
    Charge {
        /// Whose.
        tenant: String,
        /// How much, above zero.
        amount: String,
        /// ISO 4217; that of the ledger.
        currency: String,
        /// `YYYY-MM`: the month it is posted in.
        month: String,
    },
    /// Calls that are not to be billed.
    Reverse {
        /// Which.
        calls: Calls,
    },
    /// Calls that are for someone, or something, else.
    Reattribute {
        /// Which.
        calls: Calls,
        /// Dimension to its new value.
        to: BTreeMap<String, String>,
    },
    /// An override that shall no longer count.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// Which of the calls that stand: those that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// A trace id, a provider's response id, or an entry or call id of the ledger.
    pub name: Option<String>,
    /// `tenant`, `feature`, `provider`, `model` and the value it must have.
    pub equal: BTreeMap<String, String>,
    /// Made at or after this time, RFC 3339.
    pub from: Option<DateTime<Utc>>,
    /// Made before this time.
    pub to: Option<DateTime<Utc>>,
}

/// An order that cannot be carried out as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// Nobody, or nothing, is named.
    #[error("{what} is empty; say {hint}")]
    Empty {
        /// What.
        what: &'static str,
        /// What to say.
        hint: &'static str,
    },
    /// The amount of a credit or charge.
    #[error("{0:?} cannot be posted; the amount is above zero with at most 12 decimals, for instance 25.00")]
    Amount(String),
    /// Another currency than the ledger's.
    #[error("the ledger is in {ledger}, the amount in {stated}; give it in {ledger}")]
    Currency {
        /// That of the ledger.
        ledger: String,
        /// That of the amount.
        stated: String,
    },
    /// A month that is none, or one that is over before it begins.
    #[error("{0}")]
    Month(String),
    /// All calls there are.
    #[error(
        "no call is named; give a trace, response, entry or call id, or --tenant, --feature, --provider, --model, --from, --to"
    )]
    Everything,
    /// A dimension nobody knows.
    #[error(
        "{0:?} is nothing a call can be moved along; there are tenant, feature, user, session, agent, service, environment"
    )]
    Dimension(String),
}

/// A credit or a charge, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Money {
    /// Whether the tenant gets it or pays it.
    pub to: Side,
    pub tenant: String,
    /// Above zero.
    pub amount: Cost,
    pub month: BillingPeriod,
    pub expires: Option<BillingPeriod>,
}

/// Whom an amount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A credit: the tenant gets it.
    Tenant,
    /// A charge: the tenant pays it.
    Issuer,
}

impl Side {
    /// The side of an order's kind; other kinds are not of money.
    pub fn of_kind(kind: &str) -> Option<Self> {
        match kind {
            "credit" => Some(Self::Tenant),
            "charge" => Some(Self::Issuer),
            _ => None,
        }
    }
}

impl Order {
    /// What is asked for, as it is kept: the same words are the same order.
    pub fn asked(&self) -> String {
        serde_json::to_string(&self.asked).unwrap_or_default()
    }

    /// Its id.
    pub fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| {
            let mut hasher = IdHasher::new("override");
            let hash = hasher.part(self.asked().as_bytes()).part(self.reason.as_bytes()).finish();
            hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// What kind it is, as tables say it.
    pub fn kind(&self) -> &'static str {
        match self.asked {
            Asked::Credit { .. } => "credit",
            Asked::Charge { .. } => "charge",
            Asked::Reverse { .. } => "reverse",
            Asked::Reattribute { .. } => "reattribute",
            Asked::Revoke { .. } => "revoke",
        }
    }

    /// What is wrong with it, whatever the ledger holds.
    pub fn check(&self, currency: &str) -> Result<(), OrderFault> {
        let empty = |text: &str, what, hint| match text.trim() {
            "" => Err(OrderFault::Empty { what, hint }),
            _ => Ok(()),
        };
        empty(&self.by, "by", "who orders it with --by")?;
        empty(
            &self.reason,
            "reason",
            "why with --reason; it is kept, and that of a credit or charge is on the invoice",
        )?;
        empty(&self.id(), "id", "nothing, or an id of your own")?;
        match &self.asked {
            Asked::Credit { currency: stated, .. } | Asked::Charge { currency: stated, .. } => {
                self.asked.money()?;
                if stated != currency {
                    let (ledger, stated) = (currency.to_string(), stated.clone());
                    return Err(OrderFault::Currency { ledger, stated });
                }
                Ok(())
            }
            Asked::Reverse { calls } => calls.check(),
            Asked::Reattribute { calls, to } => {
                if to.is_empty() {
                    return Err(OrderFault::Empty {
                        what: "to",
                        hint: "where to with --to-tenant, --to-feature, …",
                    });
                }
                match to.keys().find(|name| !DIMENSIONS.contains(&name.as_str())) {
                    Some(unknown) => Err(OrderFault::Dimension(unknown.clone())),
                    None => calls.check(),
                }
            }
            Asked::Revoke { id } => empty(id, "id", "which override is to be revoked"),
        }
    }
}

impl Asked {
    /// The credit or charge that it asks for.
    pub(super) fn money(&self) -> Result<Option<Money>, OrderFault> {
        let (to, tenant, amount, month, expires) = match self {
            Self::Credit { tenant, amount, month, expires, .. } => {
                (Side::Tenant, tenant, amount, month, expires.as_deref())
            }
            Self::Charge { tenant, amount, month, .. } => (Side::Issuer, tenant, amount, month, None),
            Self::Reverse { .. } | Self::Reattribute { .. } | Self::Revoke { .. } => return Ok(None),
        };
        if tenant.is_empty() {
            return Err(OrderFault::Empty { what: "tenant", hint: "whose money it is with --tenant" });
        }
        let read = Cost::parse(amount).ok().filter(|amount| *amount > Cost::ZERO);
        let amount = read.ok_or_else(|| OrderFault::Amount(amount.clone()))?;
        let read =
            |text: &str| BillingPeriod::parse(text).map_err(|error| OrderFault::Month(error.to_string()));
        let (month, expires) = (read(month)?, expires.map(read).transpose()?);
        if expires.is_some_and(|expires| expires <= month) {
            let text = format!(
                "the credit may be used from {month} on and no longer from the same month or an earlier one; give a later --expires"
            );
            return Err(OrderFault::Month(text));
        }
        Ok(Some(Money { to, tenant: tenant.clone(), amount, month, expires }))
    }
}

impl Calls {
    fn check(&self) -> Result<(), OrderFault> {
        let known = ["tenant", "feature", "provider", "model"];
        match self.equal.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(OrderFault::Dimension(unknown.clone())),
            None if *self == Self::default() => Err(OrderFault::Everything),
            None => Ok(()),
        }
    }

    /// The same for the ledger's tables.
    pub(super) fn filter(&self) -> CallFilter {
        let column =
            |name: &str| ["tenant", "feature", "provider", "model"].into_iter().find(|known| *known == name);
        let name = self.name.as_deref().map(str::trim).map(|name| match EntryId::parse(name) {
            Ok(id) => CallName::Id(id.bytes()),
            Err(_) => CallName::Response(name.to_string()),
        });
        let nanos = |time: Option<DateTime<Utc>>| time.and_then(|time| time.timestamp_nanos_opt());
        let equal =
            self.equal.iter().filter_map(|(name, value)| Some((column(name)?, value.clone()))).collect();
        CallFilter { name, equal, from: nanos(self.from), to: nanos(self.to) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(amount: &str, month: &str, expires: Option<&str>) -> Order {
        let asked = Asked::Credit {
            tenant: "acme".into(),
            amount: amount.into(),
            currency: "USD".into(),
            month: month.into(),
            expires: expires.map(str::to_string),
        };
        Order { id: None, by: "ann".into(), reason: "outage".into(), asked }
    }

    fn charge(amount: &str, month: &str) -> Order {
        let asked = Asked::Charge {
            tenant: "acme".into(),
            amount: amount.into(),
            currency: "USD".into(),
            month: month.into(),
        };
        Order { asked, ..credit("1", "2026-10", None) }
    }

    #[test]
    fn an_order_that_makes_no_sense_says_why() {
        let reverse = |calls| Order { asked: Asked::Reverse { calls }, ..credit("1", "2026-10", None) };
        let to = |name: &str| {
            let calls = Calls { name: Some("resp_1".into()), ..Calls::default() };
            let to = BTreeMap::from([(name.to_string(), "globex".to_string())]);
            Order { asked: Asked::Reattribute { calls, to }, ..credit("1", "2026-10", None) }
        };
        for (order, fault) in [
            (credit("25.00", "2026-10", None), ""),
            (credit("25.00", "2026-10", Some("2026-11")), ""),
            (charge("25.00", "2026-10"), ""),
            (charge("-25.00", "2026-10"), "above zero"),
            (charge("25.00", "2026-13"), "2026-13"),
            (credit("0", "2026-10", None), "above zero"),
            (credit("-1", "2026-10", None), "above zero"),
            (credit("1e3", "2026-10", None), "above zero"),
            (credit("1", "2026-13", None), "2026-13"),
            (credit("1", "2026-10", Some("2026-10")), "later --expires"),
            (Order { by: " ".into(), ..credit("1", "2026-10", None) }, "--by"),
            (Order { reason: String::new(), ..credit("1", "2026-10", None) }, "--reason"),
            (Order { id: Some(String::new()), ..credit("1", "2026-10", None) }, "id"),
            (reverse(Calls::default()), "no call is named"),
            (to("tenant"), ""),
            (to("colour"), "colour"),
        ] {
            let said = order.check("USD").err().map(|fault| fault.to_string()).unwrap_or_default();
            assert!(said.contains(fault) && said.is_empty() == fault.is_empty(), "{order:?}: {said}");
        }
        assert!(credit("1", "2026-10", None).check("EUR").is_err());
        assert!(charge("1", "2026-10").check("EUR").is_err());
    }

    #[test]
    fn the_same_words_are_the_same_order() {
        let order = credit("1", "2026-10", None);
        assert_eq!(order.id(), Order { by: "bob".into(), ..order.clone() }.id());
        assert_ne!(order.id(), Order { reason: "another outage".into(), ..order.clone() }.id());
        assert_ne!(order.id(), credit("2", "2026-10", None).id());
        assert_ne!(order.id(), Order { reason: order.reason.clone(), ..charge("1", "2026-10") }.id());
    }
}
