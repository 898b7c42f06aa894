//! What a recorded request or answer gives away of a call: id, model, tier, usage. Nothing else of it is looked at or kept.
//!
//! Only spans that are calls are read this way: chains and agents record whole answers of the calls below them. Text is
//! believed to be a provider's answer only where an object names its model; a model's own JSON output has an `id` easily.

use super::convention::Count;
use super::counts::{Counts, Form};
use super::scan::{Scan, Value};

/// How much of a recorded text is looked at, in bytes. Answers end with their usage, so a smaller bound would lose it.
const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// How deep answers are looked into: LangChain's stand eight levels down.
const DEPTH_MAX: u8 = 12;
/// Longer ids, models and tiers are none.
const NAME_BYTES_MAX: usize = 256;

/// What is known of a call from its recorded texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Recorded {
    /// The provider's name for the answer; `None` also where several answers are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_id: Option<String>,
    /// The model that answered, or that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// The service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tier: Option<String>,
    /// Whether a stream was asked for. `false` is not believed: LangChain writes it always.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) streamed: bool,
    /// The provider's usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Counts>,
    #[serde(skip)]
    ids_differ: bool,
}

/// Keys under which libraries wrap a provider's answer.
const WRAPPINGS: &[&str] = &[
    "llm_output",
    "generations",
    "message",
    "kwargs",
    "response_metadata",
    "response",
    "raw",
    "raw_response",
    "custom",
    "body",
    "data",
    "result",
];

/// Reads a recorded answer.
pub(super) fn read_answer(text: &str) -> Recorded {
    let mut recorded = Recorded::default();
    let text = bounded(text);
    if text.starts_with(['{', '[']) {
        // Where the text breaks off or is no JSON, what was found until then stands.
        let _whole = recorded.answer(&mut Scan::new(text), 0);
    }
    if recorded.ids_differ {
        recorded.response_id = None;
    }
    recorded
}

/// Whether a recorded answer says by its `object` that it is no model's: providers' APIs answer so where files, batches and jobs
/// are made and looked after, through the same clients that ask models.
pub(super) fn is_of_no_model(text: &str) -> bool {
    const OF_NO_MODEL: [&str; 6] = ["batch", "file", "fine_tuning", "model", "upload", "vector_store"];
    let mut scan = Scan::new(bounded(text));
    let mut object = || {
        let Value::Object = scan.value()? else { return None };
        while let Some(key) = scan.key()? {
            if key == "object" {
                return name(&mut scan)?;
            }
            scan.skip()?;
        }
        None
    };
    let object: Option<String> = object();
    object.is_some_and(|object| OF_NO_MODEL.contains(&object.split('.').next().unwrap_or_default()))
}

/// Reads a recorded request, or its parameters: their first level only.
pub(super) fn read_request(text: &str) -> Recorded {
    let mut recorded = Recorded::default();
    let _whole = recorded.request(&mut Scan::new(bounded(text)));
    recorded
}

/// Reads the AI SDK's provider metadata: an object for each provider, usage in the provider's form or as details of its own.
pub(super) fn read_provider_metadata(text: &str) -> Recorded {
    let mut recorded = Recorded::default();
    let _whole = recorded.provider_metadata(&mut Scan::new(bounded(text)));
    recorded
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(CONTENT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_start()
}

impl Recorded {
    /// Takes what is not known yet.
    pub(super) fn fill_from(&mut self, other: Self) {
        self.response_id = self.response_id.take().or(other.response_id);
        self.model = self.model.take().or(other.model);
        self.tier = self.tier.take().or(other.tier);
        self.usage = self.usage.take().or(other.usage);
        self.streamed |= other.streamed;
    }

    fn answer(&mut self, scan: &mut Scan<'_>, depth: u8) -> Option<()> {
        let mut ahead = scan.clone();
        match ahead.value()? {
            Value::Object if depth < DEPTH_MAX => {
                *scan = ahead;
                self.answer_object(scan, depth)
            }
            Value::Array if depth < DEPTH_MAX => {
                *scan = ahead;
                while scan.element()? {
                    self.answer(scan, depth + 1)?;
                }
                Some(())
            }
            _ => scan.skip(),
        }
    }

    fn answer_object(&mut self, scan: &mut Scan<'_>, depth: u8) -> Option<()> {
        let mut here = Recorded::default();
        let mut ended = Some(());
        loop {
            let read = scan.key().and_then(|key| {
                let Some(key) = key else { return Some(false) };
                match key {
                    "id" | "responseId" | "response_id" => {
                        here.response_id = name(scan)?.or(here.response_id.take())
                    }
                    "model" | "model_name" | "modelVersion" | "model_version" => {
                        here.model = here.model.take().or(name(scan)?);
                    }
                    "service_tier" | "serviceTier" => here.tier = name(scan)?.or(here.tier.take()),
                    "usage" | "token_usage" | "usageMetadata" => self.usage_object(scan, &mut here.tier)?,
                    // LangChain's own summary, Gemini's Python SDK's original: either way after what stands under `usage`.
                    "usage_metadata" => {
                        let before = self.usage;
                        self.usage_object(scan, &mut here.tier)?;
                        self.usage = before.or(self.usage);
                    }
                    _ if WRAPPINGS.contains(&key) => self.answer(scan, depth + 1)?,
                    _ => scan.skip()?,
                }
                Some(true)
            });
            match read {
                Some(true) => {}
                Some(false) => break,
                None => {
                    ended = None;
                    break;
                }
            }
        }
        if here.model.is_some() {
            self.ids_differ |=
                matches!((&self.response_id, &here.response_id), (Some(one), Some(other)) if one != other);
            self.fill_from(here);
        }
        ended
    }

    fn usage_object(&mut self, scan: &mut Scan<'_>, tier: &mut Option<String>) -> Option<()> {
        let mut ahead = scan.clone();
        let Value::Object = ahead.value()? else { return scan.skip() };
        *tier = tier.take().or_else(|| {
            let mut scan = ahead.clone();
            while let Some(key) = scan.key()? {
                if key == "service_tier" {
                    return name(&mut scan)?;
                }
                scan.skip()?;
            }
            None
        });
        *scan = ahead;
        let mut counts = Counts::default();
        let read = counts.read_object(scan, "", 0);
        if !counts.is_empty() {
            self.usage.get_or_insert(counts);
        }
        read
    }

    fn request(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        let Value::Object = scan.value()? else { return None };
        while let Some(key) = scan.key()? {
            match key {
                "model" | "model_name" | "modelId" | "model_id" => {
                    self.model = self.model.take().or(name(scan)?)
                }
                "service_tier" => self.tier = self.tier.take().or(name(scan)?),
                "stream" => {
                    let value = scan.value()?;
                    self.streamed |= matches!(value, Value::Bare("true" | "True"));
                    if matches!(value, Value::Object | Value::Array) {
                        return None;
                    }
                }
                _ => scan.skip()?,
            }
        }
        Some(())
    }

    fn provider_metadata(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        let Value::Object = scan.value()? else { return None };
        while let Some(provider) = scan.key()? {
            let mut ahead = scan.clone();
            let Value::Object = ahead.value()? else {
                scan.skip()?;
                continue;
            };
            let mut counts = Counts::default();
            // Details without an input: cached tokens stand beside it for Anthropic and Bedrock, within it elsewhere.
            counts.read_object(&mut ahead.clone(), "", 0)?;
            if counts.form == Form::Exclusive && !matches!(provider, "anthropic" | "bedrock") {
                counts.form = Form::Unknown;
            }
            self.usage_tier(&mut ahead.clone());
            while let Some(key) = ahead.key()? {
                match key {
                    "responseId" => self.response_id = self.response_id.take().or(name(&mut ahead)?),
                    "serviceTier" => self.tier = self.tier.take().or(name(&mut ahead)?),
                    _ => ahead.skip()?,
                }
            }
            *scan = ahead;
            if !counts.is_empty() || counts.number(Count::Total).is_some() {
                self.usage.get_or_insert(counts);
            }
        }
        Some(())
    }

    /// The tier in a provider's usage object, where the AI SDK hands that on as it was.
    fn usage_tier(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        while let Some(key) = scan.key()? {
            let mut ahead = scan.clone();
            if key == "usage" && matches!(ahead.value()?, Value::Object) {
                while let Some(key) = ahead.key()? {
                    if key == "service_tier" {
                        self.tier = self.tier.take().or(name(&mut ahead)?);
                        return Some(());
                    }
                    ahead.skip()?;
                }
            }
            scan.skip()?;
        }
        Some(())
    }
}

/// A short string value; `Some(None)` for anything else, which is passed over.
fn name(scan: &mut Scan<'_>) -> Option<Option<String>> {
    let text = scan.text()?;
    Some(text.filter(|text| !text.is_empty() && text.len() <= NAME_BYTES_MAX).map(|text| text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(recorded: &Recorded) -> (Option<&str>, Option<&str>, Option<&str>, Option<u64>) {
        let input = recorded.usage.and_then(|usage| usage.number(Count::Input));
        (recorded.response_id.as_deref(), recorded.model.as_deref(), recorded.tier.as_deref(), input)
    }

    #[test]
    fn answers_give_away_id_model_tier_and_usage() {
        for (text, wanted) in [
            (
                r#"{"id":"chatcmpl-1","choices":[{"message":{"id":"no","model":"no","content":"}\""}}],"model":"gpt-4o","service_tier":"flex","usage":{"prompt_tokens":9}}"#,
                (Some("chatcmpl-1"), Some("gpt-4o"), Some("flex"), Some(9)),
            ),
            (
                r#"{"id":"resp_1","model":"gpt-5","output":[{"id":"rs_2"},{"id":"msg_3","model":"no"}],"usage":{"input_tokens":3}}"#,
                (Some("resp_1"), Some("gpt-5"), None, Some(3)),
            ),
            (
                r#"{"id":"msg_1","content":[],"model":"claude","usage":{"input_tokens":4,"service_tier":"standard"}}"#,
                (Some("msg_1"), Some("claude"), Some("standard"), Some(4)),
            ),
            (
                r#"{"generations":[[{"text":"x","message":{"id":["langchain"],"kwargs":{"response_metadata":{"model_name":"m","id":"chatcmpl-7","token_usage":{"prompt_tokens":5}},"id":"lc_run--1","usage_metadata":{"input_tokens":6}}}}]],"llm_output":{"id":"chatcmpl-7","model_name":"m"}}"#,
                (Some("chatcmpl-7"), Some("m"), None, Some(5)),
            ),
            (
                r#"{"candidates":[],"responseId":"r1","modelVersion":"gemini","usageMetadata":{"promptTokenCount":8}}"#,
                (Some("r1"), Some("gemini"), None, Some(8)),
            ),
            // A model's own JSON, two answers at once, plain text.
            (r#"{"id":"sku-123456789","price":4}"#, (None, None, None, None)),
            (r#"[{"id":"a","model":"m"},{"id":"b","model":"m"}]"#, (None, Some("m"), None, None)),
            ("Paris is the capital of France.", (None, None, None, None)),
            // Cut off by the producer.
            (
                r#"{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"mess"#,
                (Some("chatcmpl-1"), Some("gpt-4o"), None, None),
            ),
        ] {
            assert_eq!(facts(&read_answer(text)), wanted, "{text}");
        }
    }

    #[test]
    fn an_answer_says_whether_it_is_of_a_model() {
        for (text, of_no_model) in [
            (r#"{"id":"batch_1","endpoint":"/v1/chat/completions","object":"batch"}"#, true),
            (r#"{"id":"file-1","object":"file","bytes":9}"#, true),
            (r#"{"id":"file-1","object":"file.deleted"}"#, true),
            (r#"{"object":"fine_tuning.job"}"#, true),
            (r#"{"id":"chatcmpl-1","object":"chat.completion"}"#, false),
            (r#"{"object":"list","data":[{"object":"embedding"}]}"#, false),
            (r#"{"data":{"object":"file"}}"#, false),
            (r#"{"text":"a file"}"#, false),
            ("batch", false),
        ] {
            assert_eq!(is_of_no_model(text), of_no_model, "{text}");
        }
    }

    #[test]
    fn requests_give_away_model_tier_and_stream() {
        let read = read_request(
            r#"{"messages":[{"model":"no"}],"model":"gpt-4o","stream":true,"service_tier":"flex"}"#,
        );
        assert_eq!(
            (read.model.as_deref(), read.tier.as_deref(), read.streamed),
            (Some("gpt-4o"), Some("flex"), true)
        );
        assert_eq!(read_request("just a prompt"), Recorded::default());
        assert_eq!(read_request("[1, 2]"), Recorded::default());
    }

    #[test]
    fn provider_metadata_gives_away_what_the_span_leaves_out() {
        let read = read_provider_metadata(
            r#"{"anthropic":{"usage":{"input_tokens":40,"cache_read_input_tokens":500,"cache_creation":{"ephemeral_1h_input_tokens":100},"service_tier":"standard"},"cacheCreationInputTokens":300,"iterations":null}}"#,
        );
        let usage = read.usage.unwrap();
        assert_eq!(
            (
                usage.number(Count::CacheWrite),
                usage.number(Count::CacheWrite1h),
                usage.form,
                read.tier.as_deref()
            ),
            (Some(300), Some(100), Form::Exclusive, Some("standard"))
        );
        let read = read_provider_metadata(
            r#"{"openai":{"responseId":"resp_1","cachedPromptTokens":2048,"serviceTier":"flex"}}"#,
        );
        let cached = read.usage.and_then(|usage| usage.number(Count::CacheRead));
        assert_eq!(
            (read.response_id.as_deref(), cached, read.tier.as_deref()),
            (Some("resp_1"), Some(2048), Some("flex"))
        );
    }

    #[test]
    fn a_huge_answer_is_read_up_to_its_bound() {
        let text = format!(
            r#"{{"id":"x","model":"m","data":"{}","usage":{{"prompt_tokens":1}}}}"#,
            "é".repeat(CONTENT_BYTES_MAX)
        );
        assert_eq!(facts(&read_answer(&text)), (Some("x"), Some("m"), None, None));
    }
}
