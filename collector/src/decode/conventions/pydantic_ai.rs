//! Pydantic AI and Logfire's wrappers of the provider SDKs.
//!
//! Agents sum their steps under `gen_ai.aggregated_usage.*` (older versions under the plain names). Logfire adds the
//! provider's usage object as it was.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "pydantic_ai",
    facts: &[
        ("gen_ai.usage.details.cache_read_tokens", Tokens(CacheRead)),
        ("gen_ai.usage.details.cache_read_input_tokens", Tokens(CacheRead)),
        ("gen_ai.usage.details.cached_tokens", Tokens(CacheRead)),
        ("gen_ai.usage.details.cache_write_tokens", Tokens(CacheWrite)),
        ("gen_ai.usage.details.cache_creation_input_tokens", Tokens(CacheWrite)),
        ("gen_ai.usage.details.ephemeral_5m_input_tokens", Tokens(CacheWrite5m)),
        ("gen_ai.usage.details.ephemeral_1h_input_tokens", Tokens(CacheWrite1h)),
        ("gen_ai.usage.details.reasoning_tokens", Tokens(Reasoning)),
        ("gen_ai.usage.details.thoughts_tokens", Tokens(Reasoning)),
        ("gen_ai.usage.details.input_audio_tokens", Tokens(AudioInput)),
        ("gen_ai.usage.details.output_audio_tokens", Tokens(AudioOutput)),
        // The name does not say whether they were heard or spoken.
        ("gen_ai.usage.details.audio_tokens", Plain),
        ("gen_ai.usage.raw", RawUsage),
        ("gen_ai.aggregated_usage.input_tokens", Aggregate(Input)),
        ("gen_ai.aggregated_usage.output_tokens", Aggregate(Output)),
        ("gen_ai.aggregated_usage.cache_read.input_tokens", Aggregate(CacheRead)),
        ("gen_ai.aggregated_usage.cache_write.input_tokens", Aggregate(CacheWrite)),
        ("gen_ai.aggregated_usage.cache_creation.input_tokens", Aggregate(CacheWrite)),
        ("gen_ai.aggregated_usage.reasoning.output_tokens", Aggregate(Reasoning)),
        ("gen_ai.aggregated_usage.details.reasoning_tokens", Aggregate(Reasoning)),
        ("gen_ai.aggregated_usage.details.ephemeral_1h_input_tokens", Aggregate(CacheWrite1h)),
        ("model_name", RequestModel),
        ("request_data", Request),
        ("response_data", Answer),
        ("operation.cost", Plain),
        ("logfire.span_type", Plain),
        ("final_result", Content),
        ("all_messages_events", Content),
        ("events", Content),
        ("model_request_parameters", Content),
        ("pydantic_ai.all_messages", Content),
        ("logfire.msg", Content),
        ("logfire.json_schema", Content),
    ],
    prefixes: &[
        ("gen_ai.usage.details.", Namespace::Ai),
        ("gen_ai.aggregated_usage.", Namespace::Ai),
        ("pydantic_ai.cache.", Namespace::Ai),
        ("logfire.", Namespace::Content),
    ],
};
