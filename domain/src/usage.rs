//! What a call used, one meaning per token class.
//!
//! A class that nobody stated is `None`, never zero: null is not zero. `input` is the whole prompt, so cached reads,
//! cache writes and audio are parts of it; `output` includes reasoning. [`Usage::check`] holds a usage to that.

use std::collections::BTreeMap;

/// A class of tokens, by the name it has in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenClass {
    /// The whole prompt.
    Input,
    /// The part of the prompt that was read from the provider's cache.
    CacheRead,
    /// The part of the prompt that was written to the provider's cache, of any lifetime.
    CacheWrite,
    /// The part of `CacheWrite` known to have the one-hour lifetime.
    CacheWrite1h,
    /// Everything generated.
    Output,
    /// The part of the output that was reasoning.
    Reasoning,
    /// The part of the prompt that was audio.
    AudioInput,
    /// The part of the output that was audio.
    AudioOutput,
}

impl TokenClass {
    /// All classes, wholes before their parts.
    pub const ALL: [Self; 8] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
    ];

    /// The class's name in tables and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input_tokens",
            Self::CacheRead => "cache_read_tokens",
            Self::CacheWrite => "cache_write_tokens",
            Self::CacheWrite1h => "cache_write_1h_tokens",
            Self::Output => "output_tokens",
            Self::Reasoning => "reasoning_tokens",
            Self::AudioInput => "audio_input_tokens",
            Self::AudioOutput => "audio_output_tokens",
        }
    }
}

/// Token counts and other units that a span states for a call, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Usage {
    tokens: [Option<u64>; TokenClass::ALL.len()],
    /// Units that are not tokens, by name (`web_searches`, `images`, `characters`, `seconds`, …).
    pub units: BTreeMap<String, u64>,
}

/// The largest count of one class that is believed: 10^12 tokens is some thousand times the largest context there is,
/// and small enough that a month of such calls still adds up in 64 bits.
pub const TOKENS_MAX: u64 = 1_000_000_000_000;

/// Why a usage cannot be billed as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UsageFault {
    /// A part is larger than its whole.
    #[error("{part} {part_count} exceed {whole} {whole_count}")]
    PartExceedsWhole {
        /// The class or sum of classes that is too large.
        part: &'static str,
        /// Its count.
        part_count: u64,
        /// The class it should be part of.
        whole: &'static str,
        /// That class's count.
        whole_count: u64,
    },
    /// A count beyond [`TOKENS_MAX`].
    #[error("{class} {count} is more than any model takes")]
    Absurd {
        /// The class.
        class: &'static str,
        /// Its count.
        count: u64,
    },
    /// A count below zero.
    #[error("{class} is negative")]
    Negative {
        /// The class.
        class: &'static str,
    },
    /// Something that is no whole number where a count should stand.
    #[error("{class} is not a whole number")]
    NotACount {
        /// The class.
        class: &'static str,
    },
}

impl UsageFault {
    /// A stable short code, for outcomes and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PartExceedsWhole { .. } => "usage_part_exceeds_whole",
            Self::Absurd { .. } => "usage_absurd",
            Self::Negative { .. } => "usage_negative",
            Self::NotACount { .. } => "usage_not_a_count",
        }
    }
}

impl Usage {
    /// What is stated of a class.
    pub fn get(&self, class: TokenClass) -> Option<u64> {
        self.tokens[class as usize]
    }

    /// States a class.
    pub fn set(&mut self, class: TokenClass, count: Option<u64>) {
        self.tokens[class as usize] = count;
    }

    /// The same usage with one class stated.
    pub fn with(mut self, class: TokenClass, count: u64) -> Self {
        self.set(class, Some(count));
        self
    }

    /// What is stated of a class, zero where nothing is. For sums and prices, which treat both alike.
    pub fn count(&self, class: TokenClass) -> u64 {
        self.get(class).unwrap_or(0)
    }

    /// Whether nothing at all is stated.
    pub fn is_empty(&self) -> bool {
        self.tokens.iter().all(Option::is_none) && self.units.is_empty()
    }

    /// How many classes and units are stated.
    pub fn detail(&self) -> usize {
        self.tokens.iter().flatten().count() + self.units.len()
    }

    /// Takes from `other` what is not stated here.
    pub fn fill_from(&mut self, other: &Usage) {
        for (mine, theirs) in self.tokens.iter_mut().zip(&other.tokens) {
            *mine = mine.or(*theirs);
        }
        for (unit, quantity) in &other.units {
            self.units.entry(unit.clone()).or_insert(*quantity);
        }
    }

    /// Holds the usage to its laws: parts do not exceed wholes, counts are believable.
    pub fn check(&self) -> Result<(), UsageFault> {
        for class in TokenClass::ALL {
            if let Some(count) = self.get(class).filter(|count| *count > TOKENS_MAX) {
                return Err(UsageFault::Absurd { class: class.name(), count });
            }
        }
        let cached = self.count(TokenClass::CacheRead) + self.count(TokenClass::CacheWrite);
        let pairs = [
            ("cache_read_tokens and cache_write_tokens", Some(cached), TokenClass::Input),
            ("audio_input_tokens", self.get(TokenClass::AudioInput), TokenClass::Input),
            ("cache_write_1h_tokens", self.get(TokenClass::CacheWrite1h), TokenClass::CacheWrite),
            ("reasoning_tokens", self.get(TokenClass::Reasoning), TokenClass::Output),
            ("audio_output_tokens", self.get(TokenClass::AudioOutput), TokenClass::Output),
        ];
        for (part, part_count, whole) in pairs {
            if let (Some(part_count), Some(whole_count)) = (part_count, self.get(whole))
                && part_count > whole_count
            {
                return Err(UsageFault::PartExceedsWhole {
                    part,
                    part_count,
                    whole: whole.name(),
                    whole_count,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenClass::*;

    #[test]
    fn parts_may_not_exceed_their_wholes() {
        let ok = Usage::default().with(Input, 100).with(CacheRead, 60).with(CacheWrite, 40).with(Output, 5);
        assert_eq!(ok.check(), Ok(()));
        for bad in [
            ok.clone().with(CacheWrite, 41),
            ok.clone().with(CacheWrite1h, 41),
            ok.clone().with(Reasoning, 6),
        ] {
            assert_eq!(bad.check().unwrap_err().code(), "usage_part_exceeds_whole", "{bad:?}");
        }
        assert_eq!(ok.with(Output, u64::MAX).check().unwrap_err().code(), "usage_absurd");
    }

    #[test]
    fn a_part_without_its_whole_is_not_judged() {
        assert_eq!(Usage::default().with(Reasoning, 6).check(), Ok(()));
    }

    #[test]
    fn filling_keeps_what_is_stated() {
        let mut usage = Usage::default().with(Input, 1);
        usage.fill_from(&Usage::default().with(Input, 2).with(Output, 3));
        assert_eq!((usage.get(Input), usage.get(Output), usage.get(Reasoning)), (Some(1), Some(3), None));
    }
}
