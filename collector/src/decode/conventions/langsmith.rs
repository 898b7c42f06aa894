//! LangSmith's OpenTelemetry export: the GenAI names under a kind of its own, which is the one to believe: prompt templates and
//! chains are written as the operation `chat`, too.

use crate::decode::convention::{Convention, Fact::*, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "langsmith",
    facts: &[(
        "langsmith.span.kind",
        Role(&[
            ("llm", Call("chat")),
            ("embedding", Call("embeddings")),
            ("chain", NotCall),
            ("tool", NotCall),
            ("retriever", NotCall),
            ("prompt", NotCall),
            ("parser", NotCall),
        ]),
    )],
    prefixes: &[("langsmith.metadata.ls_", Namespace::Ai), ("langsmith.", Namespace::Ai)],
};
