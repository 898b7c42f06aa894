//! `usage` on a ledger whose entries are written here, through the real engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use domain::ledger::{Entry, EntryType, Facts, Quantities, State};
use domain::money::Cost;
use domain::{BillingPeriod, CallId, EventTime, Realm, SpanId, TraceId};
use embedded::{Credentials, Engine, EngineConfig, FrontConfig, HttpFront, OWNER};
use schemas::{Database, Target};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::program::{Program, check};

struct Call<'a> {
    number: u8,
    tenant: &'a str,
    state: State,
    at: &'a str,
    month: &'a str,
    tokens: [i64; 6],
    cost: &'a str,
}

fn entry(call: &Call<'_>) -> Entry {
    let (trace, span) =
        (TraceId::from_bytes([call.number; 16]).unwrap(), SpanId::from_bytes([call.number; 8]).unwrap());
    let realm = Realm::new("");
    let cost = Cost::parse(call.cost).unwrap();
    let nanos = DateTime::parse_from_rfc3339(call.at).unwrap().timestamp_nanos_opt().unwrap();
    let text = str::to_owned;
    let facts = Facts {
        state: call.state,
        tenant: text(call.tenant),
        tenant_source: text("span"),
        feature: text("search"),
        user_id: String::new(),
        session_id: String::new(),
        agent: String::new(),
        service: text("shop"),
        environment: String::new(),
        realm: realm.clone(),
        provider: text("openai"),
        request_model: text("gpt-4o"),
        model: text("gpt-4o-2024-08-06"),
        operation: text("chat"),
        occurred_at: EventTime::from_nanos(nanos),
        service_tier: String::new(),
        region: String::new(),
        rule: text("only"),
        currency: text("USD"),
        price_id: String::new(),
        plan_id: String::new(),
        trace,
        span,
        response_id: String::new(),
    };
    let units = BTreeMap::new();
    let quantities = Quantities {
        calls: 1,
        tokens: call.tokens,
        units: units.clone(),
        unit_costs: BTreeMap::new(),
        unit_charges: BTreeMap::new(),
        cost,
        charge: cost,
    };
    let period = BillingPeriod::parse(call.month).unwrap();
    Entry::new(EntryType::Usage, CallId::of_span(&realm, trace, span), period, facts, quantities, None, &[])
}

/// A call, its reversal and its replacement at another tenant, as a re-attribution posts them.
fn reattributed(from: &Call<'_>, to: &str) -> [Entry; 3] {
    let first = entry(from);
    let reversal = Entry::new(
        EntryType::Correction,
        first.call,
        first.period,
        first.facts.clone(),
        first.quantities.negated(),
        Some(first.id),
        &[first.id],
    );
    let facts = Facts { tenant: to.to_owned(), ..first.facts.clone() };
    let again = Entry::new(
        EntryType::Correction,
        first.call,
        first.period,
        facts,
        first.quantities.clone(),
        None,
        &[first.id],
    );
    [first, reversal, again]
}

fn entries() -> Vec<Entry> {
    let billed = State::Billed;
    let call = |number, tenant, at, month, cost| Call {
        number,
        tenant,
        state: billed,
        at,
        month,
        tokens: [100, 40, 0, 0, 10, 3],
        cost,
    };
    let mut all = vec![
        entry(&call(1, "acme", "2026-10-05T10:00:00Z", "2026-10", "0.000000000001")),
        entry(&call(2, "acme", "2026-10-31T23:59:59.999999999Z", "2026-10", "0.25")),
        // Late: it happened in October and is billed in November.
        entry(&call(3, "it's \"quoted\" \\ ?", "2026-10-07T00:00:00Z", "2026-11", "1.5")),
        entry(&call(4, "acme", "2026-11-01T00:00:00Z", "2026-11", "2")),
        entry(&Call {
            number: 5,
            tenant: "",
            state: State::Unpriced,
            at: "2026-10-06T00:00:00Z",
            month: "2026-10",
            tokens: [7, 0, 0, 0, 1, 0],
            cost: "0",
        }),
        entry(&Call {
            number: 6,
            tenant: "acme",
            state: State::Unmetered,
            at: "2026-10-06T00:00:00Z",
            month: "2026-10",
            tokens: [0; 6],
            cost: "0",
        }),
    ];
    all.extend(reattributed(&call(7, "wrong", "2026-10-08T00:00:00Z", "2026-10", "0.5"), "right"));
    all
}

/// Writes the entries into the ledger of a data directory, which `schema migrate` has made.
async fn write(data_dir: &Path) {
    let owner = Credentials::load_or_create(data_dir).unwrap();
    let engine = Arc::new(Engine::start(EngineConfig::new(data_dir.join("clickhouse"))).unwrap());
    let front =
        HttpFront::bind(([127, 0, 0, 1], 0).into(), Arc::clone(&engine), FrontConfig::new(owner.clone()))
            .await
            .unwrap();
    let target = Target {
        url: front.url(),
        user: OWNER.into(),
        password: owner.password().into(),
        database: "ledgerline".into(),
        cluster: None,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(front.serve(async { stopped.await.unwrap_or_default() }));
    let (entries, posted_at) = (entries(), 1_790_000_000_000_000);
    let database = Database::new(target);
    database.insert_entries(&entries, posted_at).await.unwrap();
    // The same rows under another token are copies, and copies count once.
    database.insert_entries(&entries, posted_at).await.unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap();
    engine.shutdown().unwrap();
}

fn figures(document: &Value) -> Vec<(String, i64, String)> {
    let row = |row: &Value| {
        (
            row["tenant"].as_str().unwrap().to_owned(),
            row["calls"].as_i64().unwrap(),
            row["cost"].as_str().unwrap().to_owned(),
        )
    };
    document["rows"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_the_sum_of_the_ledger_however_it_is_grouped() {
    let program = Program::new();
    let migrated = program.json("schema migrate --data-dir d");
    // Opening the directory brings the schema up to date, so there is nothing left to apply.
    assert!(migrated.as_array().unwrap().iter().all(|row| row["applied"] == "before"), "{migrated}");
    write(&program.path("d")).await;
    let expect = |rows: &[(&str, i64, &str)]| {
        rows.iter().map(|(t, n, c)| ((*t).to_owned(), *n, (*c).to_owned())).collect::<Vec<_>>()
    };

    let october = program.json("usage --month 2026-10 --by tenant --data-dir d");
    let rows = [("", 1, "0.000000000000"), ("acme", 3, "0.250000000001"), ("right", 1, "0.500000000000")];
    assert_eq!(figures(&october), expect(&rows));
    assert_eq!(
        october["totals"],
        json!({
            "calls": 5, "input_tokens": 307, "cache_read_tokens": 120, "cache_write_tokens": 0, "output_tokens": 31,
            "reasoning_tokens": 9, "cost": "0.750000000001", "charge": "0.750000000001", "currency": "USD",
            "unpriced_calls": 1, "unmetered_calls": 1
        })
    );

    let by_time = program.json("usage --from 2026-10-01 --to 2026-11-01 --by tenant --data-dir d");
    let rows = [
        ("", 1, "0.000000000000"),
        ("acme", 3, "0.250000000001"),
        ("it's \"quoted\" \\ ?", 1, "1.500000000000"),
        ("right", 1, "0.500000000000"),
    ];
    assert_eq!(figures(&by_time), expect(&rows));

    let all = [
        "tenant,feature,provider,model",
        "day,state",
        "user,session,service,environment",
        "request_model,period,agent",
        "realm,operation,entry_type,service_tier,region",
    ];
    for by in all {
        let document = program.json(&format!("usage --month 2026-10 --by {by} --data-dir d"));
        assert_eq!(document["totals"], october["totals"], "{by}");
    }

    let one = program.json("usage --month 2026-10 --by tenant --tenant acme --data-dir d");
    assert_eq!(figures(&one), expect(&[("acme", 3, "0.250000000001")]));
    let csv = program.run("usage --month 2026-11 --by tenant --format csv --data-dir d");
    check(&csv, 0);
    assert_eq!(csv.stdout.lines().count(), 3, "{}", csv.stdout);
    let again = program.json("schema migrate --data-dir d");
    assert!(again.as_array().unwrap().iter().all(|row| row["applied"] == "before"), "{again}");
}
