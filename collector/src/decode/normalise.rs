//! From the counts a span states to usage with one meaning: input includes cached tokens, output includes reasoning.
//!
//! Whether a stated input includes cached tokens follows, in this order, from a raw usage object of the same call, from the
//! numbers where they prove it (input smaller than its cached parts; the stated total; the uncached part), and else from
//! what is known of the producer. A part beside an input that excludes it is added, so that nothing is billed twice or not at all.

use domain::{TokenClass, Usage, UsageFault};

use super::convention::{Count, Meaning};
use super::counts::{Counts, Form, Stated};
use super::producer::input_excludes_cached;

/// Usage of one meaning, and why it cannot be billed, if so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Normalised {
    pub(super) usage: Usage,
    pub(super) fault: Option<UsageFault>,
}

/// Settles what a span's counts mean. `raw` is the provider's usage object as recorded with the call, `provider` its well-known name.
pub(super) fn normalise(
    counts: &Counts,
    meaning: Meaning,
    raw: Option<&Counts>,
    provider: Option<&str>,
) -> Normalised {
    let meaning = if counts.form == Form::Inclusive { Meaning::Inclusive } else { meaning };
    let mut settled = settle(counts, meaning, provider);
    if let Some(raw) = raw {
        let raw_says = settle(raw, meaning_of_raw(raw), provider);
        if describes_same_call(counts, raw, &raw_says) {
            settled.input = input_in_the_light_of(raw, &raw_says, counts, &settled, provider);
            settled.fill_from(&raw_says);
        }
    }
    let mut usage = settled.usage();
    if let Some(searches) = counts.web_searches.or(raw.and_then(|raw| raw.web_searches)) {
        usage.units.insert("web_searches".into(), searches);
    }
    let fault = unreadable(counts).or_else(|| usage.check().err());
    Normalised { usage, fault }
}

/// What the input of a provider's own usage object means.
pub(super) fn meaning_of_raw(raw: &Counts) -> Meaning {
    match raw.form {
        Form::Inclusive => Meaning::Inclusive,
        Form::Exclusive => Meaning::Exclusive,
        Form::Unknown => Meaning::OfProvider,
    }
}

/// The whole input, given what the provider's own object says of the same call.
fn input_in_the_light_of(
    raw: &Counts,
    raw_says: &Settled,
    counts: &Counts,
    settled: &Settled,
    provider: Option<&str>,
) -> Option<u64> {
    match raw_says.input {
        // The span copied this object's input or its sum: either way the object's own sum is the whole.
        Some(whole) if raw.form != Form::Unknown || settled.input.is_none() => Some(whole),
        Some(_) => settled.input,
        // Details of the cache alone. Where the span states its own, they are counted already.
        None if counts.stated(Count::CacheRead).or(counts.stated(Count::CacheWrite)).is_some() => {
            settled.input
        }
        None => {
            let beside = excludes(counts, raw_says.cached(), meaning_of_raw(raw), provider);
            settled.input.map(|input| if beside { input.saturating_add(raw_says.cached()) } else { input })
        }
    }
}

/// Counts with one meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Settled {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
}

fn settle(counts: &Counts, meaning: Meaning, provider: Option<&str>) -> Settled {
    let cache_read = counts.number(Count::CacheRead);
    let by_lifetime = match (counts.number(Count::CacheWrite5m), counts.number(Count::CacheWrite1h)) {
        (Some(short), Some(long)) => Some(short.saturating_add(long)),
        _ => None,
    };
    // LangChain states zero beside the lifetimes, lest they be added up.
    let cache_write = counts.number(Count::CacheWrite).max(by_lifetime);
    let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    let input = match counts.number(Count::Input) {
        Some(input) if excludes(counts, cached, meaning, provider) => Some(input.saturating_add(cached)),
        Some(input) => Some(input),
        None => counts.number(Count::InputUncached).map(|fresh| fresh.saturating_add(cached)),
    };
    let reasoning = counts.number(Count::Reasoning);
    let output = counts.number(Count::Output).map(|output| match reasoning {
        Some(reasoning) if reasoning_is_beside(counts, output, reasoning, provider) => {
            output.saturating_add(reasoning)
        }
        _ => output,
    });
    Settled {
        input: input.map(|input| input.saturating_add(counts.number(Count::ToolInput).unwrap_or(0))),
        output,
        cache_read,
        cache_write,
        cache_write_1h: counts.number(Count::CacheWrite1h),
        reasoning,
        audio_input: counts.number(Count::AudioInput),
        audio_output: counts.number(Count::AudioOutput),
    }
}

/// Whether the stated input excludes `cached` tokens.
fn excludes(counts: &Counts, cached: u64, meaning: Meaning, provider: Option<&str>) -> bool {
    let Some(input) = counts.number(Count::Input) else { return false };
    if cached == 0 {
        return false;
    }
    if input < cached {
        return true;
    }
    if let Some(fresh) = counts.number(Count::InputUncached) {
        return input == fresh;
    }
    if let (Some(total), Some(output)) = (counts.number(Count::Total), counts.number(Count::Output))
        && total == input.saturating_add(output).saturating_add(cached)
    {
        return true;
    }
    match meaning {
        Meaning::Inclusive => false,
        Meaning::Exclusive => true,
        Meaning::OfProvider => input_excludes_cached(provider),
    }
}

/// Whether the stated output excludes reasoning. More reasoning than output proves it, as less input than cached tokens
/// does, unless the stated total says otherwise. Gemini's API counts thoughts beside the answer; its instrumentations add
/// them up, old ones perhaps not, and then the total tells.
fn reasoning_is_beside(counts: &Counts, output: u64, reasoning: u64, provider: Option<&str>) -> bool {
    if counts.thoughts_beside {
        return true;
    }
    if reasoning == 0 {
        return false;
    }
    let input =
        counts.number(Count::Input).unwrap_or(0).saturating_add(counts.number(Count::ToolInput).unwrap_or(0));
    let total = counts.number(Count::Total);
    let without = input.saturating_add(output);
    let gemini = provider.is_some_and(|provider| provider.starts_with("gcp."));
    (output < reasoning && total != Some(without))
        || (gemini && total == Some(without.saturating_add(reasoning)))
}

/// Whether a raw usage object may be that of the call whose counts the span states: agents record answers of other calls.
fn describes_same_call(counts: &Counts, raw: &Counts, raw_says: &Settled) -> bool {
    let input_agrees = match (counts.number(Count::Input), raw.number(Count::Input)) {
        (Some(input), Some(written)) => input == written || Some(input) == raw_says.input,
        _ => true,
    };
    let output_agrees = match (counts.number(Count::Output), raw.number(Count::Output)) {
        (Some(output), Some(written)) => output == written || Some(output) == raw_says.output,
        _ => true,
    };
    input_agrees && output_agrees
}

/// The first count that is no count.
fn unreadable(counts: &Counts) -> Option<UsageFault> {
    Count::ALL.into_iter().find_map(|count| match counts.stated(count)? {
        Stated::Number(_) => None,
        Stated::Negative => Some(UsageFault::Negative { class: count.name() }),
        Stated::NotACount => Some(UsageFault::NotACount { class: count.name() }),
    })
}

impl Settled {
    fn cached(&self) -> u64 {
        self.cache_read.unwrap_or(0).saturating_add(self.cache_write.unwrap_or(0))
    }

    fn fill_from(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.output, other.output),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.cache_write_1h, other.cache_write_1h),
            (&mut self.reasoning, other.reasoning),
            (&mut self.audio_input, other.audio_input),
            (&mut self.audio_output, other.audio_output),
        ] {
            *mine = mine.or(theirs);
        }
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (class, count) in [
            (TokenClass::Input, self.input),
            (TokenClass::CacheRead, self.cache_read),
            (TokenClass::CacheWrite, self.cache_write),
            (TokenClass::CacheWrite1h, self.cache_write_1h),
            (TokenClass::Output, self.output),
            (TokenClass::Reasoning, self.reasoning),
            (TokenClass::AudioInput, self.audio_input),
            (TokenClass::AudioOutput, self.audio_output),
        ] {
            usage.set(class, count);
        }
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenClass::*;

    fn counts(object: &str) -> Counts {
        Counts::of_object(object).unwrap()
    }

    /// Counts in neutral names, as attributes give them.
    fn stated(pairs: &[(Count, u64)]) -> Counts {
        let mut counts = Counts::default();
        pairs.iter().for_each(|(count, number)| counts.set(*count, Stated::Number(*number)));
        counts
    }

    fn check(normalised: Normalised, wanted: &[(TokenClass, u64)]) {
        let read: Vec<_> =
            TokenClass::ALL.into_iter().filter_map(|c| Some((c, normalised.usage.get(c)?))).collect();
        assert_eq!(read, wanted, "{:?}", normalised.fault);
        assert_eq!(normalised.fault, None);
    }

    #[test]
    fn numbers_prove_an_input_that_excludes_its_cached_parts() {
        use Count::*;
        for (of, input) in [
            // Smaller than its parts.
            (vec![(Input, 40), (CacheRead, 500), (CacheWrite, 300), (Output, 35)], 840),
            // The stated total has them beside.
            (vec![(Input, 900), (CacheRead, 500), (Output, 35), (Total, 1435)], 1400),
            // The uncached part is the input.
            (vec![(Input, 900), (CacheRead, 500), (InputUncached, 900)], 1400),
            // Nothing proves anything: the whole.
            (vec![(Input, 900), (CacheRead, 500), (Output, 35), (Total, 935)], 900),
            (vec![(Input, 900), (CacheRead, 500), (InputUncached, 400)], 900),
            (vec![(InputUncached, 400), (CacheRead, 500)], 900),
        ] {
            let usage = normalise(&stated(&of), Meaning::Inclusive, None, Some("anthropic")).usage;
            assert_eq!(usage.get(TokenClass::Input), Some(input), "{of:?}");
        }
    }

    #[test]
    fn where_numbers_prove_nothing_the_producer_decides() {
        let counts = stated(&[(Count::Input, 900), (Count::CacheRead, 500), (Count::Output, 35)]);
        for (meaning, provider, input) in [
            (Meaning::Inclusive, "anthropic", 900),
            (Meaning::Exclusive, "openai", 1400),
            (Meaning::OfProvider, "anthropic", 1400),
            (Meaning::OfProvider, "aws.bedrock", 1400),
            (Meaning::OfProvider, "openai", 900),
        ] {
            let usage = normalise(&counts, meaning, None, Some(provider)).usage;
            assert_eq!(usage.get(Input), Some(input), "{meaning:?} {provider}");
        }
    }

    #[test]
    fn the_raw_object_of_the_call_settles_its_input_and_adds_detail() {
        let raw = counts(
            r#"{"input_tokens":40,"output_tokens":35,"cache_creation_input_tokens":300,"cache_read_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":100}}"#,
        );
        let whole = [(Input, 840), (CacheRead, 500), (CacheWrite, 300), (CacheWrite1h, 100), (Output, 35)];
        for input in [40, 840] {
            let span = stated(&[(Count::Input, input), (Count::Output, 35)]);
            check(normalise(&span, Meaning::Inclusive, Some(&raw), None), &whole);
        }
        check(normalise(&raw, meaning_of_raw(&raw), None, None), &whole);
    }

    #[test]
    fn the_raw_object_of_another_call_is_passed_over() {
        let raw = counts(r#"{"input_tokens":7,"output_tokens":3,"cache_read_input_tokens":500}"#);
        let span = stated(&[(Count::Input, 40), (Count::Output, 35)]);
        check(normalise(&span, Meaning::Inclusive, Some(&raw), None), &[(Input, 40), (Output, 35)]);
    }

    #[test]
    fn details_without_an_input_stand_beside_it_only_where_their_provider_says_so() {
        let span = stated(&[(Count::Input, 3100), (Count::Output, 9)]);
        let openai = counts(r#"{"cachedPromptTokens":2048,"reasoningTokens":5}"#);
        check(
            normalise(&span, Meaning::OfProvider, Some(&openai), Some("openai")),
            &[(Input, 3100), (CacheRead, 2048), (Output, 9), (Reasoning, 5)],
        );
        let anthropic = counts(r#"{"cacheCreationInputTokens":300,"cacheReadInputTokens":500}"#);
        check(
            normalise(&span, Meaning::OfProvider, Some(&anthropic), Some("anthropic")),
            &[(Input, 3900), (CacheRead, 500), (CacheWrite, 300), (Output, 9)],
        );
    }

    #[test]
    fn gemini_thinks_beside_its_answer() {
        let raw = counts(
            r#"{"promptTokenCount":10,"candidatesTokenCount":50,"thoughtsTokenCount":7,"totalTokenCount":67}"#,
        );
        check(
            normalise(&raw, meaning_of_raw(&raw), None, None),
            &[(Input, 10), (Output, 57), (Reasoning, 7)],
        );
        // An instrumentation that added them up, with the object it had them from.
        let span = stated(&[(Count::Input, 10), (Count::Output, 57)]);
        check(
            normalise(&span, Meaning::Inclusive, Some(&raw), Some("gcp.gemini")),
            &[(Input, 10), (Output, 57), (Reasoning, 7)],
        );
    }

    #[test]
    fn langchains_zero_beside_the_lifetimes_is_no_count() {
        let raw = counts(
            r#"{"input_tokens":840,"input_token_details":{"cache_read":500,"cache_creation":0,"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":100}}"#,
        );
        check(
            normalise(&raw, meaning_of_raw(&raw), None, None),
            &[(Input, 840), (CacheRead, 500), (CacheWrite, 300), (CacheWrite1h, 100)],
        );
    }

    #[test]
    fn what_cannot_be_billed_says_why() {
        for (set, code) in [
            ((Count::Input, Stated::Negative), "usage_negative"),
            ((Count::Output, Stated::NotACount), "usage_not_a_count"),
            ((Count::Input, Stated::Number(u64::MAX)), "usage_absurd"),
            ((Count::AudioOutput, Stated::Number(99)), "usage_part_exceeds_whole"),
        ] {
            let mut counts = stated(&[(Count::Input, 1), (Count::Output, 2), (Count::CacheRead, u64::MAX)]);
            if set.0 != Count::Input {
                counts = stated(&[(Count::Input, 1), (Count::Output, 2)]);
            }
            counts.set(set.0, set.1);
            let fault = normalise(&counts, Meaning::Inclusive, None, Some("openai")).fault;
            assert_eq!(fault.map(|fault| fault.code()), Some(code), "{set:?}");
        }
    }

    #[test]
    fn more_reasoning_than_output_proves_that_output_was_stated_without_it() {
        let beside = stated(&[(Count::Input, 9), (Count::Output, 5), (Count::Reasoning, 7)]);
        check(
            normalise(&beside, Meaning::Inclusive, None, Some("openai")),
            &[(Input, 9), (Output, 12), (Reasoning, 7)],
        );
        let total =
            stated(&[(Count::Input, 9), (Count::Output, 5), (Count::Reasoning, 7), (Count::Total, 14)]);
        let fault = normalise(&total, Meaning::Inclusive, None, Some("openai")).fault;
        assert_eq!(fault.map(|fault| fault.code()), Some("usage_part_exceeds_whole"));
    }

    #[test]
    fn zero_is_kept_and_absent_stays_absent() {
        let span = stated(&[(Count::Input, 9), (Count::CacheRead, 0)]);
        check(normalise(&span, Meaning::Inclusive, None, None), &[(Input, 9), (CacheRead, 0)]);
    }
}
