//! The admin listener: metrics, health, readiness, and the admin API (`api`).
//!
//! Takes what it shows as values, for it must never name the proxy or the wiring.

pub mod api;
mod health;
pub mod probing;
pub mod usage;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::Request;
use http::request::Parts;
use http_body::Body as _;
use tower_service::Service;

pub use health::{Readiness, Ready};

use self::api::{Api, Problem};
use crate::domain::refusal::Refusal;
use crate::listen::{HeadFault, Peer, RequestBody, Serve};
use crate::metrics::CONTENT_TYPE;

/// What the listener shows.
#[derive(Clone)]
pub struct Admin {
    pub readiness: Arc<dyn Readiness>,
    /// The text of all metrics, made when somebody asks.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub settings: Arc<ArcSwap<Settings>>,
    pub api: Arc<Api>,
    pub models: Arc<dyn Models>,
}

/// Who answers what is asked of models: it may be asked on this listener too.
pub trait Models: Send + Sync {
    /// Is a request for this path one of those?
    fn hears(&self, path: &str) -> bool;

    fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Arc<Peer>,
    ) -> Pin<Box<dyn Future<Output = Response> + Send + '_>>;
}

/// What the operator may set about the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub metrics: Metrics,
    pub body_limit_bytes: usize,
}

/// Who sees metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Nobody: there is no such path.
    Off,
    /// Anyone who reaches the listener, which is on this machine.
    Open,
    /// Whoever shows a token that holds `MetricsView`.
    ToTokens,
}

impl Settings {
    /// Without a token metrics are safe to show on a loopback address only.
    pub const fn new(address: IpAddr, metrics_enabled: bool, body_limit_bytes: usize) -> Self {
        let metrics = match (metrics_enabled, address.is_loopback()) {
            (false, _) => Metrics::Off,
            (true, true) => Metrics::Open,
            (true, false) => Metrics::ToTokens,
        };
        Self { metrics, body_limit_bytes }
    }
}

/// The methods that some path here has: another one is refused before anybody looks at its path.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");

/// The listener's service.
#[derive(Clone)]
pub struct Desk {
    router: Router,
    settings: Arc<ArcSwap<Settings>>,
    models: Arc<dyn Models>,
}

impl Desk {
    pub fn new(admin: Admin) -> Self {
        let (settings, models) = (admin.settings.clone(), admin.models.clone());
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(health::ready))
            .merge(api::router(&admin.api))
            .fallback(unknown)
            .with_state(admin);
        Self { router, settings, models }
    }
}

impl Serve for Desk {
    type Body = Body;

    async fn call(&self, mut request: Request<RequestBody>, peer: Arc<Peer>) -> Response {
        if self.models.hears(request.uri().path()) {
            return self.models.answer(request, peer).await;
        }
        let limit_bytes = self.settings.load().body_limit_bytes;
        if request.size_hint().lower() > limit_bytes as u64 {
            return refused(&Refusal::BodyTooLarge { limit_bytes: limit_bytes as u64 });
        }
        request.extensions_mut().insert(peer);
        let request = request.map(Body::new);
        let answered: Result<Response, Infallible> = self.router.clone().call(request).await;
        answered.unwrap_or_else(|never| match never {})
    }

    fn refuse(&self, fault: HeadFault, _head: Option<&Parts>) -> Response {
        let status = match fault {
            HeadFault::Method => StatusCode::METHOD_NOT_ALLOWED,
            HeadFault::AtCapacity => StatusCode::SERVICE_UNAVAILABLE,
            HeadFault::TooManyFromAddress => StatusCode::TOO_MANY_REQUESTS,
            HeadFault::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut answer = Problem::from(Refusal::Malformed("")).because(status, fault.to_string()).into_response();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            answer.headers_mut().insert(header::ALLOW, ALLOWED);
        }
        answer
    }
}

async fn metrics(State(admin): State<Admin>, request: Request<Body>) -> Response {
    let (head, _) = request.into_parts();
    let seen_by = admin.settings.load().metrics;
    let seen = match seen_by {
        Metrics::Off => return unknown(head.uri).await,
        Metrics::Open => Ok(()),
        Metrics::ToTokens => api::may_see_metrics(&admin.api, &head).await,
    };
    match seen {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], (admin.metrics)()).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn unknown(uri: Uri) -> Response {
    refused(&Refusal::PathUnknown(uri.path().chars().take(120).collect(), ""))
}

fn refused(refusal: &Refusal) -> Response {
    Problem::from(refusal.clone()).into_response()
}
