//! Running one request on a thread of its own: from the bytes of the statement to the last byte of the answer.
//!
//! The steps, in order: take a connection, read the statement, refuse what must not run, apply database and settings,
//! run, write. Everything here may block.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{AnswerWriter, Summary, WriteError};
use super::body::{self, Body, Decoded};
use super::cancel::{MARKER_SETTING, Running};
use super::formats::{Formats, Header, needs_the_whole, streamable};
use super::identity::Identity;
use super::kill;
use super::native::Upgrade;
use super::reader::ReaderPolicy;
use super::request::Request;
use super::session::Lease;
use super::settings::{self, Applied};
use super::statement_text::{self, StatementText};
use super::values::ValuesData;
use crate::engine::{Connection, Engine, ErrorCode, Exception};
use crate::ffi::{Parameters, RawConnection};
use crate::sql::{InsertData, Kind, Statement};

/// What is the same for every request of a front.
pub(crate) struct Rules {
    pub(crate) engine: Arc<Engine>,
    pub(crate) formats: Formats,
    pub(crate) reader: ReaderPolicy,
    pub(crate) default_database: String,
    pub(crate) statement_bytes_max: usize,
    pub(crate) whole_result_bytes_max: usize,
}

/// One request, ready to run.
pub(crate) struct Job {
    pub(crate) rules: Arc<Rules>,
    pub(crate) identity: Identity,
    pub(crate) request: Request,
    /// The method allows changes.
    pub(crate) may_write: bool,
    pub(crate) body: Body,
    pub(crate) lease: Option<Lease>,
    pub(crate) in_session: bool,
    /// One of the statements that may run at once.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
    pub(crate) running: Arc<Running>,
}

/// Format of results when nothing names one.
const DEFAULT_FORMAT: &str = "TabSeparated";

/// Bytes handed to an insert at once.
const INSERT_PIECE_BYTES: usize = 256 << 10;

/// Why a request stopped.
enum Stop {
    Failed(Exception),
    Write(WriteError),
}

impl From<Exception> for Stop {
    fn from(exception: Exception) -> Self {
        Self::Failed(exception)
    }
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl Job {
    /// Runs the request and writes its answer.
    pub(crate) fn run(mut self, mut answer: AnswerWriter) {
        let started = Instant::now();
        let outcome = self.execute(&mut answer);
        // Free for the client's next request before it can see the end of this one.
        drop(self.lease.take());
        drop(self.slot.take());
        self.running.finish();
        match outcome {
            Ok(mut summary) => {
                summary.elapsed_ns = started.elapsed().as_nanos();
                // A client that left now has missed nothing but the end.
                let _ = answer.finish(summary);
            }
            Err(Stop::Failed(exception)) => answer.fail(&exception),
            Err(Stop::Write(error)) => answer.fail(&error.exception()),
        }
    }

    fn execute(&mut self, answer: &mut AnswerWriter) -> Result<Summary, Stop> {
        let body = std::mem::replace(&mut self.body, Body::Empty).open()?;
        let url_query = std::mem::take(&mut self.request.query);
        let StatementText { sql, data } =
            statement_text::read(url_query, body, self.rules.statement_bytes_max)?;
        let statement = Statement::read(&sql).map_err(|refusal| refusal.exception())?;
        match self.lease.take() {
            Some(mut lease) => {
                let outcome = self.on_session(&mut lease, &statement, data, answer);
                self.lease = Some(lease);
                outcome
            }
            None => {
                let mut connection = connect(&self.rules.engine)?;
                self.on_connection(&mut connection, &statement, data, answer)
            }
        }
    }

    fn on_connection(
        &self,
        connection: &mut Connection,
        statement: &Statement<'_>,
        data: Option<Decoded>,
        answer: &mut AnswerWriter,
    ) -> Result<Summary, Stop> {
        self.allow(connection, statement)?;
        self.choose_database(connection)?;
        let mut wanted = self.settings(statement)?;
        if self.identity == Identity::Owner && !self.may_write {
            wanted.push(("readonly".to_owned(), "2".to_owned()));
        }
        settings::apply(connection, &wanted)?;
        self.perform(connection, statement, data, answer)
    }

    /// A session keeps its own settings and database; those of the request are taken back afterwards.
    fn on_session(
        &self,
        lease: &mut Lease,
        statement: &Statement<'_>,
        data: Option<Decoded>,
        answer: &mut AnswerWriter,
    ) -> Result<Summary, Stop> {
        self.allow(lease.connection(), statement)?;
        let mut wanted = self.settings(statement)?;
        // It could not be taken back; `allow` has seen to it instead.
        wanted.retain(|(name, _)| name != "readonly");
        let applied = Applied::on(lease.connection(), &wanted, self.request.database.as_deref())?;
        let outcome = self.perform(lease.connection(), statement, data, answer);
        let changed_itself = matches!(statement.kind, Kind::Set | Kind::Use);
        if !changed_itself && applied.undo(lease.connection()).is_err() {
            lease.forget();
        }
        outcome
    }

    /// Refuses what must not run for this user, by this method.
    fn allow(&self, connection: &mut RawConnection, statement: &Statement<'_>) -> Result<(), Exception> {
        if let Kind::InsertData(_) = statement.kind {
            return if self.read_only() { Err(read_only_method()) } else { Ok(()) };
        }
        if self.identity == Identity::Reader {
            self.rules.reader.check(statement, &databases(connection)?)?;
        }
        let analysis = connection.classify(statement.sql);
        if analysis.statements > 1 {
            return Err(Exception::new(ErrorCode::SyntaxError, "Multi-statements are not allowed"));
        }
        let is_local = matches!(statement.kind, Kind::Set | Kind::Use) && self.identity == Identity::Owner;
        // What does not parse is left to the engine's own error.
        if self.read_only() && analysis.statements == 1 && !analysis.read_only && !is_local {
            return Err(read_only_method());
        }
        Ok(())
    }

    fn read_only(&self) -> bool {
        let asked = self.request.settings.iter().any(|(name, value)| name == "readonly" && value != "0");
        self.identity == Identity::Reader || !self.may_write || asked
    }

    fn choose_database(&self, connection: &mut RawConnection) -> Result<(), Exception> {
        let asked = self.request.database.as_deref();
        let (name, must_exist) = match self.identity {
            // The engine's own database shows the files of this machine as tables: not for the reader.
            Identity::Reader => (self.rules.reader.database(asked)?, true),
            Identity::Owner => (asked.unwrap_or(&self.rules.default_database), asked.is_some()),
        };
        match settings::use_database(connection, name) {
            // Before the first migration there is no database yet; the engine's own will do to make it.
            Err(error) if must_exist || error.code() != UNKNOWN_DATABASE => Err(error),
            _ => Ok(()),
        }
    }

    fn settings(&self, statement: &Statement<'_>) -> Result<Vec<(String, String)>, Exception> {
        let mut wanted = match self.identity {
            Identity::Owner => self.request.settings.clone(),
            Identity::Reader => self.rules.reader.settings(&self.request.settings)?,
        };
        wanted.retain(|(name, _)| name != MARKER_SETTING);
        // Before `readonly`, which must stay last.
        wanted.insert(0, (MARKER_SETTING.to_owned(), self.running.marker()));
        let asked = wanted.iter().any(|(name, _)| name == "max_result_bytes");
        if !asked
            && matches!(statement.kind, Kind::Select | Kind::Inspect)
            && self.header(statement).is_none()
        {
            wanted.insert(1, ("max_result_bytes".to_owned(), self.rules.whole_result_bytes_max.to_string()));
        }
        Ok(wanted)
    }

    fn format<'a>(&'a self, statement: &'a Statement<'_>) -> &'a str {
        let asked = statement.format.as_deref().or(self.request.default_format.as_deref());
        asked.unwrap_or(DEFAULT_FORMAT)
    }

    /// The header of the pieces the result comes in; `None` when it must be made whole.
    fn header(&self, statement: &Statement<'_>) -> Option<Header> {
        let in_text =
            statement.tokens.iter().any(|token| token.name().is_some_and(|name| needs_the_whole(&name)));
        let in_settings = self.request.settings.iter().any(|(name, _)| needs_the_whole(name));
        if statement.kind != Kind::Select || in_text || in_settings {
            return None;
        }
        streamable(self.format(statement))
    }

    fn perform(
        &self,
        connection: &mut RawConnection,
        statement: &Statement<'_>,
        data: Option<Decoded>,
        answer: &mut AnswerWriter,
    ) -> Result<Summary, Stop> {
        // What changes something runs to its end, like on a server, whoever is still there to hear of it.
        if matches!(statement.kind, Kind::Select | Kind::Inspect) {
            self.running.allow_kill();
        }
        if self.running.is_cancelled() {
            return Err(WriteError::Gone.into());
        }
        let format = self.format(statement);
        answer.set_format(format, self.rules.formats.content_type(format));
        let parameters = &self.request.parameters;
        match (statement.kind, data) {
            (Kind::Empty, _) => Err(Exception::new(ErrorCode::SyntaxError, "Empty query").into()),
            (Kind::InsertData(insert), Some(data)) => {
                self.insert(connection, statement.sql, insert, data, parameters).map_err(Stop::Failed)
            }
            _ if kill::is_kill(statement) => {
                let sql = kill::with_engine_ids(connection, statement)?;
                self.whole(connection, &Statement { sql: &sql, ..statement.clone() }, answer)
            }
            _ => match self.header(statement) {
                Some(header) if !session_needs_the_whole(connection, self.in_session)? => {
                    self.stream(connection, statement, header, answer)
                }
                _ => self.whole(connection, statement, answer),
            },
        }
    }

    fn insert(
        &self,
        connection: &mut RawConnection,
        sql: &str,
        insert: InsertData<'_>,
        mut data: Decoded,
        parameters: &Parameters,
    ) -> Result<Summary, Exception> {
        if insert.format == "Values" {
            data = Box::new(ValuesData::new(data));
        }
        let mut stream = connection.insert(sql, insert.format, parameters)?;
        let mut piece = vec![0; INSERT_PIECE_BYTES];
        loop {
            // An error leaves the stream unfinished, which cancels the insert.
            let size = fill(&mut data, &mut piece).map_err(|error| body::exception(&error))?;
            if size == 0 {
                break;
            }
            if stream.append(&piece[..size]).is_err() {
                // The end of the stream says more than the piece that failed.
                break;
            }
        }
        let result = stream.finish()?;
        let (written_rows, written_bytes) = (result.rows_written(), result.bytes_written());
        Ok(Summary { written_rows, written_bytes, ..Summary::default() })
    }

    fn stream(
        &self,
        connection: &mut RawConnection,
        statement: &Statement<'_>,
        header: Header,
        answer: &mut AnswerWriter,
    ) -> Result<Summary, Stop> {
        let format = self.format(statement);
        let upgrade = Upgrade::for_client(format, self.request.client_revision);
        let mut stream = connection.stream(statement.sql, format, &self.request.parameters)?;
        let mut summary = Summary::default();
        let mut header_size = None;
        while let Some(piece) = stream.next()? {
            if self.running.is_cancelled() {
                return Err(WriteError::Gone.into());
            }
            summary.result_rows += piece.rows();
            summary.read_rows += piece.storage_rows();
            summary.read_bytes += piece.storage_bytes();
            let bytes = Bytes::from_owner(piece);
            // The first header stays; those of later pieces, as long as the first, are cut.
            let rows = match header_size {
                None => {
                    header_size = Some(header.size(&bytes).ok_or_else(unreadable_header)?);
                    bytes
                }
                Some(size) if size <= bytes.len() => bytes.slice(size..),
                Some(_) => return Err(unreadable_header().into()),
            };
            summary.result_bytes += rows.len() as u64;
            let rows = match &upgrade {
                Some(upgrade) => upgrade.blocks(&rows)?,
                None => rows,
            };
            answer.write(rows)?;
        }
        Ok(summary)
    }

    fn whole(
        &self,
        connection: &mut RawConnection,
        statement: &Statement<'_>,
        answer: &mut AnswerWriter,
    ) -> Result<Summary, Stop> {
        let format = self.format(statement);
        let result = connection.query(statement.sql, format, &self.request.parameters).map_err(|error| {
            if error.code() == ErrorCode::TooManyRowsOrBytes.number() {
                return error.with_hint(
                    "Results in this format are made whole in memory; ask for fewer rows, or for a format that is sent row \
                     by row, such as JSONEachRow, CSVWithNames or RowBinary.",
                );
            }
            error
        })?;
        let summary = Summary {
            read_rows: result.storage_rows(),
            read_bytes: result.storage_bytes(),
            written_rows: result.rows_written(),
            written_bytes: result.bytes_written(),
            result_rows: result.rows(),
            result_bytes: result.as_ref().len() as u64,
            elapsed_ns: 0,
        };
        let bytes = Bytes::from_owner(result);
        let bytes = match Upgrade::for_client(format, self.request.client_revision) {
            Some(upgrade) => upgrade.blocks(&bytes)?,
            None => bytes,
        };
        answer.write(bytes)?;
        Ok(summary)
    }
}

/// Reads until the piece is full or the data ends. The engine takes each piece by another thread, so that handing over what
/// happens to have arrived would wake it for every packet.
fn fill(data: &mut Decoded, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match data.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(size) => filled += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

const UNKNOWN_DATABASE: u32 = 81;

pub(crate) fn connect(engine: &Engine) -> Result<Connection, Exception> {
    engine.connect().map_err(|error| Exception::new(ErrorCode::Aborted, error))
}

fn databases(connection: &mut RawConnection) -> Result<HashSet<String>, Exception> {
    let names = connection.query("SELECT name FROM system.databases", "TSVRaw", &Parameters::new())?;
    Ok(String::from_utf8_lossy(names.as_ref()).lines().map(str::to_owned).collect())
}

/// An earlier `SET` of the session may have put something around the rows.
fn session_needs_the_whole(connection: &mut RawConnection, in_session: bool) -> Result<bool, Exception> {
    if !in_session {
        return Ok(false);
    }
    let changed =
        connection.query("SELECT name FROM system.settings WHERE changed", "TSVRaw", &Parameters::new())?;
    Ok(String::from_utf8_lossy(changed.as_ref()).lines().any(needs_the_whole))
}

fn read_only_method() -> Exception {
    let message = "Cannot execute query in readonly mode: the reader, the method GET and readonly=1 only read; changes are \
                   sent by the owner with POST";
    Exception::new(ErrorCode::Readonly, message)
}

fn unreadable_header() -> Exception {
    Exception::new(ErrorCode::CannotReadAllData, "The engine's result does not begin with its header")
}
