//! `kill -9` at random moments: what was acknowledged is in the ledger, once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::server::Server;
use crate::spans::{request, response_id};

const KILLS: u64 = 20;
const CLIENTS: u64 = 2;
const CALLS_A_REQUEST: u64 = 5;

/// Scenario: clients send without pause; the server is killed twenty times, each time after another number of
/// acknowledgements, so that every stage of the pipeline is hit; it starts again on the same directory.
/// Guarantees: every acknowledged call is in the ledger (I1), no call twice (I2, I3), `verify` holds.
#[test]
fn twenty_kills_lose_nothing_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for kill in 0..KILLS {
        let server = Server::start(dir.path(), &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let (acks_tx, acks) = std::sync::mpsc::channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, next, stop) = (server.otlp_http.clone(), Arc::clone(&next), Arc::clone(&stop));
                let (acknowledged, acks_tx) = (Arc::clone(&acknowledged), acks_tx.clone());
                std::thread::spawn(move || {
                    while !stop.load(SeqCst) {
                        let first = next.fetch_add(CALLS_A_REQUEST, SeqCst);
                        let calls = first..first + CALLS_A_REQUEST;
                        let headers = [("content-type", "application/json")];
                        let answer = crate::wire::http(
                            &address,
                            "POST",
                            "/v1/traces",
                            &headers,
                            &request(calls.clone()),
                        );
                        match answer {
                            Some(answer) if answer.status == 200 => {
                                acknowledged.lock().unwrap().extend(calls.map(response_id));
                                // The test may have heard enough.
                                let _ = acks_tx.send(());
                            }
                            Some(answer) => panic!("refused: {answer:?}"),
                            None => return,
                        }
                    }
                })
            })
            .collect();
        // Anywhere from right after the first acknowledgement to some batches later.
        for _ in 0..=(kill * kill * 3) {
            acks.recv().unwrap();
        }
        server.kill();
        stop.store(true, SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }

    let server = Server::start(dir.path(), &[]);
    server.succeed("settle");
    let rows = server.rows(
        "SELECT response_id, sum(l.calls) AS net, count() AS entries FROM ledgerline.ledger AS l GROUP BY response_id",
    );
    let billed: BTreeSet<String> =
        rows.iter().map(|row| row["response_id"].as_str().unwrap().to_string()).collect();
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<&String> = acknowledged.difference(&billed).collect();
    let doubled: Vec<&Value> = rows.iter().filter(|row| row["net"] != 1).collect();
    let sent: BTreeSet<String> = (0..next.load(SeqCst)).map(response_id).collect();
    println!(
        "{KILLS} kills, {} calls acknowledged, {} lost, {} doubled",
        acknowledged.len(),
        lost.len(),
        doubled.len()
    );
    assert!(lost.is_empty(), "lost {lost:?}");
    assert!(doubled.is_empty(), "doubled {doubled:?}");
    assert!(billed.is_subset(&sent), "in the ledger, but never sent");
    let verified = server.succeed("verify");
    assert!(verified.contains("everything holds"), "{verified}");
    server.stop();
}
