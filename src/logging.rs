//! Logs go to standard error, as lines for people or objects for programs; results never mix with them.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Loaded, LogFormat, Origin};

/// What one-shot commands log unless told otherwise: their result is the news.
const QUIET: &str = "warn";

/// Starts logging as configured. `serves` tells a server, which logs what it does, from a command, which does not.
pub fn start(loaded: &Loaded, serves: bool) {
    let log = &loaded.config.log;
    let quiet = !serves && *loaded.origin("log.level") == Origin::Default;
    let directives = if quiet { QUIET } else { log.level.directives() };
    // The directives were parsed once when the configuration was read.
    let filter = EnvFilter::builder().parse_lossy(directives);
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => builder.with_ansi(colours_wanted()).finish().try_init(),
    };
    if let Err(error) = started {
        eprintln!("logging is off: {error}");
    }
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
}

/// Colours on a terminal only, and never where `NO_COLOR` asks for none.
fn colours_wanted() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
