//! What a provider says: so many of a class, of a model, in a stretch of time.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{read_csv, read_json};
use crate::prices::{Fault, PriceFileError, utf8};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Requests to the model.
    Requests,
    /// Prompt tokens, where the statement does not say which were cached.
    Prompt,
    /// Prompt tokens that were neither read from a cache nor, where those are stated apart, written to one.
    Input,
    /// Prompt tokens read from the cache.
    CacheRead,
    /// Prompt tokens written to the five-minute cache.
    CacheWrite5m,
    /// Prompt tokens written to the one-hour cache.
    CacheWrite1h,
    /// Tokens generated, reasoning included.
    Output,
    /// Audio tokens of the prompt.
    AudioInput,
    /// Audio tokens generated.
    AudioOutput,
    /// Web searches.
    WebSearches,
    /// Money.
    Cost,
}

impl Class {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Prompt => "prompt",
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::WebSearches => "web_searches",
            Self::Cost => "cost",
        }
    }

    /// Whether it is a part of the prompt that another part may be taken for.
    pub(super) fn is_of_prompt(self) -> bool {
        matches!(self, Self::Input | Self::CacheRead | Self::CacheWrite5m | Self::CacheWrite1h)
    }
}

/// One figure of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Seconds since the epoch.
    pub from: i64,
    /// Seconds since the epoch, after it.
    pub to: i64,
    /// The model as the provider writes it; empty where it does not say.
    pub model: String,
    /// The service tier; empty for the standard one, or where it does not say.
    pub tier: String,
    /// What is counted.
    pub class: Class,
    /// How many, or how much.
    pub quantity: Decimal,
}

/// What a provider's file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// In the order of the file.
    pub figures: Vec<Figure>,
    /// Whether it tells service tiers apart.
    pub tells_tiers: bool,
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementFormat {
    /// OpenAI: the organization's usage and costs API, or the dashboard's CSV.
    OpenAi,
    /// Anthropic: the usage and cost report API, or the console's CSV.
    Anthropic,
    /// FOCUS 1.x, of any provider.
    Focus,
}

/// Why a file is no statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Another encoding.
    #[error("the file cannot be read")]
    Encoding(#[source] PriceFileError),
    /// No known shape.
    #[error(
        "the file is in no known shape; {expected}. docs/reconcile.md lists what is read and where to get it"
    )]
    Shape {
        /// What is expected.
        expected: &'static str,
    },
    /// It says what cannot be used.
    #[error("the file has {} fault(s); {}", .0.len(), shown(.0))]
    Faults(Vec<Fault>),
    /// It says nothing.
    #[error("the file holds no figures; see whether the right dates were exported")]
    Empty,
}

fn shown(faults: &[Fault]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<String> = faults.iter().take(SHOWN).map(Fault::to_string).collect();
    if faults.len() > SHOWN {
        shown.push(format!("and {} more", faults.len() - SHOWN));
    }
    shown.join("; ")
}

impl Statement {
    /// Reads a provider's file, whole or not at all.
    pub fn read(bytes: &[u8], format: StatementFormat) -> Result<Self, StatementError> {
        let text = utf8(bytes).map_err(StatementError::Encoding)?;
        let mut faults = Vec::new();
        let statement = match (format, text.trim_start().starts_with(['{', '['])) {
            (StatementFormat::OpenAi, true) => read_json::openai(text, &mut faults)?,
            (StatementFormat::Anthropic, true) => read_json::anthropic(text, &mut faults)?,
            (StatementFormat::OpenAi, false) => read_csv::openai(text, &mut faults)?,
            (StatementFormat::Anthropic, false) => read_csv::anthropic(text, &mut faults)?,
            (StatementFormat::Focus, _) => read_csv::focus(text, &mut faults)?,
        };
        if !faults.is_empty() {
            return Err(StatementError::Faults(faults));
        }
        if statement.figures.is_empty() {
            return Err(StatementError::Empty);
        }
        Ok(statement)
    }

    /// What it counts.
    pub fn classes(&self) -> BTreeSet<Class> {
        self.figures.iter().map(|figure| figure.class).collect()
    }

    /// The time it is of, seconds since the epoch.
    pub fn span(&self) -> (i64, i64) {
        let from = self.figures.iter().map(|figure| figure.from).min().unwrap_or(0);
        (from, self.figures.iter().map(|figure| figure.to).max().unwrap_or(from))
    }

    /// Only what begins in a stretch of time.
    pub fn between(mut self, from: i64, to: i64) -> Self {
        self.figures.retain(|figure| from <= figure.from && figure.from < to);
        self
    }

    /// Takes a figure, unless it is nothing of a class that is rarely used.
    pub(super) fn push(&mut self, at: &Place<'_>, class: Class, quantity: Decimal) {
        let rare = matches!(class, Class::AudioInput | Class::AudioOutput | Class::WebSearches);
        if rare && quantity.is_zero() {
            return;
        }
        self.figures.push(Figure {
            from: at.from,
            to: at.to,
            model: at.model.to_string(),
            tier: at.tier.to_string(),
            class,
            quantity,
        });
    }
}

/// Where figures belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'f> {
    pub from: i64,
    pub to: i64,
    pub model: &'f str,
    pub tier: &'f str,
}

/// A service tier as both sides call it.
pub(super) fn tier(stated: &str) -> &str {
    match stated {
        "default" | "standard" | "auto" => "",
        other => other,
    }
}
