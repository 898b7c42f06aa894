//! The books of the clients against the ledger.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::traffic::{Traffic, Usage};

/// What the ledger has of the calls of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// Calls sent.
    pub sent: u64,
    /// Of these acknowledged.
    pub acknowledged: u64,
    /// In the ledger, once, with their usage.
    pub once: u64,
    /// Of these, calls that no client heard an answer for: on disk before the answer was lost.
    pub unheard: u64,
    /// Acknowledged and not in the ledger.
    pub lost: Vec<u64>,
    /// In the ledger more than once.
    pub doubled: Vec<u64>,
    /// In the ledger once, with other usage.
    pub altered: Vec<u64>,
    /// Entries of no call that was sent.
    pub invented: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Found {
    calls: i64,
    input: i64,
    output: i64,
}

impl Balance {
    /// Draws the balance. `acknowledged` says of every call sent, by number, whether it was; `rows` are lines of the ledger:
    /// trace, net calls, input and output, separated by tabulators.
    ///
    /// # Errors
    /// When a line is no such line.
    pub fn draw(traffic: &Traffic, acknowledged: &[bool], rows: &str) -> anyhow::Result<Self> {
        let mut found: BTreeMap<u64, Found> = BTreeMap::new();
        let mut balance = Self { sent: acknowledged.len() as u64, ..Self::default() };
        for row in rows.lines() {
            let cells: Vec<&str> = row.split('\t').collect();
            ensure!(cells.len() == 4, "the ledger answered {row:?}");
            let number = traffic.number_of(cells[0]).filter(|number| *number < balance.sent);
            let Some(number) = number else {
                balance.invented += 1;
                continue;
            };
            // A call may have entries in two traces: another report of it may have become the one it is billed by.
            let sums = found.entry(number).or_default();
            sums.calls += cells[1].parse::<i64>()?;
            sums.input += cells[2].parse::<i64>()?;
            sums.output += cells[3].parse::<i64>()?;
        }
        for (number, &heard) in acknowledged.iter().enumerate() {
            let number = number as u64;
            let Usage { input, output } = Traffic::usage(number);
            balance.acknowledged += u64::from(heard);
            match found.get(&number) {
                None if heard => balance.lost.push(number),
                Some(sums) if sums.calls < 1 && heard => balance.lost.push(number),
                Some(sums) if sums.calls > 1 => balance.doubled.push(number),
                Some(sums) if sums.calls == 1 => {
                    if (sums.input, sums.output) == (input as i64, output as i64) {
                        balance.once += 1;
                        balance.unheard += u64::from(!heard);
                    } else {
                        balance.altered.push(number);
                    }
                }
                None | Some(_) => {}
            }
        }
        Ok(balance)
    }

    /// Whether nothing was lost, and nothing counted twice.
    pub fn holds(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.altered.is_empty() && self.invented == 0
    }

    /// Some of the calls that do not hold, for who looks into it.
    pub fn examples(&self) -> String {
        let mut text = String::new();
        for (what, calls) in [("lost", &self.lost), ("doubled", &self.doubled), ("altered", &self.altered)] {
            if let Some(some) = calls.get(..calls.len().min(10)).filter(|some| !some.is_empty()) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{what}: calls number {some:?}");
            }
        }
        text
    }
}

/// The ledger, by trace, as the embedded ClickHouse's reader sees it.
pub async fn ledger(clickhouse: &str) -> anyhow::Result<String> {
    let sql = "SELECT l.trace_id, toInt64(sum(l.calls)), toInt64(sum(l.input_tokens)), toInt64(sum(l.output_tokens)) \
               FROM ledgerline.ledger AS l GROUP BY l.trace_id FORMAT TSV";
    let request = Request::post(format!("http://{clickhouse}/")).body(Full::new(Bytes::from(sql)))?;
    let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
    let status = answer.status();
    let text = String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec());
    let text = text.context("the ledger did not answer with text")?;
    ensure!(status.is_success(), "the ledger answered {status}: {text}");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use domain::time::BillingPeriod;

    use super::*;

    /// What is found of three calls, the first two acknowledged, in a ledger of these lines: number, side, calls, input less
    /// what it must be.
    fn check(rows: &[(u64, u64, i64, i64)]) -> Balance {
        let traffic = Traffic::new(7, BillingPeriod::parse("2026-10").unwrap());
        let mark = 7u64.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !1;
        let line = |&(number, side, calls, off): &(u64, u64, i64, i64)| {
            let Usage { input, output } = Traffic::usage(number);
            let (input, output) = (input as i64 * calls + off, output as i64 * calls);
            format!("{:016x}{number:016x}\t{calls}\t{input}\t{output}\n", mark | side)
        };
        Balance::draw(&traffic, &[true, true, false], &rows.iter().map(line).collect::<String>()).unwrap()
    }

    #[test]
    fn each_kind_of_wrong_is_told_apart() {
        let good = check(&[(0, 0, 1, 0), (1, 0, 1, 0)]);
        assert!(good.holds() && good.once == 2 && good.unheard == 0, "{good:?}");
        let unheard = check(&[(0, 0, 1, 0), (1, 0, 1, 0), (2, 0, 1, 0)]);
        assert!(unheard.holds() && unheard.unheard == 1, "{unheard:?}");
        assert_eq!(check(&[(0, 0, 1, 0)]).lost, [1]);
        assert_eq!(check(&[(0, 0, 1, 0), (1, 0, 0, 0)]).lost, [1], "reversed and not posted again");
        assert_eq!(check(&[(0, 0, 1, 0), (1, 0, 1, 0), (1, 1, 1, 0)]).doubled, [1]);
        assert_eq!(check(&[(0, 0, 1, 0), (1, 0, 1, 5)]).altered, [1]);
        assert_eq!(check(&[(0, 0, 1, 0), (1, 0, 1, 0), (9, 0, 1, 0)]).invented, 1);
    }

    #[test]
    fn a_call_that_moved_to_another_trace_counts_once() {
        let moved = check(&[(0, 0, 1, 0), (1, 0, 0, 0), (1, 1, 1, 0)]);
        assert!(moved.holds() && moved.once == 2, "{moved:?}");
    }
}
