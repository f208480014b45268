//! The configuration's values in each room's own terms. Only translation: no default is decided here.

use std::sync::Arc;
use std::time::Duration;

use crate::admin;
use crate::attempt::{self, breaker, budget, client, parallel};
use crate::config::Config;
use crate::listen;
use crate::meter::{budgets, capacity};
use crate::proxy;

/// The recent past that retries are held against.
const RETRY_WINDOW: Duration = Duration::from_secs(10);

pub(super) fn proxy(config: &Config) -> proxy::Settings {
    let attempts = &config.attempts;
    proxy::Settings {
        bodies: proxy::BodyLimits {
            body_bytes: config.limits.body,
            upload_bytes: config.limits.multipart_stream as u64,
        },
        hold: attempts.hold,
        keep_alive: attempts.keep_alive,
        idle: attempts.idle_timeout,
    }
}

pub(super) fn attempts(config: &Config) -> attempt::Settings {
    attempt::Settings {
        max: config.attempts.max as usize,
        deadline: config.attempts.deadline,
        answer_limit_bytes: config.limits.answer,
        per_address: count(config.limits.requests_in_flight_per_provider),
        held_events: config.attempts.hold_events as u64,
        held_bytes: config.attempts.hold_bytes,
    }
}

pub(super) fn breakers(config: &Config) -> breaker::Settings {
    let breaker = &config.breaker;
    breaker::Settings {
        failures: breaker.failures,
        open_for: breaker.open_for,
        window: breaker.window,
        least_calls: breaker.least_calls,
        failing_percent: breaker.failing_percent,
    }
}

pub(super) fn retries(config: &Config) -> budget::Settings {
    budget::Settings {
        percent: config.attempts.retry_budget,
        floor_per_second: config.attempts.retry_floor,
        window: RETRY_WINDOW,
    }
}

pub(super) fn client(config: &Config) -> client::ClientSettings {
    client::ClientSettings {
        connect_timeout: config.attempts.connect_timeout,
        tls_timeout: config.attempts.tls_timeout,
        pool_idle: config.attempts.pool_idle,
        idle_per_core: config.attempts.pool_connections,
    }
}

pub(super) fn patience(config: &Config) -> parallel::Patience {
    parallel::Patience { waiters: config.attempts.parallel_waiters, wait: config.attempts.parallel_wait }
}

pub(super) fn capacity(config: &Config) -> capacity::Settings {
    capacity::Settings {
        in_all: count(config.limits.requests_in_flight),
        of_one_workspace: count(config.limits.requests_in_flight_per_workspace),
    }
}

pub(super) fn budgets(config: &Config) -> budgets::Settings {
    let of = &config.budgets;
    budgets::Settings { units_a_part: of.media_tokens, unknown: of.when_unknown, short: of.when_short }
}

pub(super) fn admin(config: &Config) -> admin::Settings {
    admin::Settings::new(config.listen.admin.ip(), config.metrics.enabled, config.limits.admin_body)
}

pub(super) fn ground(config: &Config) -> admin::api::Ground {
    admin::api::Ground {
        declared: config.declared.clone(),
        egress: Arc::new(config.egress.rules.clone()),
        body_limit_bytes: config.limits.admin_body,
    }
}

pub(super) fn listening(config: &Config) -> listen::Limits {
    let (limits, http2) = (&config.limits, &config.listen.http2);
    listen::Limits {
        connections: limits.connections,
        connections_per_address: limits.connections_per_address,
        requests_in_flight: limits.requests_in_flight,
        idle: limits.idle_timeout,
        head: limits.head_timeout,
        handshake: limits.handshake_timeout,
        body_stall: limits.body_timeout,
        write_stall: limits.write_timeout,
        connection_age: limits.connection_age,
        headers: limits.headers,
        head_bytes: limits.head,
        http2: listen::Http2Limits {
            streams: http2.streams,
            stream_window_bytes: count(http2.stream_window),
            connection_window_bytes: count(http2.connection_window),
            frame_bytes: count(http2.frame),
            header_list_bytes: count(http2.header_list),
            send_buffer_bytes: http2.send_buffer,
            pending_reset_streams: http2.pending_resets,
            local_reset_streams: http2.local_resets,
            ping_interval: http2.ping_interval,
            ping_timeout: http2.ping_timeout,
            ..listen::Http2Limits::default()
        },
        ..listen::Limits::default()
    }
}

/// A count that no setting may exceed; what does is as good as unlimited.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
