//! Names of providers and models: many spellings in, one name out.
//!
//! `provider` is the OpenTelemetry GenAI well-known value; `model` is the provider's own name without gateway or
//! vendor prefix. Both are tables, so that a new spelling is a new row.

use std::borrow::Cow;

/// Spellings seen in the field and the well-known value they stand for. Longest match of a whole dotted or slashed
/// prefix wins, so `openai.chat` and `openai/…` are `openai`.
const PROVIDERS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("claude", "anthropic"),
    ("azure", "azure.ai.openai"),
    ("azure_openai", "azure.ai.openai"),
    ("azure-openai", "azure.ai.openai"),
    ("azure.ai.openai", "azure.ai.openai"),
    ("az.ai.openai", "azure.ai.openai"),
    ("azure.ai.inference", "azure.ai.inference"),
    ("az.ai.inference", "azure.ai.inference"),
    ("azure_ai", "azure.ai.inference"),
    ("aws.bedrock", "aws.bedrock"),
    ("aws_bedrock", "aws.bedrock"),
    ("amazon-bedrock", "aws.bedrock"),
    ("amazon_bedrock", "aws.bedrock"),
    ("bedrock", "aws.bedrock"),
    ("bedrock_converse", "aws.bedrock"),
    ("aws", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("google", "gcp.gemini"),
    ("google_genai", "gcp.gemini"),
    ("googleai", "gcp.gemini"),
    ("google-genai", "gcp.gemini"),
    ("google.generative-ai", "gcp.gemini"),
    ("google_generative_ai", "gcp.gemini"),
    ("google-gla", "gcp.gemini"),
    ("gcp.gemini", "gcp.gemini"),
    ("gcp.gen_ai", "gcp.gen_ai"),
    ("gcp.vertex_ai", "gcp.vertex_ai"),
    ("google.vertex", "gcp.vertex_ai"),
    ("vertex_ai", "gcp.vertex_ai"),
    ("vertexai", "gcp.vertex_ai"),
    ("google_vertexai", "gcp.vertex_ai"),
    ("google-vertex", "gcp.vertex_ai"),
    ("google-cloud", "gcp.vertex_ai"),
    ("vertex", "gcp.vertex_ai"),
    ("x_ai", "x_ai"),
    ("xai", "x_ai"),
    ("x-ai", "x_ai"),
    ("mistral", "mistral_ai"),
    ("mistralai", "mistral_ai"),
    ("mistral_ai", "mistral_ai"),
    ("cohere", "cohere"),
    ("deepseek", "deepseek"),
    ("groq", "groq"),
    ("perplexity", "perplexity"),
    ("watsonx", "ibm.watsonx.ai"),
    ("ibm.watsonx.ai", "ibm.watsonx.ai"),
    ("ollama", "ollama"),
    ("openrouter", "openrouter"),
    ("together", "together"),
    ("togetherai", "together"),
    ("together_ai", "together"),
    ("fireworks", "fireworks"),
    ("fireworks_ai", "fireworks"),
    ("cerebras", "cerebras"),
    ("huggingface", "huggingface"),
    ("moonshot", "moonshot_ai"),
    ("moonshot_ai", "moonshot_ai"),
    ("moonshotai", "moonshot_ai"),
    ("voyage", "voyage"),
    ("voyageai", "voyage"),
];

/// What a model's name says of its maker, for spans that name no provider. First match wins.
const MAKERS: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("davinci", "openai"),
    ("babbage", "openai"),
    ("whisper", "openai"),
    ("tts-", "openai"),
    ("dall-e", "openai"),
    ("codex-", "openai"),
    ("computer-use", "openai"),
    ("omni-moderation", "openai"),
    ("ft:gpt", "openai"),
    ("claude", "anthropic"),
    ("gemini", "gcp.gemini"),
    ("gemma", "gcp.gemini"),
    ("text-embedding-004", "gcp.gemini"),
    ("learnlm", "gcp.gemini"),
    ("grok", "x_ai"),
    ("mistral", "mistral_ai"),
    ("codestral", "mistral_ai"),
    ("ministral", "mistral_ai"),
    ("magistral", "mistral_ai"),
    ("devstral", "mistral_ai"),
    ("pixtral", "mistral_ai"),
    ("command", "cohere"),
    ("rerank-", "cohere"),
    ("embed-english", "cohere"),
    ("embed-multilingual", "cohere"),
    ("deepseek", "deepseek"),
    ("sonar", "perplexity"),
    ("voyage", "voyage"),
    ("kimi", "moonshot_ai"),
    ("amazon.", "aws.bedrock"),
    ("anthropic.", "aws.bedrock"),
    ("meta.", "aws.bedrock"),
];

/// Prefixes a gateway or vendor puts before a model's own name.
const MODEL_PREFIXES: &[&str] = &[
    "models/",
    "publishers/google/models/",
    "publishers/anthropic/models/",
    "openrouter/",
    "litellm/",
    "litellm_proxy/",
];

/// The well-known value for a provider's spelling; `None` for frameworks and gateways that are no provider
/// (`langchain`, `strands-agents`, …) and for the empty string. An unknown spelling is kept, in lower case.
pub fn provider(spelling: &str) -> Option<Cow<'_, str>> {
    // Most producers write a spelling of the table, letter by letter.
    if let Some(known) = known_provider(spelling) {
        return Some(Cow::Borrowed(known));
    }
    let spelling = spelling.trim().trim_matches('"').to_ascii_lowercase();
    const NOT_PROVIDERS: &[&str] = &[
        "",
        "none",
        "null",
        "unknown",
        "_other",
        "langchain",
        "langgraph",
        "llamaindex",
        "llama_index",
        "strands-agents",
        "litellm",
        "litellm_proxy",
        "pydantic-ai",
        "pydantic_ai",
        "crewai",
        "autogen",
        "haystack",
        "openai_agents",
        "openai-agents",
        "gateway",
        "custom",
        "openai-compatible",
        "openai_compatible",
        "openai-like",
        "openai_like",
        "dspy",
        "smolagents",
        "agno",
        "vercel",
        "ai",
        "mlflow",
        "traceloop",
        "openllmetry",
        "openinference",
        "langfuse",
        "gcp.vertex.agent",
    ];
    // Frameworks name their own classes: `Anthropic_LLM`.
    const SUFFIXES: &[&str] = &["_llm", "_chat", "_embedding", "_embeddings"];
    let spelling =
        SUFFIXES.iter().find_map(|suffix| spelling.strip_suffix(suffix)).unwrap_or(&spelling).to_string();
    if NOT_PROVIDERS.contains(&spelling.as_str()) {
        return None;
    }
    let mut prefix = spelling.as_str();
    loop {
        if let Some(known) = known_provider(prefix) {
            return Some(Cow::Borrowed(known));
        }
        // `openai.chat` → `openai`; `anthropic/messages` → `anthropic`.
        match prefix.rfind(['.', '/', ':']) {
            Some(at) => prefix = &prefix[..at],
            None => return Some(Cow::Owned(spelling)),
        }
    }
}

fn known_provider(spelling: &str) -> Option<&'static str> {
    PROVIDERS.iter().find(|(name, _)| *name == spelling).map(|(_, known)| *known)
}

/// The provider that a model's name gives away; `None` where the name does not tell.
pub fn provider_of_model(model: &str) -> Option<&'static str> {
    let model = model.to_ascii_lowercase();
    let name = model.rsplit('/').next().unwrap_or(&model);
    let maker =
        |name: &str| MAKERS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, provider)| *provider);
    // `us.anthropic.claude-…`: Bedrock puts the region of an inference profile before the maker.
    let of_region = || name.split_once('.').and_then(|(_, rest)| maker(rest).filter(|_| rest.contains('.')));
    maker(name).or_else(|| of_region().filter(|provider| *provider == "aws.bedrock"))
}

/// The provider's own name of a model: gateway and vendor prefixes removed, JSON quotes removed.
/// `None` for text that is no name (empty, `None`, `unknown`).
pub fn model(spelling: &str) -> Option<&str> {
    let mut name = spelling.trim().trim_matches('"').trim();
    if name.is_empty() || ["none", "null", "unknown"].iter().any(|none| name.eq_ignore_ascii_case(none)) {
        return None;
    }
    for prefix in MODEL_PREFIXES {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    // `openai/gpt-4o`, `azure/gpt-4o`: a vendor's prefix. `accounts/fireworks/models/x` and `meta-llama/Llama-3` are
    // names of their own: only a spelling of a provider is cut.
    let known = |vendor: &str| PROVIDERS.iter().any(|(name, _)| name.eq_ignore_ascii_case(vendor));
    let mut of_bedrock = false;
    while let Some((vendor, rest)) = name.split_once('/') {
        // `bedrock/converse/…`: a gateway's word for which of the provider's APIs it is to ask.
        let api = of_bedrock && matches!(vendor, "converse" | "invoke");
        if !(known(vendor) || api) || rest.is_empty() {
            break;
        }
        of_bedrock = vendor.eq_ignore_ascii_case("bedrock");
        name = rest;
    }
    // `openai:gpt-4o`; but `mistral:7b` is a size of a local model.
    if let Some((vendor, rest)) = name.split_once(':')
        && known(vendor)
        && provider_of_model(rest).is_some()
    {
        name = rest;
    }
    // `gpt-4o:responses`: which of the provider's APIs a framework is to use.
    for api in [":completions", ":responses"] {
        name = name.strip_suffix(api).filter(|rest| !rest.is_empty()).unwrap_or(name);
    }
    Some(name)
}

/// Bedrock's own name of a model. Some instrumentations take the maker off it (`nova-lite-v1:0`); there are prices for the whole.
pub fn bedrock_model(name: &str) -> String {
    const MAKERS_OF: &[(&str, &str)] = &[
        ("claude-", "anthropic"),
        ("nova-", "amazon"),
        ("titan-", "amazon"),
        ("llama", "meta"),
        ("mistral-", "mistral"),
        ("mixtral-", "mistral"),
        ("pixtral-", "mistral"),
        ("command-", "cohere"),
        ("embed-", "cohere"),
        ("jamba-", "ai21"),
    ];
    let maker = MAKERS_OF.iter().find(|(start, _)| name.starts_with(start));
    maker.map_or_else(|| name.to_string(), |(_, maker)| format!("{maker}.{name}"))
}

/// The family of a model: its name without the date or `-latest` at its end, so that the alias that was asked for and
/// the dated model that answered agree.
pub fn model_family(model: &str) -> &str {
    let model = model.strip_suffix("-latest").unwrap_or(model);
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((head, tail)) = model.rsplit_once(['-', '@']) {
        if digits(tail, 8) || digits(tail, 4) || digits(tail, 3) {
            return head;
        }
        // `…-2024-08-06`
        if digits(tail, 2)
            && let Some((head, month)) = head.rsplit_once('-')
            && digits(month, 2)
            && let Some((head, year)) = head.rsplit_once('-')
            && digits(year, 4)
        {
            return head;
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_have_one_name() {
        for (spelling, known) in [
            ("OpenAI", Some("openai")),
            ("openai.chat", Some("openai")),
            ("openai.responses", Some("openai")),
            ("anthropic.messages", Some("anthropic")),
            ("az.ai.openai", Some("azure.ai.openai")),
            ("gemini", Some("gcp.gemini")),
            ("vertex_ai", Some("gcp.vertex_ai")),
            ("google.generative-ai", Some("gcp.gemini")),
            ("langchain", None),
            ("strands-agents", None),
            ("gcp.vertex.agent", None),
            ("Anthropic_LLM", Some("anthropic")),
            ("google-gla", Some("gcp.gemini")),
            ("vertex.anthropic.messages", Some("gcp.vertex_ai")),
            ("amazon_bedrock", Some("aws.bedrock")),
            ("openai-compatible", None),
            ("", None),
            ("my-own-cloud", Some("my-own-cloud")),
        ] {
            assert_eq!(provider(spelling).as_deref(), known, "{spelling}");
        }
    }

    #[test]
    fn models_lose_their_gateway_prefix_only() {
        for (spelling, name) in [
            ("openai/gpt-4o", Some("gpt-4o")),
            ("openai/gpt-4o:completions", Some("gpt-4o")),
            ("llama3:8b", Some("llama3:8b")),
            ("openai:gpt-4o", Some("gpt-4o")),
            ("google-gla:gemini-2.5-flash", Some("gemini-2.5-flash")),
            ("mistral:7b", Some("mistral:7b")),
            ("bedrock/converse/anthropic.claude-v2:1", Some("anthropic.claude-v2:1")),
            ("models/gemini-2.5-flash", Some("gemini-2.5-flash")),
            ("openrouter/anthropic/claude-sonnet-4", Some("claude-sonnet-4")),
            ("meta-llama/Llama-3-70b", Some("meta-llama/Llama-3-70b")),
            ("\"gpt-4o\"", Some("gpt-4o")),
            ("None", None),
            ("", None),
        ] {
            assert_eq!(model(spelling), name, "{spelling}");
        }
    }

    #[test]
    fn alias_and_dated_model_are_one_family() {
        for (dated, family) in [
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("gpt-4o", "gpt-4o"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
            ("gemini-1.5-flash-002", "gemini-1.5-flash"),
            ("gpt-4-0613", "gpt-4"),
            ("o3-mini-2025-01-31", "o3-mini"),
            ("text-embedding-3-small", "text-embedding-3-small"),
        ] {
            assert_eq!(model_family(dated), family, "{dated}");
        }
    }

    #[test]
    fn a_models_name_tells_its_seller_behind_a_region_too() {
        for (model, provider) in [
            ("claude-sonnet-4-5", Some("anthropic")),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("aws.bedrock")),
            ("gemini-2.5-flash", Some("gcp.gemini")),
            ("my.gpt-4o.local", None),
        ] {
            assert_eq!(provider_of_model(model), provider, "{model}");
        }
    }
}
