//! LiteLLM's own callback.
//!
//! It writes its facts on a span `litellm_request`, or, where the application has a span open, on *that* span, over those
//! of the call before. The provider's answer is copied field by field onto a child `raw_gen_ai_request`, the one span that
//! is one call for certain. The response id on the former is the provider's for OpenAI alone.

use crate::decode::convention::{Convention, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "litellm",
    facts: &[
        ("hidden_params", Gateway),
        ("metadata.user_api_key_hash", Gateway),
        ("gen_ai.cost.total_cost", Gateway),
        ("litellm.provider.model", ProviderAndModel),
        ("litellm.call_id", GatewayCallId),
        ("gen_ai.cost.input_cost", Plain),
        ("gen_ai.cost.output_cost", Plain),
        ("error.code", Plain),
        ("error.message", Content),
    ],
    prefixes: &[
        ("litellm.", Namespace::Ai),
        ("metadata.user_api_key_", Namespace::Ai),
        ("llm.request.functions", Namespace::Content),
        ("llm.request.", Namespace::Ai),
        ("llm.response.", Namespace::Ai),
        ("llm.usage.", Namespace::Ai),
        ("llm.", Namespace::RawAnswer),
    ],
};
