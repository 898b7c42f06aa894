//! The conventions that are understood, one table a file, strongest first.
//!
//! Order matters only where one span speaks several: what an SDK says of itself stands before what instrumentations
//! say in the common names, and both before older or vaguer names.

mod anthropic_sdk;
mod vercel_ai;
mod langsmith;
mod otel_genai;
mod openinference;
mod langfuse;
mod mlflow;
mod openllmetry;
mod litellm;
mod pydantic_ai;
mod strands;
mod openlit;
mod genkit;
mod google;
mod traceai;
mod sentry;

use super::convention::Convention;

/// All conventions, strongest first.
pub(super) const ALL: &[Convention] = &[
    anthropic_sdk::TABLE,
    vercel_ai::TABLE,
    langsmith::TABLE,
    otel_genai::TABLE,
    openinference::TABLE,
    langfuse::TABLE,
    mlflow::TABLE,
    openllmetry::TABLE,
    litellm::TABLE,
    pydantic_ai::TABLE,
    strands::TABLE,
    openlit::TABLE,
    google::TABLE,
    traceai::TABLE,
    sentry::TABLE,
    genkit::TABLE,
];
