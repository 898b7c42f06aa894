//! From one table to three things that must agree: the structs, the list of keys, and the reader that fills the structs.

use super::setting::Setting;

/// One setting, as people know it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its place in the file, such as `billing.late_limit`.
    pub path: &'static str,
    /// The section, empty for keys that stand above all sections.
    pub section: &'static str,
    /// The key within its section.
    pub name: &'static str,
    /// The default as it would be written; `None` where it is unset.
    pub default: Option<&'static str>,
    /// What a value may be; completes "expected …".
    pub expected: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Its doc comment, a line an item.
    pub meaning: &'static [&'static str],
}

/// A section of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name in the file.
    pub name: &'static str,
    /// Its doc comment, a line an item.
    pub meaning: &'static [&'static str],
}

impl Key {
    /// The environment variable of the same meaning: `LEDGERLINE_BILLING_LATE_LIMIT`. Made from the key and looked up as
    /// a whole, since an underscore may stand for a dot or for itself.
    pub fn variable(&self) -> String {
        format!("LEDGERLINE_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// What the key means, as one text.
    pub fn meaning(&self) -> String {
        one_text(self.meaning)
    }

    pub(super) const fn of<T: Setting>(
        (path, section, name): (&'static str, &'static str, &'static str),
        default: &[&'static str],
        meaning: &'static [&'static str],
    ) -> Self {
        let default = match default {
            [] => None,
            [text, ..] => Some(*text),
        };
        Self { path, section, name, default, expected: T::EXPECTED, secret: T::SECRET, meaning }
    }
}

impl Section {
    /// What the section is about, as one text.
    pub fn meaning(&self) -> String {
        one_text(self.meaning)
    }
}

fn one_text(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Makes `Config`, a struct a section, `KEYS`, `SECTIONS`, and the reader.
macro_rules! settings {
    (
        { $( $(#[doc = $top_doc:literal])+ $top:ident: $top_type:ty $(= $top_default:literal)?; )* }
        $(
            $(#[doc = $section_doc:literal])+
            $section:ident: $Section:ident {
                $( $(#[doc = $doc:literal])+ $key:ident: $type:ty $(= $default:literal)?; )*
            }
        )*
    ) => {
        /// Every setting.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $( $(#[doc = $top_doc])+ pub $top: $top_type, )*
            $( $(#[doc = $section_doc])+ pub $section: $Section, )*
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $key: $type, )*
            }
        )*

        /// Every key, in the order of the table.
        pub const KEYS: &[$crate::config::settings::Key] = &[
            $( $crate::config::settings::Key::of::<$top_type>(
                (stringify!($top), "", stringify!($top)), &[$($top_default)?], &[$($top_doc),+],
            ), )*
            $($( $crate::config::settings::Key::of::<$type>(
                (concat!(stringify!($section), ".", stringify!($key)), stringify!($section), stringify!($key)),
                &[$($default)?],
                &[$($doc),+],
            ), )*)*
        ];

        /// Every section, in the order of the table.
        pub const SECTIONS: &[$crate::config::settings::Section] = &[
            $( $crate::config::settings::Section {
                name: stringify!($section), meaning: &[$($section_doc),+],
            }, )*
        ];

        impl Config {
            /// Reads every key, so that every fault is found; `None` if there is one.
            pub(super) fn read(values: &mut $crate::config::load::Values) -> Option<Self> {
                $( let $top = values.read::<$top_type>(stringify!($top)); )*
                $( let $section = {
                    $( let $key = values.read::<$type>(concat!(stringify!($section), ".", stringify!($key))); )*
                    (|| Some($Section { $( $key: $key?, )* }))()
                }; )*
                Some(Self { $( $top: $top?, )* $( $section: $section?, )* })
            }

            /// Every key with its value as a file would have it, in the order of [`KEYS`]; `None` where it is unset.
            pub(super) fn written(&self) -> Vec<Option<toml::Value>> {
                use $crate::config::setting::Setting;
                vec![
                    $( self.$top.write(), )*
                    $($( self.$section.$key.write(), )*)*
                ]
            }
        }
    };
}

pub(super) use settings;
