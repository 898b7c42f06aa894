//! What the reader may do: read the billing database, and choose how the result is written.
//!
//! The engine's own `readonly=1` is set for every statement of the reader, but it is not enough: it lets through the
//! function `file`, which reads any file of this machine, `DESCRIBE` of a table function, which connects out, and
//! `KILL QUERY`, `BACKUP` and `USE`. So the reader's statements are also read here: their kind, every function they
//! call and every database they name. Promises: what is not known to be harmless is refused.

use std::collections::HashSet;

use crate::engine::{Engine, ErrorCode, Exception};
use crate::sql::{Kind, Statement, Token};

/// Bounds of what one statement of the reader may take.
#[derive(Debug, Clone, Copy)]
pub struct ReaderLimits {
    /// Seconds a statement may run; a request may ask for less, not for more.
    pub execution_s_max: u64,
    /// Memory a statement may take.
    pub memory_bytes_max: u64,
}

impl Default for ReaderLimits {
    /// One minute, one GiB.
    fn default() -> Self {
        Self { execution_s_max: 60, memory_bytes_max: 1 << 30 }
    }
}

/// The rules of the reader on one engine.
pub(crate) struct ReaderPolicy {
    /// Lower-case names of table functions; they stand before a bracket.
    table_functions: HashSet<String>,
    /// Lower-case names of other functions; `arrayMap(file, …)` and `APPLY(file)` need no bracket behind them.
    functions: HashSet<String>,
    database: String,
    limits: ReaderLimits,
}

/// Table functions that make rows out of nothing or their arguments; every other one of the engine is refused.
const TABLE_FUNCTIONS: &[&str] = &[
    "format",
    "generateRandom",
    "generateSeries",
    "generate_series",
    "null",
    "numbers",
    "numbers_mt",
    "primes",
    "values",
    "view",
    "zeros",
    "zeros_mt",
];

/// Functions that read files, other databases or the process.
const REFUSED_FUNCTIONS: &[&str] = &[
    "catboostEvaluate",
    "evalMLMethod",
    "file",
    "filesystemAvailable",
    "filesystemCapacity",
    "filesystemUnreserved",
    "getClientHTTPHeader",
    "getServerSetting",
    "hasColumnInTable",
    "joinGet",
    "joinGetOrNull",
    "showCertificate",
];

/// Families of such functions: language models answer over the network, dictionaries may be fed from anywhere.
const REFUSED_FAMILIES: &[&str] = &["ai", "dict"];

/// Databases with nothing but descriptions of the engine.
const DESCRIPTIVE_DATABASES: &[&str] = &["information_schema", "INFORMATION_SCHEMA"];

/// Tables of `system` that describe the engine and the tables, but no one's statements, secrets or files.
const SYSTEM_TABLES: &[&str] = &[
    "aggregate_function_combinators",
    "asynchronous_metrics",
    "build_options",
    "collations",
    "columns",
    "contributors",
    "data_skipping_indices",
    "data_type_families",
    "database_engines",
    "databases",
    "events",
    "formats",
    "functions",
    "keywords",
    "licenses",
    "merges",
    "metrics",
    "numbers",
    "numbers_mt",
    "one",
    "parts",
    "parts_columns",
    "projections",
    "settings",
    "table_engines",
    "table_functions",
    "tables",
    "time_zones",
    "view_refreshes",
    "zeros",
    "zeros_mt",
];

/// What `SHOW` may show.
const SHOWN: &[&str] = &[
    "CHANGED",
    "COLUMNS",
    "CREATE",
    "DATABASES",
    "ENGINES",
    "EXTENDED",
    "FIELDS",
    "FULL",
    "FUNCTIONS",
    "INDEX",
    "INDEXES",
    "INDICES",
    "KEYS",
    "SETTING",
    "SETTINGS",
    "TABLES",
];

/// Settings the reader may choose: how results are written and how much is read at once.
const SETTINGS: &[&str] = &[
    "cast_keep_nullable",
    "extremes",
    "final",
    "join_use_nulls",
    "limit",
    "max_block_size",
    "max_bytes_to_read",
    "max_query_size",
    "max_result_bytes",
    "max_result_rows",
    "max_rows_to_read",
    "max_threads",
    "offset",
    "read_overflow_mode",
    "result_overflow_mode",
    "session_timezone",
    "timeout_overflow_mode",
];
const SETTING_PREFIXES: &[&str] = &["output_format_", "format_csv_", "format_tsv_", "date_time_", "bool_"];

/// Settings clients send out of habit that mean nothing to a reader; accepted and left alone.
const IGNORED_SETTINGS: &[&str] = &[
    "async_insert",
    "input_format_",
    "insert_",
    "log_comment",
    "log_queries",
    "max_insert_block_size",
    "priority",
    "readonly",
    "use_query_cache",
    "wait_for_async_insert",
];

impl ReaderPolicy {
    pub(crate) fn load(engine: &Engine, database: &str, limits: ReaderLimits) -> Result<Self, Exception> {
        let names = |table| -> Result<Vec<String>, Exception> {
            let rows = engine.query(&format!("SELECT name FROM system.{table}"), "TSVRaw")?;
            Ok(String::from_utf8_lossy(&rows).lines().map(str::to_owned).collect())
        };
        let lower = |name: &str| name.to_ascii_lowercase();
        let table_functions = names("table_functions")?;
        let table_functions = table_functions
            .iter()
            .filter(|name| !TABLE_FUNCTIONS.contains(&name.as_str()))
            .map(|name| lower(name));
        let functions = names("functions")?;
        let in_family = |name: &String| REFUSED_FAMILIES.iter().any(|family| name.starts_with(family));
        let functions = functions.iter().map(|name| lower(name)).filter(in_family);
        let functions = functions.chain(REFUSED_FUNCTIONS.iter().map(|name| lower(name)));
        Ok(Self {
            table_functions: table_functions.collect(),
            functions: functions.collect(),
            database: database.to_owned(),
            limits,
        })
    }

    /// The database a request of the reader runs in.
    pub(crate) fn database(&self, asked: Option<&str>) -> Result<&str, Exception> {
        match asked {
            None | Some("default") => Ok(&self.database),
            Some(name) if name == self.database => Ok(&self.database),
            Some(name) => Err(denied(format!("the database {name}"))),
        }
    }

    /// The settings to make for a request of the reader, its own choices bounded.
    pub(crate) fn settings(&self, asked: &[(String, String)]) -> Result<Vec<(String, String)>, Exception> {
        let mut settings = Vec::new();
        let mut execution_s = self.limits.execution_s_max.to_string();
        let mut memory_bytes = self.limits.memory_bytes_max;
        for (name, value) in asked {
            let name = name.as_str();
            if name == "max_execution_time" {
                execution_s = self.shorter(value);
            } else if name == "max_memory_usage" {
                memory_bytes = value
                    .parse()
                    .ok()
                    .filter(|bytes| (1..memory_bytes).contains(bytes))
                    .unwrap_or(memory_bytes);
            } else if SETTINGS.contains(&name)
                || SETTING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            {
                settings.push((name.to_owned(), value.clone()));
            } else if !is_ignored(name) {
                let message = format!(
                    "Cannot modify '{name}' setting in readonly mode; the reader may set output formats and limits, the \
                     owner anything"
                );
                return Err(Exception::new(ErrorCode::Readonly, message));
            }
        }
        settings.push(("max_execution_time".to_owned(), execution_s));
        settings.push(("max_memory_usage".to_owned(), memory_bytes.to_string()));
        settings.push(("readonly".to_owned(), "1".to_owned()));
        Ok(settings)
    }

    /// The time a request may take: whole seconds or a fraction, as the engine reads it; 0 would mean no bound.
    fn shorter(&self, asked: &str) -> String {
        let longest = self.limits.execution_s_max;
        let whole = asked.split('.').next().and_then(|whole| whole.parse::<u64>().ok());
        let is_number = asked.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let is_zero = asked.bytes().all(|byte| byte == b'0' || byte == b'.');
        match whole {
            Some(whole) if is_number && !is_zero && whole < longest => asked.to_owned(),
            _ => longest.to_string(),
        }
    }

    /// Refuses what the reader may not run. `databases` are those there are.
    pub(crate) fn check(
        &self,
        statement: &Statement<'_>,
        databases: &HashSet<String>,
    ) -> Result<(), Exception> {
        let tokens = &statement.tokens;
        match statement.kind {
            Kind::Empty | Kind::Select => {}
            Kind::Inspect => check_show(tokens)?,
            Kind::InsertData(_) | Kind::Set | Kind::Use | Kind::Other => {
                let message = "Cannot execute query in readonly mode: the reader may SELECT, SHOW, DESCRIBE and EXPLAIN";
                return Err(Exception::new(ErrorCode::Readonly, message));
            }
        }
        for (index, token) in tokens.iter().enumerate() {
            let rest = &tokens[index + 1..];
            if is_identifier_parameter(token, rest) {
                return Err(denied("a parameter of type Identifier"));
            }
            // What follows a dot is a column, or the table of a database that was looked at.
            let is_qualified = index > 0 && tokens[index - 1].is_punctuation(b'.');
            let Some(name) = token.name().filter(|_| !is_qualified) else { continue };
            let next_is = |byte| rest.first().is_some_and(|next| next.is_punctuation(byte));
            if self.is_refused(&name, next_is(b'(')) {
                return Err(denied(format!("the function {name}")));
            }
            if next_is(b'.') {
                self.check_qualified(&name, rest.get(1).and_then(Token::name).as_deref(), databases)?;
            } else if statement.kind == Kind::Inspect && self.is_foreign(&name, databases) {
                // `SHOW TABLES FROM db`: a database is named without a table.
                return Err(denied(format!("the database {name}")));
            }
        }
        Ok(())
    }

    fn check_qualified(
        &self,
        name: &str,
        table: Option<&str>,
        databases: &HashSet<String>,
    ) -> Result<(), Exception> {
        if self.is_foreign(name, databases) {
            return Err(denied(format!("the database {name}")));
        }
        match table {
            Some(table) if name == "system" && !SYSTEM_TABLES.contains(&table) => {
                Err(denied(format!("the table system.{table}")))
            }
            _ => Ok(()),
        }
    }

    fn is_refused(&self, name: &str, called: bool) -> bool {
        let name = name.to_ascii_lowercase();
        self.functions.contains(&name) || (called && self.table_functions.contains(&name))
    }

    fn is_foreign(&self, name: &str, databases: &HashSet<String>) -> bool {
        name != self.database
            && name != "system"
            && !DESCRIPTIVE_DATABASES.contains(&name)
            && databases.contains(name)
    }
}

/// `SHOW` of tables and the like; not of running statements, users or named collections.
fn check_show(tokens: &[Token<'_>]) -> Result<(), Exception> {
    let is_show = tokens.first().is_some_and(|first| first.is_word("SHOW"));
    match tokens.get(1) {
        Some(what) if is_show && !SHOWN.iter().any(|shown| what.is_word(shown)) => {
            Err(denied(format!("SHOW {}", what.text)))
        }
        _ => Ok(()),
    }
}

/// `{name:Identifier}` would name a table that is not in the text.
fn is_identifier_parameter(token: &Token<'_>, rest: &[Token<'_>]) -> bool {
    token.is_punctuation(b':')
        && rest.first().and_then(Token::name).is_some_and(|name| name.eq_ignore_ascii_case("Identifier"))
}

fn is_ignored(setting: &str) -> bool {
    IGNORED_SETTINGS.iter().any(|known| match known.strip_suffix('_') {
        Some(_) => setting.starts_with(known),
        None => setting == *known,
    })
}

fn denied(what: impl std::fmt::Display) -> Exception {
    Exception::new(ErrorCode::AccessDenied, format!("Not enough privileges: the reader may not use {what}"))
}
