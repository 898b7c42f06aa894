//! What a convention is: a table from attribute names to the facts they state.
//!
//! One engine ([`super::findings`]) reads every table; adding a convention is adding one. Rows are in order of strength: where
//! two attributes of a span state the same fact, the one whose convention stands earlier in
//! [`super::conventions::ALL`], and in it the earlier row, is believed. An attribute that is written twice counts as last written.

use domain::TokenClass;

/// A way of naming AI facts on spans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convention {
    /// Its name, kept on every observation it read.
    pub(super) name: &'static str,
    /// Attribute names and what they state, strongest first.
    pub(super) facts: &'static [(&'static str, Fact)],
    /// What the remaining attributes under a prefix are, longest prefix first.
    pub(super) prefixes: &'static [(&'static str, Namespace)],
}

/// What one attribute states.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fact {
    /// What the span is, by the attribute's value; other values say nothing.
    Role(&'static [(&'static str, Role)]),
    /// The same, where a value that is not listed speaks by its words.
    RoleOrWords(&'static [(&'static str, Role)]),
    /// What the span is, where an operation may be nested in its value (`ai.generateText.doGenerate`).
    Operation,
    /// That a gateway library wrote its facts on this span, which may be any span of the application.
    Gateway,
    /// The same, and the gateway's own name for the call: no provider's response id.
    GatewayCallId,
    /// Who was called.
    Provider,
    /// The provider before a slash, the model behind it.
    ProviderAndModel,
    /// The model asked for.
    RequestModel,
    /// The model that answered.
    ResponseModel,
    /// The provider's name for the answer.
    ResponseId,
    /// The tier asked for.
    RequestTier,
    /// The tier that was given.
    ResponseTier,
    /// Whether the answer was streamed.
    Streaming,
    /// That the answer was streamed, by the attribute being there.
    Streamed,
    /// The error's type.
    ErrorType,
    /// How bad it was: `ERROR` stands for a failed span.
    Level,
    /// The host that was called.
    Host,
    /// The provider's region.
    Region,
    /// A count of tokens.
    Tokens(Count),
    /// A count that a wrapper summed over its calls.
    Aggregate(Count),
    /// A count of something that is no token, by the unit's name in the ledger.
    Units(&'static str),
    /// Counts in a JSON object of the producer's own making.
    Usage(Meaning),
    /// The provider's usage object, as JSON or as the text of a Python dictionary.
    RawUsage,
    /// A recorded answer of the provider: content.
    Answer,
    /// The AI SDK's metadata, an object for each provider: content.
    ProviderMetadata,
    /// A recorded request, or its parameters: content.
    Request,
    /// Prompts, completions, tools and their results: never read, never kept.
    Content,
    /// Known, states nothing that is needed. Kept with the observation.
    Plain,
}

/// What the attributes under a prefix are, apart from those that state a fact of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    /// AI facts: kept where they are short.
    Ai,
    /// Content: never read, never kept.
    Content,
    /// `llm.<provider>.<field>`: LiteLLM's copy of the provider's own answer, one attribute a field.
    RawAnswer,
}

/// What a span is, as far as a marker tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One request to a model; its operation by OpenTelemetry's name.
    Call(&'static str),
    /// Never a request to a model, whatever usage it states.
    NotCall,
}

/// A count as producers write it. What of it overlaps is settled by [`super::normalise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Count {
    Input,
    /// The part of the prompt that was neither read from nor written to the cache.
    InputUncached,
    Output,
    Total,
    CacheRead,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    Reasoning,
    AudioInput,
    AudioOutput,
    /// Tokens of tool use that Gemini counts beside the prompt.
    ToolInput,
}

impl Fact {
    /// Whether it is read from prompts, answers, or what else of them a span records: looked into, never kept.
    pub(super) fn is_content(self) -> bool {
        matches!(self, Self::Content | Self::Answer | Self::ProviderMetadata | Self::Request)
    }
}

impl Count {
    pub(super) const LEN: usize = Self::ToolInput as usize + 1;
    pub(super) const ALL: [Self; Self::LEN] = [
        Self::Input,
        Self::InputUncached,
        Self::Output,
        Self::Total,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ToolInput,
    ];

    /// The name of the class it belongs to in the ledger, for faults.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Input | Self::InputUncached | Self::ToolInput => TokenClass::Input.name(),
            Self::Output => TokenClass::Output.name(),
            Self::Total => "total_tokens",
            Self::CacheRead => TokenClass::CacheRead.name(),
            Self::CacheWrite | Self::CacheWrite5m => TokenClass::CacheWrite.name(),
            Self::CacheWrite1h => TokenClass::CacheWrite1h.name(),
            Self::Reasoning => TokenClass::Reasoning.name(),
            Self::AudioInput => TokenClass::AudioInput.name(),
            Self::AudioOutput => TokenClass::AudioOutput.name(),
        }
    }
}

/// What `input` means where the numbers do not tell: whether cached tokens are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// All input tokens, cached ones too, as the OpenTelemetry conventions have asked since 1.40.
    Inclusive,
    /// Only the tokens that were not cached.
    Exclusive,
    /// What the provider's API means by it.
    OfProvider,
}
