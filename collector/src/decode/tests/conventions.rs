//! One span of each library, in the names it writes, and the one meaning they have here.

use domain::TokenClass::{self, *};
use domain::observation::{Kind, Trust};
use serde_json::{Value, json};

use super::observe;

struct Wanted<'a> {
    kind: Kind,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    id: Option<&'a str>,
    tokens: &'a [(TokenClass, u64)],
}

fn check(what: &str, scope: &str, name: &str, attributes: Value, wanted: Wanted<'_>) {
    let seen = observe(scope, name, attributes).unwrap_or_else(|| panic!("{what} leaves nothing"));
    assert_eq!(seen.kind, wanted.kind, "kind of {what}");
    assert_eq!(seen.provider.as_deref(), wanted.provider, "provider of {what}");
    assert_eq!(seen.model(), wanted.model, "model of {what}");
    assert_eq!(seen.response_id.as_ref().map(|id| id.text.as_str()), wanted.id, "response id of {what}");
    let tokens: Vec<_> =
        TokenClass::ALL.into_iter().filter_map(|class| Some((class, seen.usage.get(class)?))).collect();
    assert_eq!(tokens, wanted.tokens, "tokens of {what}");
    assert_eq!(seen.fault, None, "{what}");
}

#[test]
fn otel_genai_of_1_26_without_an_operation_is_a_call_where_it_names_its_answer() {
    check(
        "v1.26",
        "opentelemetry.instrumentation.openai",
        "openai.chat",
        json!({"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.response.id": "chatcmpl-1",
               "gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.completion_tokens": 4}),
        Wanted {
            kind: Kind::Call,
            provider: Some("openai"),
            model: Some("gpt-4o"),
            id: Some("chatcmpl-1"),
            tokens: &[(Input, 9), (Output, 4)],
        },
    );
}

#[test]
fn google_genai_by_opentelemetry() {
    check(
        "Google GenAI",
        "opentelemetry.instrumentation.google_genai",
        "generate_content gemini-2.5-flash",
        json!({"gen_ai.operation.name": "generate_content", "gen_ai.provider.name": "gemini", "gen_ai.request.model": "gemini-2.5-flash",
               "gen_ai.response.id": "r-1", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 57,
               "gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.usage.reasoning.output_tokens": 7,
               "gen_ai.usage.text.input_tokens": 100, "gen_ai.usage.text.cache_read.input_tokens": 40}),
        Wanted {
            kind: Kind::Call,
            provider: Some("gcp.gemini"),
            model: Some("gemini-2.5-flash"),
            id: Some("r-1"),
            tokens: &[(Input, 100), (CacheRead, 40), (Output, 57), (Reasoning, 7)],
        },
    );
}

#[test]
fn litellm_is_a_call_where_it_copied_the_answer_and_a_wrapper_where_it_wrote_on_a_span() {
    let usage = "{'input_tokens': 40, 'output_tokens': 35, 'cache_creation_input_tokens': 300, 'cache_read_input_tokens': 500, 'cache_creation': {'ephemeral_5m_input_tokens': 200, 'ephemeral_1h_input_tokens': 100}, 'service_tier': 'standard'}";
    check(
        "LiteLLM's raw child",
        "litellm",
        "raw_gen_ai_request",
        json!({"llm.anthropic.messages": "[{'role': 'user'}]", "llm.anthropic.model": "claude-sonnet-4-5-20250929",
               "llm.anthropic.id": "msg_1", "llm.anthropic.usage": usage}),
        Wanted {
            kind: Kind::Call,
            provider: Some("anthropic"),
            model: Some("claude-sonnet-4-5-20250929"),
            id: Some("msg_1"),
            tokens: &[(Input, 840), (CacheRead, 500), (CacheWrite, 300), (CacheWrite1h, 100), (Output, 35)],
        },
    );
    let stated = json!({"gen_ai.operation.name": "chat", "llm.request.type": "completion", "gen_ai.system": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.response.id": "chatcmpl-of-litellm", "llm.is_streaming": "False",
        "gen_ai.usage.input_tokens": "840", "gen_ai.usage.output_tokens": 35, "gen_ai.usage.total_tokens": 875,
        "metadata.user_api_key_hash": "x", "metadata.user_api_key_team_id": "None", "hidden_params": "{}"});
    for (what, scope, name) in [
        ("LiteLLM's request", "litellm", "litellm_request"),
        ("an application's span", "shop.app", "POST /answer"),
    ] {
        check(
            what,
            scope,
            name,
            stated.clone(),
            Wanted {
                kind: Kind::PossibleWrapper,
                provider: Some("anthropic"),
                model: Some("claude-sonnet-4-5"),
                id: None,
                tokens: &[(Input, 840), (Output, 35)],
            },
        );
    }
}

#[test]
fn litellms_team_is_a_tenant_and_none_is_no_team() {
    let of = |team: &str| {
        let attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1, "metadata.user_api_key_team_id": team});
        observe("litellm", "litellm_request", attributes).unwrap().dimensions.tenant
    };
    assert_eq!((of("acme").as_deref(), of("None")), (Some("acme"), None));
}

#[test]
fn mlflow_in_json_text() {
    let answer = r#"{"id": "chatcmpl-9", "model": "gpt-4o-2024-08-06", "service_tier": "flex", "usage": {"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 64}}}"#;
    let attributes = json!({"mlflow.spanType": "\"CHAT_MODEL\"", "model": "\"gpt-4o\"", "stream": "true",
        "mlflow.chat.tokenUsage": {"input_tokens": 100, "output_tokens": 9, "total_tokens": 109, "cache_read_input_tokens": 64},
        "mlflow.spanOutputs": answer});
    check(
        "MLflow",
        "mlflow.openai.autolog",
        "Completions",
        attributes.clone(),
        Wanted {
            kind: Kind::Call,
            provider: Some("openai"),
            model: Some("gpt-4o-2024-08-06"),
            id: Some("chatcmpl-9"),
            tokens: &[(Input, 100), (CacheRead, 64), (Output, 9)],
        },
    );
    let seen = observe("mlflow", "Completions", attributes).unwrap();
    assert_eq!(
        (seen.streaming, seen.service_tier.as_deref(), seen.trust),
        (Some(true), Some("flex"), Trust::Framework)
    );
    let agent = json!({"mlflow.spanType": "\"AGENT\"", "mlflow.chat.tokenUsage": {"input_tokens": 5}, "mlflow.spanOutputs": answer});
    let seen = observe("mlflow", "agent", agent).unwrap();
    assert_eq!((seen.kind, seen.response_id), (Kind::PossibleWrapper, None));
}

#[test]
fn langfuse_with_keys_of_its_own_and_of_a_provider() {
    let of = |usage: Value| {
        json!({"langfuse.observation.type": "generation", "langfuse.observation.model.name": "claude-sonnet-4-5",
        "langfuse.observation.usage_details": usage})
    };
    for usage in [
        json!({"input": 40, "output": 35, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 300}),
        json!({"input_tokens": 40, "output_tokens": 35, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 300}),
        json!({"input": 40, "output": 35, "input_cache_read": 500, "input_cache_creation": 300}),
    ] {
        check(
            "Langfuse",
            "langfuse-sdk",
            "claude",
            of(usage),
            Wanted {
                kind: Kind::Call,
                provider: Some("anthropic"),
                model: Some("claude-sonnet-4-5"),
                id: None,
                tokens: &[(Input, 840), (CacheRead, 500), (CacheWrite, 300), (Output, 35)],
            },
        );
    }
}

#[test]
fn openlit_excludes_cached_tokens_for_anthropic_and_guesses_at_streams() {
    let attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.system": "anthropic", "gen_ai.request.model": "claude-haiku-4-5",
        "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 35, "gen_ai.client.token.usage": 935,
        "gen_ai.usage.cache_read.input_tokens": 500, "gen_ai.request.is_stream": false});
    check(
        "OpenLIT",
        "openlit.otel.tracing",
        "chat claude-haiku-4-5",
        attributes,
        Wanted {
            kind: Kind::Call,
            provider: Some("anthropic"),
            model: Some("claude-haiku-4-5"),
            id: None,
            tokens: &[(Input, 1400), (CacheRead, 500), (Output, 35)],
        },
    );
    let stream = json!({"gen_ai.operation.name": "chat", "gen_ai.request.is_stream": true, "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 3});
    let seen = observe("openlit.otel.tracing", "chat", stream).unwrap();
    assert_eq!((seen.estimated, seen.trust), (true, Trust::Estimate));
}

#[test]
fn strands_and_its_agents_under_the_same_names() {
    let of = |operation: &str| {
        json!({"gen_ai.operation.name": operation, "gen_ai.system": "strands-agents", "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.input_tokens": 9, "gen_ai.usage.completion_tokens": 4, "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.total_tokens": 13, "gen_ai.usage.cache_read_input_tokens": 2, "gen_ai.usage.cache_write_input_tokens": 1})
    };
    for (operation, kind) in [
        ("chat", Kind::Call),
        ("invoke_agent", Kind::PossibleWrapper),
        ("execute_event_loop_cycle", Kind::PossibleWrapper),
    ] {
        check(
            "Strands",
            "strands.telemetry.tracer",
            operation,
            of(operation),
            Wanted {
                kind,
                provider: Some("openai"),
                model: Some("gpt-4o"),
                id: None,
                tokens: &[(Input, 9), (CacheRead, 2), (CacheWrite, 1), (Output, 4)],
            },
        );
    }
}

#[test]
fn logfire_with_the_raw_usage_beside_its_own() {
    check(
        "Logfire",
        "logfire.anthropic",
        "Message with 'claude-haiku-4-5'",
        json!({"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-haiku-4-5",
               "request_data": {"model": "claude-haiku-4-5", "messages": []},
               "gen_ai.usage.input_tokens": 840, "gen_ai.usage.output_tokens": 35, "gen_ai.response.id": "msg_1",
               "gen_ai.usage.raw": {"input_tokens": 40, "output_tokens": 35, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 500,
                                    "cache_creation": {"ephemeral_1h_input_tokens": 100, "ephemeral_5m_input_tokens": 200}}}),
        Wanted {
            kind: Kind::Call,
            provider: Some("anthropic"),
            model: Some("claude-haiku-4-5"),
            id: Some("msg_1"),
            tokens: &[(Input, 840), (CacheRead, 500), (CacheWrite, 300), (CacheWrite1h, 100), (Output, 35)],
        },
    );
}

#[test]
fn pydantic_ai_sums_its_steps() {
    check(
        "a Pydantic AI agent",
        "pydantic-ai",
        "invoke_agent trip_agent",
        json!({"gen_ai.operation.name": "invoke_agent", "model_name": "gpt-4.1", "gen_ai.aggregated_usage.input_tokens": 2630,
               "gen_ai.aggregated_usage.output_tokens": 32, "gen_ai.aggregated_usage.cache_read.input_tokens": 2176}),
        Wanted {
            kind: Kind::PossibleWrapper,
            provider: Some("openai"),
            model: Some("gpt-4.1"),
            id: None,
            tokens: &[(Input, 2630), (CacheRead, 2176), (Output, 32)],
        },
    );
}

#[test]
fn vercel_7_in_the_genai_names() {
    let of = |operation: &str| {
        json!({"gen_ai.operation.name": operation, "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.agent.name": "planner", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 4})
    };
    for (operation, kind) in [
        ("chat", Kind::Call),
        ("invoke_agent", Kind::PossibleWrapper),
        // Outer and inner span look alike.
        ("embeddings", Kind::PossibleWrapper),
    ] {
        let seen = observe("gen_ai", operation, of(operation)).unwrap();
        assert_eq!((seen.kind, seen.dimensions.feature.as_deref()), (kind, Some("planner")), "{operation}");
    }
}

#[test]
fn units_that_are_no_tokens_are_counted_apart() {
    let attributes = json!({"gen_ai.operation.name": "speech", "gen_ai.usage.characters": 120});
    let seen = observe("gen_ai", "speech", attributes).unwrap();
    assert_eq!((seen.kind, seen.usage.units.get("characters")), (Kind::Call, Some(&120)));
}

#[test]
fn openinference_reads_the_rest_out_of_what_it_recorded() {
    let attributes = json!({"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-4o-2024-08-06",
        "llm.token_count.prompt": 9, "llm.token_count.completion": 4,
        "input.value": {"model": "gpt-4o", "messages": [{"content": "a secret"}], "stream": true},
        "output.value": {"id": "chatcmpl-5", "model": "gpt-4o-2024-08-06", "service_tier": "flex", "choices": []}});
    let seen = observe("openinference.instrumentation.openai", "ChatCompletion", attributes).unwrap();
    let id = seen.response_id.as_ref().map(|id| (id.text.as_str(), id.from_attribute));
    assert_eq!(id, Some(("chatcmpl-5", false)));
    assert_eq!(
        (seen.request_model.as_deref(), seen.streaming, seen.service_tier.as_deref()),
        (Some("gpt-4o"), Some(true), Some("flex"))
    );
    assert!(!format!("{seen:?}").contains("a secret"));
}

#[test]
fn usage_inside_content_never_counts() {
    let answer =
        json!({"id": "chatcmpl-5", "model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 4}});
    let chain = json!({"openinference.span.kind": "CHAIN", "output.value": answer});
    assert_eq!(observe("openinference.instrumentation.langchain", "chain", chain), None);
    let task = json!({"traceloop.span.kind": "task", "traceloop.entity.output": answer});
    assert_eq!(observe("traceloop.tracer", "draft.task", task), None);
    let call = json!({"openinference.span.kind": "LLM", "output.value": answer});
    assert!(observe("openinference.instrumentation.openai", "llm", call).unwrap().usage.is_empty());
}

#[test]
fn a_call_without_usage_is_a_call_and_unknown_usage_is_unrecognised() {
    for (attributes, kind) in [
        (json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}), Some(Kind::Call)),
        (json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": "None"}), Some(Kind::Call)),
        (json!({"gen_ai.usage.tokens_of_tomorrow": 9}), Some(Kind::Unrecognised)),
        (json!({"my.llm.prompt_tokens": 9}), Some(Kind::Unrecognised)),
        (json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"}), None),
        (json!({"openinference.span.kind": "RETRIEVER"}), None),
        (json!({"gen_ai.request.max_tokens": 4096}), None),
        (json!({"http.request.method": "GET"}), None),
    ] {
        assert_eq!(observe("s", "n", attributes.clone()).map(|seen| seen.kind), kind, "{attributes}");
    }
}

#[test]
fn counts_that_are_none_are_faults_of_the_call() {
    for (attribute, code) in [
        (json!(-1), "usage_negative"),
        (json!(1.5), "usage_not_a_count"),
        (json!("many"), "usage_not_a_count"),
        (json!(1e300), "usage_absurd"),
        (json!(true), "usage_not_a_count"),
    ] {
        let attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": attribute});
        let seen = observe("s", "n", attributes).unwrap();
        assert_eq!(
            (seen.kind, seen.fault.map(|fault| fault.code())),
            (Kind::Call, Some(code)),
            "{attribute}"
        );
    }
}

#[test]
fn traceai_marks_its_spans_by_a_kind_within_the_genai_names() {
    check(
        "TraceAI",
        "traceai_openai",
        "Response",
        json!({"gen_ai.provider.name": "openai", "gen_ai.request.parameters": {"model": "gpt-5"}, "gen_ai.usage.input_tokens": 604,
               "gen_ai.usage.output_tokens": 75, "gen_ai.usage.total_tokens": 679, "gen_ai.usage.output_tokens.reasoning": 40,
               "gen_ai.usage.input_tokens.cache_read": 512, "gen_ai.span.kind": "LLM"}),
        Wanted {
            kind: Kind::Call,
            provider: Some("openai"),
            model: Some("gpt-5"),
            id: None,
            tokens: &[(Input, 604), (CacheRead, 512), (Output, 75), (Reasoning, 40)],
        },
    );
    check(
        "TraceAI's silent stream",
        "traceai_openai",
        "ChatCompletion",
        json!({"gen_ai.request.parameters": {"model": "gpt-4o", "stream": true}, "gen_ai.span.kind": "LLM"}),
        Wanted { kind: Kind::Call, provider: Some("openai"), model: Some("gpt-4o"), id: None, tokens: &[] },
    );
}

#[test]
fn langsmiths_kind_is_believed_before_the_operation_it_writes_on_everything() {
    let prompt = json!({"langsmith.span.kind": "prompt", "gen_ai.operation.name": "chat", "gen_ai.system": "langchain"});
    assert!(observe("langsmith", "ChatPromptTemplate", prompt).is_none());
    let llm =
        json!({"langsmith.span.kind": "llm", "gen_ai.operation.name": "chat", "gen_ai.system": "openai"});
    assert_eq!(observe("langsmith", "ChatOpenAI", llm).unwrap().kind, Kind::Call);
}

#[test]
fn a_request_on_the_wire_is_a_call_without_an_answer_too() {
    check(
        "LiteLLM's raw child of a stream",
        "litellm",
        "raw_gen_ai_request",
        json!({"llm.None.model": "text-embedding-3-small", "llm.None.input": "['x']"}),
        Wanted {
            kind: Kind::Call,
            provider: Some("openai"),
            model: Some("text-embedding-3-small"),
            id: None,
            tokens: &[],
        },
    );
}

#[test]
fn a_gateways_own_name_for_a_call_is_no_response_id() {
    let own = "87f2bae0-a1a1-4800-a8fc-99aed32ad05d";
    let failed = json!({"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.response.id": own, "litellm.call_id": own});
    assert_eq!(observe("litellm", "litellm_request", failed).unwrap().response_id, None);
    let answered = json!({"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.response.id": "chatcmpl-1", "litellm.call_id": own});
    assert!(observe("litellm", "litellm_request", answered).unwrap().response_id.is_some());
}

#[test]
fn of_llamaindexs_methods_those_that_send_nothing_are_no_calls() {
    let marked = || json!({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"});
    let scope = "openinference.instrumentation.llama_index";
    assert!(observe(scope, "OpenAI._prepare_chat_with_tools", marked()).is_none());
    assert_eq!(observe(scope, "OpenAI.chat", marked()).unwrap().kind, Kind::Call);
}

#[test]
fn googles_agent_kit_is_no_provider_and_bedrocks_models_keep_their_makers() {
    let adk = json!({"gen_ai.operation.name": "generate_content", "gen_ai.system": "gcp.vertex.agent", "gen_ai.request.model": "gemini-2.5-flash"});
    assert_eq!(observe("gcp.vertex.agent", "call_llm", adk).unwrap().provider.as_deref(), Some("gcp.gemini"));
    let bedrock = json!({"gen_ai.operation.name": "chat", "gen_ai.provider.name": "aws.bedrock", "gen_ai.request.model": "nova-lite-v1:0"});
    let seen = observe("opentelemetry.instrumentation.bedrock", "chat", bedrock).unwrap();
    assert_eq!(seen.model(), Some("amazon.nova-lite-v1:0"));
}
