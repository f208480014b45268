//! What the shared breakers promise, seen from the attempt loop.

use proptest::prelude::*;

use super::*;
use crate::domain::address::Address;
use crate::store::seal::{Keyring, MasterKey, Salt};
use crate::store::state::Keeping;

struct World {
    breakers: Breakers,
    start: Instant,
    address: Address,
    credential: SavedCredential,
    acme: Id<Workspace>,
    globex: Id<Workspace>,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            breakers: Breakers::new(Settings::default(), start),
            start,
            address: Address { tls: true, host: "api.example".into(), port: 443 },
            credential: SavedCredential { id: Id::declared("credential", "shared"), at: Timestamp(1) },
            acme: Id::declared("workspace", "acme"),
            globex: Id::declared("workspace", "globex"),
        }
    }

    fn keys(&self, workspace: Id<Workspace>) -> TargetKeys<'_> {
        TargetKeys { workspace, address: &self.address, model: Some("m"), credential: Some(self.credential) }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn fail(&self, workspace: Id<Workspace>, failure: &Failure, times: usize, seconds: u64) {
        for _ in 0..times {
            self.breakers.permit(self.keys(workspace), 0).failed(failure, self.at(seconds));
        }
    }

    fn passes(&self, workspace: Id<Workspace>, seconds: u64) -> bool {
        matches!(self.breakers.admit(self.keys(workspace), self.at(seconds)), Admission::Pass(_))
    }

    fn shut(&self, workspace: Id<Workspace>, seconds: u64) -> Shut {
        match self.breakers.admit(self.keys(workspace), self.at(seconds)) {
            Admission::Shut(why) => why,
            Admission::Pass(_) => panic!("it passes"),
        }
    }
}

#[test]
fn while_nothing_fails_nothing_is_kept() {
    let world = World::new();
    for _ in 0..100 {
        let Admission::Pass(permit) = world.breakers.admit(world.keys(world.acme), world.start) else { panic!() };
        permit.succeeded(world.start);
    }
    world.fail(world.acme, &Failure::CallRejected(400), 10, 0);
    world.fail(world.acme, &Failure::ClientTimedOut, 10, 0);
    assert!(world.breakers.nothing_failed());
    assert_eq!(world.breakers.standings(world.start), []);
}

#[test]
fn one_workspaces_failures_shut_the_target_for_it_alone() {
    let world = World::new();
    world.fail(world.acme, &Failure::Overloaded(500), 50, 0);
    assert!(matches!(world.shut(world.acme, 1), Shut::Open { .. }));
    assert!(world.passes(world.globex, 1));
}

#[test]
fn failures_of_two_workspaces_shut_it_for_everybody() {
    let world = World::new();
    world.fail(world.acme, &Failure::Overloaded(500), 2, 0);
    world.fail(world.globex, &Failure::Overloaded(500), 1, 0);
    assert!(!world.passes(Id::random(), 1));
}

#[test]
fn a_failing_model_leaves_the_addresss_other_models_alone_and_a_dead_address_does_not() {
    let world = World::new();
    let other_model = TargetKeys { model: Some("other"), ..world.keys(world.acme) };
    world.fail(world.acme, &Failure::TimedOut, 3, 0);
    assert!(matches!(world.breakers.admit(other_model, world.at(1)), Admission::Pass(_)));
    world.fail(world.acme, &Failure::ConnectTimedOut, 3, 1);
    assert!(matches!(world.breakers.admit(other_model, world.at(1)), Admission::Shut(Shut::Open { .. })));
}

#[test]
fn a_bad_key_of_one_holder_opens_nothing_for_another_key_at_the_same_address() {
    let world = World::new();
    world.fail(world.acme, &Failure::CredentialRefused { status: 401 }, 5, 0);
    let own = SavedCredential { id: Id::random(), at: Timestamp(1) };
    let own_key = TargetKeys { credential: Some(own), ..world.keys(world.acme) };
    assert!(matches!(world.breakers.admit(own_key, world.at(1)), Admission::Pass(_)));
}

#[test]
fn one_401_rejects_the_credential_at_once_and_no_call_is_forced_through() {
    let world = World::new();
    world.fail(world.acme, &Failure::CredentialRefused { status: 401 }, 1, 0);
    assert!(matches!(world.shut(world.globex, 1), Shut::Rejected { .. }));
    let forced = world.breakers.force(world.keys(world.globex), world.at(1));
    assert!(matches!(forced, Admission::Shut(Shut::Rejected { .. })));

    let Admission::Pass(probe) = world.breakers.admit(world.keys(world.acme), world.at(301)) else { panic!() };
    assert!(matches!(world.shut(world.globex, 301), Shut::Rejected { .. }));
    probe.succeeded(world.at(302));
    assert!(world.passes(world.globex, 302));
    assert!(world.breakers.nothing_failed(), "what has healed is forgotten");
}

#[test]
fn a_credential_that_its_holder_saved_anew_is_tried_again_at_once() {
    let world = World::new();
    world.fail(world.acme, &Failure::CredentialRefused { status: 401 }, 1, 0);
    let anew = SavedCredential { at: Timestamp(2), ..world.credential };
    let keys = TargetKeys { credential: Some(anew), ..world.keys(world.acme) };
    assert!(matches!(world.breakers.admit(keys, world.at(1)), Admission::Pass(_)));
    assert!(!world.passes(world.acme, 1), "a call that still reads the old one");
}

#[test]
fn a_rejection_of_an_earlier_start_keeps_its_breaker_open_for_what_is_left_and_then_one_call_probes() {
    let world = World::new();
    world.breakers.was_rejected(world.credential, Duration::from_secs(100), world.start);
    assert!(matches!(world.shut(world.acme, 100), Shut::Rejected { .. }));
    let Admission::Pass(probe) = world.breakers.admit(world.keys(world.acme), world.at(200)) else { panic!() };
    assert!(!world.passes(world.globex, 200));
    probe.succeeded(world.at(201));
    assert!(world.breakers.nothing_failed());

    world.breakers.was_rejected(world.credential, Duration::from_secs(9_999), world.start);
    assert!(world.passes(world.acme, 0), "its time is over, so the first call probes");
}

#[tokio::test]
async fn what_becomes_of_a_credential_is_noted_and_a_success_heals_it() {
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let keyring = Keyring::new(&[key], Salt::random().unwrap()).unwrap();
    let (state, _keeper) = State::new(Keeping::Nowhere, keyring.into());
    let mut world = World::new();
    world.breakers = Breakers::new(Settings::default(), world.start).noting(state.clone());
    let is = || state.credential(world.credential).name();
    for (failure, then) in [
        (Failure::CredentialRefused { status: 403 }, "ok"),
        (Failure::RateLimited { retry_after: None }, "ok"),
        (Failure::QuotaExhausted { status: 402 }, "quota_exhausted"),
        (Failure::CredentialRefused { status: 401 }, "rejected"),
        (Failure::Overloaded(500), "rejected"),
    ] {
        world.breakers.permit(world.keys(world.acme), 0).failed(&failure, world.start);
        assert_eq!(is(), then, "{failure:?}");
    }
    world.breakers.permit(world.keys(world.globex), 0).succeeded(world.start);
    assert_eq!(is(), "ok");
}

#[test]
fn retry_after_holds_the_credential_for_that_model_exactly_that_long_and_is_never_shortened() {
    let world = World::new();
    let wait = |seconds| Failure::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
    world.fail(world.acme, &wait(600), 1, 0);
    world.fail(world.acme, &wait(1), 10, 5);
    assert_eq!(world.shut(world.globex, 599), Shut::Held { until: world.at(600) });
    assert!(matches!(world.breakers.force(world.keys(world.acme), world.at(599)), Admission::Shut(Shut::Held { .. })));
    let other_model = TargetKeys { model: Some("other"), ..world.keys(world.acme) };
    assert!(matches!(world.breakers.admit(other_model, world.at(1)), Admission::Pass(_)));
    assert!(world.passes(world.globex, 600), "a hold does not count as a failure");
}

#[test]
fn an_absurd_retry_after_is_held_without_overflow() {
    let world = World::new();
    world.fail(world.acme, &Failure::RateLimited { retry_after: Some(Duration::MAX) }, 1, 0);
    assert!(matches!(world.shut(world.acme, 1_000_000), Shut::Held { .. }));
}

#[test]
fn unregistered_models_share_one_hold_and_trip_nothing() {
    let world = World::new();
    let made_up = TargetKeys { model: None, ..world.keys(world.acme) };
    for _ in 0..50 {
        world.breakers.permit(made_up, 0).failed(&Failure::Overloaded(500), world.start);
    }
    assert!(world.breakers.nothing_failed());
    let hold = Failure::RateLimited { retry_after: Some(Duration::from_secs(9)) };
    world.breakers.permit(made_up, 0).failed(&hold, world.start);
    assert!(matches!(world.breakers.admit(made_up, world.at(1)), Admission::Shut(Shut::Held { .. })));
    assert!(world.passes(world.acme, 1));
}

#[test]
fn a_forced_success_closes_the_breaker_for_all() {
    let world = World::new();
    world.fail(world.acme, &Failure::ConnectTimedOut, 2, 0);
    world.fail(world.globex, &Failure::ConnectTimedOut, 2, 0);
    assert!(!world.passes(world.acme, 1));
    let Admission::Pass(permit) = world.breakers.force(world.keys(world.acme), world.at(1)) else { panic!() };
    permit.succeeded(world.at(2));
    assert!(world.passes(world.acme, 2));
}

#[test]
fn a_probe_whose_client_left_frees_its_place() {
    let world = World::new();
    world.fail(world.acme, &Failure::Overloaded(500), 3, 0);
    let probe = world.breakers.admit(world.keys(world.acme), world.at(301));
    assert!(matches!(probe, Admission::Pass(_)));
    assert!(!world.passes(world.acme, 301));
    drop(probe);
    assert!(world.passes(world.acme, 301));
}

#[test]
fn a_probe_place_taken_where_another_breaker_is_shut_is_given_back() {
    let world = World::new();
    world.fail(world.acme, &Failure::ConnectTimedOut, 3, 0);
    let hold = Failure::RateLimited { retry_after: Some(Duration::from_secs(100)) };
    world.fail(world.acme, &hold, 1, 301);
    assert!(matches!(world.shut(world.acme, 301), Shut::Held { .. }));
    assert!(world.passes(world.acme, 402), "the address's probe is free");
}

#[test]
fn standings_name_key_workspace_and_phase_in_the_trades_words() {
    let world = World::new();
    world.fail(world.acme, &Failure::Overloaded(500), 3, 0);
    let standings = world.breakers.standings(world.at(1));
    let own = standings.iter().find(|standing| standing.workspace == Some(world.acme)).unwrap();
    assert_eq!((own.key.kind(), own.phase.name()), ("address_model", "open"));
    assert!(own.until.unwrap() <= world.at(300));
    let shared = standings.iter().find(|standing| standing.workspace.is_none()).unwrap();
    assert_eq!(shared.phase, Phase::Closed);
}

#[test]
fn old_entries_are_swept_so_that_healthy_traffic_is_free_again() {
    let world = World::new();
    world.fail(world.acme, &Failure::Overloaded(500), 1, 0);
    assert!(!world.breakers.nothing_failed());
    let elsewhere = Address { host: "other.example".into(), ..world.address.clone() };
    let keys = TargetKeys { address: &elsewhere, ..world.keys(world.globex) };
    assert!(matches!(world.breakers.admit(keys, world.at(400)), Admission::Pass(_)));
    assert!(world.breakers.nothing_failed());
}

#[test]
fn more_failing_models_than_there_is_room_for_make_room_of_the_oldest() {
    let world = World::new();
    let hold = Failure::RateLimited { retry_after: Some(Duration::from_secs(900)) };
    world.fail(world.acme, &hold, 1, 0);
    for number in 0..10_000 {
        let model = format!("model-{number}");
        let keys = TargetKeys { model: Some(&model), ..world.keys(world.acme) };
        world.breakers.permit(keys, 0).failed(&Failure::Overloaded(500), world.at(1));
    }
    assert!(world.breakers.entries.load(Ordering::Relaxed) <= SHARDS * ENTRIES_PER_SHARD);
    assert!(matches!(world.shut(world.acme, 2), Shut::Held { .. }), "holds go last");
}

/// What may befall a call, drawn at random.
#[derive(Clone, Debug)]
enum Event {
    Ask { workspace: usize },
    Succeed { call: usize },
    Fail { call: usize, failure: usize },
    Leave { call: usize },
    Wait { seconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0usize..3).prop_map(|workspace| Event::Ask { workspace }),
        1 => (0usize..8).prop_map(|call| Event::Succeed { call }),
        4 => (0usize..8, 0usize..4).prop_map(|(call, failure)| Event::Fail { call, failure }),
        1 => (0usize..8).prop_map(|call| Event::Leave { call }),
        2 => (0u64..200).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

fn failures() -> [Failure; 4] {
    [
        Failure::ConnectTimedOut,
        Failure::Overloaded(503),
        Failure::CredentialRefused { status: 403 },
        Failure::RateLimited { retry_after: None },
    ]
}

proptest! {
    #[test]
    fn there_are_never_two_probes_at_once(events in prop::collection::vec(event(), 1..200)) {
        let world = World::new();
        let workspaces = [world.acme, world.globex, Id::declared("workspace", "third")];
        let (mut now, mut calls) = (world.start, Vec::<Permit<'_>>::new());
        for event in events {
            match event {
                Event::Wait { seconds } => now += Duration::from_secs(seconds),
                Event::Ask { workspace } => {
                    if let Admission::Pass(permit) = world.breakers.admit(world.keys(workspaces[workspace]), now) {
                        calls.push(permit);
                    }
                }
                Event::Succeed { call } if call < calls.len() => calls.swap_remove(call).succeeded(now),
                Event::Fail { call, failure } if call < calls.len() => calls.swap_remove(call).failed(&failures()[failure], now),
                Event::Leave { call } if call < calls.len() => drop(calls.swap_remove(call)),
                _ => {}
            }
            // A workspace's own breaker and the shared one may each have a probe out, but a shared one only one.
            for shard in &world.breakers.shards {
                for entry in lock(shard).iter() {
                    let holders = calls.iter().filter(|call| entry.is_probed_by(call.by.ticket)).count();
                    prop_assert!(holders <= 1);
                }
            }
            for workspace in workspaces {
                let probing = calls.iter().filter(|call| call.probing && call.keys.workspace == workspace).count();
                prop_assert!(probing <= 4, "at most one for each of the four subjects");
            }
        }
    }

    #[test]
    fn a_target_is_shut_at_most_for_the_open_time_once_failures_end(events in prop::collection::vec(event(), 1..100)) {
        let world = World::new();
        let workspaces = [world.acme, world.globex, Id::declared("workspace", "third")];
        let mut now = world.start;
        for event in events {
            match event {
                Event::Wait { seconds } => now += Duration::from_secs(seconds),
                Event::Fail { call, failure } => {
                    world.breakers.permit(world.keys(workspaces[call % 3]), 0).failed(&failures()[failure], now);
                }
                _ => {}
            }
        }
        let later = now + Settings::DEFAULT.open_for;
        for workspace in workspaces {
            match world.breakers.admit(world.keys(workspace), later) {
                Admission::Pass(probe) => probe.succeeded(later),
                Admission::Shut(why) => prop_assert!(false, "still {why:?}"),
            }
        }
    }

    #[test]
    fn a_workspaces_own_failures_never_shut_a_target_for_another(events in prop::collection::vec(event(), 1..200)) {
        let world = World::new();
        let mut now = world.start;
        for event in events {
            match event {
                Event::Wait { seconds } => now += Duration::from_secs(seconds),
                Event::Fail { failure, .. } => {
                    world.breakers.permit(world.keys(world.acme), 0).failed(&failures()[failure], now);
                }
                Event::Succeed { .. } => world.breakers.permit(world.keys(world.globex), 0).succeeded(now),
                _ => {}
            }
            prop_assert!(matches!(world.breakers.admit(world.keys(world.globex), now), Admission::Pass(_)));
        }
    }
}
