//! A ClickHouse that behaves as told: takes inserts, refuses, or never answers.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use schemas::migrate::{Layout, MIGRATIONS};
use schemas::{Database, Target};
use tokio::net::TcpListener;

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    Refuses,
    NeverAnswers,
}

/// The server; it ends with its runtime.
#[derive(Debug, Clone)]
pub(super) struct FakeClickHouse {
    mood: Arc<Mutex<Mood>>,
    requests: Arc<AtomicUsize>,
    inserts: Arc<AtomicUsize>,
    url: String,
}

impl FakeClickHouse {
    pub(super) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self {
            mood: Arc::new(Mutex::new(mood)),
            requests: Arc::default(),
            inserts: Arc::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| server.clone().answer(request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    let _closed_by_client = pin!(connection).await;
                });
            }
        });
        server
    }

    pub(super) fn database(&self) -> Database {
        Database::new(Target {
            url: self.url.clone(),
            user: "default".into(),
            password: String::new(),
            database: "ledgerline".into(),
            cluster: None,
        })
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How many requests came in, answered or not.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// How many inserts were taken whole.
    pub(super) fn inserts(&self) -> usize {
        self.inserts.load(SeqCst)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.requests.fetch_add(1, SeqCst);
        let mood = *self.mood.lock().unwrap();
        let insert = request.uri().query().is_some_and(|query| query.contains("INSERT"));
        let Ok(_body) = request.into_body().collect().await else {
            return Ok(Response::default());
        };
        match mood {
            Mood::NeverAnswers => std::future::pending().await,
            Mood::Refuses => {
                let mut response =
                    Response::new(Full::from("Code: 60. DB::Exception: no such table. (UNKNOWN_TABLE)"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
            Mood::Works if insert => {
                self.inserts.fetch_add(1, SeqCst);
                Ok(Response::default())
            }
            Mood::Works => Ok(Response::new(Full::from(description()))),
        }
    }
}

/// The answer to `DESCRIBE TABLE otel_traces`, in RowBinaryWithNamesAndTypes.
fn description() -> Vec<u8> {
    const COLUMNS: [&str; 7] = [
        "name",
        "type",
        "default_type",
        "default_expression",
        "comment",
        "codec_expression",
        "ttl_expression",
    ];
    let mut answer = vec![COLUMNS.len() as u8];
    let mut put = |text: &str| {
        answer.push(u8::try_from(text.len()).expect("names and types are short"));
        answer.extend(text.as_bytes());
    };
    COLUMNS.iter().for_each(|name| put(name));
    COLUMNS.iter().for_each(|_| put("String"));
    for (name, data_type) in columns() {
        [name.as_str(), data_type.as_str(), "", "", "", "", ""].iter().for_each(|text| put(text));
    }
    answer
}

/// Names and types of the migration's columns, nested ones as arrays.
fn columns() -> Vec<(String, String)> {
    let traces =
        MIGRATIONS.iter().find(|migration| migration.name == "traces").expect("a migration makes the table");
    let table = traces.statements(&Layout::default()).swap_remove(0);
    let mut columns = Vec::new();
    let mut group = None;
    for line in table.lines().skip(2).map(str::trim) {
        let line = line.split(" CODEC").next().unwrap().trim_end_matches(',');
        let (name, data_type) = line.split_once(' ').unwrap_or((line, ""));
        match (name, group) {
            ("INDEX", _) => break,
            (")", _) => group = None,
            (name, _) if data_type.trim() == "Nested (" => group = Some(name),
            (name, Some(group)) => {
                columns.push((format!("{group}.{name}"), format!("Array({})", data_type.trim())))
            }
            (name, None) => columns.push((name.to_string(), data_type.trim().to_string())),
        }
    }
    columns
}
