//! Budgets that change while the server runs: those of the configuration's file, as it is now.
//!
//! Promises: a file that does not hold changes nothing, and is complained of once; other keys of it are left as they were
//! at the start. Variables and flags still go before the file.

use domain::budget::Budget;

use crate::config::Loaded;

/// What was configured last, and where it may change.
#[derive(Debug)]
pub struct Change {
    /// `None`: there is no file to look at.
    loaded: Option<Loaded>,
    /// What was last complained of.
    said: String,
}

impl Change {
    /// Looks at the file that a configuration came from.
    pub fn of(loaded: Option<Loaded>) -> Self {
        Self { loaded, said: String::new() }
    }

    /// The budgets of now, if they are others than before. Reads the file.
    pub fn look(&mut self) -> Option<Vec<Budget>> {
        let loaded = self.loaded.as_mut()?;
        match loaded.reread() {
            Ok(None) => None,
            Ok(Some(now)) => {
                self.said.clear();
                let changed = now.config.budget != loaded.config.budget;
                *loaded = now;
                changed.then(|| loaded.config.budget.clone())
            }
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                if self.said != text {
                    tracing::warn!(error = %text, "the configuration does not hold; budgets stay as they are");
                    self.said = text;
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn budgets_are_those_of_the_file_now_unless_it_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledgerline.toml");
        let write = |limit: &str| {
            let text =
                format!("[[budget]]\nname = \"all\"\nper = \"day\"\nof = \"cost\"\nlimit = \"{limit}\"\n");
            std::fs::write(&path, &text).unwrap();
            text
        };
        let text = write("1");
        let sources = Sources { file: Some((path.clone(), text)), ..Sources::default() };
        let mut change = Change::of(Some(load(&sources).unwrap()));
        assert_eq!(change.look(), None);
        write("2.50");
        let changed = change.look().unwrap();
        assert_eq!(changed[0].limit.to_string(), "2.500000000000");
        assert_eq!(change.look(), None, "told once");
        write("much");
        assert_eq!(change.look(), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(change.look(), None, "a file that is gone is none that says there are no budgets");
        write("2.50");
        assert_eq!(change.look(), None, "the same as before");
        write("3");
        assert!(change.look().is_some());
        assert_eq!(Change::of(None).look(), None);
    }
}
