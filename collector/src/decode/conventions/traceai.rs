//! A kind of span within the GenAI names, as OpenInference has it: TraceAI (Future AGI) and LoongSuite (Alibaba) write it; details
//! of tokens stand behind the name of the whole.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "traceai",
    facts: &[
        (
            "gen_ai.span.kind",
            Role(&[
                ("LLM", Call("chat")),
                ("EMBEDDING", Call("embeddings")),
                ("CHAIN", NotCall),
                ("AGENT", NotCall),
                ("TOOL", NotCall),
                ("TASK", NotCall),
                ("STEP", NotCall),
                ("RETRIEVER", NotCall),
                ("RERANKER", NotCall),
                ("GUARDRAIL", NotCall),
                ("EVALUATOR", NotCall),
                ("CONVERSATION", NotCall),
                ("WORKFLOW", NotCall),
            ]),
        ),
        ("gen_ai.request.parameters", Request),
        ("gen_ai.usage.cache_read_tokens", Tokens(CacheRead)),
        ("gen_ai.usage.cache_write_tokens", Tokens(CacheWrite)),
        ("gen_ai.usage.input_tokens.cache_read", Tokens(CacheRead)),
        ("gen_ai.usage.input_tokens.audio", Tokens(AudioInput)),
        ("gen_ai.usage.output_tokens.audio", Tokens(AudioOutput)),
    ],
    prefixes: &[("gen_ai.embedding.embeddings.", Namespace::Content)],
};
