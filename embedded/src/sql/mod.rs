//! Just enough SQL to decide what a request is, without regular expressions: a lexer and a look at the tokens.
//!
//! What a statement *means* is the engine's business; its own parser is asked as well (`classify`).

mod lex;
mod quote;
mod statement;

pub(crate) use lex::{LexError, Lexer, Token, TokenKind};
pub(crate) use quote::{quote_name, quote_text};
pub(crate) use statement::{InsertData, Kind, Statement};
