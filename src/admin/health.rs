//! Whether this process should get traffic, and how well it is.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;

/// Told by the wiring, which alone knows.
pub trait Readiness: Send + Sync {
    fn now(&self) -> Ready;
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// `ready`, `degraded` (serving, but somebody should look) or `draining`.
    pub status: &'static str,
    /// The version of the directory in force.
    pub directory_version: u64,
    /// The hash of the configuration in force, so that replicas can be compared.
    pub config: String,
    /// What somebody should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// 200 while calls are served, however degraded; 503 only once it drains.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    let ready = admin.readiness.now();
    let status = if ready.status == "draining" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut response = (status, serde_json::to_string(&ready).unwrap_or_default()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
