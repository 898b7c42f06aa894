//! The file of backends that OTLP is sent on to.
//!
//! ```toml
//! [[forward]]
//! name = "tempo"
//! url = "http://tempo:4317"
//! protocol = "grpc"                     # or http
//! compression = "gzip"                  # or zstd, none
//! signals = ["traces", "metrics", "logs"]
//! headers = { x-scope-orgid = "acme", authorization = "env:TEMPO_AUTHORIZATION" }
//! queue = "16MiB"
//! timeout = "10s"
//! patience = "5m"
//! ```
//!
//! All but name, URL and protocol may be left out. A header's value `env:NAME` is read from the environment, so that no
//! secret need stand in the file; none is ever shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use collector::forward::{Compression, Target, Wire};
use collector::receive::Signal;
use serde::Deserialize;

use crate::config::{ByteSize, read_text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    forward: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    name: String,
    url: String,
    protocol: Wire,
    compression: Option<Compression>,
    signals: Option<Vec<String>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    queue: Option<String>,
    timeout: Option<String>,
    patience: Option<String>,
}

/// The backends of a file.
///
/// # Errors
/// When it cannot be read, or says something that is not understood; the text names the backend.
pub fn read(path: &Path) -> anyhow::Result<Vec<Target>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the backends of trace.forwards in {}", path.display()))?;
    targets(&text, |name| std::env::var(name).ok()).with_context(|| format!("in {}", path.display()))
}

fn targets(text: &str, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Vec<Target>> {
    let file: File = toml::from_str(text)?;
    let mut names = BTreeSet::new();
    let mut targets = Vec::with_capacity(file.forward.len());
    for backend in file.forward {
        let name = backend.name.clone();
        ensure!(names.insert(name.clone()), "two backends are called {name:?}; give each a name of its own");
        targets.push(target(backend, &variable).with_context(|| format!("backend {name:?}"))?);
    }
    Ok(targets)
}

fn target(backend: Backend, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Target> {
    let mut target = Target::new(&backend.name, &backend.url, backend.protocol)?;
    if let Some(compression) = backend.compression {
        target.compression = compression;
    }
    if let Some(signals) = backend.signals {
        target.signals = signals.iter().map(|signal| self::signal(signal)).collect::<Result<_, _>>()?;
    }
    for (name, value) in backend.headers {
        let value = match value.strip_prefix("env:") {
            None => value,
            Some(key) => variable(key).with_context(|| {
                format!("header {name} is to come from the variable {key}, which is not set")
            })?,
        };
        let header: http::HeaderName =
            name.parse().with_context(|| format!("{name:?} is no name of a header"))?;
        let mut value: http::HeaderValue =
            value.parse().map_err(|_| anyhow::anyhow!("the value of header {name} cannot be sent"))?;
        value.set_sensitive(true);
        target.headers.insert(header, value);
    }
    let of_key = |key: &'static str| move |expected: String| anyhow::anyhow!("{key}: {expected}");
    if let Some(text) = backend.queue {
        let size: ByteSize = read_text(&text).map_err(of_key("queue"))?;
        target.queue_bytes_max = usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    }
    for (key, text, time) in [
        ("timeout", backend.timeout, &mut target.timeout),
        ("patience", backend.patience, &mut target.patience),
    ] {
        if let Some(text) = text {
            *time = read_text::<Duration>(&text).map_err(of_key(key))?;
        }
    }
    Ok(target)
}

fn signal(name: &str) -> anyhow::Result<Signal> {
    match name {
        "traces" => Ok(Signal::Traces),
        "metrics" => Ok(Signal::Metrics),
        "logs" => Ok(Signal::Logs),
        other => bail!("{other:?} is no signal; known are traces, metrics and logs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_what_its_lines_say_and_the_rest_is_usual() {
        let text = r#"
            [[forward]]
            name = "tempo"
            url = "http://127.0.0.1:4317"
            protocol = "grpc"
            compression = "zstd"
            signals = ["traces", "logs"]
            headers = { x-scope-orgid = "acme", authorization = "env:SECRET" }
            queue = "1MiB"
            timeout = "2s"
            [[forward]]
            name = "other"
            url = "https://otlp.example.com/base"
            protocol = "http"
        "#;
        let found = targets(text, |name| (name == "SECRET").then(|| "Bearer x".to_string())).unwrap();
        let [tempo, other] = &found[..] else { panic!("{found:?}") };
        assert_eq!((tempo.wire, tempo.compression), (Wire::Grpc, Compression::Zstd));
        assert_eq!(tempo.signals, [Signal::Traces, Signal::Logs]);
        assert_eq!(tempo.headers["authorization"], "Bearer x");
        assert_eq!((tempo.queue_bytes_max, tempo.timeout), (1 << 20, Duration::from_secs(2)));
        assert_eq!((other.compression, other.signals.len()), (Compression::Gzip, 3));
        assert!(!format!("{found:?}").contains("Bearer x"), "a secret is not shown");
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_backend_and_the_reason() {
        let backend = |line: &str| {
            format!("[[forward]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\nprotocol = \"grpc\"\n{line}\n")
        };
        for (text, said) in [
            (backend("headers = { x = \"env:NONE\" }"), "NONE"),
            (backend("signals = [\"profiles\"]"), "profiles"),
            (backend("queue = \"much\""), "queue"),
            (backend("colour = 1"), "colour"),
            (backend("") + &backend(""), "two backends"),
            (backend("").replace("http:", "ftp:"), "address of a backend"),
        ] {
            let error = format!("{:#}", targets(&text, |_| None).unwrap_err());
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
