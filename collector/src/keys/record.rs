//! What is kept of a key, and the rules a new one must obey.

use chrono::{DateTime, Utc};
use domain::identity::Realm;
use domain::observation::KeyStamp;
use serde::{Deserialize, Serialize};

use super::secret::SecretHash;

/// A key that someone asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it; unique among the keys in force.
    pub name: String,
    /// The account it belongs to; empty for the default realm.
    pub realm: String,
    /// The tenant it is bound to: every call sent with it is billed to that tenant, whatever the spans say.
    pub tenant: Option<String>,
    /// Whether it is an operator's (a gateway's): its reports may lend usage to a call, never a tenant.
    pub operator: bool,
}

/// A key as it is kept and listed. It holds a hash, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The first twelve hexadecimal digits of the hash: names the key in lists and commands, opens nothing.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The account it belongs to.
    pub realm: String,
    /// The tenant it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Whether it is an operator's.
    #[serde(default)]
    pub operator: bool,
    /// BLAKE3 of the key, hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked, if it was; a revoked key stays listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Why a key cannot be made as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NewKeyError {
    /// The name is empty, too long, or would not survive a line of output.
    #[error("{name:?} cannot name a key; use 1 to 100 characters without control characters")]
    BadName {
        /// What was asked for.
        name: String,
    },
    /// Another key in force has the name.
    #[error("a key named {name:?} is in force (id {id}); revoke it first or choose another name")]
    NameTaken {
        /// What was asked for.
        name: String,
        /// The key that has it.
        id: String,
    },
    /// A tenant was given and is empty.
    #[error("the tenant of key {name:?} is empty; leave it out to make an unbound key")]
    EmptyTenant {
        /// The key's name.
        name: String,
    },
    /// An operator's key was to be bound to a tenant.
    #[error(
        "key {name:?} is an operator's and cannot be bound to tenant {tenant:?}; \
         a gateway carries many tenants' calls, so make one or the other"
    )]
    OperatorWithTenant {
        /// The key's name.
        name: String,
        /// The tenant asked for.
        tenant: String,
    },
}

impl NewKey {
    /// Checks the rules against the keys there are.
    pub(super) fn check(&self, existing: &[KeyRecord]) -> Result<(), NewKeyError> {
        let name = self.name.clone();
        if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(NewKeyError::BadName { name });
        }
        match &self.tenant {
            Some(tenant) if tenant.trim().is_empty() => return Err(NewKeyError::EmptyTenant { name }),
            Some(tenant) if self.operator => {
                return Err(NewKeyError::OperatorWithTenant { name, tenant: tenant.clone() });
            }
            _ => {}
        }
        match existing.iter().find(|key| key.in_force() && key.name == name) {
            Some(taken) => Err(NewKeyError::NameTaken { name, id: taken.id.clone() }),
            None => Ok(()),
        }
    }

    /// The record of this key.
    pub(super) fn into_record(self, hash: SecretHash, created_at: DateTime<Utc>) -> KeyRecord {
        let hash = hash.to_string();
        KeyRecord {
            id: hash[..12].to_owned(),
            name: self.name,
            realm: Realm::new(self.realm).as_str().to_owned(),
            tenant: self.tenant,
            operator: self.operator,
            hash,
            created_at,
            revoked_at: None,
        }
    }
}

impl KeyRecord {
    /// Whether requests may use it.
    pub fn in_force(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// What a request with this key is stamped with.
    ///
    /// A file edited by hand may bind an operator's key to a tenant; the binding is ignored, since a gateway that
    /// stamped its own tenant would take over every call that passes through it.
    pub fn stamp(&self) -> KeyStamp {
        KeyStamp {
            realm: Realm::new(self.realm.clone()),
            tenant: if self.operator { None } else { self.tenant.clone() },
            operator: self.operator,
        }
    }
}
