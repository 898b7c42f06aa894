//! Database and settings of a request, made on its connection before the statement runs.

use std::fmt::Write;

use crate::engine::{ErrorCode, Exception};
use crate::ffi::{Parameters, RawConnection};
use crate::sql::{quote_name, quote_text};

/// Makes settings, all or none.
pub(crate) fn apply(connection: &mut RawConnection, settings: &[(String, String)]) -> Result<(), Exception> {
    if settings.is_empty() {
        return Ok(());
    }
    let mut sql = String::from("SET ");
    for (index, (name, value)) in settings.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(sql, "{separator}{} = {}", setting_name(name)?, quote_text(value));
    }
    connection.query(&sql, "Null", &Parameters::new()).map(drop)
}

/// Makes a database the current one.
pub(crate) fn use_database(connection: &mut RawConnection, name: &str) -> Result<(), Exception> {
    connection.query(&format!("USE {}", quote_name(name)), "Null", &Parameters::new()).map(drop)
}

/// What a request changed on a session's connection, and how it was before.
pub(crate) struct Applied {
    settings: Vec<(String, String)>,
    database: Option<String>,
}

impl Applied {
    /// Makes settings and database on a session's connection.
    pub(crate) fn on(
        connection: &mut RawConnection,
        settings: &[(String, String)],
        database: Option<&str>,
    ) -> Result<Self, Exception> {
        let mut before = Self { settings: Vec::new(), database: None };
        for (name, _) in settings {
            let value = value_of(connection, &format!("toString(getSetting('{}'))", setting_name(name)?))?;
            before.settings.push((name.clone(), value));
        }
        if let Some(database) = database {
            before.database = Some(value_of(connection, "currentDatabase()")?);
            use_database(connection, database)?;
        }
        if let Err(error) = apply(connection, settings) {
            before.undo(connection)?;
            return Err(error);
        }
        Ok(before)
    }

    /// Puts everything back.
    pub(crate) fn undo(self, connection: &mut RawConnection) -> Result<(), Exception> {
        apply(connection, &self.settings)?;
        match self.database {
            Some(database) => use_database(connection, &database),
            None => Ok(()),
        }
    }
}

fn value_of(connection: &mut RawConnection, expression: &str) -> Result<String, Exception> {
    let value = connection.query(&format!("SELECT {expression}"), "RawBLOB", &Parameters::new())?;
    Ok(String::from_utf8_lossy(value.as_ref()).into_owned())
}

/// A name that can stand in a statement as it is.
fn setting_name(name: &str) -> Result<&str, Exception> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_plain) && !name.as_bytes()[0].is_ascii_digit() {
        Ok(name)
    } else {
        Err(Exception::new(
            ErrorCode::UnknownSetting,
            format!("Setting {name} is neither a builtin setting nor started with a known prefix"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_names_are_refused() {
        assert!(setting_name("max_threads").is_ok());
        for name in ["", "a b", "a=1, b", "1a", "a'"] {
            assert_eq!(setting_name(name).unwrap_err().code(), 115, "{name}");
        }
    }
}
