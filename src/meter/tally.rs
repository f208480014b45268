//! What exchanges add up to in metrics: one core's series, looked up once and then by number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Meter;
use super::ids::Ids;
use super::record::{Outcome, Record};
use crate::domain::entity::Provider;
use crate::domain::id::Id;
use crate::domain::map::Map;
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Answerer, Attempt, End};
use crate::metrics::{Cells, CounterFamily, DURATIONS, Distribution, HistogramFamily, Registry, Series};

/// Bounds for the time spent in Keyway itself, which is short.
const OVERHEADS: [Duration; 10] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
];

/// The families of this room.
#[derive(Clone, Copy, Debug)]
pub struct Families {
    requests: CounterFamily<2>,
    attempts: CounterFamily<2>,
    refusals: CounterFamily<1>,
    first_event: HistogramFamily<2>,
    total: HistogramFamily<1>,
    overhead: HistogramFamily<0>,
    tokens: CounterFamily<3>,
}

impl Families {
    pub fn register(registry: &Registry) -> Self {
        Self {
            requests: registry.counter(
                "keyway_requests_total",
                "Exchanges by how they ended.",
                ["operation", "outcome"],
            ),
            attempts: registry.counter("keyway_attempts_total", "Attempts by how they ended.", ["provider", "result"]),
            refusals: registry.counter("keyway_refusals_total", "Requests we refused, by code.", ["code"]),
            first_event: registry.histogram(
                "keyway_time_to_first_event_seconds",
                "From a request's head to the first event or byte of its answer.",
                ["provider", "model"],
                &DURATIONS,
            ),
            total: registry.histogram(
                "keyway_request_seconds",
                "From a request's head to its last byte.",
                ["operation"],
                &DURATIONS,
            ),
            overhead: registry.histogram(
                "keyway_overhead_seconds",
                "Spent in Keyway itself, without the waits for client and provider.",
                [],
                &OVERHEADS,
            ),
            tokens: registry.counter(
                "keyway_tokens_total",
                "Units of text and media that providers reported.",
                ["provider", "model", "direction"],
            ),
        }
    }
}

/// One core's view of the families. Locks are uncontended: only its core takes them.
pub struct CoreMeter {
    pub index: usize,
    pub(super) meter: Arc<Meter>,
    ids: Ids,
    cells: Arc<Cells>,
    registry: Arc<Registry>,
    families: Families,
    operations: Mutex<Map<Operation, OfOperation>>,
    providers: Mutex<Map<Id<Provider>, OfProvider>>,
}

#[derive(Clone, Copy)]
struct OfOperation {
    outcomes: [Series; Outcome::ALL.len()],
    total: Distribution,
    overhead: Distribution,
}

struct OfProvider {
    answered: Series,
    models: Map<Arc<str>, OfModel>,
}

#[derive(Clone, Copy)]
struct OfModel {
    first_event: Distribution,
    input: Series,
    output: Series,
}

/// Label of models that nobody registered.
const OTHER: &str = "other";

impl CoreMeter {
    pub fn new(
        index: usize,
        meter: Arc<Meter>,
        cells: Arc<Cells>,
        registry: Arc<Registry>,
        families: Families,
    ) -> Self {
        Self {
            index,
            meter,
            ids: Ids::new(),
            cells,
            registry,
            families,
            operations: Mutex::default(),
            providers: Mutex::default(),
        }
    }

    /// An id for the next exchange of this core.
    pub fn draw_id(&self, now: Timestamp) -> Uuid {
        self.ids.draw(now)
    }

    /// A refusal before there was an exchange to settle.
    pub fn refused_outside(&self, refusal: &Refusal) {
        self.refused(refusal.row().code);
    }

    fn refused(&self, code: &str) {
        self.cells.add(self.registry.series(self.families.refusals, [code]), 1);
    }

    pub(super) fn settled(&self, record: &Record) {
        let operation = self.operation(record.operation);
        self.cells.add(operation.outcomes[record.outcome as usize], 1);
        self.cells.observe(operation.total, record.total);
        if let Some(code) = record.refusal {
            self.refused(code);
        }
        let answered = self.attempted(record);
        if let Some(from) = &record.from {
            self.cells.observe(operation.overhead, record.overhead);
            self.answered(record, from, answered);
        }
    }

    fn operation(&self, operation: Operation) -> OfOperation {
        *locked(&self.operations).entry(operation).or_insert_with(|| OfOperation {
            outcomes: Outcome::ALL
                .map(|outcome| self.registry.series(self.families.requests, [operation.name(), outcome.name()])),
            total: self.registry.distribution(self.families.total, [operation.name()]),
            overhead: self.registry.distribution(self.families.overhead, []),
        })
    }

    /// The trail names providers, not their ids: attempts are counted under the answerer's where it is the same.
    fn attempted(&self, record: &Record) -> u64 {
        let mut answered = 0;
        for attempt in record.trail.attempts() {
            match (&attempt.end, &record.from) {
                (End::Skipped(_), _) => {}
                (End::Answered { .. }, Some(_)) => answered += 1,
                (End::Answered { .. }, None) => self.count(attempt, "answered"),
                (End::Failed(failure), _) => self.count(attempt, failure.name()),
            }
        }
        answered
    }

    /// Failures are rare enough for a look-up by name.
    fn count(&self, attempt: &Attempt, result: &'static str) {
        self.cells.add(self.registry.series(self.families.attempts, [&attempt.provider, result]), 1);
    }

    fn answered(&self, record: &Record, from: &Answerer, attempts: u64) {
        let label = if from.is_registered { &from.model } else { OTHER };
        let mut providers = locked(&self.providers);
        let provider = providers.entry(from.provider_id).or_insert_with(|| OfProvider {
            answered: self.registry.series(self.families.attempts, [&from.provider, "answered"]),
            models: Map::default(),
        });
        let model = self.model(provider, &from.provider, label);
        self.cells.add(provider.answered, attempts);
        if let Some(first_event) = record.first_event {
            self.cells.observe(model.first_event, first_event);
        }
        self.cells.add(model.input, record.usage.input_total());
        self.cells.add(model.output, record.usage.output_total());
    }

    fn model(&self, provider: &mut OfProvider, name: &str, label: &str) -> OfModel {
        if let Some(known) = provider.models.get(label) {
            return *known;
        }
        let made = OfModel {
            first_event: self.registry.distribution(self.families.first_event, [name, label]),
            input: self.registry.series(self.families.tokens, [name, label, "input"]),
            output: self.registry.series(self.families.tokens, [name, label, "output"]),
        };
        provider.models.insert(label.into(), made);
        made
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
