//! Accepts connections, ends TLS, speaks HTTP/1.1 and HTTP/2, and holds every limit on what a peer may send before it
//! is trusted. Takes a listening socket (or any stream) and a service; gives the service whole, checked heads with
//! their bodies, and its answers back to the peer.
//!
//! Must never know a model, a provider, a protocol in the gateway's sense, or what a token is: the service says when a
//! connection has shown a valid one. Refusals made here get their shape from the service too.

mod accept;
mod alarm;
mod body;
mod chunks;
mod connection;
mod counts;
mod desk;
mod ear;
mod flat;
mod guest;
mod head;
mod io;
mod limits;
mod peer;
mod proxy_line;
mod scan;
mod tasks;
mod tls;
mod turnstile;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;

pub use accept::bind;
pub use alarm::Alarm;
pub use body::{AnswerBody, BodyFault, RequestBody};
pub use chunks::{Chunks, Malformed};
pub use connection::Stream;
pub use counts::{Count, Counts};
pub use flat::poll_write_slices;
pub use head::{ALLOWED_METHODS, HeadFault};
pub use limits::{Http2Limits, Limits};
pub use peer::{Peer, TrustedProxies};
pub use tls::{Tls, TlsFault, load_tls};
pub use turnstile::Turnstile;

use tasks::{Stage, Tasks};

/// What answers. Cloned once per request, so a clone should be one `Arc` of the core's own.
pub trait Serve: Clone + Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + Unpin>
        + Send
        + Unpin
        + 'static;

    /// Dropped, wherever it stands, as soon as the peer has gone. A panic costs this request alone.
    fn call(&self, request: Request<RequestBody>, peer: Arc<Peer>)
    -> impl Future<Output = Response<Self::Body>> + Send;

    /// The same answer in the client's own shape. There is no head only for [`HeadFault::Panicked`].
    fn refuse(&self, fault: HeadFault, head: Option<&Parts>) -> Response<Self::Body>;
}

/// What one core's listening needs; all but `counts` may be shared between cores.
#[derive(Clone, Debug)]
pub struct Setup {
    pub limits: Arc<Limits>,
    pub turnstile: Arc<Turnstile>,
    pub counts: Arc<Counts>,
    pub tls: Option<Tls>,
    pub trusted_proxies: TrustedProxies,
    /// Connections from trusted proxies begin with a PROXY line.
    pub proxy_protocol: bool,
}

impl Setup {
    pub fn new(limits: Limits) -> Self {
        let turnstile = Turnstile::new(&limits);
        Self {
            limits: Arc::new(limits),
            turnstile,
            counts: Arc::default(),
            tls: None,
            trusted_proxies: Arc::default(),
            proxy_protocol: false,
        }
    }

    /// For one more core: the same limits over all, counts of its own.
    #[must_use]
    pub fn another_core(&self) -> Self {
        Self { counts: Arc::default(), ..self.clone() }
    }
}

/// One core's listening: takes connections in, from a listener or one by one, until it is closed.
#[derive(Clone)]
pub struct Reception<S> {
    service: S,
    /// What the next connection takes; it keeps what it began with.
    setup: Arc<ArcSwap<Setup>>,
    tasks: Tasks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    Finished,
    /// So many connections and answers were dropped at the deadline.
    Cut(usize),
}

impl<S: Serve> Reception<S> {
    pub fn new(service: S, setup: Setup) -> Self {
        Self { service, setup: Arc::new(ArcSwap::from_pointee(setup)), tasks: Tasks::default() }
    }

    /// From the next connection on this setup holds. Places that are taken and counts stay what they are.
    pub fn change(&self, setup: &Setup) {
        let old = self.setup.load();
        old.turnstile.set(&setup.limits);
        let (turnstile, counts) = (old.turnstile.clone(), old.counts.clone());
        self.setup.store(Arc::new(Setup { turnstile, counts, ..setup.clone() }));
    }

    /// Listeners stop accepting, idle connections close, answers in progress go on. From any thread.
    pub fn close(&self) {
        self.tasks.advance(Stage::Draining);
    }

    /// Closes, waits for the last answer, at most `limit`, then drops what is left.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.close();
        if tokio::time::timeout(limit, self.tasks.all_gone()).await.is_ok() {
            return Drained::Finished;
        }
        let cut = self.tasks.running();
        self.tasks.advance(Stage::Over);
        self.tasks.all_gone().await;
        Drained::Cut(cut)
    }
}
