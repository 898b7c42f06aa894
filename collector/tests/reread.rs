//! Reading spans anew from what is kept of them, over the recorded spans of real libraries: a log that an older decoder misread
//! comes to what this one would have written, and what this one wrote it does not change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use collector::decode::{AiTraces, DECODER_VERSION, DecodeConfig, Decoded, Decoder};
use domain::observation::{KeyStamp, Kind, Trust};
use domain::resolve::{Outcome, Rules, resolve};
use domain::usage::{TokenClass, UsageFault};
use domain::{Attributes, Evidence, Observation, ReceivedAt};

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The evidence of every recorded scenario, by its name.
fn logs() -> Vec<(String, Vec<Evidence>)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let dirs: Vec<PathBuf> =
        ["genai-spans", "recorded"].iter().flat_map(|set| sorted(&fixtures.join(set))).collect();
    let decoder = Decoder::new(&DecodeConfig::default());
    let log = |dir: PathBuf| {
        let (traces, mut decoded) = (AiTraces::default(), Decoded::default());
        let bodies = sorted(&dir).into_iter().filter(|path| path.extension().is_some_and(|end| end == "pb"));
        for (at, body) in bodies.enumerate() {
            let received = ReceivedAt::from_nanos(1 + at as i64);
            let body = fs::read(body).unwrap();
            decoder.decode(&body, &KeyStamp::default(), received, &traces, &mut decoded).unwrap();
        }
        (dir.file_name().unwrap().to_string_lossy().into_owned(), decoded.evidence)
    };
    let logs: Vec<_> = dirs.into_iter().filter(|dir| dir.is_dir()).map(log).collect();
    assert!(logs.len() >= 86, "{} scenarios", logs.len());
    logs
}

fn observations(log: &[Evidence]) -> impl Iterator<Item = &Observation> {
    log.iter().filter_map(|evidence| match evidence {
        Evidence::Observation(observation) => Some(&**observation),
        Evidence::Link(_) => None,
    })
}

/// The ways in which older decoders read spans wrongly.
type Mistake = fn(&Observation) -> Observation;

/// It knew nothing of the library.
fn unrecognised(read: &Observation) -> Observation {
    let nothing = read.clone().stating_nothing();
    Observation { kind: Kind::Unrecognised, trust: Trust::Instrumentation, ..nothing }
}

/// It took one count for another, and the tenant from elsewhere.
fn miscounted(read: &Observation) -> Observation {
    let mut old = read.clone();
    old.usage.set(TokenClass::Output, read.usage.get(TokenClass::Input).map(|input| input + 1));
    old.dimensions.tenant = Some("another".into());
    old.response_model = None;
    old
}

/// It believed that the counts contradict each other.
fn faulted(read: &Observation) -> Observation {
    Observation { fault: Some(UsageFault::Negative { class: "input_tokens" }), ..read.clone() }
}

/// It took whatever states usage for a call.
fn every_one_a_call(read: &Observation) -> Observation {
    Observation { kind: Kind::Call, ..read.clone() }
}

/// Every token and call, by tenant and model: what a ledger of it would sum to.
fn sums(log: &[Evidence]) -> BTreeMap<String, [u64; 4]> {
    let rules = Rules { late_limit_nanos: i64::MAX, future_limit_nanos: i64::MAX };
    let mut sums: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for call in resolve(log, &rules).calls {
        let sum = sums.entry(format!("{:?} {:?}", call.dimensions.tenant, call.model)).or_default();
        let counts = [TokenClass::Input, TokenClass::CacheRead, TokenClass::Output];
        sum[0] += 1;
        counts.iter().zip(&mut sum[1..]).for_each(|(class, sum)| *sum += call.usage.count(*class));
    }
    sums
}

#[test]
fn what_this_decoder_wrote_it_does_not_change() {
    let decoder = Decoder::new(&DecodeConfig::default());
    for (name, log) in logs() {
        for read in observations(&log) {
            let again = decoder.reread(read);
            assert_eq!(again, None, "{name}: {} of {} from {read:#?}", read.name, read.scope.name);
        }
    }
}

#[test]
fn a_log_that_was_misread_comes_to_what_this_decoder_would_have_written() {
    let decoder = Decoder::new(&DecodeConfig::default());
    let mut repaired = 0;
    for (name, right) in logs() {
        for mistake in [unrecognised as Mistake, miscounted, faulted, every_one_a_call] {
            let mut log = Vec::new();
            for piece in &right {
                let Evidence::Observation(read) = piece else {
                    log.push(piece.clone());
                    continue;
                };
                let old = mistake(read);
                let again = decoder.reread(&old);
                let as_written = again.as_ref().map(|again| Observation { reread: 0, ..again.clone() });
                assert_eq!(as_written.as_ref().unwrap_or(&old), &**read, "{name}: {}", read.name);
                repaired += usize::from(again.is_some());
                log.push(Evidence::Observation(Box::new(old)));
                log.extend(again.map(|again| Evidence::Observation(Box::new(again))));
            }
            assert_eq!(sums(&log), sums(&right), "{name}");
            let anew: Vec<Observation> = log
                .iter()
                .filter_map(|piece| observations(std::slice::from_ref(piece)).next().cloned())
                .collect();
            for read in anew.iter().filter(|read| read.reread > 0) {
                assert_eq!(decoder.reread(read), None, "{name}: a second time");
            }
        }
    }
    assert!(repaired > 1_000, "{repaired}");
}

fn spans_of(log: &[Evidence], kind: Kind) -> Vec<Observation> {
    observations(log).filter(|read| read.kind == kind && !read.usage.is_empty()).cloned().collect()
}

/// Records from before version 3 do not hold what content gave away, so what was believed of them stays.
#[test]
fn a_record_that_is_not_the_whole_span_loses_nothing_by_being_read_anew() {
    let decoder = Decoder::new(&DecodeConfig::default());
    for (name, log) in logs() {
        for read in spans_of(&log, Kind::Call) {
            let before = Observation { decoder_version: 2, fault: None, ..miscounted(&read) };
            assert_eq!(decoder.reread(&before), None, "{name}: {}", read.name);

            let id = read.response_id.clone();
            let old = Observation { decoder_version: 2, response_id: id.clone(), ..unrecognised(&read) };
            let again = decoder.reread(&old).unwrap_or_else(|| panic!("{name}: {} stays unread", read.name));
            assert_eq!((again.decoder_version, again.reread), (DECODER_VERSION, 1));
            assert!(id.is_none() || again.response_id.is_some(), "{name}: {} lost its id", read.name);
        }
    }
}

#[test]
fn a_span_that_is_no_ai_usage_after_all_is_taken_back() {
    let decoder = Decoder::new(&DecodeConfig::default());
    let (_, log) = logs().swap_remove(0);
    let read = spans_of(&log, Kind::Call).swap_remove(0);
    let misread =
        Observation { attributes: Attributes::Here(r#"{"http.request.method":"POST"}"#.into()), ..read };
    let again = decoder.reread(&misread).unwrap();
    assert_eq!(
        (again.kind, again.usage.is_empty(), again.response_id.is_none()),
        (Kind::Attribution, true, true)
    );
    let both = [misread, again].map(|read| Evidence::Observation(Box::new(read)));
    let resolution = resolve(&both, &Rules { late_limit_nanos: i64::MAX, future_limit_nanos: i64::MAX });
    assert!(resolution.calls.is_empty());
    assert_eq!(resolution.outcomes[0].outcome, Outcome::Attribution);
}

#[test]
fn what_a_newer_decoder_read_is_left_alone() {
    let decoder = Decoder::new(&DecodeConfig::default());
    let (_, log) = logs().swap_remove(0);
    let read = spans_of(&log, Kind::Call).swap_remove(0);
    let newer = Observation { decoder_version: DECODER_VERSION + 1, ..miscounted(&read) };
    assert_eq!(decoder.reread(&newer), None);
}
