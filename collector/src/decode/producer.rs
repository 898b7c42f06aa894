//! Who made a span, by its instrumentation scope: how far its counts are believed, and what its input means.
//!
//! The attribute name decides neither: `gen_ai.usage.input_tokens` is the whole prompt from one library and the part
//! that was not cached from the next. This table holds what was seen of each; the numbers themselves come first ([`super::normalise`]).

use domain::observation::Trust;

use super::convention::Meaning;

/// What is known of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Producer {
    /// How far its counts are believed.
    pub(super) trust: Trust,
    /// What its input means.
    pub(super) meaning: Meaning,
    /// What else is particular to it.
    pub(super) habit: Habit,
}

/// What one producer does and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Nothing in particular.
    None,
    /// Counts tokens itself where a stream states none, and does not say so.
    EstimatesStreams,
    /// States input in the provider's own sense until version 6, which added `inputTokenDetails`.
    DetailedSinceSix,
    /// Writes an embeddings call twice, outer and inner span alike, so that neither is a call for certain; and calls
    /// the function it runs an agent.
    RepeatsEmbeddings,
    /// Marks every method of a model's class as a call, those that only make a request ready, too.
    MarksMethods,
    /// Is LiteLLM's callback: see the convention's table.
    LiteLlm,
}

/// How a row's text is compared with a scope's name.
#[derive(Debug, Clone, Copy)]
enum Scope {
    Is(&'static str),
    Starts(&'static str),
    Has(&'static str),
}

const fn made(trust: Trust, meaning: Meaning, habit: Habit) -> Producer {
    Producer { trust, meaning, habit }
}

/// Instrumentations of a provider's SDK in general, and every scope that is not listed.
const INSTRUMENTATION: Producer = made(Trust::Instrumentation, Meaning::Inclusive, Habit::None);
/// Frameworks and gateways: they repeat what an SDK told them.
const FRAMEWORK: Producer = made(Trust::Framework, Meaning::Inclusive, Habit::None);

const LLAMA_INDEX: Producer = made(Trust::Framework, Meaning::Inclusive, Habit::MarksMethods);

/// Scopes, first match wins.
const PRODUCERS: &[(Scope, Producer)] = &[
    (Scope::Starts("com.anthropic.sdk"), made(Trust::Provider, Meaning::Inclusive, Habit::None)),
    (Scope::Is("ai"), made(Trust::Instrumentation, Meaning::OfProvider, Habit::DetailedSinceSix)),
    (Scope::Is("gen_ai"), made(Trust::Instrumentation, Meaning::Inclusive, Habit::RepeatsEmbeddings)),
    (Scope::Is("litellm"), made(Trust::Framework, Meaning::Inclusive, Habit::LiteLlm)),
    (Scope::Has("openlit"), made(Trust::Instrumentation, Meaning::OfProvider, Habit::EstimatesStreams)),
    // Adds the placeholder of the first event to the output of streams: one too high, and no attribute tells streams apart.
    (
        Scope::Is("opentelemetry.instrumentation.anthropic"),
        made(Trust::Estimate, Meaning::Inclusive, Habit::None),
    ),
    (Scope::Has("traceai"), made(Trust::Instrumentation, Meaning::OfProvider, Habit::None)),
    (Scope::Has("langfuse"), made(Trust::Framework, Meaning::OfProvider, Habit::None)),
    (Scope::Has("mlflow"), made(Trust::Framework, Meaning::OfProvider, Habit::None)),
    (Scope::Has("langchain"), FRAMEWORK),
    (Scope::Has("langgraph"), FRAMEWORK),
    (Scope::Has("langsmith"), FRAMEWORK),
    (Scope::Has("litellm"), FRAMEWORK),
    (Scope::Has("llamaindex"), LLAMA_INDEX),
    (Scope::Has("llama_index"), LLAMA_INDEX),
    (Scope::Has("llama-index"), LLAMA_INDEX),
    (Scope::Has("openai_agents"), FRAMEWORK),
    (Scope::Has("openai-agents"), FRAMEWORK),
    (Scope::Has("pydantic"), FRAMEWORK),
    (Scope::Has("strands"), FRAMEWORK),
    (Scope::Has("crewai"), FRAMEWORK),
    (Scope::Has("autogen"), FRAMEWORK),
    (Scope::Has("haystack"), FRAMEWORK),
    (Scope::Has("dspy"), FRAMEWORK),
    (Scope::Has("smolagents"), FRAMEWORK),
    (Scope::Has("agno"), FRAMEWORK),
    (Scope::Has("semantic_kernel"), FRAMEWORK),
    (Scope::Has("google_adk"), FRAMEWORK),
    (Scope::Is("gcp.vertex.agent"), FRAMEWORK),
    (Scope::Has("traceloop.tracer"), FRAMEWORK),
];

/// The producer behind a scope's name.
pub(super) fn of_scope(name: &str) -> Producer {
    let name = name.to_ascii_lowercase();
    let matches = |scope: &Scope| match scope {
        Scope::Is(text) => name == *text,
        Scope::Starts(text) => name.starts_with(text),
        Scope::Has(text) => name.contains(text),
    };
    PRODUCERS.iter().find(|(scope, _)| matches(scope)).map_or(INSTRUMENTATION, |(_, producer)| *producer)
}

/// Whether a provider's API counts cached tokens beside the input, not within it.
pub(super) fn input_excludes_cached(provider: Option<&str>) -> bool {
    matches!(provider, Some("anthropic" | "aws.bedrock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_their_trust() {
        for (scope, trust) in [
            ("com.anthropic.sdk.python", Trust::Provider),
            ("opentelemetry.instrumentation.genai.anthropic", Trust::Instrumentation),
            ("opentelemetry.instrumentation.anthropic", Trust::Estimate),
            ("openinference.instrumentation.openai", Trust::Instrumentation),
            ("openinference.instrumentation.langchain", Trust::Framework),
            ("@arizeai/openinference-instrumentation-langchain", Trust::Framework),
            ("pydantic-ai", Trust::Framework),
            ("", Trust::Instrumentation),
        ] {
            assert_eq!(of_scope(scope).trust, trust, "{scope}");
        }
    }
}
