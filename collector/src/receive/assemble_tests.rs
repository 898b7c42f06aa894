//! However a body is cut, coded or damaged: the same bytes, or a refusal, within the memory leased.

use std::convert::Infallible;

use http_body_util::StreamBody;
use hyper::body::Frame;
use proptest::prelude::*;

use super::super::config::TimeLimits;
use super::super::stats::ReceiveStats;
use super::super::tests::fixture::{deflate, gzip, payload, zstd};
use super::*;

/// What is read from `wire` when it arrives in pieces of these sizes, over and over.
fn read(
    wire: &[u8],
    pieces: &[usize],
    coding: Coding,
    framed: bool,
    limits: &Limits,
) -> Result<Bytes, Refusal> {
    let mut frames = Vec::new();
    let mut rest = wire;
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(*piece));
        frames.push(Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(now))));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    let mut body = StreamBody::new(futures::stream::iter(frames));
    let times = TimeLimits { patience: std::time::Duration::ZERO, ..TimeLimits::default() };
    let budget = Budget::new(limits, &times);
    let stats = ReceiveStats::of(budget.clone());
    let mut chunks = Chunks::of(&mut body, usize::MAX, &times, &stats);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let held = match framed {
            true => read_message(&mut chunks, coding, &budget, limits).await?,
            false => read_body(&mut chunks, coding, &budget, limits).await?,
        };
        assert!(budget.bytes_leased() >= held.bytes.len(), "what is held is leased");
        Ok(held.bytes)
    })
}

fn encode(data: &[u8], coding: Coding, framed: bool) -> Vec<u8> {
    let body = match coding {
        Coding::Identity => data.to_vec(),
        Coding::Gzip => gzip(data),
        Coding::Zstd => zstd(data),
        Coding::Deflate => deflate(data),
    };
    let flag = u8::from(coding != Coding::Identity);
    match framed {
        true => [&[flag][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat(),
        false => body,
    }
}

fn codings() -> impl Strategy<Value = Coding> {
    prop::sample::select(vec![Coding::Identity, Coding::Gzip, Coding::Zstd, Coding::Deflate])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_body_is_the_same_however_it_is_cut(
        length in prop_oneof![0_usize..10_000, Just(4096), Just(8192), Just(300_000)],
        repeated in any::<bool>(),
        pieces in prop::collection::vec(1_usize..5_000, 1..5),
        coding in codings(),
        framed in any::<bool>(),
    ) {
        let data = if repeated { vec![b'x'; length] } else { payload(length) };
        let wire = encode(&data, coding, framed);
        let read = read(&wire, &pieces, coding, framed, &Limits::default()).unwrap();
        prop_assert!(read == data);
    }

    #[test]
    fn a_limit_is_exact_and_its_memory_suffices(
        length in 1_usize..20_000,
        over in any::<bool>(),
        pieces in prop::collection::vec(1_usize..5_000, 1..5),
        coding in codings(),
        framed in any::<bool>(),
    ) {
        let bytes_max = if over { length - 1 } else { length };
        let limits = Limits { decompressed_bytes_max: bytes_max, in_flight_bytes_max: bytes_max, ..Limits::default() };
        let read = read(&encode(&payload(length), coding, framed), &pieces, coding, framed, &limits);
        match read {
            Ok(bytes) => prop_assert!(!over && bytes.len() == length),
            Err(refusal) => prop_assert!(over && matches!(refusal, Refusal::TooLarge(_)), "{refusal:?}"),
        }
    }

    #[test]
    fn any_cut_of_compressed_data_is_refused(
        length in 1_usize..5_000,
        kept in 0.0_f64..1.0,
        coding in codings(),
    ) {
        prop_assume!(coding != Coding::Identity);
        let wire = encode(&payload(length), coding, false);
        let cut = ((wire.len() as f64 * kept) as usize).min(wire.len() - 1);
        let refusal = read(&wire[..cut], &[1000], coding, false, &Limits::default()).unwrap_err();
        prop_assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal:?}");
    }

    #[test]
    fn random_bytes_are_refused_or_read_but_never_more_than_allowed(
        wire in prop::collection::vec(any::<u8>(), 0..2_000),
        coding in codings(),
        framed in any::<bool>(),
    ) {
        let limits = Limits { decompressed_bytes_max: 10_000, in_flight_bytes_max: 10_000, ..Limits::default() };
        if let Ok(bytes) = read(&wire, &[700], coding, framed, &limits) {
            prop_assert!(bytes.len() <= 10_000);
        }
    }
}
