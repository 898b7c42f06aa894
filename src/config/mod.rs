//! Configuration: what may be set, where values come from, and what is wrong with them.
//!
//! | file | idea |
//! |---|---|
//! | `sections.rs` | the table: every key with its type, default and meaning; the structs are made from it |
//! | `settings.rs` | how that table becomes structs, a list of keys and a reader |
//! | `setting.rs` | values that are common: addresses, counts, lists, yes or no |
//! | `quantity.rs` | values with a unit: durations, sizes, shares |
//! | `place.rs` | values that say where ClickHouse is, and the password that must not be shown |
//! | `rulings.rs` | which attributes say that a call is not billed: a list of tables |
//! | `budgets.rs` | how much may be spent: a list of tables |
//! | `source.rs` | flags, environment and file, and which of them a value came from |
//! | `load.rs` | from sources to a [`Config`], or to every fault at once |
//! | `relations.rs` | what must hold between keys |
//! | `reference.rs` | `docs/reference/config.md`, made from the table |
//!
//! Promises: a flag goes before the environment, the environment before the file, the file before the default; a key of the
//! file that is unknown is a fault, never ignored; every fault is reported, each with its key, value, origin and what is
//! allowed; a secret is shown by nothing here. It starts nothing and touches nothing but the file.
//!
//! What a setting means for a stage, and the stage's own limits, are the stage's. Values here are plain data.

mod sections;
mod settings;
mod setting;
mod quantity;
mod place;
mod rulings;
mod budgets;
mod source;
mod load;
mod relations;
mod reference;

pub use load::{ConfigError, Entry, Loaded, load};
pub use place::{HttpUrl, Name};
pub use quantity::ByteSize;
pub use sections::{Config, SECTIONS};
pub use setting::{LogFormat, read_text};
pub use settings::Section;
pub use source::{FILE_VARIABLE, FlagValue, Origin, Sources};
