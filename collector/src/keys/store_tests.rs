//! The promises of the key store, against real files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::file::FILE_NAME;
use super::*;

fn store(dir: &tempfile::TempDir) -> KeyStore {
    // Every lookup looks at the file, so that no test waits.
    KeyStore::open_reloading_every(dir.path(), Duration::ZERO).unwrap()
}

fn named(name: &str) -> NewKey {
    NewKey { name: name.into(), ..NewKey::default() }
}

#[test]
fn a_new_key_is_found_and_stamps_its_realm_and_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(&dir);
    let new = NewKey { realm: "emea".into(), tenant: Some("acme".into()), ..named("checkout") };
    let created = keys.create(new).unwrap();
    let stamp = keys.lookup(created.secret.reveal()).unwrap();
    assert_eq!(stamp.realm.as_str(), "emea");
    assert_eq!(stamp.tenant.as_deref(), Some("acme"));
    assert!(!stamp.operator);
    assert_eq!(keys.lookup("llk_wrong"), None);
    assert_eq!(keys.lookup(""), None);
}

#[test]
fn a_key_without_a_realm_is_of_the_default_realm() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(&dir);
    let created = keys.create(named("plain")).unwrap();
    assert_eq!(keys.lookup(created.secret.reveal()), Some(KeyStamp::default()));
}

#[test]
fn an_operators_key_never_binds_a_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(&dir);
    let both = NewKey { tenant: Some("acme".into()), operator: true, ..named("gateway") };
    let refused = keys.create(both).unwrap_err();
    assert!(matches!(refused, KeyStoreError::Refused(NewKeyError::OperatorWithTenant { .. })), "{refused}");

    let created = keys.create(NewKey { operator: true, ..named("gateway") }).unwrap();
    let path = dir.path().join(FILE_NAME);
    let by_hand = fs::read_to_string(&path)
        .unwrap()
        .replace("\"operator\": true", "\"operator\": true, \"tenant\": \"acme\"");
    fs::write(&path, by_hand).unwrap();
    let stamp = keys.lookup(created.secret.reveal()).unwrap();
    assert!(stamp.operator);
    assert_eq!(stamp.tenant, None);
}

#[test]
fn the_file_holds_no_key_and_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let created = store(&dir).create(named("k")).unwrap();
    let path = dir.path().join(FILE_NAME);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(created.secret.reveal()));
    assert!(!text.contains(created.secret.reveal().trim_start_matches("llk_")));
    assert!(text.contains(blake3::hash(created.secret.reveal().as_bytes()).to_hex().as_str()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_revoked_key_is_refused_and_stays_listed() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(&dir);
    let by_name = keys.create(named("one")).unwrap();
    let by_id = keys.create(named("two")).unwrap();
    keys.revoke("one").unwrap();
    keys.revoke(&by_id.record.id).unwrap();
    assert_eq!(keys.lookup(by_name.secret.reveal()), None);
    assert_eq!(keys.lookup(by_id.secret.reveal()), None);
    assert!(keys.is_empty());
    let listed = keys.list().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|key| key.revoked_at.is_some()));
    assert!(matches!(keys.revoke("one"), Err(KeyStoreError::NoSuchKey { .. })));
}

#[test]
fn names_are_unique_among_keys_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(&dir);
    keys.create(named("one")).unwrap();
    assert!(matches!(keys.create(named("one")), Err(KeyStoreError::Refused(NewKeyError::NameTaken { .. }))));
    keys.revoke("one").unwrap();
    keys.create(named("one")).unwrap();
    for name in ["", "  ", "a\nb", &"x".repeat(101)] {
        assert!(
            matches!(keys.create(named(name)), Err(KeyStoreError::Refused(NewKeyError::BadName { .. }))),
            "{name:?}"
        );
    }
    let empty_tenant = NewKey { tenant: Some(String::new()), ..named("two") };
    assert!(matches!(
        keys.create(empty_tenant),
        Err(KeyStoreError::Refused(NewKeyError::EmptyTenant { .. }))
    ));
}

#[test]
fn a_running_store_sees_what_another_process_does() {
    let dir = tempfile::tempdir().unwrap();
    let running = store(&dir);
    let other = KeyStore::open(dir.path()).unwrap();
    let created = other.create(named("late")).unwrap();
    assert!(running.lookup(created.secret.reveal()).is_some());
    other.revoke("late").unwrap();
    assert_eq!(running.lookup(created.secret.reveal()), None);
}

#[test]
fn a_lookup_within_the_interval_does_not_touch_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let running = KeyStore::open_reloading_every(dir.path(), Duration::from_secs(3600)).unwrap();
    let created = KeyStore::open(dir.path()).unwrap().create(named("late")).unwrap();
    assert_eq!(running.lookup(created.secret.reveal()), None);
}

#[test]
fn keys_survive_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let created = store(&dir).create(named("kept")).unwrap();
    assert!(KeyStore::open(dir.path()).unwrap().lookup(created.secret.reveal()).is_some());
}

#[test]
fn a_file_that_cannot_be_read_replaces_no_keys_that_could() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(&dir);
    let created = keys.create(named("kept")).unwrap();
    let path = dir.path().join(FILE_NAME);
    fs::write(&path, "{\"version\": 1, \"keys\": [").unwrap();
    assert!(keys.lookup(created.secret.reveal()).is_some());
    fs::remove_file(&path).unwrap();
    assert!(keys.lookup(created.secret.reveal()).is_some());
}

#[test]
fn a_broken_file_is_refused_at_open_with_what_is_wrong() {
    let hash = "0".repeat(64);
    let key = |hash: &str| {
        format!(
            r#"{{"id":"x","name":"n","realm":"default","hash":"{hash}","created_at":"2026-10-01T00:00:00Z"}}"#
        )
    };
    for (text, says) in [
        ("nonsense".to_owned(), "expected"),
        (r#"{"version":2,"keys":[]}"#.to_owned(), "version is 2"),
        (format!(r#"{{"version":1,"keys":[{}]}}"#, key("abc")), "hexadecimal"),
        (r#"{"version":1,"keys":[],"extra":1}"#.to_owned(), "extra"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), &text).unwrap();
        let error = KeyStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(FILE_NAME), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), format!(r#"{{"version":1,"keys":[{}]}}"#, key(&hash))).unwrap();
    assert_eq!(KeyStore::open(dir.path()).unwrap().list().unwrap().len(), 1);
}

#[test]
fn what_a_crash_left_of_a_write_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("api-keys.json.new"), "half a fi").unwrap();
    let keys = store(&dir);
    let created = keys.create(named("k")).unwrap();
    assert!(keys.lookup(created.secret.reveal()).is_some());
    let path = dir.path().join(FILE_NAME);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn many_writers_lose_no_key() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let keys = KeyStore::open(dir.path()).unwrap();
            scope.spawn(move || {
                (0..5).for_each(|i| drop(keys.create(named(&format!("{writer}-{i}"))).unwrap()))
            });
        }
    });
    assert_eq!(KeyStore::open(dir.path()).unwrap().list().unwrap().len(), 20);
}
