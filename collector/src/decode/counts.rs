//! Counts as a span states them, before it is settled what they mean.

use super::convention::Count;
use super::scan::{Scan, Value, unquoted};
use crate::otlp::ValueView;

/// One stated count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stated {
    /// A whole number.
    Number(u64),
    /// Less than zero.
    Negative,
    /// Text, a fraction, a list: something that counts nothing.
    NotACount,
}

impl Stated {
    /// A count in an attribute. `None` where the value says that there is none (`None`, an empty text).
    pub(super) fn of_value(value: ValueView<'_>) -> Option<Self> {
        match value {
            ValueView::Int(int) => Some(u64::try_from(int).map_or(Self::Negative, Self::Number)),
            // JavaScript's way to say that nobody counted.
            ValueView::Double(double) if double.is_nan() => None,
            ValueView::Double(double) => Some(Self::of_double(double)),
            ValueView::Str(text) => Self::of_text(&unquoted(text)),
            ValueView::Empty => None,
            ValueView::Bool(_) | ValueView::Array(_) | ValueView::KvList(_) | ValueView::Bytes(_) => {
                Some(Self::NotACount)
            }
        }
    }

    /// A count written as text.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if matches!(text, "" | "None" | "none" | "null" | "undefined" | "NaN" | "nan") {
            return None;
        }
        Some(if let Ok(count) = text.parse::<u64>() {
            Self::Number(count)
        } else if let Ok(double) = text.parse::<f64>() {
            Self::of_double(double)
        } else {
            Self::NotACount
        })
    }

    fn of_double(double: f64) -> Self {
        if double < 0.0 {
            Self::Negative
        } else if double.fract() == 0.0 {
            // Beyond 2^64 the conversion saturates: absurd either way.
            Self::Number(double as u64)
        } else {
            Self::NotACount
        }
    }
}

/// All counts of one usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "KeptCounts", into = "KeptCounts")]
pub(super) struct Counts {
    stated: [Option<Stated>; Count::LEN],
    /// What the keys of an object tell of its input; see [`Form`].
    pub(super) form: Form,
    /// Whether reasoning stands beside the output: Gemini's API.
    pub(super) thoughts_beside: bool,
    /// Searches that the provider made for the answer and bills by number.
    pub(super) web_searches: Option<u64>,
}

/// Whose form a usage object has, as far as its keys tell: whether cached tokens are part of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    #[default]
    Unknown,
    Inclusive,
    Exclusive,
}

/// The same as it is written down: by name, only what is stated.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct KeptCounts {
    stated: Vec<(Count, Stated)>,
    form: Form,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thoughts_beside: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_searches: Option<u64>,
}

impl Default for KeptCounts {
    fn default() -> Self {
        Counts::default().into()
    }
}

impl From<Counts> for KeptCounts {
    fn from(counts: Counts) -> Self {
        let Counts { form, thoughts_beside, web_searches, .. } = counts;
        let stated = Count::ALL.into_iter().filter_map(|count| Some((count, counts.stated(count)?)));
        Self { stated: stated.collect(), form, thoughts_beside, web_searches }
    }
}

impl From<KeptCounts> for Counts {
    fn from(kept: KeptCounts) -> Self {
        let KeptCounts { stated, form, thoughts_beside, web_searches } = kept;
        let mut counts = Self { form, thoughts_beside, web_searches, ..Self::default() };
        stated.into_iter().for_each(|(count, stated)| counts.set(count, stated));
        counts
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { stated: [None; Count::LEN], form: Form::Unknown, thoughts_beside: false, web_searches: None }
    }
}

impl Counts {
    /// What is stated of a count.
    pub(super) fn stated(&self, count: Count) -> Option<Stated> {
        self.stated[count as usize]
    }

    /// The number stated of a count, where it is one.
    pub(super) fn number(&self, count: Count) -> Option<u64> {
        match self.stated(count) {
            Some(Stated::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// States a count.
    pub(super) fn set(&mut self, count: Count, stated: Stated) {
        self.stated[count as usize] = Some(stated);
    }

    /// Whether nothing is stated that a call could be billed by.
    pub(super) fn is_empty(&self) -> bool {
        Count::ALL.iter().all(|count| matches!(count, Count::Total) || self.stated(*count).is_none())
            && self.web_searches.is_none()
    }

    /// Reads a usage object of whatever provider or library, JSON or Python. `None` where it is none.
    pub(super) fn of_object(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        matches!(scan.value()?, Value::Object).then(|| {
            let mut counts = Self::default();
            // What was read before the text broke off stands.
            let _whole = counts.read_object(&mut scan, "", 0);
            counts
        })
    }

    /// Reads the object the scan stands in; `within` is the key that held it.
    pub(super) fn read_object(&mut self, scan: &mut Scan<'_>, within: &str, depth: u8) -> Option<()> {
        while let Some(key) = scan.key()? {
            self.note_form(key);
            let mut ahead = scan.clone();
            match ahead.value()? {
                Value::Object if depth < 3 && NESTED.contains(&key) => {
                    *scan = ahead;
                    self.read_object(scan, key, depth + 1)?;
                }
                Value::Object | Value::Array => scan.skip()?,
                Value::Bare(text) => {
                    *scan = ahead;
                    self.note(within, key, text);
                }
                Value::Str(text) => {
                    *scan = ahead;
                    self.note(within, key, &text.get());
                }
            }
        }
        Some(())
    }

    fn note(&mut self, within: &str, key: &str, text: &str) {
        if key == "web_search_requests" {
            self.web_searches = text.parse().ok().filter(|count| *count > 0);
        } else if let Some((.., count)) =
            KEYS.iter().find(|(name, side, _)| *name == key && side.is_none_or(|side| side.holds(within)))
            && let Some(stated) = Stated::of_text(text)
        {
            // An object may state a count twice (a provider's metadata beside its usage); the first stands.
            self.stated[*count as usize].get_or_insert(stated);
        }
    }

    fn note_form(&mut self, key: &str) {
        self.thoughts_beside |= matches!(key, "candidatesTokenCount" | "candidates_token_count");
        if INCLUSIVE_KEYS.contains(&key) {
            self.form = Form::Inclusive;
        } else if self.form == Form::Unknown && EXCLUSIVE_KEYS.contains(&key) {
            self.form = Form::Exclusive;
        }
    }
}

/// Which side of a call a nested object describes, by the key that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Prompt,
    Answer,
}

impl Side {
    fn holds(self, within: &str) -> bool {
        let starts = match self {
            Side::Prompt => ["prompt", "input"],
            Side::Answer => ["completion", "output"],
        };
        starts.iter().any(|start| within.starts_with(start))
    }
}

/// Objects within a usage object that are part of it.
const NESTED: &[&str] = &[
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "input_token_details",
    "output_token_details",
    "inputTokenDetails",
    "outputTokenDetails",
    "cache_creation",
    "server_tool_use",
    "usage",
    "usageMetadata",
    "usage_metadata",
];

/// Keys that only APIs write whose input includes cached tokens.
const INCLUSIVE_KEYS: &[&str] = &[
    "prompt_tokens",
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",
    "promptTokenCount",
    "prompt_token_count",
    "cachedPromptTokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
];

/// Keys that only APIs write whose input excludes them, where none of the others is there.
const EXCLUSIVE_KEYS: &[&str] = &[
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
    "cacheCreationInputTokens",
];

/// Keys of usage objects and what they count.
const KEYS: &[(&str, Option<Side>, Count)] = &[
    // OpenAI, and most that follow it.
    ("prompt_tokens", None, Count::Input),
    ("completion_tokens", None, Count::Output),
    ("total_tokens", None, Count::Total),
    ("cached_tokens", None, Count::CacheRead),
    ("cache_write_tokens", None, Count::CacheWrite),
    ("reasoning_tokens", None, Count::Reasoning),
    ("audio_tokens", Some(Side::Prompt), Count::AudioInput),
    ("audio_tokens", Some(Side::Answer), Count::AudioOutput),
    // OpenAI's Responses API, Anthropic, LangChain, MLflow.
    ("input_tokens", None, Count::Input),
    ("output_tokens", None, Count::Output),
    ("cache_read_input_tokens", None, Count::CacheRead),
    ("cache_creation_input_tokens", None, Count::CacheWrite),
    ("ephemeral_5m_input_tokens", None, Count::CacheWrite5m),
    ("ephemeral_1h_input_tokens", None, Count::CacheWrite1h),
    ("cache_read", Some(Side::Prompt), Count::CacheRead),
    ("cache_creation", Some(Side::Prompt), Count::CacheWrite),
    ("audio", Some(Side::Prompt), Count::AudioInput),
    ("audio", Some(Side::Answer), Count::AudioOutput),
    ("reasoning", Some(Side::Answer), Count::Reasoning),
    // Gemini, as its API and as its Python SDK write them.
    ("promptTokenCount", None, Count::Input),
    ("candidatesTokenCount", None, Count::Output),
    ("thoughtsTokenCount", None, Count::Reasoning),
    ("cachedContentTokenCount", None, Count::CacheRead),
    ("toolUsePromptTokenCount", None, Count::ToolInput),
    ("totalTokenCount", None, Count::Total),
    ("prompt_token_count", None, Count::Input),
    ("candidates_token_count", None, Count::Output),
    ("thoughts_token_count", None, Count::Reasoning),
    ("cached_content_token_count", None, Count::CacheRead),
    ("tool_use_prompt_token_count", None, Count::ToolInput),
    ("total_token_count", None, Count::Total),
    // Bedrock, and the AI SDK.
    ("inputTokens", None, Count::Input),
    ("outputTokens", None, Count::Output),
    ("totalTokens", None, Count::Total),
    ("promptTokens", None, Count::Input),
    ("completionTokens", None, Count::Output),
    ("cacheReadInputTokens", None, Count::CacheRead),
    ("cacheWriteInputTokens", None, Count::CacheWrite),
    ("cacheCreationInputTokens", None, Count::CacheWrite),
    ("cachedPromptTokens", None, Count::CacheRead),
    ("cachedInputTokens", None, Count::CacheRead),
    ("cacheReadTokens", None, Count::CacheRead),
    ("cacheWriteTokens", None, Count::CacheWrite),
    ("reasoningTokens", None, Count::Reasoning),
    // Langfuse's own.
    ("input", None, Count::Input),
    ("output", None, Count::Output),
    ("total", None, Count::Total),
    ("input_cached_tokens", None, Count::CacheRead),
    ("input_cache_read", None, Count::CacheRead),
    ("input_cache_creation", None, Count::CacheWrite),
    ("input_cache_creation_5m", None, Count::CacheWrite5m),
    ("input_cache_creation_1h", None, Count::CacheWrite1h),
    ("input_audio_tokens", None, Count::AudioInput),
    ("output_audio_tokens", None, Count::AudioOutput),
    ("output_reasoning_tokens", None, Count::Reasoning),
    ("output_reasoning", None, Count::Reasoning),
];

#[cfg(test)]
mod tests {
    use super::*;
    use Count::*;

    fn check(text: &str, form: Form, numbers: &[(Count, u64)]) {
        let counts = Counts::of_object(text).unwrap();
        let read: Vec<_> = Count::ALL.into_iter().filter_map(|c| Some((c, counts.number(c)?))).collect();
        for wanted in numbers {
            assert!(read.contains(wanted), "{wanted:?} in {read:?} of {text}");
        }
        assert_eq!((read.len(), counts.form), (numbers.len(), form), "{read:?} of {text}");
    }

    #[test]
    fn every_providers_usage_is_read() {
        check(
            r#"{"completion_tokens":41,"prompt_tokens":1411,"total_tokens":1452,"completion_tokens_details":{"audio_tokens":2,"reasoning_tokens":3},"prompt_tokens_details":{"audio_tokens":1,"cached_tokens":1024}}"#,
            Form::Inclusive,
            &[
                (Input, 1411),
                (Output, 41),
                (Total, 1452),
                (AudioOutput, 2),
                (Reasoning, 3),
                (AudioInput, 1),
                (CacheRead, 1024),
            ],
        );
        check(
            r#"{"input_tokens":40,"output_tokens":35,"cache_creation_input_tokens":300,"cache_read_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":100},"service_tier":"standard","server_tool_use":{"web_search_requests":0}}"#,
            Form::Exclusive,
            &[
                (Input, 40),
                (Output, 35),
                (CacheWrite, 300),
                (CacheRead, 500),
                (CacheWrite5m, 200),
                (CacheWrite1h, 100),
            ],
        );
        check(
            "{'promptTokenCount': 10, 'candidatesTokenCount': 5, 'thoughtsTokenCount': 7, 'totalTokenCount': 22, 'promptTokensDetails': [{'modality': 'TEXT', 'tokenCount': 10}]}",
            Form::Inclusive,
            &[(Input, 10), (Output, 5), (Reasoning, 7), (Total, 22)],
        );
        check(
            r#"{"input_tokens":840,"output_tokens":35,"input_token_details":{"cache_read":500,"cache_creation":0,"ephemeral_1h_input_tokens":100}}"#,
            Form::Inclusive,
            &[(Input, 840), (Output, 35), (CacheRead, 500), (CacheWrite, 0), (CacheWrite1h, 100)],
        );
        check(
            r#"{"input":40,"output":"35","cache_read_input_tokens":500}"#,
            Form::Exclusive,
            &[(Input, 40), (Output, 35), (CacheRead, 500)],
        );
        check("{'prompt_tokens': 9, 'completion_tokens': None", Form::Inclusive, &[(Input, 9)]);
    }

    #[test]
    fn values_of_every_type_are_counts_or_say_why_not() {
        for (value, stated) in [
            (ValueView::Int(5), Some(Stated::Number(5))),
            (ValueView::Int(-5), Some(Stated::Negative)),
            (ValueView::Double(5.0), Some(Stated::Number(5))),
            (ValueView::Double(5.5), Some(Stated::NotACount)),
            (ValueView::Double(-0.5), Some(Stated::Negative)),
            (ValueView::Double(f64::NAN), None),
            (ValueView::Double(f64::INFINITY), Some(Stated::NotACount)),
            (ValueView::Double(1e300), Some(Stated::Number(u64::MAX))),
            (ValueView::Str("12"), Some(Stated::Number(12))),
            (ValueView::Str("\"12\""), Some(Stated::Number(12))),
            (ValueView::Str("12.0"), Some(Stated::Number(12))),
            (ValueView::Str("-1"), Some(Stated::Negative)),
            (ValueView::Str("None"), None),
            (ValueView::Str(""), None),
            (ValueView::Str("many"), Some(Stated::NotACount)),
            (ValueView::Bool(true), Some(Stated::NotACount)),
        ] {
            assert_eq!(Stated::of_value(value), stated, "{value:?}");
        }
    }
}
