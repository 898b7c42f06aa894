//! Who kills: a keeper for each collector, which starts it, sees to it that it dies, and starts it again.
//!
//! A process dies at a moment by the dice or, where the build has fail points, at one of them. Points are handed out until
//! each was reached; a process that does not get there in time is killed all the same, and the point goes to another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sabotage::{POINTS_COMPILED_IN, Point};

use super::dice::Dice;
use super::fleet::{Fleet, KillAt, Started, was_killed};

/// How long a process may take to get to a point that every request leads to.
const NEAR_PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take where others must do something first: the engine answer, a batch be settled.
const FAR_PATIENCE: Duration = Duration::from_secs(20);
/// How often a point is handed out before it counts as out of reach.
const ATTEMPTS: u32 = 4;

/// What is to be done to the fleet.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// At least this long.
    pub lasting: Duration,
    /// At least so many kills.
    pub kills: u64,
    /// After this long, points that were not reached are given up.
    pub chasing: Duration,
}

/// The deaths so far, and those to come.
#[derive(Debug)]
pub struct Deaths {
    plan: Plan,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    to_reach: VecDeque<(Point, u32)>,
    /// Processes that are on their way to a point.
    on_the_way: u64,
    tally: Tally,
}

/// How processes died.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// At a moment by the dice.
    pub at_random: u64,
    /// At each point.
    pub at_points: BTreeMap<Point, u64>,
    /// How often the engine went with its host.
    pub engine: u64,
    /// Points that were handed out and never reached.
    pub not_reached: Vec<Point>,
}

impl Tally {
    /// All of them.
    pub fn kills(&self) -> u64 {
        self.at_random + self.at_points.values().sum::<u64>()
    }
}

impl Deaths {
    /// Nobody died yet.
    pub fn new(plan: Plan, seed: u64) -> Self {
        let mut points: Vec<Point> = Point::ALL.to_vec();
        points.retain(|point| POINTS_COMPILED_IN && !is_in_close(*point));
        let mut dice = Dice::new(seed, u64::MAX);
        for at in (1..points.len()).rev() {
            points.swap(at, dice.below(at as u64 + 1) as usize);
        }
        // What is reached once in a while comes first.
        points.sort_by_key(|point| !is_rare(*point));
        let to_reach = points.into_iter().map(|point| (point, 0)).collect();
        Self { plan, begun: Instant::now(), state: Mutex::new(State { to_reach, ..State::default() }) }
    }

    /// Whether enough happened.
    pub fn done(&self) -> bool {
        let state = self.state();
        let elapsed = self.begun.elapsed();
        let points = (state.to_reach.is_empty() && state.on_the_way == 0) || elapsed >= self.plan.chasing;
        elapsed >= self.plan.lasting && state.tally.kills() >= self.plan.kills && points
    }

    /// How processes died so far.
    pub fn tally(&self) -> Tally {
        let state = self.state();
        let mut tally = state.tally.clone();
        tally.not_reached.extend(state.to_reach.iter().map(|(point, _)| *point));
        tally
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A point for a process to die at. Every other life ends at a moment by the dice.
    fn next_point(&self, settles: bool, dice: &mut Dice) -> Option<(KillAt, u32)> {
        let mut state = self.state();
        let fits = |point: Point| settles || !is_in_settlement(point);
        let at = state.to_reach.iter().position(|(point, _)| fits(*point));
        if let Some((point, attempts)) = at.and_then(|at| state.to_reach.remove(at)) {
            state.on_the_way += 1;
            let time = if is_rare(point) { 1 } else { 1 + dice.below(3) };
            return Some((KillAt { point, time }, attempts + 1));
        }
        if !POINTS_COMPILED_IN || dice.once_in(2) {
            return None;
        }
        // Each was reached: now any, at a later time than the first.
        let points: Vec<Point> =
            Point::ALL.iter().copied().filter(|point| fits(*point) && !is_in_close(*point)).collect();
        let point = points[dice.below(points.len() as u64) as usize];
        state.on_the_way += 1;
        Some((KillAt { point, time: 1 + dice.below(8) }, ATTEMPTS + 1))
    }

    fn died(&self, engine: bool, point: Option<(KillAt, u32)>, there: bool) {
        let mut state = self.state();
        state.tally.engine += u64::from(engine);
        if let Some((KillAt { point, .. }, attempts)) = point {
            state.on_the_way -= 1;
            match () {
                () if there => *state.tally.at_points.entry(point).or_default() += 1,
                () if attempts < ATTEMPTS => state.to_reach.push_back((point, attempts)),
                () if attempts == ATTEMPTS => state.tally.not_reached.push(point),
                () => {}
            }
        }
        state.tally.at_random += u64::from(!there);
    }

    /// Keeps one collector: lets it live and die until it was enough.
    ///
    /// # Errors
    /// When it ends otherwise than by being killed.
    pub async fn keep(&self, fleet: &Arc<Fleet>, at: usize, mut dice: Dice) -> anyhow::Result<()> {
        // While the engine's host is dead nothing ships and nothing settles: it lives longer than the others.
        let hosts = at == 0 && fleet.len() > 1;
        while !self.done() {
            let point = if hosts { None } else { self.next_point(at == fleet.settler(), &mut dice) };
            let begun = Instant::now();
            let started = fleet.start(at, point.map(|(kill_at, _)| kill_at)).await?;
            let there = match started {
                Started::Killed => true,
                Started::Ready(mut process) => {
                    let life = match point {
                        Some((kill_at, _)) if is_far(kill_at.point) => FAR_PATIENCE,
                        Some(_) => NEAR_PATIENCE,
                        // On a slow machine a start takes seconds, and settling must get on in between.
                        None if hosts => begun.elapsed() * 3 + Duration::from_millis(dice.below(4_000)),
                        None => Duration::from_millis(20 + dice.below(700)),
                    };
                    let given_up = || self.done();
                    let ended = process.ended_by(Instant::now() + life, given_up).await?;
                    if let Some(status) = ended {
                        anyhow::ensure!(
                            point.is_some() && was_killed(status),
                            "collector {} ended by itself: {status}",
                            at + 1
                        );
                    } else {
                        process.kill()?;
                    }
                    ended.is_some()
                }
            };
            fleet.withdraw(at);
            self.died(at == 0, point, there);
        }
        Ok(())
    }
}

/// Whether only who settles gets there.
fn is_in_settlement(point: Point) -> bool {
    point.name().starts_with("settle.")
}

/// Whether only closing a month leads there.
pub fn is_in_close(point: Point) -> bool {
    point.name().starts_with("close.")
}

/// Whether others must do something before it is reached.
fn is_far(point: Point) -> bool {
    is_in_settlement(point) || is_rare(point) || point.name().starts_with("checkpoint.")
}

/// Whether it is reached once in a while.
fn is_rare(point: Point) -> bool {
    matches!(
        point,
        Point::SettlePricesBefore | Point::SettlePricesAfter | Point::UnlinkBefore | Point::UnlinkAfter
    )
}
