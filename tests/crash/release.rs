//! A release holds no fail point: the room is compiled as for a release and as for tests, and the results compared.

use std::path::Path;
use std::process::Command;

/// The room and a program that reaches one point, compiled; whether the program holds the point's name.
fn holds_the_name(dir: &Path, debug_assertions: &str, rustix: &[String]) -> bool {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("sabotage/src/lib.rs");
    let program = dir.join("program.rs");
    std::fs::write(&program, "fn main() { sabotage::reached(sabotage::Point::JournalSynced); }").unwrap();
    let compile = |source: &Path, kind: &str, further: &[String]| {
        let mut command = Command::new("rustc");
        command.current_dir(dir).args(["--edition", "2024", "-C", "opt-level=2", "--crate-type", kind]);
        command.args(["-C", &format!("debug-assertions={debug_assertions}"), "-L", "."]).args(further);
        let output = command.arg(source).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let named = ["--crate-name".to_owned(), "sabotage".to_owned()];
    compile(&room, "rlib", &[&named[..], rustix].concat());
    compile(
        &program,
        "bin",
        &[&["--extern".to_owned(), "sabotage=libsabotage.rlib".to_owned()][..], rustix].concat(),
    );
    let bytes = std::fs::read(dir.join("program")).unwrap();
    bytes.windows(b"journal.synced".len()).any(|window| window == b"journal.synced")
}

/// A stand-in for the one dependency, so that nothing else has to be built.
fn rustix(dir: &Path) -> Vec<String> {
    let source = dir.join("rustix.rs");
    let text = "pub mod process { pub struct Signal; impl Signal { pub const KILL: Self = Self; } \
                pub fn getpid() -> u32 { std::process::id() } \
                pub fn kill_process(_: u32, _: Signal) -> Result<(), ()> { std::process::abort() } }";
    std::fs::write(&source, text).unwrap();
    let status = Command::new("rustc")
        .current_dir(dir)
        .args(["--edition", "2024", "--crate-type", "rlib", "rustix.rs"])
        .status()
        .unwrap();
    assert!(status.success());
    vec!["--extern".to_owned(), "rustix=librustix.rlib".to_owned()]
}

/// Guarantees: without debug assertions nothing of a point is left, and the look that says so would see it.
#[test]
fn a_release_holds_nothing_of_a_fail_point() {
    let (release, debug) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(!holds_the_name(release.path(), "off", &rustix(release.path())));
    assert!(holds_the_name(debug.path(), "on", &rustix(debug.path())));
}
