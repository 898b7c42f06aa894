//! Rules of the tree that no compiler checks: which room may use which, and what every file says first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const ROOMS: [&str; 7] = ["sabotage", "domain", "journal", "schemas", "embedded", "collector", "billing"];
/// Members that are no rooms; they have rows of their own.
const OUTSIDE: [&str; 1] = ["tests/load"];

/// The rooms that a manifest depends on, without those of its tests.
fn uses(manifest: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(manifest).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let dependencies = table["dependencies"].as_table().unwrap();
    dependencies.keys().filter(|name| ROOMS.contains(&name.as_str())).cloned().collect()
}

#[test]
fn rooms_use_only_what_the_architecture_allows() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("## Arrows").expect("ARCHITECTURE.md has a section Arrows");
    let allowed: BTreeMap<&str, BTreeSet<String>> = table
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let room = cells.next()?;
            let names = cells.next()?.split(',').map(str::trim).filter(|name| !name.is_empty());
            Some((room, names.map(str::to_string).collect()))
        })
        .collect();
    for room in ROOMS.into_iter().chain(OUTSIDE) {
        assert_eq!(Some(&uses(&root().join(room).join("Cargo.toml"))), allowed.get(room), "{room}");
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_says_in_its_first_line_what_it_is() {
    let mut files = Vec::new();
    sources(root(), &mut files);
    assert!(files.len() > 100, "the tree was found");
    let silent: Vec<_> =
        files.iter().filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn no_float_comes_near_money() {
    let mut files = Vec::new();
    for room in ["domain/src", "billing/src"] {
        sources(&root().join(room), &mut files);
    }
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let float =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| ["f32", "f64"].contains(word));
        assert_eq!(float, None, "{}", path.display());
    }
}

#[test]
fn decisions_are_numbered_one_by_one_and_headed_by_their_numbers() {
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("docs/adr")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for (path, number) in files.iter().zip(1..) {
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(name.starts_with(&format!("{number:04}-")), "{name} is not the number {number}");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with(&format!("# {number:04} ")), "{name} is headed otherwise");
    }
}
