//! The border to the engine's C interface: the only file of the crate with unsafe code.
//!
//! Promises: a handle is used by one thread at a time (`&mut self`), freed exactly once, and never used after it
//! failed to open; text that comes back is copied out before its owner is freed. The library stays loaded for the
//! life of the process, because the engine keeps threads of its own.
//!
//! Leaves to others: when to open and close (`engine`), what the statements mean.
#![expect(unsafe_code, reason = "calling a C library; every block states why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::engine::Exception;

type Handle = *mut c_void;
type Query = unsafe extern "C" fn(
    Handle,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> Handle;
type ReadCount = unsafe extern "C" fn(Handle) -> u64;
type ReadText = unsafe extern "C" fn(Handle) -> *const c_char;

unsafe extern "C" {
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    fn _exit(code: c_int) -> !;
}

/// Has `function` run when the process exits by itself, in place of the engine's own clean-up (which was registered when
/// the library was loaded, and the last registered runs first): it is given the exit code, and ends the process with
/// [`leave`].
pub(crate) fn at_exit(function: extern "C" fn(c_int, *mut c_void)) {
    // SAFETY: the C library keeps the pointer; `function` is static and, being `extern "C"`, aborts rather than unwinds. It
    // is given the null pointer passed here and does not read it.
    let refused = unsafe { on_exit(function, std::ptr::null_mut()) };
    if refused != 0 {
        tracing::warn!(
            "a process that exits without stopping the engine may end in a crash; stop it with SIGTERM"
        );
    }
}

/// Ends the process at once with this exit code. The engine's clean-up at exit runs into threads of its own and has been
/// seen to crash, so it must not run.
pub(crate) fn leave(code: c_int) -> ! {
    // SAFETY: takes any number and does not return.
    unsafe { _exit(code) }
}

/// The functions of the loaded library.
pub(crate) struct Api {
    connect: unsafe extern "C" fn(c_int, *const *const c_char) -> *mut Handle,
    close: unsafe extern "C" fn(*mut Handle),
    query: Query,
    stream_query: Query,
    stream_fetch: unsafe extern "C" fn(Handle, Handle) -> Handle,
    stream_cancel: unsafe extern "C" fn(Handle, Handle),
    stream_insert: Query,
    insert_append: unsafe extern "C" fn(Handle, *const c_void, usize) -> c_int,
    insert_done: unsafe extern "C" fn(Handle) -> Handle,
    insert_error: ReadText,
    insert_destroy: unsafe extern "C" fn(Handle),
    classify:
        unsafe extern "C" fn(Handle, *const c_char, usize, *const c_char, usize, *mut RawAnalysis) -> c_int,
    result_buffer: unsafe extern "C" fn(Handle) -> *const u8,
    result_length: unsafe extern "C" fn(Handle) -> usize,
    result_error: ReadText,
    result_rows: ReadCount,
    result_storage_rows: ReadCount,
    result_storage_bytes: ReadCount,
    result_rows_written: ReadCount,
    result_bytes_written: ReadCount,
    result_destroy: unsafe extern "C" fn(Handle),
    set_signal_handlers: unsafe extern "C" fn(c_int),
    _library: ManuallyDrop<libloading::Library>,
}

#[repr(C)]
struct RawAnalysis {
    struct_size: u32,
    statement_count: u32,
    flags: u32,
    query_class: u32,
}

/// What the engine's own parser says of a text, without running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Analysis {
    /// Statements that would run; 0 when the text does not parse.
    pub(crate) statements: u32,
    /// Whether nothing the text does outlives it.
    pub(crate) read_only: bool,
}

/// Query parameters, `{name:Type}` in the text: name and value, in the engine's escaped text form.
pub(crate) type Parameters = Vec<(String, String)>;

impl Api {
    /// Loads the library and looks up every function, so that a wrong file is refused before anything runs.
    pub(crate) fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: loading runs the library's initialisers; it is the engine the operator installed for this purpose.
        let library = ManuallyDrop::new(unsafe { libloading::Library::new(path)? });
        macro_rules! symbol {
            // SAFETY: the field this initialises has the signature the engine's C header declares for the name.
            ($name:literal) => {
                *unsafe { library.get($name.as_bytes())? }
            };
        }
        Ok(Self {
            connect: symbol!("chdb_connect"),
            close: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_with_params_n"),
            stream_query: symbol!("chdb_stream_query_with_params_n"),
            stream_fetch: symbol!("chdb_stream_fetch_result"),
            stream_cancel: symbol!("chdb_stream_cancel_query"),
            stream_insert: symbol!("chdb_stream_insert_with_params_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            classify: symbol!("chdb_classify_query_n"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_error: symbol!("chdb_result_error"),
            result_rows: symbol!("chdb_result_rows_read"),
            result_storage_rows: symbol!("chdb_result_storage_rows_read"),
            result_storage_bytes: symbol!("chdb_result_storage_bytes_read"),
            result_rows_written: symbol!("chdb_result_rows_written"),
            result_bytes_written: symbol!("chdb_result_bytes_written"),
            result_destroy: symbol!("chdb_destroy_query_result"),
            set_signal_handlers: symbol!("chdb_set_signal_handlers_enabled"),
            _library: library,
        })
    }

    /// Keeps the engine's hands off the process's signals. To be called before the first connection.
    pub(crate) fn leave_signals_alone(&self) {
        // SAFETY: takes a plain flag and may be called at any time.
        unsafe { (self.set_signal_handlers)(0) }
    }

    /// Opens a connection; the first one of the process boots the engine with `arguments`. `None` is all the engine
    /// says when it refuses.
    pub(crate) fn connect(self: &Arc<Self>, arguments: &[CString]) -> Option<RawConnection> {
        let pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        let count = c_int::try_from(pointers.len()).expect("a handful of arguments");
        // SAFETY: `pointers` holds `count` pointers to terminated strings that outlive the call.
        let handle = NonNull::new(unsafe { (self.connect)(count, pointers.as_ptr()) })?;
        Some(RawConnection { api: Arc::clone(self), handle })
    }

    fn copy_text(text: *const c_char) -> Option<String> {
        if text.is_null() {
            return None;
        }
        // SAFETY: the engine's error texts are terminated and live as long as the handle the caller still holds.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// An open connection: its own session, settings and current database.
pub(crate) struct RawConnection {
    api: Arc<Api>,
    handle: NonNull<Handle>,
}

// SAFETY: the engine binds no connection to a thread; `&mut self` on every use keeps it to one thread at a time.
unsafe impl Send for RawConnection {}

impl RawConnection {
    /// Runs a statement to its end and gives the whole result.
    pub(crate) fn query(
        &mut self,
        sql: &str,
        format: &str,
        parameters: &Parameters,
    ) -> Result<ResultBytes, Exception> {
        let handle = self.call(self.api.query, sql, format, parameters);
        ResultBytes::take(&self.api, handle)
    }

    /// Starts a statement whose result is fetched in pieces.
    pub(crate) fn stream(
        &mut self,
        sql: &str,
        format: &str,
        parameters: &Parameters,
    ) -> Result<SelectStream<'_>, Exception> {
        let handle = self.call(self.api.stream_query, sql, format, parameters);
        let stream = ResultBytes::take(&self.api, handle)?;
        Ok(SelectStream { stream, connection: self, ended: false })
    }

    /// Starts an insert whose data follows in pieces. `sql` must not contain a `FORMAT` clause.
    pub(crate) fn insert(
        &mut self,
        sql: &str,
        format: &str,
        parameters: &Parameters,
    ) -> Result<InsertStream<'_>, Exception> {
        let handle = self.call(self.api.stream_insert, sql, format, parameters);
        let Some(handle) = NonNull::new(handle) else {
            return Err(Exception::engine_said_nothing());
        };
        let stream = InsertStream { handle, connection: self };
        match stream.error() {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    /// What the engine's parser makes of `sql`.
    pub(crate) fn classify(&mut self, sql: &str) -> Analysis {
        let size = u32::try_from(size_of::<RawAnalysis>()).expect("sixteen bytes");
        let mut raw =
            RawAnalysis { struct_size: size, statement_count: 0, flags: 0, query_class: UNKNOWN_CLASS };
        // SAFETY: the connection is open, `sql` and `raw` outlive the call, and `raw` states its own size.
        unsafe {
            (self.api.classify)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                std::ptr::null(),
                0,
                &raw mut raw,
            );
        }
        Analysis { statements: raw.statement_count, read_only: raw.query_class == READ_ONLY_CLASS }
    }

    fn call(&mut self, function: Query, sql: &str, format: &str, parameters: &Parameters) -> Handle {
        let names: Vec<*const c_char> = parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect();
        let name_sizes: Vec<usize> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<*const c_char> = parameters.iter().map(|(_, value)| value.as_ptr().cast()).collect();
        let value_sizes: Vec<usize> = parameters.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: the connection is open; every text is passed with its length and outlives the call, and the four
        // arrays have `parameters.len()` entries each.
        unsafe {
            function(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_sizes.as_ptr(),
                values.as_ptr(),
                value_sizes.as_ptr(),
                parameters.len(),
            )
        }
    }

    fn raw(&self) -> Handle {
        // SAFETY: `handle` came from a successful connect, is freed only in `drop`, and points to the connection.
        unsafe { *self.handle.as_ptr() }
    }
}

impl Drop for RawConnection {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once; streams borrow the connection and are gone by now.
        unsafe { (self.api.close)(self.handle.as_ptr()) }
    }
}

const READ_ONLY_CLASS: u32 = 0;
const UNKNOWN_CLASS: u32 = 4;

/// The bytes of a result, in the engine's own memory.
pub(crate) struct ResultBytes {
    api: Arc<Api>,
    handle: NonNull<c_void>,
}

// SAFETY: a result is a plain buffer bound to no thread, and nothing changes it after it was handed out.
unsafe impl Send for ResultBytes {}
// SAFETY: as above; all methods only read.
unsafe impl Sync for ResultBytes {}

impl ResultBytes {
    fn take(api: &Arc<Api>, handle: Handle) -> Result<Self, Exception> {
        let Some(handle) = NonNull::new(handle) else {
            return Err(Exception::engine_said_nothing());
        };
        let result = Self { api: Arc::clone(api), handle };
        // SAFETY: the handle is live until `result` is dropped.
        match Api::copy_text(unsafe { (api.result_error)(handle.as_ptr()) }) {
            Some(text) => Err(Exception::from_engine(text)),
            None => Ok(result),
        }
    }

    /// Rows in this result.
    pub(crate) fn rows(&self) -> u64 {
        self.count(self.api.result_rows)
    }

    /// Rows read from tables to make it.
    pub(crate) fn storage_rows(&self) -> u64 {
        self.count(self.api.result_storage_rows)
    }

    /// Bytes read from tables to make it.
    pub(crate) fn storage_bytes(&self) -> u64 {
        self.count(self.api.result_storage_bytes)
    }

    /// Rows written, materialised views included; a deduplicated block counts too.
    pub(crate) fn rows_written(&self) -> u64 {
        self.count(self.api.result_rows_written)
    }

    /// Bytes written, counted like the rows.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.count(self.api.result_bytes_written)
    }

    fn count(&self, function: ReadCount) -> u64 {
        // SAFETY: the handle is live until `self` is dropped.
        unsafe { function(self.handle.as_ptr()) }
    }
}

impl AsRef<[u8]> for ResultBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the handle is live; the engine keeps buffer and length unchanged until the result is freed.
        unsafe {
            let length = (self.api.result_length)(self.handle.as_ptr());
            let buffer = (self.api.result_buffer)(self.handle.as_ptr());
            if buffer.is_null() || length == 0 { &[] } else { std::slice::from_raw_parts(buffer, length) }
        }
    }
}

impl Drop for ResultBytes {
    fn drop(&mut self) {
        // SAFETY: handed out once, freed once.
        unsafe { (self.api.result_destroy)(self.handle.as_ptr()) }
    }
}

/// A select in progress. Dropping it before its end cancels the statement.
pub(crate) struct SelectStream<'connection> {
    stream: ResultBytes,
    connection: &'connection mut RawConnection,
    ended: bool,
}

impl SelectStream<'_> {
    /// The next piece, each formatted on its own; `None` after the last. The first piece may have no rows and
    /// still carry a header.
    pub(crate) fn next(&mut self) -> Result<Option<ResultBytes>, Exception> {
        if self.ended {
            return Ok(None);
        }
        let api = &self.connection.api;
        // SAFETY: connection and stream are live and used by this thread alone.
        let handle = unsafe { (api.stream_fetch)(self.connection.raw(), self.stream.handle.as_ptr()) };
        let piece = ResultBytes::take(api, handle).inspect_err(|_| self.ended = true)?;
        if piece.rows() == 0 {
            self.ended = true;
            return Ok((!piece.as_ref().is_empty()).then_some(piece));
        }
        Ok(Some(piece))
    }
}

impl Drop for SelectStream<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: connection and stream are live; the engine asks for a cancel before the stream is freed.
            unsafe { (self.connection.api.stream_cancel)(self.connection.raw(), self.stream.handle.as_ptr()) }
        }
    }
}

/// An insert in progress. Dropping it without [`InsertStream::finish`] cancels it: blocks the engine has already
/// written stay, the rest is discarded.
pub(crate) struct InsertStream<'connection> {
    handle: NonNull<c_void>,
    connection: &'connection mut RawConnection,
}

impl InsertStream<'_> {
    /// Hands over the next bytes, in any cut; blocks while the engine is behind.
    pub(crate) fn append(&mut self, data: &[u8]) -> Result<(), Exception> {
        // SAFETY: the stream is live; the engine copies `data` before it returns.
        let failed = unsafe {
            (self.connection.api.insert_append)(self.handle.as_ptr(), data.as_ptr().cast(), data.len())
        };
        if failed == 0 { Ok(()) } else { Err(self.error().unwrap_or_else(Exception::engine_said_nothing)) }
    }

    /// Ends the data and commits it.
    pub(crate) fn finish(self) -> Result<ResultBytes, Exception> {
        // SAFETY: the stream is live until `self` is dropped at the end of this function.
        let handle = unsafe { (self.connection.api.insert_done)(self.handle.as_ptr()) };
        ResultBytes::take(&self.connection.api, handle)
    }

    fn error(&self) -> Option<Exception> {
        // SAFETY: the stream is live.
        Api::copy_text(unsafe { (self.connection.api.insert_error)(self.handle.as_ptr()) })
            .map(Exception::from_engine)
    }
}

impl Drop for InsertStream<'_> {
    fn drop(&mut self) {
        // SAFETY: opened once, freed once; freeing cancels what is not finished.
        unsafe { (self.connection.api.insert_destroy)(self.handle.as_ptr()) }
    }
}
