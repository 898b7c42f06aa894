//! Numbers that look random and are a pure function of what they are asked with, so that a run can be repeated exactly.

/// Maps one number to another, one to one, with no visible relation between neighbours: the finaliser of SplitMix64
/// (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// One number after another from a seed.
#[derive(Debug)]
pub struct Draw {
    next: u64,
}

impl Draw {
    /// A sequence of its own for every pair of seed and name.
    pub fn new(seed: u64, name: u64) -> Self {
        Self { next: scatter(scatter(seed) ^ name) }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        scatter(self.next)
    }

    /// A number below a bound that is not zero. The bias of a remainder does not matter to a load.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.any() % bound
    }

    /// One of some.
    pub fn one_of<T: Copy>(&mut self, some: &[T]) -> T {
        let index = usize::try_from(self.below(some.len() as u64)).expect("an index of a slice");
        some[index]
    }
}
