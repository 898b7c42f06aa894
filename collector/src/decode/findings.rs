//! The facts of one span, gathered attribute by attribute: the engine that reads every convention's table.

use std::borrow::Cow;

use super::answer::{Recorded, is_of_no_model, read_answer, read_provider_metadata, read_request};
use super::convention::{Count, Fact, Meaning, Namespace, Role};
use super::counts::{Counts, Stated};
use super::dimensions::Told;
use super::index::{Entry, Index, Ranked};
use super::scan::unquoted;
use super::verbatim::Verbatim;
use super::wording;
use crate::otlp::{AnyValue, Attribute, SpanView, ValueView, WalkError};

/// The name of the span onto which LiteLLM copies the provider's answer field by field.
pub(super) const LITELLM_RAW_SPAN: &str = "raw_gen_ai_request";

/// Longer models, ids and tiers are none.
const NAME_BYTES_MAX: usize = 256;
/// Known attributes are kept up to this size, in bytes on the wire …
const KNOWN_BYTES_MAX: usize = 1024;
/// … and unknown ones of AI namespaces up to this: what is longer may be content.
const UNKNOWN_BYTES_MAX: usize = 256;

/// Weaker than any attribute that a table names.
const RANK_BY_WORDS: u16 = u16::MAX - 1;

/// A fact, and how strong the attribute was that stated it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<T>(Option<(u16, T)>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Slot<T> {
    /// Takes a fact unless a stronger attribute stated it. Of one attribute written twice, the last counts.
    fn offer(&mut self, rank: u16, fact: T) {
        if self.0.as_ref().is_none_or(|(held, _)| rank <= *held) {
            self.0 = Some((rank, fact));
        }
    }

    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, fact)| fact)
    }

    pub(super) fn take(&mut self) -> Option<T> {
        self.0.take().map(|(_, fact)| fact)
    }

    pub(super) fn rank(&self) -> Option<u16> {
        self.0.as_ref().map(|(rank, _)| *rank)
    }
}

/// What a span's attributes state.
#[derive(Debug, Default)]
pub(super) struct Findings<'a> {
    /// What the strongest marker of a call says: its operation.
    pub(super) call: Slot<&'static str>,
    /// That a marker says it is none.
    pub(super) not_call: Slot<()>,
    /// That a gateway library wrote on the span.
    pub(super) gateway: bool,
    /// The gateway's own name for the call.
    pub(super) gateway_call_id: Slot<Cow<'a, str>>,
    /// Whether the span is LiteLLM's copy of a provider's answer.
    pub(super) raw_span: bool,
    /// The convention of the strongest marker, and of the strongest usage.
    pub(super) marked_by: Slot<u8>,
    pub(super) counted_by: Slot<u8>,
    /// Spellings of the provider, strongest first once sorted.
    pub(super) providers: Vec<(u16, Cow<'a, str>)>,
    pub(super) request_model: Slot<Cow<'a, str>>,
    pub(super) response_model: Slot<Cow<'a, str>>,
    pub(super) response_id: Slot<Cow<'a, str>>,
    pub(super) request_tier: Slot<Cow<'a, str>>,
    pub(super) response_tier: Slot<Cow<'a, str>>,
    pub(super) error_type: Slot<Cow<'a, str>>,
    pub(super) host: Slot<Cow<'a, str>>,
    pub(super) region: Slot<Cow<'a, str>>,
    pub(super) streaming: Slot<bool>,
    /// Whether an attribute says that the span failed.
    pub(super) failed: bool,
    /// Counts stated by attributes of their own, or in the producer's own object.
    pub(super) counts: Counts,
    ranks: [u16; Count::LEN],
    /// What the producer's own object means by its input.
    pub(super) object_meaning: Option<Meaning>,
    /// Sums that a wrapper states.
    pub(super) aggregate: Counts,
    pub(super) units: Vec<(&'static str, u64)>,
    /// The provider's usage object, stated as an attribute.
    pub(super) raw_usage: Option<Counts>,
    /// Whether a count is there under a name that no table knows.
    pub(super) unknown_usage: bool,
    /// Whether the AI SDK details its input, as it does since version 6.
    pub(super) details_input: bool,
    /// Content to be read if the span turns out to be a call, strongest first once sorted.
    content: Vec<(u16, Fact, &'a str)>,
    /// Whom and what it is for.
    pub(super) told: Told<'a>,
}

impl<'a> Findings<'a> {
    /// Reads a span's attributes once, from first to last, and keeps of them what is to stand with an observation.
    pub(super) fn read(span: &SpanView<'a>, index: &Index, kept: &mut Verbatim) -> Result<Self, WalkError> {
        kept.begin();
        let mut findings = Self {
            ranks: [u16::MAX; Count::LEN],
            raw_span: span.name == LITELLM_RAW_SPAN,
            ..Self::default()
        };
        for attribute in span.attributes().raw() {
            let attribute = attribute?;
            match index.entry(attribute.key_bytes()) {
                Some(entry) => findings.known(index, entry, attribute.value, kept)?,
                None => findings.unknown(index, attribute.read()?, kept)?,
            }
        }
        Ok(findings)
    }

    fn known(
        &mut self,
        index: &Index,
        entry: &Entry,
        value: AnyValue<'a>,
        kept: &mut Verbatim,
    ) -> Result<(), WalkError> {
        let states_nothing = entry.dimension.is_none() && !entry.json_object && !entry.ruled;
        let fact = entry.fact.map(|ranked| ranked.fact);
        if states_nothing && matches!(fact, Some(Fact::Content)) {
            return Ok(());
        }
        let wire_len = value.wire_len();
        let value = value.view();
        let content = fact.is_some_and(|fact| fact.is_content());
        if !content && wire_len <= KNOWN_BYTES_MAX {
            kept.keep(&entry.name, &value);
        } else if !(content || states_nothing && matches!(fact, Some(Fact::Plain))) {
            kept.cut();
        }
        if states_nothing && matches!(fact, Some(Fact::Plain)) {
            return Ok(());
        }
        let value = value?;
        if let Some(dimension) = entry.dimension {
            self.told.take(dimension, value);
        }
        if entry.ruled {
            self.told.rule(index.rulings.on_value(&entry.name, value));
        }
        if entry.json_object
            && let ValueView::Str(text) = value
        {
            self.told.take_json(index, text);
        }
        if let Some(ranked) = entry.fact {
            self.fact(ranked, value);
        }
        Ok(())
    }

    fn fact(&mut self, Ranked { fact, rank, convention }: Ranked, value: ValueView<'a>) {
        match fact {
            Fact::Role(roles) => {
                let Some(text) = name(value) else { return };
                if let Some((_, role)) = roles.iter().find(|(known, _)| *known == text) {
                    self.role(rank, convention, *role);
                }
            }
            Fact::RoleOrWords(roles) => {
                let Some(text) = name(value) else { return };
                let listed = roles.iter().find(|(known, _)| *known == text).map(|(_, role)| *role);
                if let Some(role) = listed.or_else(|| wording::role_of(&text)) {
                    self.role(rank, convention, role);
                }
            }
            Fact::Operation => {
                let Some(text) = name(value) else { return };
                self.role(rank, convention, ai_sdk_role(&text));
                if text.ends_with("doStream") {
                    self.streaming.offer(rank, true);
                }
            }
            Fact::Gateway => self.gateway = true,
            Fact::GatewayCallId => {
                self.gateway = true;
                offer_name(&mut self.gateway_call_id, rank, value);
            }
            Fact::Provider => {
                if let Some(text) = name(value) {
                    self.providers.push((rank, text));
                }
            }
            Fact::ProviderAndModel => {
                self.gateway = true;
                if let Some(text) = name(value) {
                    self.providers.push((rank, text.clone()));
                    self.request_model.offer(rank, text);
                }
            }
            Fact::RequestModel => offer_name(&mut self.request_model, rank, value),
            Fact::ResponseModel => offer_name(&mut self.response_model, rank, value),
            Fact::ResponseId => offer_name(&mut self.response_id, rank, value),
            Fact::RequestTier => offer_name(&mut self.request_tier, rank, value),
            Fact::ResponseTier => offer_name(&mut self.response_tier, rank, value),
            Fact::ErrorType => offer_name(&mut self.error_type, rank, value),
            Fact::Host => offer_name(&mut self.host, rank, value),
            Fact::Region => offer_name(&mut self.region, rank, value),
            Fact::Streaming => {
                if let Some(truth) = truth(value) {
                    self.streaming.offer(rank, truth);
                }
            }
            Fact::Streamed => self.streaming.offer(rank, true),
            Fact::Level => self.failed |= name(value).is_some_and(|level| level == "ERROR"),
            Fact::Tokens(count) => {
                self.details_input |= count == Count::InputUncached;
                self.count(rank, convention, count, value);
            }
            Fact::Aggregate(count) => {
                if let Some(stated) = Stated::of_value(value) {
                    self.aggregate.set(count, stated);
                    self.counted_by.offer(rank, convention);
                }
            }
            Fact::Units(unit) => {
                if let Some(Stated::Number(count)) = Stated::of_value(value) {
                    self.units.retain(|(held, _)| *held != unit);
                    self.units.push((unit, count));
                    self.counted_by.offer(rank, convention);
                }
            }
            Fact::Usage(meaning) => self.usage_object(rank, convention, meaning, value),
            Fact::RawUsage => self.raw_usage(rank, convention, value),
            Fact::Answer | Fact::ProviderMetadata | Fact::Request => {
                if let ValueView::Str(text) = value {
                    self.content.push((rank, fact, text));
                }
            }
            Fact::Content | Fact::Plain => {}
        }
    }

    fn role(&mut self, rank: u16, convention: u8, role: Role) {
        match role {
            Role::Call(operation) => self.call.offer(rank, operation),
            Role::NotCall => self.not_call.offer(rank, ()),
        }
        self.marked_by.offer(rank, convention);
    }

    fn count(&mut self, rank: u16, convention: u8, count: Count, value: ValueView<'_>) {
        if let Some(stated) = Stated::of_value(value)
            && rank <= self.ranks[count as usize]
        {
            self.ranks[count as usize] = rank;
            self.counts.set(count, stated);
            self.counted_by.offer(rank, convention);
        }
    }

    fn usage_object(&mut self, rank: u16, convention: u8, meaning: Meaning, value: ValueView<'_>) {
        let ValueView::Str(text) = value else { return };
        let Some(object) = Counts::of_object(text).filter(|object| !object.is_empty()) else { return };
        self.counted_by.offer(rank, convention);
        let alone = self.counts.is_empty();
        for count in Count::ALL {
            if let Some(stated) = object.stated(count)
                && rank <= self.ranks[count as usize]
            {
                self.ranks[count as usize] = rank;
                self.counts.set(count, stated);
            }
        }
        if alone {
            self.counts.form = object.form;
            self.object_meaning = Some(meaning);
        }
        self.counts.web_searches = self.counts.web_searches.or(object.web_searches);
    }

    fn raw_usage(&mut self, rank: u16, convention: u8, value: ValueView<'_>) {
        if let ValueView::Str(text) = value
            && let Some(object) = Counts::of_object(text).filter(|object| !object.is_empty())
        {
            self.raw_usage = Some(object);
            self.counted_by.offer(rank, convention);
        }
    }

    fn unknown(
        &mut self,
        index: &Index,
        attribute: Attribute<'a>,
        kept: &mut Verbatim,
    ) -> Result<(), WalkError> {
        let Attribute { key, value } = attribute;
        let under = index.under(key);
        let namespace = under.namespace;
        let ruled = index.ruled_behind(key);
        if under.dimension.is_some() || ruled.is_some() {
            let view = value.view()?;
            if let Some(dimension) = under.dimension {
                self.told.take(dimension, view);
            }
            self.told.rule(ruled.and_then(|attribute| index.rulings.on_value(attribute, view)));
            if value.wire_len() <= UNKNOWN_BYTES_MAX {
                kept.keep(key, &Ok(view));
            } else {
                kept.cut();
            }
            return Ok(());
        }
        match namespace {
            Some(Namespace::Content) => return Ok(()),
            Some(Namespace::RawAnswer) if key.matches('.').count() > 1 => {
                return self.raw_answer(attribute, kept);
            }
            Some(Namespace::Ai | Namespace::RawAnswer) if value.wire_len() <= UNKNOWN_BYTES_MAX => {
                kept.keep(key, &value.view());
            }
            _ => {}
        }
        if !value.may_be_number() || !looks_like_usage(key, namespace.is_some()) {
            return Ok(());
        }
        let view @ (ValueView::Int(_) | ValueView::Double(_)) = value.view()? else { return Ok(()) };
        match wording::count_of(key).filter(|_| namespace.is_some()) {
            Some(count) => {
                kept.keep(key, &Ok(view));
                if matches!(Stated::of_value(view), Some(Stated::Number(_))) {
                    self.count(RANK_BY_WORDS, table("otel_genai"), count, view);
                }
            }
            None if !self.unknown_usage => {
                self.unknown_usage = true;
                kept.keep(key, &Ok(view));
            }
            None => {}
        }
        Ok(())
    }

    /// `llm.<provider>.<field>` of LiteLLM's raw span. Elsewhere, and for other fields, it may be content.
    fn raw_answer(
        &mut self,
        Attribute { key, value }: Attribute<'a>,
        kept: &mut Verbatim,
    ) -> Result<(), WalkError> {
        let parts = key.strip_prefix("llm.").and_then(|rest| rest.split_once('.'));
        let Some((provider, field)) = parts.filter(|_| self.raw_span) else { return Ok(()) };
        let fact = match field {
            "usage" | "usageMetadata" | "usage_metadata" => Fact::RawUsage,
            "id" | "responseId" => Fact::ResponseId,
            "model" | "modelVersion" => Fact::ResponseModel,
            "service_tier" => Fact::ResponseTier,
            "stream" => Fact::Streaming,
            _ => return Ok(()),
        };
        let rank = RANK_BY_WORDS;
        self.providers.push((rank, Cow::Borrowed(provider)));
        let view = value.view();
        if value.wire_len() <= KNOWN_BYTES_MAX {
            kept.keep(key, &view);
        } else {
            kept.cut();
        }
        self.fact(Ranked { fact, rank, convention: table("litellm") }, view?);
        Ok(())
    }

    /// Whether the recorded answer says itself that it is no model's: a file, a batch, a job.
    pub(super) fn answered_by_no_model(&self) -> bool {
        let mut answers = self.content.iter().filter(|(_, fact, _)| matches!(fact, Fact::Answer));
        answers.any(|(_, _, text)| is_of_no_model(text))
    }

    /// What the recorded request and answer give away. Only to be asked of a call.
    pub(super) fn recorded(&mut self) -> Recorded {
        let mut recorded = Recorded::default();
        self.content.sort_by_key(|(rank, ..)| *rank);
        for (_, fact, text) in &self.content {
            match fact {
                Fact::Answer => recorded.fill_from(read_answer(text)),
                Fact::ProviderMetadata => recorded.fill_from(read_provider_metadata(text)),
                _ => {}
            }
        }
        recorded
    }

    /// What the recorded request asks for, read until its model is known. Only to be asked of a call.
    pub(super) fn requested(&self) -> Recorded {
        let mut requested = Recorded::default();
        for (_, fact, text) in &self.content {
            if matches!(fact, Fact::Request) && requested.model.is_none() {
                requested.fill_from(read_request(text));
            }
        }
        requested
    }
}

/// The place of a convention among all.
fn table(name: &str) -> u8 {
    let position = super::conventions::ALL.iter().position(|convention| convention.name == name);
    position.expect("it stands among all conventions") as u8
}

/// A short text that names something, without a second pair of quotes.
fn name(value: ValueView<'_>) -> Option<Cow<'_, str>> {
    let ValueView::Str(text) = value else { return None };
    let text = unquoted(text);
    let none = matches!(&*text, "" | "None" | "none" | "null" | "undefined" | "unknown" | "Unknown");
    (!none && text.len() <= NAME_BYTES_MAX).then_some(text)
}

fn offer_name<'a>(slot: &mut Slot<Cow<'a, str>>, rank: u16, value: ValueView<'a>) {
    if let Some(text) = name(value) {
        slot.offer(rank, text);
    }
}

fn truth(value: ValueView<'_>) -> Option<bool> {
    match value {
        ValueView::Bool(truth) => Some(truth),
        ValueView::Str(text) => match &*unquoted(text) {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// `ai.generateText.doGenerate` is a call, and `ai.generateText` what the application asked for.
fn ai_sdk_role(operation: &str) -> Role {
    match operation.rsplit('.').next() {
        Some("doEmbed") => Role::Call("embeddings"),
        Some("doRerank") => Role::Call("rerank"),
        Some(inner) if inner.starts_with("do") => Role::Call("chat"),
        _ => Role::NotCall,
    }
}

/// Whether a number under this name may be a count of used tokens that no table knows.
fn looks_like_usage(key: &str, of_ai: bool) -> bool {
    let has = |text: &str| {
        let first = text.as_bytes()[0];
        let mut windows = key.as_bytes().windows(text.len());
        windows.any(|at| at[0].eq_ignore_ascii_case(&first) && at.eq_ignore_ascii_case(text.as_bytes()))
    };
    const LIMITS: [&str; 11] = [
        "max",
        "limit",
        "budget",
        "persecond",
        "per_second",
        "time_per",
        "time_to",
        "ratio",
        "cost",
        "min",
        "established",
    ];
    let counts = (has("token")
        && (of_ai || ["input", "output", "prompt", "completion", "usage"].iter().any(|side| has(side))))
        || (of_ai && has(".usage."));
    counts && !LIMITS.iter().any(|limit| has(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_speeds_are_no_usage() {
        for (key, of_ai, usage) in [
            ("gen_ai.usage.of_tomorrow", true, true),
            ("llm.token_count.vision", true, true),
            ("my.prompt_tokens", false, true),
            ("my.TokenUsage", false, true),
            ("gen_ai.request.max_tokens", true, false),
            ("ai.response.avgOutputTokensPerSecond", true, false),
            ("gen_ai.server.time_per_output_token", true, false),
            ("gen_ai.server.time_to_first_token", true, false),
            ("auth.token_age", false, false),
            ("http.status_code", false, false),
        ] {
            assert_eq!(looks_like_usage(key, of_ai), usage, "{key}");
        }
    }

    #[test]
    fn only_the_inner_spans_of_the_ai_sdk_are_calls() {
        for (operation, role) in [
            ("ai.generateText", Role::NotCall),
            ("ai.generateText.doGenerate", Role::Call("chat")),
            ("ai.streamObject.doStream", Role::Call("chat")),
            ("ai.embedMany.doEmbed", Role::Call("embeddings")),
            ("ai.toolCall", Role::NotCall),
        ] {
            assert_eq!(ai_sdk_role(operation), role, "{operation}");
        }
    }
}
