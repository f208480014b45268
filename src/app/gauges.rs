//! Numbers that are looked up when somebody scrapes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::cores::DataPlane;
use super::running::Server;
use crate::attempt::breaker::Phase;
use crate::meter::journal::Journal;
use crate::metrics::Registry;
use crate::proxy::Proxy;

/// A number without labels: its name, what it says, and where it stands.
type Number<Of> = (&'static str, &'static str, fn(&Of) -> f64);

const NUMBERS: [Number<Server>; 12] = [
    ("keyway_requests_in_flight", "Exchanges in flight.", |of| f64::from(of.gateway.meter.capacity.in_flight())),
    ("keyway_body_bytes_in_flight", "Bytes of request bodies held.", |of| of.gateway.bodies.taken_bytes() as f64),
    ("keyway_records_dropped_total", "Records of exchanges that found no place in the queue.", |of| {
        of.gateway.meter.records.dropped() as f64
    }),
    ("keyway_journal_late_total", "Answers that went out before their exchanges were written down.", |of| {
        of.gateway.meter.records.late() as f64
    }),
    ("keyway_unpriced_total", "Exchanges whose cost nobody knows.", |of| {
        of.gateway.meter.pricing.missing.load(Relaxed) as f64
    }),
    ("keyway_budget_warnings_total", "Budgets of which a percentage of `[budgets] warn_percents` was spent.", |of| {
        of.notices.raised.load(Relaxed) as f64
    }),
    ("keyway_webhook_lost_total", "Notices that `[budgets.webhook]` did not take.", |of| {
        of.notices.lost.load(Relaxed) as f64
    }),
    ("keyway_budget_reserved_dollars", "Held for calls in flight, at the most that they may cost.", |of| {
        of.gateway.meter.budgets.reserved().dollars()
    }),
    (
        "keyway_budget_overrun_dollars_total",
        "By how much calls came to more than was held for them: no budget is overspent by more.",
        |of| of.gateway.meter.budgets.overrun().dollars(),
    ),
    (
        "keyway_budget_outstanding_dollars",
        "Leased of shared budgets and not spent: by so much at most would they be overspent if this replica died now.",
        |of| of.gateway.meter.budgets.outstanding().dollars(),
    ),
    ("keyway_state_dropped_total", "Notes for the state database that found no place.", |of| of.state.dropped() as f64),
    (
        "keyway_directory_cache_bytes",
        "What is kept in memory of workspaces and tokens that call; nought where all of them are.",
        |of| of.gateway.world.cached_bytes() as f64,
    ),
];

const OF_JOURNAL: [Number<Journal>; 3] = [
    ("keyway_journal_lost_total", "Exchanges that no room was left for.", |of| of.lost() as f64),
    ("keyway_journal_bytes", "What the journal takes of the disk.", |of| of.kept_bytes() as f64),
    ("keyway_ledger_waiting", "Exchanges on their way to the ledger.", |of| of.waiting() as f64),
];

pub(super) fn register(server: &Arc<Server>, plane: &DataPlane<Proxy>, proxies: &[Proxy]) {
    numbers(&server.registry, server, &NUMBERS);
    if let Some(journal) = &server.books.journal {
        numbers(&server.registry, journal, &OF_JOURNAL);
    }
    config(server);
    limits(server);
    breakers(server);
    connections(server, plane);
    upstream(server, proxies);
}

fn numbers<Of: Send + Sync + 'static>(registry: &Registry, of: &Arc<Of>, numbers: &[Number<Of>]) {
    for &(name, help, read) in numbers {
        let of = of.clone();
        registry.gauge(name, help, &[], move |out| out.push(&[], read(&of)));
    }
}

fn config(server: &Arc<Server>) {
    let (of, help) = (server.clone(), "The configuration in force; its value is always 1.");
    server.registry.gauge("keyway_config_info", help, &["hash"], move |out| {
        out.push(&[&of.config.load().hash], 1.0);
    });
}

fn limits(server: &Arc<Server>) {
    let of = server.gateway.clone();
    server.registry.gauge(
        "keyway_limit_parts",
        "Leased of shared limits of requests, text and parallel calls: by so much at most would they be exceeded if this \
         replica died now.",
        &["limit"],
        move |out| {
            for (limit, held) in of.meter.budgets.parts(&of.meter.limiter) {
                out.push(&[limit], held as f64);
            }
        },
    );
}

fn breakers(server: &Arc<Server>) {
    let of = server.gateway.clone();
    server.registry.gauge("keyway_breakers", "Breakers that are not closed, and holds.", &["state"], move |out| {
        let standings = of.attempts.breakers.standings(Instant::now());
        for (name, is_it) in [("open", Phase::Open), ("half_open", Phase::HalfOpen)] {
            out.push(&[name], standings.iter().filter(|one| one.phase == is_it).count() as f64);
        }
        out.push(&["held"], standings.iter().filter(|one| one.held).count() as f64);
    });
}

fn connections(server: &Arc<Server>, plane: &DataPlane<Proxy>) {
    let counts = plane.counts().to_vec();
    server.registry.gauge(
        "keyway_connections",
        "Connections of clients, by what became of them.",
        &["state"],
        move |out| {
            let sum = |of: &dyn Fn(&crate::listen::Counts) -> u64| counts.iter().map(|one| of(one)).sum::<u64>() as f64;
            out.push(&["open"], sum(&|one| one.connections_open()));
            out.push(&["accepted"], sum(&|one| one.accepted.read()));
            out.push(&["refused_full"], sum(&|one| one.refused_full.read()));
            out.push(&["refused_address"], sum(&|one| one.refused_address.read()));
            out.push(&["handshake_failed"], sum(&|one| one.handshake_failures.read()));
        },
    );
}

fn upstream(server: &Arc<Server>, proxies: &[Proxy]) {
    let counts: Vec<_> = proxies.iter().map(|proxy| proxy.core.client.counts().clone()).collect();
    server.registry.gauge(
        "keyway_upstream_connections",
        "Connections to providers, and how they were used.",
        &["state"],
        move |out| {
            for (name, read) in [("open", 0), ("idle", 1), ("opened", 2), ("reused", 3)] {
                let sum: u64 =
                    counts.iter().map(|one| [&one.open, &one.idle, &one.opened, &one.reused][read].load(Relaxed)).sum();
                out.push(&[name], sum as f64);
            }
        },
    );
}
