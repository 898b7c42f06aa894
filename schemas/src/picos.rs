//! `Decimal(38, 12)` columns as [`domain::money::Cost`]: the same integer of 10⁻¹² on both sides, so nothing is lost.

use domain::money::Cost;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(cost: &Cost, serializer: S) -> Result<S::Ok, S::Error> {
    cost.picos().serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cost, D::Error> {
    i128::deserialize(deserializer).map(Cost::from_picos)
}
