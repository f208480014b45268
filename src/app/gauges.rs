//! Numbers that are looked up when somebody scrapes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::cores::DataPlane;
use super::running::Server;
use crate::attempt::breaker::Phase;
use crate::proxy::Proxy;

pub(super) fn register(server: &Arc<Server>, plane: &DataPlane<Proxy>, proxies: &[Proxy]) {
    let registry = &server.registry;
    let of = server.gateway.clone();
    registry.gauge("keyway_requests_in_flight", "Exchanges in flight.", &[], move |out| {
        out.push(&[], f64::from(of.meter.capacity.in_flight()));
    });
    let of = server.gateway.clone();
    registry.gauge("keyway_body_bytes_in_flight", "Bytes of request bodies held.", &[], move |out| {
        out.push(&[], of.bodies.taken_bytes() as f64);
    });
    let of = server.gateway.clone();
    registry.gauge(
        "keyway_records_dropped_total",
        "Records of exchanges that found no place in the queue.",
        &[],
        move |out| {
            out.push(&[], of.meter.records.dropped() as f64);
        },
    );
    of_ledger(server);
    of_budgets(server);
    let of = server.clone();
    registry.gauge(
        "keyway_state_dropped_total",
        "Notes for the state database that found no place.",
        &[],
        move |out| {
            out.push(&[], of.state.dropped() as f64);
        },
    );
    let of = server.gateway.clone();
    registry.gauge(
        "keyway_directory_cache_bytes",
        "What is kept in memory of workspaces and tokens that call; nought where all of them are.",
        &[],
        move |out| out.push(&[], of.world.cached_bytes() as f64),
    );
    let of = server.clone();
    registry.gauge("keyway_config_info", "The configuration in force; its value is always 1.", &["hash"], move |out| {
        out.push(&[&of.config.load().hash], 1.0);
    });
    breakers(server);
    connections(server, plane);
    upstream(server, proxies);
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

fn of_ledger(server: &Server) {
    let registry = &server.registry;
    let of = server.gateway.clone();
    registry.gauge(
        "keyway_journal_late_total",
        "Answers that went out before their exchanges were written down.",
        &[],
        move |out| {
            out.push(&[], of.meter.records.late() as f64);
        },
    );
    let of = server.gateway.clone();
    registry.gauge("keyway_unpriced_total", "Exchanges whose cost nobody knows.", &[], move |out| {
        out.push(&[], of.meter.pricing.missing.load(Relaxed) as f64);
    });
    if let Some(journal) = &server.books.journal {
        let of = journal.clone();
        registry.gauge("keyway_journal_lost_total", "Exchanges that no room was left for.", &[], move |out| {
            out.push(&[], of.lost() as f64);
        });
        let of = journal.clone();
        registry.gauge("keyway_journal_bytes", "What the journal takes of the disk.", &[], move |out| {
            out.push(&[], of.kept_bytes() as f64);
        });
        let of = journal.clone();
        registry.gauge("keyway_ledger_waiting", "Exchanges on their way to the ledger.", &[], move |out| {
            out.push(&[], of.waiting() as f64);
        });
    }
}

fn of_budgets(server: &Arc<Server>) {
    let registry = &server.registry;
    let of = server.gateway.clone();
    registry.gauge(
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
    let of = server.clone();
    registry.gauge(
        "keyway_budget_warnings_total",
        "Budgets of which a percentage of `[budgets] warn_percents` was spent.",
        &[],
        move |out| out.push(&[], of.notices.raised.load(Relaxed) as f64),
    );
    let of = server.clone();
    registry.gauge("keyway_webhook_lost_total", "Notices that `[budgets.webhook]` did not take.", &[], move |out| {
        out.push(&[], of.notices.lost.load(Relaxed) as f64)
    });
    let of = server.gateway.clone();
    registry.gauge(
        "keyway_budget_reserved_dollars",
        "Held for calls in flight, at the most that they may cost.",
        &[],
        move |out| {
            out.push(&[], of.meter.budgets.reserved().dollars());
        },
    );
    let of = server.gateway.clone();
    registry.gauge(
        "keyway_budget_overrun_dollars_total",
        "By how much calls came to more than was held for them: no budget is overspent by more.",
        &[],
        move |out| {
            out.push(&[], of.meter.budgets.overrun().dollars());
        },
    );
    let of = server.gateway.clone();
    registry.gauge(
        "keyway_budget_outstanding_dollars",
        "Leased of shared budgets and not spent: by so much at most would they be overspent if this replica died now.",
        &[],
        move |out| {
            out.push(&[], of.meter.budgets.outstanding().dollars());
        },
    );
}
