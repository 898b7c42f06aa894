//! A price file of any format: how it is told, read and named.

use std::fmt;

use domain::identity::IdHasher;
use domain::price::ProviderPrices;
use domain::time::EventTime;

use super::duplicates::duplicates;
use super::fault::{Fault, PriceFileError, importable, utf8};
use super::{BUNDLED_JSON, BUNDLED_SOURCE, genai, litellm, own, own_csv, own_toml};

/// Where prices come from, the most trusted first: a price of one's own goes before every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Negotiated prices, and those of models one runs oneself.
    Own,
    /// Public price data that was imported.
    Imported,
    /// Public price data that came with a program.
    Bundled,
}

/// How a price file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The provider data of genai-prices.
    GenaiPrices,
    /// LiteLLM's `model_prices_and_context_window.json`.
    LiteLlm,
    /// Own prices, as tables.
    Toml,
    /// Own prices, as rows.
    Csv,
}

/// A price file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it comes from.
    pub origin: Origin,
    /// How it is read.
    pub format: Format,
    /// The file's name, or the release of bundled data.
    pub name: String,
    /// From when prices without a date of their own hold; `None` for always.
    pub since: Option<EventTime>,
    /// The file.
    pub content: Vec<u8>,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Lists {
    /// Price lists, in order of precedence.
    pub providers: Vec<ProviderPrices>,
    /// Models whose prices cannot be said here, and why.
    pub left_out: Vec<Fault>,
}

impl Origin {
    /// Every origin, in order of precedence.
    pub const ALL: [Self; 3] = [Self::Own, Self::Imported, Self::Bundled];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Imported => "imported",
            Self::Bundled => "bundled",
        }
    }

    /// Reads what [`Origin::name`] writes.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.name() == name)
    }
}

impl Format {
    const ALL: [Self; 4] = [Self::GenaiPrices, Self::LiteLlm, Self::Toml, Self::Csv];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::GenaiPrices => "genai-prices",
            Self::LiteLlm => "litellm",
            Self::Toml => "toml",
            Self::Csv => "csv",
        }
    }

    /// Reads what [`Format::name`] writes.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format of a file, by its name and what it begins with.
    fn of(name: &str, text: &str) -> Result<Self, PriceFileError> {
        match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("toml") => Ok(Self::Toml),
            Some("csv") => Ok(Self::Csv),
            _ if litellm::is_it(text) => Ok(Self::LiteLlm),
            Some("json") => Ok(Self::GenaiPrices),
            _ if text.trim_start().starts_with('[') => Ok(Self::GenaiPrices),
            _ => Err(PriceFileError::Format),
        }
    }

    /// Whether its prices say themselves from when they hold.
    pub fn is_dated(self) -> bool {
        self != Self::LiteLlm
    }
}

impl Source {
    /// A file that someone imports. Its format says whose prices they are.
    pub fn of_file(name: &str, content: Vec<u8>) -> Result<Self, PriceFileError> {
        importable(&content)?;
        let format = Format::of(name, utf8(&content)?)?;
        let origin = match format {
            Format::Toml | Format::Csv => Origin::Own,
            Format::GenaiPrices | Format::LiteLlm => Origin::Imported,
        };
        Ok(Self { origin, format, name: name.to_string(), since: None, content })
    }

    /// The data that comes with this program.
    pub fn bundled() -> Self {
        Self {
            origin: Origin::Bundled,
            format: Format::GenaiPrices,
            name: BUNDLED_SOURCE.to_string(),
            since: None,
            content: BUNDLED_JSON.to_vec(),
        }
    }

    /// Its name for ever: a hash of everything that decides its prices.
    pub fn id(&self) -> String {
        let mut hasher = IdHasher::new("price source");
        hasher.part(self.origin.name().as_bytes()).part(self.format.name().as_bytes());
        hasher.part(self.since.map(|since| since.nanos().to_string()).unwrap_or_default().as_bytes());
        hasher.part(&self.content);
        hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its price lists, if it may be imported: held to more than files that were imported before, which must go on being
    /// read as they were. All faults are named at once.
    pub fn read_new(&self, currency: &str) -> Result<Lists, PriceFileError> {
        let mut faults = match (self.format, self.origin) {
            (_, Origin::Bundled) | (Format::Toml | Format::Csv, _) => Vec::new(),
            (Format::GenaiPrices, _) => duplicates(utf8(&self.content)?, 0),
            // It says itself which model stands twice.
            (Format::LiteLlm, _) => duplicates(utf8(&self.content)?, 1),
        };
        match self.read(currency) {
            Ok(lists) if faults.is_empty() => Ok(lists),
            Ok(_) => Err(PriceFileError::Faults(faults)),
            Err(PriceFileError::Faults(more)) => {
                faults.extend(more);
                Err(PriceFileError::Faults(faults))
            }
            Err(other) => Err(other),
        }
    }

    /// Its price lists. `currency` is the ledger's: prices in another are refused.
    pub fn read(&self, currency: &str) -> Result<Lists, PriceFileError> {
        let lists = |providers| Lists { providers, left_out: Vec::new() };
        let read: fn(&str, &str, &mut Vec<Fault>) -> Vec<own::OwnPrice> = match self.format {
            Format::GenaiPrices => return genai::lists(&self.content).map(lists),
            Format::LiteLlm => {
                let read = litellm::read(&self.content, self.since)?;
                return Ok(Lists { providers: read.lists, left_out: read.left_out });
            }
            Format::Toml => own_toml::read,
            Format::Csv => own_csv::read,
        };
        let mut faults = Vec::new();
        let prices = read(utf8(&self.content)?, currency, &mut faults);
        let providers = own::lists(&prices, &mut faults);
        if faults.is_empty() { Ok(lists(providers)) } else { Err(PriceFileError::Faults(faults)) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
