//! The price data's names of providers, by their OpenTelemetry well-known names.

/// Well-known name, and what the price data calls it. A name that is not here is looked up as it stands, then by the
/// aliases of the price list; one that is here is never, since `azure.ai.openai` must not become `openai`.
const WELL_KNOWN: &[(&str, &str)] = &[
    ("anthropic", "anthropic"),
    ("aws.bedrock", "aws"),
    ("azure.ai.inference", "azure"),
    ("azure.ai.openai", "azure"),
    ("cerebras", "cerebras"),
    ("cohere", "cohere"),
    ("deepseek", "deepseek"),
    ("fireworks", "fireworks"),
    ("gcp.gemini", "google"),
    ("gcp.gen_ai", "google"),
    ("gcp.vertex_ai", "google"),
    ("groq", "groq"),
    ("mistral_ai", "mistral"),
    ("moonshot_ai", "moonshotai"),
    ("openai", "openai"),
    ("openrouter", "openrouter"),
    ("perplexity", "perplexity"),
    ("together", "together"),
    ("voyage", "voyageai"),
    ("x_ai", "x-ai"),
    // Known to have no public price by the token: a name that only resembles another provider's must not borrow its.
    ("ibm.watsonx.ai", ""),
    ("ollama", ""),
];

/// The price data's name for a well-known provider.
pub(super) fn price_data_name(well_known: &str) -> Option<&'static str> {
    WELL_KNOWN.iter().find(|(name, _)| *name == well_known).map(|(_, id)| *id)
}
