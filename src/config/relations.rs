//! What must hold between keys, and bounds that are narrower than a key's type.

use std::time::Duration;

use super::load::Entry;
use super::quantity::{ByteSize, Keep};
use super::sections::Config;
use super::source::{Fault, Origin};
use crate::budgets::SigningKey;

/// A block of one insert must stay one part, or it is not atomic: the engine cuts at 1,048,449 rows.
const SHIP_ROWS_MAX: u32 = 1_000_000;

/// Offsets within a segment are 32 bits on disk; half a segment must hold a frame of evidence, which is a megabyte and its
/// header.
const SEGMENT_SIZE: (ByteSize, ByteSize) = (ByteSize::from_bytes(4 << 20), ByteSize::from_bytes(4095 << 20));

/// The key of how long evidence is kept.
pub(super) const EVIDENCE_KEPT: &str = "retention.observations";

/// How long evidence is kept at least. Usage is as late as is believed, and what went freezes calls for as long again
/// (`billing::retire`): beyond both, nothing new is of a frozen call.
fn evidence_kept_least(config: &Config) -> Duration {
    let (billing, settle) = (&config.billing, &config.settle);
    [billing.late_limit, settle.dedupe_window, billing.future_limit, config.journal.keep, 2 * A_DAY]
        .into_iter()
        .fold(billing.late_limit, Duration::saturating_add)
}

/// Keeps evidence for ever where nobody said how long and the default is too short for what else was set.
pub(super) fn keep_evidence_long_enough(config: &mut Config) {
    if config.retention.observations.get().is_some_and(|kept| kept < evidence_kept_least(config)) {
        config.retention.observations = Keep::FOREVER;
    }
}

const A_DAY: Duration = Duration::from_secs(86_400);

fn days_up(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(A_DAY.as_secs())
}

/// Every relation that does not hold, named by the key that is easiest to change.
pub(super) fn faults(config: &Config, entries: &[Entry]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut require = |holds: bool, key: &str, allowed: String| {
        if !holds {
            faults.push(fault(entries, key, allowed));
        }
    };
    let otlp = &config.otlp;
    let body = otlp.body_max.max(otlp.decompressed_max);
    for (key, size) in [("otlp.body_max", otlp.body_max), ("otlp.decompressed_max", otlp.decompressed_max)] {
        require(size.bytes() > 0, key, "more than nothing".to_owned());
    }
    require(
        otlp.in_flight_max >= body,
        "otlp.in_flight_max",
        format!("at least {body}, one body of the largest size"),
    );

    let addresses = [
        ("otlp.grpc_addr", otlp.grpc_addr),
        ("otlp.http_addr", otlp.http_addr),
        ("admin.addr", config.admin.addr),
        ("clickhouse.addr", config.clickhouse.addr),
    ];
    for (at, (key, address)) in addresses.iter().enumerate() {
        let taken = addresses[..at].iter().find(|(_, other)| other == address && other.port() != 0);
        if let Some((other, _)) = taken {
            require(false, key, format!("an address other than that of {other}"));
        }
    }

    let secret = config.alerts.secret.reveal();
    require(
        config.alerts.webhook.is_none() || SigningKey::read(secret).is_some(),
        "alerts.secret",
        "a secret of at least 16 characters with alerts.webhook, or `whsec_` and the base64 of at least 16 bytes".to_owned(),
    );

    let least = evidence_kept_least(config);
    let evidence = config.retention.observations.get();
    require(
        evidence.is_none_or(|kept| kept >= least),
        EVIDENCE_KEPT,
        format!(
            "`forever` or at least {}d, since new usage may be so late (twice billing.late_limit, settle.dedupe_window, \
             billing.future_limit, journal.keep and two days); keep it longer or lower billing.late_limit",
            days_up(least)
        ),
    );
    let outlived = match (config.retention.ledger.get(), evidence) {
        (None, _) => true,
        (Some(_), None) => false,
        // Evidence of a month is received until it may be late no more.
        (Some(entries), Some(evidence)) => entries >= evidence + config.billing.late_limit,
    };
    require(
        outlived,
        "retention.ledger",
        match evidence {
            None => {
                "`forever` while retention.observations is: entries do not go before what they were made of"
                    .to_owned()
            }
            Some(kept) => format!(
                "`forever` or at least {}d, retention.observations and billing.late_limit together: entries do not go before what they were made of",
                days_up(kept + config.billing.late_limit)
            ),
        },
    );

    let alone = config.clickhouse.cluster.is_some() && config.clickhouse.url.is_none();
    require(
        !alone,
        "clickhouse.cluster",
        "no cluster while clickhouse.url is unset: the embedded engine is one server".to_owned(),
    );

    let (smallest, largest) = SEGMENT_SIZE;
    let segment = config.journal.segment_size;
    require(
        (smallest..=largest).contains(&segment),
        "journal.segment_size",
        format!("a size from {smallest} to {largest}"),
    );
    let two_segments = ByteSize::from_bytes(segment.bytes().saturating_mul(2));
    require(
        config.journal.capacity >= two_segments,
        "journal.capacity",
        format!(
            "at least {two_segments}, twice journal.segment_size, since the segment in use cannot be freed"
        ),
    );
    require(
        config.ship.rows_max.get() <= SHIP_ROWS_MAX,
        "ship.rows_max",
        format!("at most {SHIP_ROWS_MAX}, which is one block"),
    );

    for (key, interval) in
        [("ship.interval", config.ship.interval), ("settle.interval", config.settle.interval)]
    {
        require(interval > Duration::ZERO, key, "more than 0s".to_owned());
    }
    require(
        config.settle.quiet <= config.settle.dedupe_window,
        "settle.quiet",
        "at most settle.dedupe_window, or what waits is forgotten before it is settled".to_owned(),
    );
    faults
}

fn fault(entries: &[Entry], key: &str, allowed: String) -> Fault {
    let entry = entries.iter().find(|entry| entry.key.path == key);
    let value = entry.and_then(|entry| entry.value.as_ref()).map_or("unset".to_owned(), ToString::to_string);
    let origin = entry.map_or(Origin::Default, |entry| entry.origin.clone());
    Fault { key: key.to_owned(), value, origin, allowed }
}
