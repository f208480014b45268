//! The admin API, `/api/v1`: the directory for people and scripts. One file per resource.
//!
//! **To add a resource**: write `src/admin/api/NAME.rs` with `pub(super) fn rows() -> Vec<Row>` and add it to `resources`
//! below. Each row is `row(method, "/path/{id}", needs, "Summary.", handler)`. A handler is an
//! `async fn(Ask<B, Q>) -> Result<A, Problem>`, and its types say the rest, to the router and to the OpenAPI document:
//!
//! - `B`, the body: `Nothing`, `Json<T>` (a whole thing), `Merge<T>` (a merge patch; its fields are `domain::change::Change`)
//!   or `New<H, T>` (a thing to be made: what only its making says, beside all that a merge patch may).
//!   `T` derives `Deserialize` with `deny_unknown_fields` and `rename_all = "camelCase"`, and `ToSchema` with an example.
//! - `Q`, the query: `Plain`, or a struct that derives `Deserialize` (likewise) and `IntoParams`. `limit` and `cursor` are no
//!   part of it: where the answer is `Paged<T>`, they are in `ask.page`.
//! - `A`, the answer: `Shown<T>` (200 with an ETag), `Report<T>` (200 without), `Created<T>` (201, ETag, Location),
//!   `CreatedOnce<T>` (with a secret that no replay shows), `Made<T>` (201 without a tag), `Detail<T>` (200 with a tag that
//!   stands for a part of it), `Paged<T>` or `Done` (204).
//!
//! A handler is thin: it reads ids with `ask.id::<T>("id", "kind")?`, calls one function of `directory` with `&ask.access`
//! (and `ask.expected`, where it changes or deletes one thing: the rule holds it against the thing as it was shown), and
//! shapes the answer. What it shows is what its tag is of, so `directory` makes the shown struct, inside the transaction.
//! Errors turn into problems by `?`. Then say in `tests/spec/admin/matrix.rs` what a request for each new row is: the test
//! asks for all of them with every kind of token; and write `docs/permissions.md` anew (KEYWAY_WRITE_DOCS=1, its own test).
//!
//! `entry` has done the rest before a handler runs: the token, the row's permission (held anywhere: else 403), `If-Match`,
//! `Idempotency-Key`, the body's size and media type; and after it: the change is in force on this replica before the answer
//! goes out. Deny is the default: what has no row has no path, and a row must say what it needs.
//!
//! It must never name the proxy or the wiring, and decides nothing that `directory` can decide.

mod aliases;
mod answer;
mod ask;
mod audit;
mod body;
mod catalog;
mod credentials;
mod document;
mod endpoints;
mod entry;
mod estimate;
mod failures;
mod gates;
mod identities;
mod limits;
mod me;
mod members;
mod models;
mod orgs;
mod outside;
mod own;
mod owner;
mod page;
mod permissions;
mod problem;
mod providers;
mod resolve;
mod routes;
mod strict;
pub mod table;
mod tokens;
mod usage;
mod users;
mod workspaces;

use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderValue, Request, header};

pub use self::document::openapi;
pub(crate) use self::entry::may_see_metrics;
pub use self::permissions::permissions_page;
pub use self::problem::{CODES, Problem};

use self::failures::Failures;
use self::table::Row;
use crate::attempt::breaker::Breakers;
use crate::attempt::probe::Probe;
use crate::domain::address::Egress;
use crate::domain::directory::Directory;
use crate::domain::refusal::Refusal;
use crate::meter::Meter;
use crate::snapshot::World;
use crate::store::Store;
use crate::store::ledger::Ledger;
use crate::store::state::State;
use crate::store::state::replays::Replays;

/// Where the API's paths begin.
pub const ROOT: &str = "/api/v1";

/// What handlers work with.
pub struct Api {
    pub world: Arc<World>,
    pub store: Store,
    pub ground: Arc<ArcSwap<Ground>>,
    pub live: Arc<dyn Live>,
    pub replays: Arc<dyn Replays>,
    pub traffic: Traffic,
    failures: Failures,
}

/// What calls show, and who asks providers outside of them.
pub struct Traffic {
    pub probe: Arc<Probe>,
    pub breakers: Arc<Breakers>,
    pub state: State,
    pub ledger: Ledger,
    pub meter: Arc<Meter>,
}

/// What the configuration says that a reload may change.
#[derive(Clone, Debug)]
pub struct Ground {
    pub declared: Arc<Directory>,
    pub egress: Arc<Egress>,
    pub body_limit_bytes: usize,
}

/// Puts the newest directory in force on this replica, so that an answer is true for the client's next call.
pub trait Live: Send + Sync {
    fn take_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl Api {
    pub fn new(
        world: Arc<World>,
        store: Store,
        ground: Arc<ArcSwap<Ground>>,
        live: Arc<dyn Live>,
        replays: Arc<dyn Replays>,
        traffic: Traffic,
    ) -> Self {
        Self { world, store, ground, live, replays, traffic, failures: Failures::default() }
    }
}

/// The table's lines, resource by resource.
fn resources() -> Vec<Row> {
    let all = [
        me::rows(),
        own::rows(),
        orgs::rows(),
        gates::rows(),
        workspaces::rows(),
        users::rows(),
        members::rows(),
        tokens::rows(),
        identities::rows(),
        limits::rows(),
        providers::rows(),
        models::rows(),
        routes::rows(),
        credentials::rows(),
        outside::rows(),
        catalog::rows(),
        endpoints::rows(),
        estimate::rows(),
        resolve::rows(),
        usage::rows(),
        audit::rows(),
    ];
    all.into_iter().flatten().collect()
}

/// The API's paths. The document alone is open to everyone: it says nothing that the manual does not.
pub(super) fn router<S: Clone + Send + Sync + 'static>(api: &Arc<Api>) -> Router<S> {
    let mut router = Router::new();
    for row in table::rows().into_iter().chain(table::alias_rows()) {
        router = router.route(&row.whole(), method_router(api.clone(), Arc::new(row)));
    }
    let shown = || async {
        // Made once, when it is asked for: it takes 20 MiB to make, which nobody should hold who never reads it.
        static DOCUMENT: LazyLock<String> = LazyLock::new(openapi);
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT.as_str()).into_response()
    };
    router
        .route(&format!("{ROOT}/openapi.json"), on(MethodFilter::GET, shown))
        .method_not_allowed_fallback(wrong_method)
}

fn method_router<S: Clone + Send + Sync + 'static>(api: Arc<Api>, row: Arc<Row>) -> MethodRouter<S> {
    // Methods are written in the table by their constants, all of which have a filter.
    let filter = MethodFilter::try_from(row.method.clone()).unwrap_or(MethodFilter::GET);
    on(filter, move |path: RawPathParams, request: Request<Body>| {
        let path = path.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        entry::answer(api.clone(), row.clone(), path, request)
    })
}

/// Says which methods the path has: axum puts them into `Allow`.
async fn wrong_method(request: Request<Body>) -> Response {
    let method = request.method().as_str().chars().take(16).collect();
    Problem::from(Refusal::MethodNotAllowed { method, allow: "the methods in the header `allow`" }).into_response()
}
