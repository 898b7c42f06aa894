//! The laws, and playing many seeds against them.

use domain::Evidence;
use domain::observation::{Kind, ResponseId};
use domain::resolve::{Rules, resolve};

use crate::portions;
use crate::random::Random;
use crate::story::{ACTS_MAX, story};
use crate::truth::differences;

/// Plays a story and holds it to every law; says which one it breaks.
fn hold(seed: u64, acts: u64) -> Result<(), String> {
    let story = story(seed, acts);
    let resolution = resolve(&story.evidence, &Rules::default());
    differences(&story.truth, &resolution)?;
    portions::hold(&story.evidence, &resolution, &Rules::default(), &mut Random::new(seed, 1_000))
}

/// A story of which spans are lost, moved, and given the ids of others: nobody knows the truth, and still order,
/// copies and portions must not matter.
fn hold_damaged(seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed, 2_000);
    let mut evidence = story(seed, u64::MAX).evidence;
    evidence.retain(|_| !random.chance(15));
    let parents: Vec<_> = evidence.iter().map(|one| (one.trace(), Some(one.span()))).collect();
    let ids: Vec<_> = evidence.iter().filter_map(response_id).collect();
    for one in &mut evidence {
        let Evidence::Observation(it) = one else { continue };
        if random.chance(15) {
            (it.trace, it.parent) = random.pick(&parents);
        }
        if random.chance(10) && !ids.is_empty() {
            it.response_id = ids[random.below(ids.len())].clone();
        }
        if random.chance(10) {
            it.kind = random.pick(&[Kind::Call, Kind::PossibleWrapper]);
        }
    }
    let resolution = resolve(&evidence, &Rules::default());
    portions::hold(&evidence, &resolution, &Rules::default(), &mut random)
        .map_err(|wrong| format!("{wrong}\n\nspans:\n{}\nof damaged seed {seed}", shown(&evidence)))
}

fn response_id(evidence: &Evidence) -> Option<Option<ResponseId>> {
    match evidence {
        Evidence::Observation(it) if it.response_id.is_some() => Some(it.response_id.clone()),
        _ => None,
    }
}

#[test]
fn damaged_stories_settle_the_same_in_any_order_and_portion() {
    for seed in seeds(5_000) {
        if let Err(wrong) = hold_damaged(seed) {
            panic!("{wrong}");
        }
    }
}

/// The seeds to play: the environment's, else the first of a number.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("LEDGERLINE_SEEDS") else { return 0..count };
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("LEDGERLINE_SEEDS={text:?} is not FROM..TO"))
}

/// The acts to play, a bit each: the environment's, else all.
fn acts() -> u64 {
    let Ok(text) = std::env::var("LEDGERLINE_ACTS") else { return u64::MAX };
    text.parse().unwrap_or_else(|_| panic!("LEDGERLINE_ACTS={text:?} is not a number"))
}

/// Leaves out act after act while the story still fails.
fn shrink(seed: u64) -> (u64, String) {
    let mut acts = acts() & ((1 << ACTS_MAX) - 1);
    let mut failure = hold(seed, acts).expect_err("it failed before");
    for act in 0..ACTS_MAX {
        if let Err(smaller) = hold(seed, acts & !(1 << act)) {
            (acts, failure) = (acts & !(1 << act), smaller);
        }
    }
    (acts, failure)
}

fn play(seeds: std::ops::Range<u64>) -> Result<(), String> {
    for seed in seeds {
        if hold(seed, acts()).is_err() {
            let (acts, failure) = shrink(seed);
            return Err(format!(
                "{failure}\n\nspans:\n{}\nrepeat with: LEDGERLINE_SEEDS={seed}..{} LEDGERLINE_ACTS={acts} cargo test -p ledgerline-domain --test generated",
                shown(&story(seed, acts).evidence),
                seed + 1,
            ));
        }
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_stories_resolve_to_what_happened() {
    let seeds = seeds(100_000);
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    let (first, second) = (seeds.start..half, half..seeds.end);
    let other = std::thread::spawn(move || play(second));
    let (one, other) = (play(first), other.join().expect("a law does not panic"));
    if let Err(failure) = one.and(other) {
        panic!("{failure}");
    }
}

/// The spans of a story, one a line, for a person.
fn shown(evidence: &[Evidence]) -> String {
    let mut lines = String::new();
    let short = |text: String| text[..6].to_string();
    for one in evidence {
        let parent = one.parent().map_or("-".into(), |parent| short(parent.to_string()));
        lines +=
            &format!("{}/{} under {parent} ", short(one.trace().to_string()), short(one.span().to_string()));
        match one {
            Evidence::Link(link) => {
                lines += &format!("link {}\n", times(link.start.nanos(), link.end.nanos()));
            }
            Evidence::Observation(it) => {
                let stated: Vec<String> = domain::TokenClass::ALL
                    .iter()
                    .filter_map(|class| it.usage.get(*class).map(|count| format!("{}={count}", class.name())))
                    .collect();
                lines += &format!(
                    "{} by {} {} {} {:?} id={:?} tenant={:?} feature={:?} {:?}/{:?}/{:?} {:?}\n",
                    it.kind.name(),
                    it.scope.name,
                    times(it.start.nanos(), it.end.nanos()),
                    stated.join(" "),
                    it.usage.units,
                    it.response_id.as_ref().map(|id| &id.text),
                    it.dimensions.tenant,
                    it.dimensions.feature,
                    it.provider,
                    it.request_model,
                    it.response_model,
                    it.trust,
                );
            }
        }
    }
    lines
}

fn times(start: i64, end: i64) -> String {
    let ms = |nanos: i64| (nanos - 1_793_534_400_000_000_000) / 1_000_000;
    format!("{}-{}", ms(start), ms(end))
}
