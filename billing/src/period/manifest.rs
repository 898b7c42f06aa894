//! What a month was closed with: its sums, a hash over all its entries, and what they were made by.

use domain::ledger::{ChainId, Entry, Head, MerkleTree};
use domain::money::Cost;
use domain::time::BillingPeriod;
use schemas::rows::{PeriodRow, month_number};

/// Sums and root over entries, in the order of the ledger's key.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// Net calls.
    pub calls: i64,
    /// What the providers charge.
    pub cost: Cost,
    /// What the tenants are charged.
    pub charge: Cost,
    tree: MerkleTree,
}

impl Manifest {
    /// Takes the next entry.
    pub fn add(&mut self, entry: &Entry) {
        self.calls += entry.quantities.calls;
        self.cost += entry.quantities.cost;
        self.charge += entry.quantities.charge;
        self.tree.push(&entry.content_hash());
    }

    /// How many entries.
    pub fn entries(&self) -> u64 {
        self.tree.leaves()
    }

    /// The root of the tree over them.
    pub fn root(&self) -> [u8; 32] {
        self.tree.root()
    }

    /// The row that closes a month with this.
    pub(super) fn row(&self, period: BillingPeriod, closed_at: i64, made_by: MadeBy) -> PeriodRow {
        PeriodRow {
            period: month_number(period),
            closed_at,
            entries: self.entries(),
            cost: self.cost,
            charge: self.charge,
            calls: self.calls,
            merkle_root: self.root(),
            price_book: made_by.price_book,
            plans: made_by.plans,
            config: made_by.config,
            program: env!("CARGO_PKG_VERSION").to_string(),
            settler: made_by.settler,
            rates: made_by.rates,
            chain_heads: made_by.chain_heads,
        }
    }

    /// What differs from what a month was closed with; `None` where nothing does.
    pub fn differs(&self, closed: &PeriodRow) -> Option<String> {
        let (entries, charge) = (self.entries(), self.charge);
        if (entries, self.cost, charge) != (closed.entries, closed.cost, closed.charge) {
            return Some(format!(
                "it was closed with {} entries of {}, it has {entries} of {charge}",
                closed.entries, closed.charge
            ));
        }
        // A month that an earlier version closed has no root.
        let rooted = closed.merkle_root != [0; 32];
        (rooted && self.root() != closed.merkle_root).then(|| {
            "its entries are not those it was closed with: the root over them is another".to_string()
        })
    }
}

/// What the entries of a month were made by.
#[derive(Debug)]
pub(super) struct MadeBy {
    pub price_book: String,
    pub plans: String,
    pub rates: String,
    pub config: String,
    pub settler: [u8; 16],
    pub chain_heads: Vec<(ChainId, u64, Head)>,
}
