//! The admin listener: metrics, health and readiness. The admin API joins here as one file per resource.
//!
//! Takes what it shows as values, for it must never name the proxy or the wiring.

mod health;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::Request;
use http::request::Parts;
use tower_service::Service;

pub use health::{Readiness, Ready};

use crate::domain::refusal::Refusal;
use crate::listen::{HeadFault, Peer, RequestBody, Serve};
use crate::metrics::CONTENT_TYPE;

/// What the listener shows.
#[derive(Clone)]
pub struct Admin {
    pub readiness: Arc<dyn Readiness>,
    /// The text of all metrics, made when somebody asks.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Metrics are open to anyone who reaches a loopback listener, and to nobody else until tokens may see them.
    pub open_metrics: bool,
}

impl Admin {
    /// Is it safe to show metrics without a token on this address?
    pub const fn is_open(address: IpAddr) -> bool {
        address.is_loopback()
    }
}

/// The listener's service.
#[derive(Clone)]
pub struct Desk(Router);

impl Desk {
    pub fn new(admin: Admin) -> Self {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(health::ready))
            .fallback(unknown)
            .with_state(admin);
        Self(router)
    }
}

impl Serve for Desk {
    type Body = Body;

    async fn call(&self, request: Request<RequestBody>, _peer: Arc<Peer>) -> Response {
        let answered: Result<Response, Infallible> = self.0.clone().call(request.map(Body::new)).await;
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
        problem(status, "malformed_request", &fault.to_string())
    }
}

async fn metrics(axum::extract::State(admin): axum::extract::State<Admin>) -> Response {
    if !admin.open_metrics {
        return refused(&Refusal::MetricsDenied);
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], (admin.metrics)()).into_response()
}

async fn unknown(uri: axum::http::Uri) -> Response {
    refused(&Refusal::PathUnknown(uri.path().chars().take(120).collect(), ""))
}

fn refused(refusal: &Refusal) -> Response {
    let row = refusal.row();
    problem(
        StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        row.code,
        &refusal.to_string(),
    )
}

/// RFC 9457's problem document.
fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = serde_json::json!({ "type": format!("docs/errors.md#{code}"), "title": code, "status": status.as_u16(), "detail": detail });
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
