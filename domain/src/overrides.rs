//! What people decided about calls, above what the evidence says: taken back, moved to another payer, and back again.
//!
//! An override is of a report (a span), and so of whatever call that span turns out to be one report of. All overrides
//! of a call's reports, in the order they were made, come to one [`Effect`], which is an input of what should stand for
//! the call: settling again, late evidence and new prices change nothing about it.
//!
//! Leaves to others: where overrides are kept, and who may make one.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Facts;

/// What `tenant_source` says of a tenant that a person chose.
pub const TENANT_SOURCE: &str = "override";

/// The dimensions that a call can be moved along.
pub const DIMENSIONS: [&str; 7] = ["tenant", "feature", "user", "session", "agent", "service", "environment"];

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// The call is not billed.
    Reverse,
    /// It is for someone, or something, else: dimension to value, of [`DIMENSIONS`].
    Reattribute(BTreeMap<String, String>),
    /// The override of this id no longer counts.
    Revoke(String),
}

impl Act {
    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reverse => "reverse",
            Self::Reattribute(_) => "reattribute",
            Self::Revoke(_) => "revoke",
        }
    }
}

/// One decision about one report.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Override {
    /// When it was made, microseconds since the epoch: a later one goes before an earlier one.
    pub decided_at: i64,
    /// Its id; one id may be of many calls.
    pub id: String,
    /// What was decided.
    pub act: Act,
}

/// What the overrides of a call come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// The override that takes the call back, if one does.
    pub reversed_by: Option<String>,
    /// Dimension to its value and the override that says so.
    pub moved: BTreeMap<String, (String, String)>,
}

impl Effect {
    /// Of overrides in any order, however often each is given.
    pub fn of<'o>(overrides: impl IntoIterator<Item = &'o Override>) -> Self {
        let overrides: BTreeSet<&Override> = overrides.into_iter().collect();
        let revoked: BTreeSet<&str> = overrides
            .iter()
            .filter_map(|one| match &one.act {
                Act::Revoke(id) => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let mut effect = Self::default();
        for one in overrides.into_iter().filter(|one| !revoked.contains(one.id.as_str())) {
            match &one.act {
                Act::Reverse => effect.reversed_by = Some(one.id.clone()),
                Act::Reattribute(to) => {
                    let moved =
                        to.iter().map(|(name, value)| (name.clone(), (value.clone(), one.id.clone())));
                    effect.moved.extend(moved);
                }
                Act::Revoke(_) => {}
            }
        }
        effect
    }

    /// Whether there is nothing to it.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Moves the facts of a call. What was chosen by the tenant (its plan) is for the caller to choose anew.
    pub fn apply(&self, facts: &mut Facts) {
        for (name, (value, _)) in &self.moved {
            let fact = match name.as_str() {
                "tenant" => {
                    facts.tenant_source = TENANT_SOURCE.into();
                    &mut facts.tenant
                }
                "feature" => &mut facts.feature,
                "user" => &mut facts.user_id,
                "session" => &mut facts.session_id,
                "agent" => &mut facts.agent,
                "service" => &mut facts.service,
                "environment" => &mut facts.environment,
                // Of a newer version of this program; what stands for the call then is that version's.
                _ => continue,
            };
            fact.clone_from(value);
        }
    }

    /// Why the call is as it is, for people; empty where nobody decided anything.
    pub fn reason(&self) -> String {
        if let Some(id) = &self.reversed_by {
            return format!("taken back by override {id}");
        }
        let said =
            |(name, (value, id)): (&String, &(String, String))| format!("{name} {value:?} by override {id}");
        self.moved.iter().map(said).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `time id act`: `r` reverses, `-id` revokes, anything else is the tenant.
    fn overrides(text: &str) -> Vec<Override> {
        let read = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let act = match words[2] {
                "r" => Act::Reverse,
                revoked if revoked.starts_with('-') => Act::Revoke(revoked[1..].to_string()),
                tenant => Act::Reattribute(BTreeMap::from([("tenant".to_string(), tenant.to_string())])),
            };
            Override { decided_at: words[0].parse().unwrap(), id: words[1].to_string(), act }
        };
        text.split(',').map(str::trim).filter(|line| !line.is_empty()).map(read).collect()
    }

    #[test]
    fn the_last_override_that_was_not_revoked_counts_in_any_order() {
        for (given, reversed, tenant) in [
            ("", None, None),
            ("1 a globex", None, Some("globex")),
            ("1 a globex, 2 b initech", None, Some("initech")),
            ("1 a globex, 2 b initech, 3 c -b", None, Some("globex")),
            ("1 a r, 2 b globex", Some("a"), Some("globex")),
            ("1 a r, 2 b -a", None, None),
            ("1 a globex, 1 b initech", None, Some("initech")),
        ] {
            let mut list = overrides(given);
            for _ in 0..2 {
                let effect = Effect::of(list.iter().chain(&list));
                assert_eq!(effect.reversed_by.as_deref(), reversed, "{given}");
                assert_eq!(effect.moved.get("tenant").map(|(value, _)| value.as_str()), tenant, "{given}");
                list.reverse();
            }
        }
    }
}
