//! Sampled spans with their money: what the trace arm estimated, beside what the ledger says.

use crate::server::Server;
use crate::spans::{request, response_id};

/// Scenario: of eight calls of one tenant none is kept by chance, and two are kept as the costliest of the hour; they are settled.
/// Guarantees: kept spans say why, stand for themselves alone, and are estimated as they are billed; the view finds their entries,
/// nothing of it is mixed into the
/// ledger; spans stay as long as is configured.
#[test]
fn a_kept_span_stands_beside_its_entry_and_was_estimated_as_it_is_billed() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("LEDGERLINE_TRACE_SAMPLE_RATIO", "0"),
        ("LEDGERLINE_TRACE_KEEP_TOP_COST", "2"),
        ("LEDGERLINE_TRACE_WAIT", "1s"),
        ("LEDGERLINE_TRACE_RETENTION", "3d"),
    ];
    let server = Server::start_with(dir.path(), &[], &variables);
    // Tokens, and so costs, fall from one call to the next: the first two are the costliest.
    for call in [6, 5, 4, 3, 2, 1, 0, 7] {
        assert_eq!(server.post("application/json", &request(call..call + 1)).unwrap().status, 200);
    }
    server.succeed("settle");
    let of_metric = |name: &str| -> u64 {
        let page = server.metrics();
        let line =
            page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    while of_metric("ledgerline_trace_traces_left_total") < 6
        || of_metric("ledgerline_trace_spans_inserted_total") < 2
    {
        std::thread::yield_now();
    }
    assert_eq!(of_metric("ledgerline_trace_traces_kept_total{rule=\"top_cost\"}"), 2);
    let rows = server.rows(
        "SELECT rule, weight, toString(estimated_cost) AS estimated, toString(cost) AS billed, tenant, feature, entries
         FROM ledgerline.sampled_spans(from = now() - 3600, to = now()) ORDER BY cost DESC",
    );
    assert_eq!(rows.len(), 2);
    for (row, call) in rows.iter().zip([6, 5]) {
        assert_eq!((row["rule"].as_str(), row["weight"].as_f64()), (Some("top_cost"), Some(1.0)), "{row}");
        assert_eq!(row["estimated"], row["billed"], "{row}");
        assert_eq!(
            (row["tenant"].as_str(), row["feature"].as_str()),
            (Some("acme"), Some("search")),
            "{row}"
        );
        let entries = server.rows(&format!(
            "SELECT entry_id FROM ledgerline.ledger WHERE response_id = '{}'",
            response_id(call)
        ));
        assert_eq!(row["entries"][0], entries[0]["entry_id"], "{row}");
    }
    assert_eq!(server.rows("SELECT count() AS calls FROM ledgerline.ledger")[0]["calls"], 8);
    while !server.as_owner("SHOW CREATE TABLE ledgerline.otel_traces").contains("toIntervalDay(3)") {
        std::thread::yield_now();
    }
    server.stop();
}
