//! Says that a budget is running out: in the log, in the metrics, and to whoever listens at `[budgets.webhook]`.
//!
//! On the control runtime, one notice after the other: whoever listens and hangs, or says 500, keeps nobody waiting but the
//! next notice. What it does not take in a few tries is given up, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::running::Server;
use super::signals::ticks;
use crate::config::Webhook;
use crate::domain::time::Timestamp;
use crate::meter::budgets::{Over, Warning};

/// How often budgets are looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// Notices that wait for whoever listens. Each is of another budget; more at once would be read by nobody.
const WAITING_LIMIT: usize = 256;
/// A listener that takes longer has not heard it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before another try: with all of them somebody has a minute and a half to bring a listener back.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16), Duration::from_secs(64)];

const EVENT: HeaderName = HeaderName::from_static("x-keyway-event");
const SIGNATURE: HeaderName = HeaderName::from_static("x-keyway-signature");

/// What became of notices.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Budgets that reached a percentage.
    pub(super) raised: AtomicU64,
    /// Those that whoever listens did not take.
    pub(super) lost: AtomicU64,
}

/// Never ends by itself: looks at the budgets.
pub(super) async fn warn(server: Arc<Server>) {
    let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
    tokio::join!(look(&server, sender), tell(&server, receiver));
}

async fn look(server: &Server, sender: mpsc::Sender<Warning>) {
    let mut ticks = ticks(LOOKED_AT_EVERY);
    loop {
        ticks.tick().await;
        let config = server.config.load_full();
        let warnings = match server.gateway.meter.budgets.warnings(&config.budgets.warn_percents).await {
            Ok(warnings) => warnings,
            // That the database is away is said elsewhere; what was reached is told once it is back.
            Err(error) => {
                tracing::debug!("{error}; budgets are looked at a second later");
                continue;
            }
        };
        for warning in warnings {
            server.notices.raised.fetch_add(1, Ordering::Relaxed);
            let Warning { of, holder, span, percent, limit, spent } = &warning;
            match span {
                Over::Period { name, .. } => {
                    tracing::warn!(%holder, %limit, %spent, "{percent} % of what this {of} may spend in its {name} is spent");
                }
                Over::Run(run) => {
                    tracing::warn!(workspace = %holder, %run, %limit, %spent, "{percent} % of what this run may spend is spent");
                }
            }
            if config.budgets.webhook.is_some() && sender.try_send(warning).is_err() {
                server.notices.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn tell(server: &Server, mut waiting: mpsc::Receiver<Warning>) {
    while let Some(warning) = waiting.recv().await {
        if !is_told(server, &warning).await {
            server.notices.lost.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(holder = %warning.holder, "[budgets.webhook] did not take a notice; it is given up");
        }
    }
}

/// Told in one of some tries. What is configured then holds for each.
async fn is_told(server: &Server, warning: &Warning) -> bool {
    let body = body(warning);
    for pause in PAUSES.map(Some).into_iter().chain([None]) {
        let config = server.config.load_full();
        let Some(webhook) = &config.budgets.webhook else { return false };
        let telling = server.probe.tell(&webhook.url, headers(webhook, warning, &body, Timestamp::now()), body.clone());
        match timeout(PATIENCE, telling).await {
            Ok(Ok(status)) if status.is_success() => return true,
            Ok(Ok(status)) => tracing::debug!(%status, "[budgets.webhook] refused a notice"),
            Ok(Err(failure)) => tracing::debug!(%failure, "[budgets.webhook] can't be told"),
            Err(_) => tracing::debug!("[budgets.webhook] does not answer"),
        }
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
    false
}

fn body(warning: &Warning) -> Bytes {
    let Warning { of, holder, span, percent, limit, spent } = warning;
    let (holder, period, begins) = match span {
        Over::Period { name, begins } => (json!({"kind": of, "id": holder}), *name, Some(begins.iso8601())),
        Over::Run(run) => (json!({"kind": of, "id": run, "workspace": holder}), *of, None),
    };
    let notice = json!({
        "id": warning.id(), "type": "budget.warning", "holder": holder,
        "period": period, "periodBegins": begins, "percent": percent, "limit": limit, "spent": spent,
    });
    notice.to_string().into()
}

/// With the time in what is signed, so that nobody can play it again a day later.
fn headers(webhook: &Webhook, warning: &Warning, body: &[u8], now: Timestamp) -> HeaderMap {
    let seconds = now.0 / 1_000;
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, webhook.secret.expose()));
    signing.update(format!("{seconds}.").as_bytes());
    signing.update(body);
    let signature: String = signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let texts = [(EVENT, warning.id().to_string()), (SIGNATURE, format!("t={seconds},v1={signature}"))];
    let header = |(name, text): (HeaderName, String)| Some((name, HeaderValue::from_str(&text).ok()?));
    texts.into_iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Nanodollars;
    use crate::domain::secret::Secret;

    #[test]
    fn a_notice_is_signed_with_its_time_and_has_one_id_however_often_it_is_told() {
        let warning = Warning {
            of: "workspace",
            holder: uuid::Uuid::nil(),
            span: Over::Period { name: "day", begins: Timestamp(0) },
            percent: 80,
            limit: Nanodollars(2_000_000_000),
            spent: Nanodollars(1_600_000_000),
        };
        let url = "https://hooks.example.com/keyway".parse().unwrap();
        let webhook = Webhook { url, secret: Arc::new(Secret::from("0123456789abcdef".to_string())) };
        let body = body(&warning);
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&said["limit"], &said["spent"], &said["percent"]), (&"2".into(), &"1.6".into(), &80.into()));
        let of = |now| headers(&webhook, &warning, &body, Timestamp(now));
        let (one, other) = (of(1_000), of(2_000));
        assert_eq!(one[EVENT], other[EVENT]);
        assert!(one[SIGNATURE].to_str().unwrap().starts_with("t=1,v1="));
        assert_ne!(one[SIGNATURE], other[SIGNATURE]);
    }
}
