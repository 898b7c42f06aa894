//! A Merkle tree over the entries of a closed month: one hash that no entry can be added to, taken from or changed under.
//!
//! The shape is that of RFC 6962 (Certificate Transparency): a left subtree is the largest power of two smaller than the
//! whole, leaves and nodes are hashed apart. So an auditor can be shown that one entry was in the month by some thirty
//! hashes. The hash is BLAKE3. Memory is one hash a level.

use crate::identity::IdHasher;

/// A tree that leaves are added to, in their order.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    /// The roots of full subtrees, each with its height, the largest first.
    peaks: Vec<(u32, [u8; 32])>,
    leaves: u64,
}

impl MerkleTree {
    /// Adds the next leaf.
    pub fn push(&mut self, content: &[u8; 32]) {
        let mut node = IdHasher::new("merkle leaf").part(content).finish_whole();
        let mut height = 0;
        while let Some((_, left)) = self.peaks.pop_if(|(known, _)| *known == height) {
            node = join(&left, &node);
            height += 1;
        }
        self.peaks.push((height, node));
        self.leaves += 1;
    }

    /// How many leaves it has.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root; of no leaves, the hash of nothing.
    pub fn root(&self) -> [u8; 32] {
        let mut peaks = self.peaks.iter().rev().map(|(_, node)| *node);
        let Some(last) = peaks.next() else { return IdHasher::new("merkle empty").finish_whole() };
        peaks.fold(last, |right, left| join(&left, &right))
    }
}

fn join(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    IdHasher::new("merkle node").part(left).part(right).finish_whole()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf(n: u8) -> [u8; 32] {
        [n; 32]
    }

    fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
        let mut tree = MerkleTree::default();
        leaves.iter().for_each(|leaf| tree.push(leaf));
        tree.root()
    }

    /// The definition of RFC 6962, written down as it stands there.
    fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => IdHasher::new("merkle empty").finish_whole(),
            [one] => IdHasher::new("merkle leaf").part(one).finish_whole(),
            several => {
                let (left, right) = several.split_at(several.len().next_power_of_two() / 2);
                join(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn the_tree_is_that_of_its_definition() {
        for count in 0..=70 {
            let leaves: Vec<[u8; 32]> = (0..count).map(leaf).collect();
            assert_eq!(root(&leaves), by_definition(&leaves), "{count}");
        }
    }

    proptest! {
        #[test]
        fn any_change_of_a_leaf_changes_the_root(leaves in prop::collection::vec(any::<u8>(), 1..40), at in any::<prop::sample::Index>()) {
            let leaves: Vec<[u8; 32]> = leaves.into_iter().map(leaf).collect();
            let at = at.index(leaves.len());
            let (mut changed, mut without) = (leaves.clone(), leaves.clone());
            changed[at][31] ^= 1;
            without.remove(at);
            prop_assert_ne!(root(&changed), root(&leaves));
            prop_assert_ne!(root(&without), root(&leaves));
        }
    }
}
