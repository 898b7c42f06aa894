//! Precedence, names, and that all faults come together.

use std::ffi::OsString;
use std::time::Duration;

use super::*;
use crate::config::FlagValue;

fn sources(
    file: Option<&str>,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Sources {
    Sources {
        file: file.map(|text| ("ledgerline.toml".into(), text.to_owned())),
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OsString::from(*value)))
            .collect(),
        flags: flags
            .iter()
            .map(|(key, flag, value)| FlagValue { key, flag, value: (*value).to_owned() })
            .collect(),
    }
}

fn faults(sources: &Sources) -> Vec<String> {
    match load(sources) {
        Err(ConfigError::Faults(faults)) => faults.iter().map(Fault::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_default_is_allowed_and_reads_back_as_itself() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.entries.len(), KEYS.len());
    for entry in &loaded.entries {
        assert_eq!(entry.origin, Origin::Default);
        let default = entry.key.default.map(|text| Value::String(text.to_owned()));
        assert_eq!(entry.value.is_some(), default.is_some(), "{}", entry.key.path);
    }
    let written: Table = loaded.entries.iter().fold(Table::new(), |mut file, entry| {
        if let Some(value) = entry.value.clone() {
            let section = file.entry(entry.key.section).or_insert_with(|| Value::Table(Table::new()));
            section.as_table_mut().unwrap().insert(entry.key.name.to_owned(), value);
        }
        file
    });
    let top = written[""].as_table().unwrap().clone();
    let mut file = written;
    file.remove("");
    let text = format!("{}\n{}", toml::to_string(&top).unwrap(), toml::to_string(&file).unwrap());
    assert_eq!(load(&sources(Some(&text), &[], &[])).unwrap().config, loaded.config);
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let file = Some("[otlp]\ngrpc_addr = \"127.0.0.1:1\"\n");
    let variable = ("LEDGERLINE_OTLP_GRPC_ADDR", "127.0.0.1:2");
    let flag = ("otlp.grpc_addr", "--otlp-grpc-addr", "127.0.0.1:3");
    for (sources, port, origin) in [
        (sources(None, &[], &[]), 4317, "default"),
        (sources(file, &[], &[]), 1, "ledgerline.toml"),
        (sources(file, &[variable], &[]), 2, "LEDGERLINE_OTLP_GRPC_ADDR"),
        (sources(file, &[variable], &[flag]), 3, "--otlp-grpc-addr"),
        (sources(None, &[variable], &[]), 2, "LEDGERLINE_OTLP_GRPC_ADDR"),
        (sources(file, &[], &[flag]), 3, "--otlp-grpc-addr"),
    ] {
        let loaded = load(&sources).unwrap();
        assert_eq!(loaded.config.otlp.grpc_addr.port(), port);
        assert_eq!(loaded.origin("otlp.grpc_addr").to_string(), origin);
    }
}

#[test]
fn an_underscore_of_a_variable_may_be_a_dot_or_itself() {
    let variables = [
        ("LEDGERLINE_BILLING_LATE_LIMIT", "3650d"),
        ("LEDGERLINE_DATA_DIR", "/data"),
        ("LEDGERLINE_SHUTDOWN_TIMEOUT", "3s"),
        ("LEDGERLINE_TRACE_SAMPLE_RATIO", "1"),
        ("LEDGERLINE_SETTLE_ENABLED", "false"),
        ("LEDGERLINE_ATTRIBUTES_TENANT", "customer, org.id"),
        ("LEDGERLINE_AUTH_REQUIRED", "true"),
    ];
    let loaded = load(&sources(None, &variables, &[])).unwrap();
    let config = loaded.config;
    assert_eq!(config.billing.late_limit, Duration::from_secs(3650 * 86_400));
    assert_eq!(config.data_dir.to_str(), Some("/data"));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(3));
    assert_eq!(config.attributes.tenant, ["customer", "org.id"]);
    assert_eq!(config.auth.required, Some(true));
    assert!(!config.settle.enabled && loaded.notices.is_empty());
}

#[test]
fn a_variable_that_sets_nothing_is_noticed_not_refused() {
    let loaded = load(&sources(None, &[("LEDGERLINE_SERVICE_HOST", "10.0.0.1")], &[])).unwrap();
    assert_eq!(loaded.notices.len(), 1);
    assert!(loaded.notices[0].contains("LEDGERLINE_SERVICE_HOST"));
}

#[test]
fn all_faults_come_together_each_with_key_value_origin_and_what_is_allowed() {
    let file = "
        colour = \"blue\"
        [billing]
        late_limit = 35
        lateness = \"hunter2\"
        [otlp]
        in_flight_max = \"1MiB\"
        [settle]
        enabled = \"maybe\"
        [clickhouse]
        password = 7
    ";
    let variables =
        [("LEDGERLINE_SHIP_ROWS_MAX", "0"), ("LEDGERLINE_CLICKHOUSE_URL", "http://me:hunter2@db")];
    let faults = faults(&sources(Some(file), &variables, &[("admin.addr", "--admin-addr", "here")]));
    let expected = [
        "billing.lateness = … (ledgerline.toml): expected a key of [billing]: late_limit, future_limit, grace, currency",
        "colour = … (ledgerline.toml): expected a key of the file: data_dir, shutdown_timeout, budget, otlp, auth,",
        "admin.addr = \"here\" (--admin-addr): expected an address and port",
        "clickhouse.url = \"http://…@db\" (LEDGERLINE_CLICKHOUSE_URL): expected a URL",
        "clickhouse.password = … (ledgerline.toml): expected a text",
        "ship.rows_max = \"0\" (LEDGERLINE_SHIP_ROWS_MAX): expected a whole number from 1",
        "settle.enabled = \"maybe\" (ledgerline.toml): expected true or false",
        "billing.late_limit = 35 (ledgerline.toml): expected a duration such as",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\n{expected}");
    }
    assert!(!faults.join("").contains("hunter2"));
}

#[test]
fn relations_between_keys_are_checked_once_every_key_can_be_read() {
    let file = "
        [otlp]
        in_flight_max = \"1MiB\"
        http_addr = \"127.0.0.1:4317\"
        [journal]
        capacity = \"100MiB\"
        [clickhouse]
        cluster = \"main\"
        [ship]
        rows_max = 2000000
        interval = \"0s\"
        [settle]
        quiet = \"2d\"
    ";
    let faults = faults(&sources(Some(file), &[], &[]));
    let keys: Vec<&str> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "otlp.in_flight_max",
            "otlp.http_addr",
            "clickhouse.cluster",
            "journal.capacity",
            "ship.rows_max",
            "ship.interval",
            "settle.quiet"
        ]
    );
    assert!(faults[3].contains("at least 128MiB"), "{}", faults[3]);
}

#[test]
fn a_file_that_is_not_toml_names_its_line() {
    let error = load(&sources(Some("[otlp]\n\ngrpc_addr = \n"), &[], &[])).unwrap_err().to_string();
    assert!(error.contains("ledgerline.toml is not TOML: line 3"), "{error}");
}

#[test]
fn evidence_is_kept_for_as_long_as_usage_may_be_late_and_entries_longer() {
    let kept = |variables: &[(&str, &str)]| load(&sources(None, variables, &[])).unwrap().config.retention;
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!((kept(&[]).observations.get(), kept(&[]).ledger.get()), (days(400), None));
    let late = ("LEDGERLINE_BILLING_LATE_LIMIT", "36500d");
    assert_eq!(kept(&[late]).observations.get(), None, "nobody said how long, so nothing goes too early");

    let faulty = |variables: &[(&str, &str)]| faults(&sources(None, variables, &[])).join("; ");
    let (evidence, ledger) = ("LEDGERLINE_RETENTION_OBSERVATIONS", "LEDGERLINE_RETENTION_LEDGER");
    // Twice 35 d, 26 h, 10 min, 24 h and two days.
    let said = faulty(&[(evidence, "74d")]);
    assert!(
        said.contains("expected `forever` or at least 75d") && said.contains("lower billing.late_limit"),
        "{said}"
    );
    assert_eq!(kept(&[(evidence, "75d")]).observations.get(), days(75));
    assert!(faulty(&[late, (evidence, "400d")]).contains("at least 7300"), "said so, it is a fault");
    assert!(faulty(&[(ledger, "434d")]).contains("at least 435d"));
    assert_eq!(kept(&[(ledger, "3650d")]).ledger.get(), days(3650));
    assert!(faulty(&[(evidence, "forever"), (ledger, "3650d")]).contains("while retention.observations is"));
    assert!(faulty(&[(evidence, "90h")]).contains("whole days"));
}
