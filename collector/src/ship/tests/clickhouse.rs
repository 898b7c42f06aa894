//! A ClickHouse that lies: enough of the HTTP interface for the client's inserts, and every way to fail at them.
//!
//! It keeps what was inserted as the real one does (a row replaces the row of its key) and a log of every insert it was sent,
//! whatever it answered. It takes no insert that a real one might drop for one that it knows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use schemas::migrate::{Layout, MIGRATIONS};
use schemas::{Database, Target};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What to do with one insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Apply it and say so.
    Work,
    /// Answer 500 with an exception's text.
    Refuse,
    /// The same, for want of memory.
    NoMemory,
    /// Answer 200 with something that is no answer, to the question for the table's columns; drop an insert.
    Babble,
    /// Never answer.
    Hang,
    /// Apply it, then close the connection.
    ApplyAndDrop,
    /// Apply it, then never answer.
    ApplyAndHang,
    /// Apply the first half, answer 500.
    ApplyHalf,
}

/// A row by column.
pub type Row = HashMap<String, Vec<u8>>;

/// One insert that came.
#[derive(Debug, Clone)]
pub struct Insert {
    pub table: String,
    pub mood: Mood,
    /// The rows as they were sent.
    pub bytes: Vec<u8>,
    pub rows: Vec<Row>,
}

type Probe = Box<dyn Fn(&Insert) + Send>;

#[derive(Default)]
pub struct Store {
    /// What to do with the next inserts into a table; then `Work`, unless `otherwise` says else.
    moods: HashMap<String, VecDeque<Mood>>,
    otherwise: Option<Mood>,
    /// What to do with the how manieth insert, from 0, whatever it is into.
    at: Option<(usize, Mood)>,
    /// Positions that the log refuses for what is in them.
    poison: BTreeSet<u64>,
    /// The last insert that the log took, as it was sent.
    taken: Vec<u8>,
    probe: Option<Probe>,
    /// Of all inserts so far.
    tokens: HashSet<String>,
    tables: HashMap<String, BTreeMap<Vec<u8>, Row>>,
    pub inserts: Vec<Insert>,
}

/// The server, for as long as it lives.
pub struct ClickHouse {
    url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    store: Mutex<Store>,
    changed: watch::Sender<u64>,
}

pub fn number(row: &Row, column: &str) -> u64 {
    let mut bytes = [0; 8];
    let value = &row[column];
    bytes[..value.len()].copy_from_slice(value);
    u64::from_le_bytes(bytes)
}

impl ClickHouse {
    pub async fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn listen(listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let mut server = JoinSet::new();
        let accepting = Arc::clone(&shared);
        server.spawn(async move {
            // Connections end with the server: the set aborts them when it is dropped.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&accepting);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A connection that the client gave up is no failure of the test.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, shared, _server: server }
    }

    pub fn database(&self) -> Database {
        database(&self.url)
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().unwrap()
    }

    /// Waits until the store is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Store) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        while !wanted(&self.store()) {
            changed.changed().await.unwrap();
        }
    }
}

pub fn database(url: &str) -> Database {
    Database::new(Target {
        url: url.to_owned(),
        user: "default".into(),
        password: String::new(),
        database: "ledgerline".into(),
        cluster: None,
    })
}

impl Store {
    /// The next inserts into a table are met in these moods.
    pub fn expect(&mut self, table: &str, moods: &[Mood]) {
        self.moods.entry(table.to_owned()).or_default().extend(moods);
    }

    /// All inserts that nothing else was said of are met in this mood.
    pub fn always(&mut self, mood: Mood) {
        self.otherwise = Some(mood);
    }

    /// The how manieth insert, from 0, is met in this mood.
    pub fn at(&mut self, insert: usize, mood: Mood) {
        self.at = Some((insert, mood));
    }

    /// The log refuses these positions from now on, and no others.
    pub fn poison(&mut self, positions: impl IntoIterator<Item = u64>) {
        self.poison = positions.into_iter().collect();
    }

    /// Called with each insert before it is applied.
    pub fn probe(&mut self, probe: impl Fn(&Insert) + Send + 'static) {
        self.probe = Some(Box::new(probe));
    }

    /// A table's rows in order of their keys.
    pub fn rows(&self, table: &str) -> Vec<&Row> {
        self.tables.get(table).map(|rows| rows.values().collect()).unwrap_or_default()
    }

    pub fn inserts_into(&self, table: &str) -> Vec<&Insert> {
        self.inserts.iter().filter(|insert| insert.table == table).collect()
    }

    fn mood_for(&mut self, table: &str) -> Mood {
        let now = self.inserts.len();
        if let Some((_, mood)) = self.at.take_if(|(at, _)| *at == now) {
            return mood;
        }
        let expected = self.moods.get_mut(table).and_then(VecDeque::pop_front);
        expected.or(self.otherwise).unwrap_or(Mood::Work)
    }

    fn apply(&mut self, insert: &Insert, rows_applied: usize) {
        if insert.table == "observation_log" {
            self.taken.clone_from(&insert.bytes);
        }
        let rows = self.tables.entry(insert.table.clone()).or_default();
        for row in &insert.rows[..rows_applied] {
            let position = ["seq", "first_seq"].into_iter().find(|column| row.contains_key(*column));
            let position = position.map_or(0, |column| number(row, column)).to_be_bytes();
            rows.insert([row["collector_id"].as_slice(), &position].concat(), row.clone());
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let parameters = parameters(request.uri().query().unwrap_or_default());
    // An insert that its client gave up half way never was.
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let statement =
        parameters.get("query").cloned().unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    let response = if let Some(table) = word_after(&statement, "INSERT INTO ") {
        let token = parameters.get("insert_deduplication_token").expect("its content may be known").clone();
        assert!(shared.store.lock().unwrap().tokens.insert(token), "dropped as known: {statement}");
        insert(&shared, &table, &body).await?
    } else if let Some(table) = word_after(&statement, "DESCRIBE TABLE ") {
        if shared.store.lock().unwrap().otherwise == Some(Mood::Babble) {
            Response::new(Full::from("<html>a proxy's page</html>"))
        } else {
            Response::new(Full::from(described(&table)))
        }
    } else if statement.contains("SELECT DISTINCT seq FROM quarantine") {
        Response::new(Full::from(quarantined(&shared.store.lock().unwrap(), &statement)))
    } else if statement.contains("SELECT DISTINCT seq") {
        Response::new(Full::from(positions(&shared.store.lock().unwrap(), &statement)))
    } else if statement.contains("LIMIT 1") && !statement.contains("LIMIT 1 BY") {
        // Any row that it took: only the first is looked at.
        let store = shared.store.lock().unwrap();
        let none = || store.inserts_into("observation_log").last().map(|sent| heading(&sent.bytes));
        let taken = (!store.taken.is_empty()).then(|| store.taken.clone());
        Response::new(Full::from(taken.or_else(none).expect("it was sent rows before")))
    } else if statement.contains("FROM observation_log") {
        Response::new(Full::from(selected(&shared.store.lock().unwrap())))
    } else {
        panic!("a statement that no insert needs: {statement}")
    };
    Ok(response)
}

async fn insert(shared: &Shared, table: &str, body: &[u8]) -> Result<Response<Full<Bytes>>, std::io::Error> {
    // On one machine the client does not compress.
    let bytes = body.to_vec();
    let rows = rows_of(&bytes);
    let (mood, poisoned) = {
        let mut store = shared.store.lock().unwrap();
        let mood = store.mood_for(table);
        let poisoned =
            table == "observation_log" && rows.iter().any(|row| store.poison.contains(&number(row, "seq")));
        let insert = Insert { table: table.to_owned(), mood, bytes, rows };
        if let Some(probe) = &store.probe {
            probe(&insert);
        }
        match mood {
            _ if poisoned => {}
            Mood::Work | Mood::ApplyAndDrop | Mood::ApplyAndHang => store.apply(&insert, insert.rows.len()),
            Mood::ApplyHalf => store.apply(&insert, insert.rows.len().div_ceil(2)),
            Mood::Refuse | Mood::NoMemory | Mood::Babble | Mood::Hang => {}
        }
        store.inserts.push(insert);
        (mood, poisoned)
    };
    shared.changed.send_modify(|changes| *changes += 1);
    match mood {
        Mood::Work if poisoned => {
            let exception = "Code: 469. DB::Exception: Constraint `c` is violated at row 1. (VIOLATED_CONSTRAINT) (version 25.8.2.29)";
            Ok(Response::builder().status(500).body(Full::from(exception)).expect("a valid response"))
        }
        Mood::Work => Ok(Response::new(Full::default())),
        Mood::Refuse | Mood::ApplyHalf => {
            let exception = "Code: 242. DB::Exception: Table is in readonly mode. (TABLE_IS_READ_ONLY)";
            Ok(Response::builder().status(500).body(Full::from(exception)).expect("a valid response"))
        }
        Mood::NoMemory => {
            let exception = "Code: 241. DB::Exception: Query memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)";
            Ok(Response::builder().status(500).body(Full::from(exception)).expect("a valid response"))
        }
        Mood::Babble | Mood::ApplyAndDrop => Err(std::io::Error::other("connection dropped")),
        Mood::Hang | Mood::ApplyAndHang => {
            std::future::pending::<Infallible>().await;
            unreachable!("nothing comes after for ever")
        }
    }
}

fn word_after(statement: &str, before: &str) -> Option<String> {
    let (_, rest) = statement.split_once(before)?;
    let rest = rest.trim_start_matches('`');
    Some(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned())
}

fn parameters(query: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, behind)) = rest.split_first() {
            rest = behind;
            bytes.push(match first {
                b'+' => b' ',
                b'%' => {
                    let (digits, behind) = rest.split_at(2);
                    rest = behind;
                    u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}

/// Reads `RowBinaryWithNamesAndTypes`.
fn rows_of(bytes: &[u8]) -> Vec<Row> {
    let mut rest = bytes;
    let columns = length(&mut rest);
    let mut texts = || String::from_utf8(text(&mut rest)).unwrap();
    let names: Vec<_> = (0..columns).map(|_| texts()).collect();
    let types: Vec<_> = (0..columns).map(|_| texts()).collect();
    let mut rows = Vec::new();
    while !rest.is_empty() {
        rows.push(
            names.iter().zip(&types).map(|(name, kind)| (name.clone(), value(&mut rest, kind))).collect(),
        );
    }
    rows
}

/// The names and types that an insert begins with.
fn heading(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let columns = length(&mut rest);
    (0..2 * columns).for_each(|_| drop(text(&mut rest)));
    bytes[..bytes.len() - rest.len()].to_vec()
}

fn value(rest: &mut &[u8], kind: &str) -> Vec<u8> {
    let mut take = |n: usize| taken(rest, n);
    match kind.split('(').next().unwrap() {
        "Bool" => take(1),
        "Date" => take(2),
        "UInt32" => take(4),
        "UInt64" | "DateTime64" => take(8),
        "FixedString" => {
            let n = kind.trim_start_matches("FixedString(").trim_end_matches(')');
            take(n.parse().unwrap())
        }
        "Nullable" => {
            let null = take(1) == [1];
            if null { Vec::new() } else { take(8) }
        }
        "String" | "LowCardinality" => text(rest),
        "Array" => {
            let items = length(rest);
            taken(rest, 8 * items)
        }
        other => panic!("a type that no insert here has: {other}"),
    }
}

fn taken(rest: &mut &[u8], bytes: usize) -> Vec<u8> {
    let (value, behind) = rest.split_at(bytes);
    *rest = behind;
    value.to_vec()
}

fn length(rest: &mut &[u8]) -> usize {
    let mut length = 0;
    for shift in (0..).step_by(7) {
        let (&byte, behind) = rest.split_first().unwrap();
        *rest = behind;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    length
}

fn text(rest: &mut &[u8]) -> Vec<u8> {
    let length = length(rest);
    let (text, behind) = rest.split_at(length);
    *rest = behind;
    text.to_vec()
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_length(out, text.len());
    out.extend_from_slice(text);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_header(out: &mut Vec<u8>, columns: &[(&str, &str)]) {
    put_length(out, columns.len());
    columns.iter().for_each(|(name, _)| put_text(out, name.as_bytes()));
    columns.iter().for_each(|(_, kind)| put_text(out, kind.as_bytes()));
}

/// What `DESCRIBE TABLE` answers, read from the DDL: names and types.
fn described(table: &str) -> Vec<u8> {
    let ddl = MIGRATIONS.iter().map(|migration| migration.text(&Layout::default())).collect::<String>();
    let (_, behind) = ddl
        .split_once(&format!("CREATE TABLE IF NOT EXISTS ledgerline.{table}\n"))
        .unwrap_or_else(|| panic!("{table:?} is no table of ours"));
    let (columns, _) = behind.split_once("\n)").unwrap();
    // Columns that later migrations add, each on a line of its own.
    let alters = format!("ALTER TABLE ledgerline.{table}\n");
    let added = ddl.split(&alters).skip(1).flat_map(|alter| {
        let statement = alter.split(";\n").next().unwrap();
        statement.lines().filter_map(|line| line.trim().strip_prefix("ADD COLUMN IF NOT EXISTS "))
    });
    let headings = [
        "name",
        "type",
        "default_type",
        "default_expression",
        "comment",
        "codec_expression",
        "ttl_expression",
    ];
    let mut out = Vec::new();
    put_header(&mut out, &headings.map(|heading| (heading, "String")));
    let created =
        columns.lines().filter(|line| line.starts_with("    ") && !line.trim().starts_with("INDEX"));
    for column in created.chain(added) {
        let (name, kind) = column.trim().trim_end_matches(',').split_once(' ').unwrap();
        let kind = [" COMMENT", " CODEC", " DEFAULT"]
            .iter()
            .fold(kind, |kind, end| kind.split(end).next().unwrap_or(kind));
        put_text(&mut out, name.as_bytes());
        put_text(&mut out, kind.trim().as_bytes());
        (0..5).for_each(|_| put_text(&mut out, b""));
    }
    out
}

/// The positions of a collector's range, as `positions_between` asks for them.
fn positions(store: &Store, statement: &str) -> Vec<u8> {
    let (_, bounds) = statement.split_once("seq BETWEEN ").expect("a range is asked for");
    let mut bounds = bounds.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let range = bounds.next().expect("its first")..=bounds.next().expect("its last");
    let mut out = Vec::new();
    put_header(&mut out, &[("seq", "UInt64")]);
    for row in store.rows("observation_log") {
        let id: String = row["collector_id"].iter().map(|byte| format!("{byte:02x}")).collect();
        if statement.to_lowercase().contains(&id) && range.contains(&number(row, "seq")) {
            out.extend_from_slice(&row["seq"]);
        }
    }
    out
}

/// The positions of a collector from one on that are in quarantine, as `quarantined_from` asks for them.
fn quarantined(store: &Store, statement: &str) -> Vec<u8> {
    let (_, from) = statement.split_once("seq >= ").expect("a first position is asked for");
    let from: u64 = from.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    let mut out = Vec::new();
    put_header(&mut out, &[("seq", "UInt64")]);
    for row in store.rows("quarantine") {
        let id: String = row["collector_id"].iter().map(|byte| format!("{byte:02x}")).collect();
        if statement.to_lowercase().contains(&id) && number(row, "seq") >= from {
            out.extend_from_slice(&row["seq"]);
        }
    }
    out
}

/// All evidence, as `records_between` asks for it.
fn selected(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, &[("collector_id", "FixedString(16)"), ("seq", "UInt64"), ("record", "String")]);
    for row in store.rows("observation_log") {
        out.extend_from_slice(&row["collector_id"]);
        out.extend_from_slice(&row["seq"]);
        put_text(&mut out, &row["record"]);
    }
    out
}
