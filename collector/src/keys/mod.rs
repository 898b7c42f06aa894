//! API keys: who sends, and what a request is stamped with because of it.
//!
//! Keys live in one small JSON file in the data dir. Only hashes of them are kept: a key is shown once, when it is
//! made, and nobody (an operator, a backup, a log) can read it again. A command of another process may create or
//! revoke keys while a server runs; the server notices within a second.
//!
//! | file | idea |
//! |---|---|
//! | `secret.rs` | the key itself: made, shown once, hashed |
//! | `record.rs` | what is kept of a key, and the rules of a new one |
//! | `file.rs` | the JSON file: read whole, replaced whole, one writer at a time |
//! | `store.rs` | the keys in memory: found without a lock, reloaded when the file changed |
//!
//! Promises: a revoked key is refused by a running server within a second; a file that cannot be read never replaces
//! keys that could; a crash while writing leaves the old file or the new one, never half of one. Left to others:
//! whether a key is required (`receive`), and what a stamp means for billing (`domain`).

mod file;
mod record;
mod secret;
mod store;

pub use file::{FILE_NAME, KeyFileError};
pub use record::{KeyRecord, NewKey, NewKeyError};
pub use secret::Secret;
pub use store::{CreatedKey, KeyStore, KeyStoreError};
