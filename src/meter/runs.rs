//! Which run is a part of which, as far as calls have said: so that none becomes a part of itself.
//!
//! Takes a run and its workspace, gives a refusal or nothing. Kept in memory and bounded; what it has forgotten, or what
//! another replica heard, the ledger keeps from becoming a circle.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;

/// Runs of one generation; two are kept. At some 150 bytes each it is 10 MiB of agents that all have a parent.
const GENERATION: usize = 32_768;

/// Runs within runs. Deeper ones are an agent that calls itself.
const DEPTH_MAX: usize = 64;

type Key = (Id<Workspace>, Arc<str>);

#[derive(Debug, Default)]
pub struct Runs(Mutex<Parents>);

#[derive(Debug, Default)]
struct Parents {
    young: HashMap<Key, Arc<str>>,
    old: HashMap<Key, Arc<str>>,
}

impl Runs {
    /// Takes note of a run's parent. What was said of it first stands.
    pub fn enter(&self, workspace: Id<Workspace>, run: &Run) -> Result<(), Refusal> {
        let Some(parent) = &run.parent else { return Ok(()) };
        self.lock().enter(workspace, &run.name, parent)
    }

    /// What the ledger knows of a run: those above it, the nearest first. What was said here first stands.
    pub fn learn(&self, workspace: Id<Workspace>, run: &Arc<str>, above: Vec<String>) {
        let (mut parents, mut below) = (self.lock(), run.clone());
        for parent in above {
            let parent: Arc<str> = parent.into();
            if parents.enter(workspace, &below, &parent).is_err() {
                return;
            }
            below = parent;
        }
    }

    /// The runs above one, the nearest first.
    pub fn above(&self, workspace: Id<Workspace>, run: &Arc<str>) -> Vec<Arc<str>> {
        let parents = self.lock();
        let next = |run: &Arc<str>| parents.of(&(workspace, run.clone())).cloned();
        std::iter::successors(next(run), next).take(DEPTH_MAX).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Parents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parents {
    fn enter(&mut self, workspace: Id<Workspace>, run: &Arc<str>, parent: &Arc<str>) -> Result<(), Refusal> {
        let key = (workspace, run.clone());
        if let Some(known) = self.of(&key).cloned() {
            // Used, so it is worth another generation.
            self.keep(key, known);
            return Ok(());
        }
        let mut above = parent.clone();
        for _ in 0..DEPTH_MAX {
            if above == *run {
                break;
            }
            let key = (workspace, above);
            match self.of(&key) {
                Some(next) => above = next.clone(),
                None => {
                    self.keep((workspace, run.clone()), parent.clone());
                    return Ok(());
                }
            }
        }
        Err(Refusal::RunCycle { run: run.to_string(), parent: parent.to_string() })
    }

    fn of(&self, run: &Key) -> Option<&Arc<str>> {
        self.young.get(run).or_else(|| self.old.get(run))
    }

    fn keep(&mut self, key: Key, parent: Arc<str>) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, parent: &str) -> Run {
        Run { name: name.into(), parent: Some(parent.into()) }
    }

    #[test]
    fn no_run_becomes_a_part_of_itself() {
        let (runs, workspace) = (Runs::default(), Id::random());
        let is_refused = |run: &Run| runs.enter(workspace, run).is_err();
        assert!(is_refused(&run("a", "a")));
        assert!(!is_refused(&run("b", "a")) && !is_refused(&run("c", "b")));
        assert!(is_refused(&run("a", "c")), "a is above c");
        assert!(!is_refused(&run("c", "x")), "what was said first stands, and is no reason to refuse a call");
        assert!(!is_refused(&Run { name: "a".into(), parent: None }));
        assert!(runs.enter(Id::random(), &run("a", "c")).is_ok(), "a name means something within one workspace");
        let above =
            |name: &str| runs.above(workspace, &name.into()).iter().map(|run| run.to_string()).collect::<Vec<_>>();
        assert_eq!((above("c"), above("a")), (vec!["b".into(), "a".into()], vec![]));
        runs.learn(workspace, &"e".into(), vec!["c".into(), "x".into(), "y".into()]);
        assert_eq!(above("e"), ["c", "b", "a"], "the ledger adds to what was said, and changes nothing of it");
    }

    #[test]
    fn runs_within_runs_end_somewhere_and_take_bounded_memory() {
        let (runs, workspace) = (Runs::default(), Id::random());
        let deep = |number: usize| run(&format!("r{}", number + 1), &format!("r{number}"));
        assert!((0..DEPTH_MAX - 1).all(|number| runs.enter(workspace, &deep(number)).is_ok()));
        let refused = (DEPTH_MAX - 1..DEPTH_MAX + 2).filter(|number| runs.enter(workspace, &deep(*number)).is_err());
        assert!(refused.count() > 0);
        for number in 0..3 * GENERATION {
            runs.enter(workspace, &run(&format!("n{number}"), "root")).unwrap();
        }
        let kept = runs.0.lock().unwrap();
        assert!(kept.young.len() + kept.old.len() <= 2 * GENERATION);
    }
}
