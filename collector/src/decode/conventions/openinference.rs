//! OpenInference (Arize Phoenix): `llm.*` and `openinference.span.kind`.
//!
//! It has no attribute for the response id, the service tier, nor (but for Anthropic) the model asked for; they are read out of
//! the recorded answer and request where those are recorded.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "openinference",
    facts: &[
        (
            "openinference.span.kind",
            Role(&[
                ("LLM", Call("chat")),
                ("EMBEDDING", Call("embeddings")),
                ("CHAIN", NotCall),
                ("AGENT", NotCall),
                ("TOOL", NotCall),
                ("RETRIEVER", NotCall),
                ("RERANKER", NotCall),
                ("GUARDRAIL", NotCall),
                ("EVALUATOR", NotCall),
                ("PROMPT", NotCall),
            ]),
        ),
        // The provider is the host that answers, the system the product it sells.
        ("llm.provider", Provider),
        ("llm.system", Provider),
        ("llm.request.model_name", RequestModel),
        ("llm.response.model_name", ResponseModel),
        ("llm.model_name", ResponseModel),
        ("embedding.model_name", ResponseModel),
        ("llm.token_count.prompt", Tokens(Input)),
        ("llm.token_count.completion", Tokens(Output)),
        ("llm.token_count.total", Tokens(Total)),
        ("llm.token_count.prompt_details.cache_read", Tokens(CacheRead)),
        ("llm.token_count.prompt_details.cache_write", Tokens(CacheWrite)),
        ("llm.token_count.prompt_details.audio", Tokens(AudioInput)),
        ("llm.token_count.completion_details.reasoning", Tokens(Reasoning)),
        ("llm.token_count.completion_details.audio", Tokens(AudioOutput)),
        ("llm.token_count.prompt_details.cache_input", Plain),
        ("llm.invocation_parameters", Request),
        ("embedding.invocation_parameters", Request),
        ("input.value", Request),
        ("output.value", Answer),
        ("input.mime_type", Plain),
        ("output.mime_type", Plain),
    ],
    prefixes: &[
        ("llm.input_messages.", Namespace::Content),
        ("llm.output_messages.", Namespace::Content),
        ("llm.prompt_template.", Namespace::Content),
        ("llm.prompts", Namespace::Content),
        ("llm.choices", Namespace::Content),
        ("llm.completions", Namespace::Content),
        ("llm.tools.", Namespace::Content),
        ("llm.headers", Namespace::Content),
        ("llm.function_call", Namespace::Content),
        ("embedding.embeddings.", Namespace::Content),
        ("llm.token_count.", Namespace::Ai),
        ("llm.cost.", Namespace::Ai),
        ("openinference.", Namespace::Ai),
        ("embedding.", Namespace::Ai),
        ("retrieval.", Namespace::Content),
        ("reranker.", Namespace::Content),
        ("tool_call.", Namespace::Content),
        ("tool.", Namespace::Content),
        ("input.", Namespace::Content),
        ("output.", Namespace::Content),
    ],
};
