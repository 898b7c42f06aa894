//! MLflow tracing: values are JSON inside text, counts one object.

use crate::decode::convention::{Convention, Fact::*, Meaning, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "mlflow",
    facts: &[
        (
            "mlflow.spanType",
            Role(&[
                ("CHAT_MODEL", Call("chat")),
                ("LLM", Call("chat")),
                ("EMBEDDING", Call("embeddings")),
                ("AGENT", NotCall),
                ("CHAIN", NotCall),
                ("TOOL", NotCall),
                ("RETRIEVER", NotCall),
                ("RERANKER", NotCall),
                ("PARSER", NotCall),
                ("MEMORY", NotCall),
                ("WORKFLOW", NotCall),
                ("TASK", NotCall),
                ("GUARDRAIL", NotCall),
                ("EVALUATOR", NotCall),
                ("UNKNOWN", NotCall),
            ]),
        ),
        ("mlflow.llm.provider", Provider),
        ("mlflow.message.format", Plain),
        ("mlflow.llm.model", ResponseModel),
        ("model", RequestModel),
        ("stream", Streaming),
        ("mlflow.chat.tokenUsage", Usage(Meaning::OfProvider)),
        ("mlflow.spanOutputs", Answer),
        ("mlflow.spanInputs", Request),
        ("mlflow.chat.messages", Content),
        ("mlflow.chat.tools", Content),
        ("mlflow.trace.tokenUsage", Plain),
    ],
    prefixes: &[
        ("mlflow.trace", Namespace::Content),
        ("mlflow.chat.", Namespace::Content),
        ("mlflow.", Namespace::Ai),
    ],
};
