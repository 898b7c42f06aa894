//! The plan file in force, and the plans of every file that ever was: what entries were charged by is never gone.

use std::collections::HashMap;

use domain::identity::IdHasher;
use domain::ledger::Facts;
use domain::plan::Plan;
use domain::time::BillingPeriod;
use schemas::rows::PlanSourceRow;
use schemas::{Database, DatabaseError};

use super::file::{PlanFile, read};
use crate::prices::{PriceFileError, importable};

/// Plans in force, and all others by id.
#[derive(Debug, Clone, Default)]
pub struct PlanShelf {
    /// What the newest file says; nothing where there is none.
    pub in_force: PlanFile,
    /// The newest file's hash; empty where there is none.
    pub version: String,
    /// The id of what is not invoiced is charged by.
    pub not_invoiced: String,
    by_id: HashMap<String, Plan>,
}

/// A plan file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSource {
    /// The file's name.
    pub name: String,
    /// The file.
    pub content: Vec<u8>,
}

/// Why there are no plans, or a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum PlanShelfError {
    /// The database failed.
    #[error("the plan files cannot be read or written")]
    Database(#[from] DatabaseError),
    /// A file has faults.
    #[error("plan file {name:?} cannot be used; nothing was imported")]
    File {
        /// The file.
        name: String,
        /// What is wrong with it.
        #[source]
        source: PriceFileError,
    },
}

impl PlanSource {
    /// Its name for ever: a hash of what it says.
    pub fn id(&self) -> String {
        let hash = IdHasher::new("plan source").part(&self.content).finish();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it may be imported into a ledger of this currency.
    pub fn check(&self, currency: &str) -> Result<(), PlanShelfError> {
        let refused = |source| PlanShelfError::File { name: self.name.clone(), source };
        importable(&self.content).map_err(refused)?;
        self.read(Some(currency)).map(drop)
    }

    /// What it says.
    pub fn read(&self, currency: Option<&str>) -> Result<PlanFile, PlanShelfError> {
        read(&self.content, currency)
            .map_err(|source| PlanShelfError::File { name: self.name.clone(), source })
    }
}

impl PlanShelf {
    /// What the database keeps, the newest file in force.
    pub async fn of(database: &Database) -> Result<Self, PlanShelfError> {
        Self::at(database, None).await
    }

    /// The same with the file of this version in force, as it was when a month was closed; none for no version.
    pub async fn at(database: &Database, version: Option<&str>) -> Result<Self, PlanShelfError> {
        let mut shelf = Self::default();
        let not_invoiced = Plan::not_invoiced();
        shelf.not_invoiced = not_invoiced.id();
        shelf.by_id.insert(not_invoiced.id(), not_invoiced);
        for row in database.plan_sources().await? {
            let source = PlanSource { name: row.name, content: row.content };
            // What it is checked for beyond its syntax was checked when it was imported.
            let file = source.read(None)?;
            for plan in file.plans.values().filter(|plan| !plan.is_pass_through()) {
                shelf.by_id.insert(plan.id(), plan.clone());
            }
            let id = source.id();
            if version.is_none_or(|version| version == id) {
                (shelf.in_force, shelf.version) = (file, id);
            }
        }
        Ok(shelf)
    }

    /// With this file in force, and no other ever.
    #[cfg(test)]
    pub(crate) fn with(in_force: PlanFile) -> Self {
        Self { in_force, ..Self::default() }
    }

    /// The plan of a tenant in a month.
    pub fn plan_of(&self, tenant: &str, month: BillingPeriod) -> Option<&Plan> {
        let name = self.in_force.assignments.plan_of(tenant, month)?;
        self.in_force.plans.get(name)
    }

    /// The plan that a call of these facts is charged by. `standing` is what it is charged by already: while the payer and
    /// the environment are the same, that plan stays, as the price does.
    pub fn plan_for(&self, facts: &Facts, standing: Option<&Facts>) -> Option<&Plan> {
        let same =
            |standing: &&Facts| standing.tenant == facts.tenant && standing.environment == facts.environment;
        match standing.filter(same) {
            Some(standing) if standing.plan_id.is_empty() => None,
            Some(standing) if self.by_id.contains_key(&standing.plan_id) => self.by_id.get(&standing.plan_id),
            _ if self.in_force.exemptions.iter().any(|exemption| exemption.holds_for(facts)) => {
                self.by_id.get(&self.not_invoiced)
            }
            _ => self.plan_of(&facts.tenant, BillingPeriod::containing(facts.occurred_at)),
        }
    }

    /// The plan of an id that entries name.
    pub fn plan(&self, id: &str) -> Option<&Plan> {
        self.by_id.get(id)
    }
}

/// Imports a plan file; says whether it was not in force already. `now` is in microseconds since the epoch.
pub async fn import(
    database: &Database,
    source: &PlanSource,
    currency: &str,
    now: i64,
) -> Result<bool, PlanShelfError> {
    source.check(currency)?;
    let shelf = PlanShelf::of(database).await?;
    let source_id = source.id();
    if shelf.version == source_id {
        return Ok(false);
    }
    let row = PlanSourceRow {
        // Later than every file so far, whatever this machine's clock says: the newest is in force.
        known_from: now.max(database.plan_sources_changed().await? + 1),
        source_id: source_id.clone(),
        name: source.name.clone(),
        content: source.content.clone(),
        program: env!("CARGO_PKG_VERSION").to_string(),
    };
    database.insert_plan_source(&row).await?;
    Ok(true)
}
