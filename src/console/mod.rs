//! The console: a page on the admin address, for people who want to see their spend and why a number is what it is.
//!
//! | path | answers |
//! |---|---|
//! | `GET /console` | the page; its files are in the program, and it asks nothing of any other host |
//! | `GET /console/api/usage?from=…&to=…&by=…` | what `ledgerline usage --format json` prints |
//! | `GET /console/api/explain?id=…` | what `ledgerline explain --format json` prints |
//! | `GET /console/api/invoices?month=…` | the month's invoices, issued or as they stand |
//! | `GET /console/api/invoice.csv?month=…&tenant=…` | one of them, as `ledgerline invoice export` writes it |
//!
//! Promises: everything here only reads, and every figure is the command's own, from the same code. It is served on a
//! loopback address alone, as the reader of the embedded ClickHouse is, and to no page of another origin: a request must
//! name this host by its address or as `localhost`, so that no foreign name can be made to lead here. Nothing a client
//! sent is ever markup: the page writes texts as texts, and its policy runs no script but its own file.

use std::net::IpAddr;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::time::BillingPeriod;
use schemas::Database;
use schemas::reports::{UsageQuery, Window};
use serde::Deserialize;

use crate::commands::{explain, invoice, usage};

/// What the page may do: run its own script, ask its own host.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// What the console reads.
#[derive(Clone)]
pub struct Console {
    /// The ledger.
    pub database: Database,
    /// The currency of a report in which nothing costs anything.
    pub currency: String,
}

impl Console {
    /// Its routes.
    pub fn router(self) -> axum::Router {
        axum::Router::new()
            .route(
                "/console",
                get(|| async { file("text/html; charset=utf-8", include_str!("page/index.html")) }),
            )
            .route(
                "/console/console.css",
                get(|| async { file("text/css; charset=utf-8", include_str!("page/console.css")) }),
            )
            .route(
                "/console/console.js",
                get(|| async { file("text/javascript; charset=utf-8", include_str!("page/console.js")) }),
            )
            .route("/console/api/usage", get(usage_document))
            .route("/console/api/explain", get(explain_document))
            .route("/console/api/invoices", get(invoices_document))
            .route("/console/api/invoice.csv", get(invoice_file))
            .layer(middleware::from_fn(guard))
            .with_state(self)
    }
}

/// Lets in who asks this host by its own name, and marks every answer.
async fn guard(request: Request, next: Next) -> Response {
    if !is_of_this_machine(request.headers()) {
        let text = "the console answers requests of this machine that name it by address or as localhost\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// Whether a request was addressed to this machine, and came of no page of another origin.
pub fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text("host").unwrap_or("?");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let here = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let same_origin = matches!(text("sec-fetch-site"), None | Some("same-origin" | "none"));
    here && same_origin
}

fn file(media: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

/// A report's time, grouping and tenant.
#[derive(Debug, Deserialize)]
struct UsageAsked {
    from: Option<String>,
    to: Option<String>,
    month: Option<String>,
    #[serde(default)]
    by: String,
    tenant: Option<String>,
}

async fn usage_document(State(console): State<Console>, Query(asked): Query<UsageAsked>) -> Response {
    let query = match asked.query() {
        Ok(query) => query,
        Err(text) => return refused(&text),
    };
    answer(usage::document(&console.database, &query, &console.currency).await)
}

impl UsageAsked {
    fn query(self) -> Result<UsageQuery, String> {
        let window = match (self.month, self.from, self.to) {
            (Some(month), None, None) => {
                Window::Month(BillingPeriod::parse(&month).map_err(|e| e.to_string())?)
            }
            (None, Some(from), Some(to)) => Window::Between(usage::instant(&from)?, usage::instant(&to)?),
            _ => return Err("a month, or from and to".into()),
        };
        let names = self.by.split(',').filter(|name| !name.is_empty());
        let by = names.map(usage::dimension).collect::<Result<Vec<_>, _>>()?;
        Ok(UsageQuery { window, by, tenant: self.tenant })
    }
}

#[derive(Debug, Deserialize)]
struct Id {
    id: String,
}

async fn explain_document(State(console): State<Console>, Query(Id { id }): Query<Id>) -> Response {
    answer(explain::document(&console.database, id.trim()).await)
}

#[derive(Debug, Deserialize)]
struct OfMonth {
    month: String,
    #[serde(default)]
    tenant: String,
}

async fn invoices_document(State(console): State<Console>, Query(asked): Query<OfMonth>) -> Response {
    match BillingPeriod::parse(&asked.month) {
        Ok(month) => answer(invoice::document(&console.database, month).await),
        Err(error) => refused(&error.to_string()),
    }
}

async fn invoice_file(State(console): State<Console>, Query(asked): Query<OfMonth>) -> Response {
    let month = match BillingPeriod::parse(&asked.month) {
        Ok(month) => month,
        Err(error) => return refused(&error.to_string()),
    };
    match invoice::csv_of(&console.database, month, &asked.tenant).await {
        Ok(Some(file)) => {
            // Names of these files are letters, digits, dots, dashes and underscores.
            let disposition = format!("attachment; filename=\"{}\"", file.name);
            let headers = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_string()),
                (header::CONTENT_DISPOSITION, disposition),
            ];
            (headers, file.bytes).into_response()
        }
        Ok(None) => (StatusCode::NOT_FOUND, "no invoice of that tenant in that month\n").into_response(),
        Err(error) => failed(&error),
    }
}

fn answer(document: anyhow::Result<String>) -> Response {
    match document {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => failed(&error),
    }
}

fn refused(text: &str) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(serde_json::json!({ "error": text }))).into_response()
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, axum::Json(serde_json::json!({"error": format!("{error:#}")})))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_to_this_machine_by_its_own_name_are_let_in() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            is_of_this_machine(&pairs.collect())
        };
        for host in ["127.0.0.1:4319", "localhost:4319", "[::1]:4319", "LOCALHOST"] {
            assert!(of(&[("host", host)]), "{host}");
            assert!(of(&[("host", host), ("sec-fetch-site", "same-origin")]), "{host}");
            assert!(!of(&[("host", host), ("sec-fetch-site", "cross-site")]), "{host}");
            assert!(!of(&[("host", host), ("sec-fetch-site", "same-site")]), "{host}");
        }
        for host in
            ["evil.example:4319", "localhost.evil.example", "10.0.0.1:4319", "", "127.0.0.1.evil.example:80"]
        {
            assert!(!of(&[("host", host)]), "{host}");
        }
        assert!(!of(&[]));
    }

    #[test]
    fn the_page_names_no_other_host_and_holds_no_inline_script() {
        let files = [
            include_str!("page/index.html"),
            include_str!("page/console.css"),
            include_str!("page/console.js"),
        ];
        for file in files {
            for line in file.lines().filter(|line| line.contains("://")) {
                assert!(line.contains("http://www.w3.org/2000/svg"), "{line}");
            }
        }
        assert!(!files[0].contains("style=") && !files[0].contains("<style"));
        assert_eq!(files[0].matches("<script").count(), 1);
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!files[2].contains(markup), "{markup}");
        }
    }
}
