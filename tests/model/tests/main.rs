//! Walks the model: once as the services are, and once with each bug, which must be found.

#![allow(missing_docs, clippy::print_stdout, reason = "a test says what it walked")]

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    time::Instant,
};

use lethe_model::{
    Bug, Saga, is_finished,
    merge::{MergeBug, Merging, Together},
};
use stateright::{Checker, HasDiscoveries, Model};

/// States that are looked at near the beginning before a bug is looked for in the depth.
const NEAR: usize = 50_000;

#[test]
fn the_saga_is_safe_in_every_state() {
    let began = Instant::now();
    let checker = Saga::default().checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} steps between them, {} deep, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    assert!(checker.is_done());
    checker.assert_properties();
}

#[test]
fn every_bug_is_found() {
    for (bug, property) in Bug::UNSAFE {
        let began = Instant::now();
        let saga = Saga { bug: Some(bug), ..Saga::default() };
        let found = || saga.checker().finish_when(HasDiscoveries::AnyOf([property].into()));
        let near = found().target_state_count(NEAR).spawn_bfs().join().discovery(property);
        let path = near.or_else(|| found().spawn_dfs().join().discovery(property));
        let steps = path.map(|path| path.into_actions().len());
        println!("{bug:?}: {steps:?} steps, {:.1} s", began.elapsed().as_secs_f64());
        assert!(steps.is_some(), "{bug:?} did not violate {property:?}");
    }
}

/// Whatever happened, whoever died: a way to the end is left.
#[test]
fn a_confirmed_erasure_can_always_still_be_finished() {
    assert_eq!(stuck(Saga::default()), 0);
    for bug in Bug::STUCK {
        assert_ne!(stuck(Saga { bug: Some(bug), quiet: true }), 0, "{bug:?} was not found");
    }
    assert_eq!(stuck(Saga { bug: None, quiet: true }), 0);
}

#[test]
fn a_merge_in_any_order_with_an_erasure_leaves_nothing_of_either_id() {
    let began = Instant::now();
    let checker = Merging::default().checker().spawn_bfs().join();
    println!(
        "{} states, {} steps between them, {} deep, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    assert!(checker.is_done());
    checker.assert_properties();
    assert_eq!(stuck_by(Merging::default(), Together::is_finished), 0, "a way to the end is always left");
}

#[test]
fn every_bug_of_a_merge_is_found() {
    let stuck = stuck_by(Merging { bug: Some(MergeBug::STUCK) }, Together::is_finished);
    assert_ne!(stuck, 0, "{:?} was not found", MergeBug::STUCK);
    for (bug, property) in MergeBug::UNSAFE {
        let saga = Merging { bug: Some(bug) };
        let checker = saga.checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
        let path = checker.discovery(property).map(|path| path.into_actions());
        println!("{bug:?}: {:?} steps", path.as_ref().map(Vec::len));
        assert!(path.is_some(), "{bug:?} did not violate {property:?}");
    }
}

/// How many states there are from which no way leads to [`is_finished`]. Walks all of them forwards, then all ways backwards.
fn stuck(saga: Saga) -> usize {
    stuck_by(saga, is_finished)
}

fn stuck_by<M: Model<State: Hash>>(saga: M, is_finished: impl Fn(&M::State) -> bool) -> usize {
    let began = Instant::now();
    // Sixty-four bits stand for a state, as in stateright itself.
    let hasher = RandomState::new();
    let mut known: HashMap<u64, u32> = HashMap::new();
    let (mut ways, mut ends): (Vec<(u32, u32)>, Vec<u32>) = Default::default();
    let mut open: Vec<(u32, M::State)> = Vec::new();
    for state in saga.init_states() {
        known.insert(hasher.hash_one(&state), 0);
        open.push((0, state));
    }
    while let Some((from, state)) = open.pop() {
        if is_finished(&state) {
            ends.push(from);
        }
        for next in saga.next_states(&state) {
            let number = known.len() as u32;
            let to = *known.entry(hasher.hash_one(&next)).or_insert_with(|| {
                open.push((number, next));
                number
            });
            ways.push((to, from));
        }
    }
    ways.sort_unstable();
    let mut reaches = vec![false; known.len()];
    while let Some(state) = ends.pop() {
        if !std::mem::replace(&mut reaches[state as usize], true) {
            let first = ways.partition_point(|(to, _)| *to < state);
            ends.extend(ways[first..].iter().take_while(|(to, _)| *to == state).map(|(_, from)| from));
        }
    }
    println!("{} states walked backwards, {:.1} s", known.len(), began.elapsed().as_secs_f64());
    reaches.iter().filter(|reaches| !**reaches).count()
}
