//! What is wrong with a file of prices, plans or exchange rates: every fault of it, each with its place.

use std::error::Error;
use std::fmt;

use domain::price::BookError;

/// Why a price file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    /// It is in another encoding than UTF-8.
    #[error("line {line} of the file is not UTF-8{hint}; save the file as UTF-8")]
    Encoding {
        /// The line of the first byte that is not.
        line: usize,
        /// What it looks like.
        hint: &'static str,
    },
    /// There is nothing in it: what a write that failed leaves, and no price list.
    #[error(
        "the file is empty; to take back what the one before says, import one that says nothing but its currency or its source"
    )]
    Empty,
    /// It is larger than any price list.
    #[error("the file has more bytes than any price list ({FILE_MAX}); is it another file?")]
    TooLarge,
    /// It is in none of the formats known here.
    #[error(
        "the price file is in no known format; expected genai-prices or LiteLLM JSON, or a list of prices as .toml or .csv"
    )]
    Format,
    /// It is not JSON.
    #[error("the price file is not JSON")]
    Json(#[source] serde_json::Error),
    /// It says what cannot be used.
    #[error("the file has {} fault(s); {}", .0.len(), first_of(.0))]
    Faults(Vec<Fault>),
    /// Its lists do not make a book.
    #[error("the price file makes no price book")]
    Book(#[source] BookError),
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, or the provider and the model.
    pub at: String,
    /// What is wrong, and what is expected.
    pub problem: String,
}

/// The largest file that is imported. LiteLLM's, the largest of those known, has three million bytes.
pub const FILE_MAX: usize = 64 * 1024 * 1024;

/// Refuses what is no text that somebody wrote. Asked when a file is imported, and not of those that were.
pub(crate) fn importable(bytes: &[u8]) -> Result<(), PriceFileError> {
    if bytes.len() > FILE_MAX {
        return Err(PriceFileError::TooLarge);
    }
    let text = utf8(bytes)?;
    if text.trim().is_empty() {
        return Err(PriceFileError::Empty);
    }
    // UTF-16 without its mark is UTF-8 by its bytes, every other of them NUL.
    match text.split('\n').position(|line| line.contains('\0')) {
        Some(line) => {
            Err(PriceFileError::Encoding { line: line + 1, hint: ", it holds NUL bytes as UTF-16 does" })
        }
        None => Ok(()),
    }
}

/// A file as text, without the byte order mark some editors leave.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, PriceFileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| PriceFileError::Encoding {
        line: 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count(),
        hint: if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            ", it looks like UTF-16"
        } else {
            ""
        },
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn first_of(faults: &[Fault]) -> String {
    const SHOWN: usize = 10;
    let mut shown: Vec<String> = faults.iter().take(SHOWN).map(Fault::to_string).collect();
    if faults.len() > SHOWN {
        shown.push(format!("and {} more", faults.len() - SHOWN));
    }
    shown.join("; ")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.problem)
    }
}
