//! Calls providers: one pool of connections per core, HTTP/1.1 and HTTP/2.
//!
//! Takes a destination and a recipe for the request; gives an answer whose body is still coming, or a failure. Waits for an
//! answer as long as its caller does: dropping the wait or the answer cancels the call upstream at once. Never follows
//! a redirect, adds no header but `Host` and the framing, and must never know what the bytes mean.

mod answer;
mod body;
mod connect;
mod counts;
mod died;
mod framing;
mod head;
mod names;
mod pool;
mod sending;
mod shared;
mod single;
mod stream;
mod tasks;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use tokio::time::timeout;

pub use answer::{Answer, AnswerBody, Broken};
pub use body::{Head, Outgoing, Pieces, Recipe, Streamed};
pub use connect::{Connect, Connecting, Link, Network};
pub use counts::Counts;
pub use names::{Lookup, Resolve, System};
pub use stream::Stream;
pub use tls::{NoAuthorities, authorities};

use answer::Home;
use counts::Gauge;
use died::Left;
use head::AnswerHead;
use pool::{Pool, Site};
use shared::{Lease, Shared};
use single::Single;
use wire::{Reads, Wire};

use crate::domain::address::Address;
use crate::domain::entity::Credential;
use crate::domain::failure::Failure;
use crate::domain::id::Id;

/// An answer's head in bytes, interim heads included in what is read ahead. Providers send about 2 KiB.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Headers in an answer. Providers send about 30.
const ANSWER_HEADERS: usize = 100;

/// Headers that describe one connection or a body's framing: ours to write, whatever the caller has.
const REBUILT: [HeaderName; 5] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, TE];

#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub connect_timeout: Duration,
    pub tls_timeout: Duration,
    /// A connection that carried no call for so long is closed: many peers hang up after 30 s or 60 s.
    pub pool_idle: Duration,
    /// Idle HTTP/1.1 connections of one core; above it the oldest are closed.
    pub idle_per_core: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(5),
            pool_idle: Duration::from_secs(20),
            idle_per_core: 1_024,
        }
    }
}

/// Whether HTTP/2 is spoken to an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Http2 {
    /// Where TLS agrees on it.
    #[default]
    Offered,
    /// Without asking, also in plain text.
    PriorKnowledge,
    Never,
}

/// Where a call goes. Two credentials never share an HTTP/1.1 connection.
#[derive(Clone, Debug)]
pub struct Destination {
    pub address: Arc<Address>,
    pub credential: Option<Id<Credential>>,
    pub http2: Http2,
}

/// One core's upstream connections. A clone is the same client.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    connect: Arc<dyn Connect>,
}

/// A connection with room for a call.
enum Line {
    Single(Box<Single>),
    Shared(Lease),
}

impl Client {
    pub fn new(settings: ClientSettings, connect: Arc<dyn Connect>) -> Self {
        Self { pool: Pool::new(settings), connect }
    }

    /// Sends one request and waits for its answer's head; how long is the caller's to say.
    ///
    /// Goes out a second time only where nobody can have acted on the first: the reused connection died before a byte
    /// of an answer, or the peer says it refused the stream.
    pub async fn send(&self, to: &Destination, recipe: &mut (impl Recipe + Send)) -> Result<Answer, Failure> {
        let site = self.pool.site(&to.address)?;
        let counts = &self.pool.counts;
        // A body that goes by once is not risked on a connection that may be dead.
        let mut must_be_fresh = recipe.goes_by_once();
        let mut resent = false;
        loop {
            let waiting = if must_be_fresh { None } else { self.waiting_line(&site, to) };
            let (line, reused) = match waiting {
                Some(line) => (line, true),
                // Boxed, for it is rare and large.
                None => Box::pin(self.opened_line(&site, to, must_be_fresh)).await?,
            };
            Counts::add(if reused { &counts.reused } else { &counts.fresh });
            let (head, body) = recipe.request();
            let died = match line {
                Line::Single(mut single) => {
                    single.ask(head, &site.host, body);
                    match single.hear().await {
                        Ok(answer) => return Ok(self.answer_of_single(answer, single, site, to, reused)),
                        Err(died) => died,
                    }
                }
                Line::Shared(lease) => {
                    // Boxed, so that a call over HTTP/1.1 does not keep its room.
                    match Box::pin(lease.ask(of_http2(head, body, &site, &to.address))).await {
                        Ok(answer) => return Ok(answer_of_shared(answer, lease, reused)),
                        Err(died) => died,
                    }
                }
            };
            let may_go_again = match died.left {
                Left::Unsent | Left::Unheard => reused,
                Left::Refused => true,
                Left::Spent => false,
            };
            if !may_go_again || resent || recipe.goes_by_once() {
                return Err(died.failure);
            }
            // Now on a connection that is made for it.
            (must_be_fresh, resent) = (true, true);
            Counts::add(&counts.resent);
        }
    }

    fn answer_of_single(
        &self,
        answer: AnswerHead,
        single: Box<Single>,
        site: Arc<Site>,
        to: &Destination,
        reused: bool,
    ) -> Answer {
        let home = Home { pool: self.pool.clone(), site, credential: to.credential };
        let AnswerHead { status, headers, .. } = answer;
        Answer { status, headers, body: AnswerBody::single(single, home), reused }
    }

    /// Connections, and how they were used.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.pool.counts
    }

    /// Closes every connection that carries no call.
    pub fn close_idle(&self) {
        self.pool.close_idle();
    }

    /// Tasks of ours that still run: HTTP/2 connections, and the sweep.
    pub fn tasks(&self) -> usize {
        self.pool.tasks.count()
    }

    /// Ends every HTTP/2 connection and the sweep. Calls over HTTP/1.1 end with whoever holds them.
    pub fn abort(&self) {
        self.pool.abort();
    }

    /// A connection made for a call, or one that was made for another meanwhile; and whether it had served before.
    async fn opened_line(&self, site: &Site, to: &Destination, must_be_fresh: bool) -> Result<(Line, bool), Failure> {
        if !may_be_shared(site, to) {
            return Ok((self.open(site, to).await?, false));
        }
        let opening = timeout(self.patience(), site.opening.lock()).await.map_err(|_| Failure::ConnectTimedOut)?;
        // Whoever opened one before us may have left room on it.
        if !must_be_fresh && let Some(line) = self.waiting_line(site, to) {
            return Ok((line, true));
        }
        if !may_be_shared(site, to) {
            drop(opening);
        }
        Ok((self.open(site, to).await?, false))
    }

    fn waiting_line(&self, site: &Site, to: &Destination) -> Option<Line> {
        let shared = if to.http2 == Http2::Never { None } else { site.lease() };
        shared.map(Line::Shared).or_else(|| self.pool.take(site, to.credential).map(Line::Single))
    }

    async fn open(&self, site: &Site, to: &Destination) -> Result<Line, Failure> {
        let opening = async {
            let Link { stream, http2 } = self.connect.connect(&to.address, to.http2).await?;
            if to.http2 == Http2::Offered {
                site.speaks.learn(http2);
            }
            let open = Gauge::opened(&self.pool.counts);
            if !http2 {
                return Ok(Line::Single(Single::new(stream, open)));
            }
            let reads = Reads::default();
            let shared = Shared::open(Wire::new(stream, reads.clone(), open), reads, &self.pool.tasks).await?;
            let lease = shared.lease().ok_or(Failure::Unreachable("the peer allows no stream".into()))?;
            Pool::share(&self.pool, site, shared);
            Ok(Line::Shared(lease))
        };
        timeout(self.patience(), opening).await.unwrap_or(Err(Failure::ConnectTimedOut))
    }

    /// For a connection, from the name to the peer's first word.
    fn patience(&self) -> Duration {
        self.pool.settings.connect_timeout + self.pool.settings.tls_timeout
    }
}

fn answer_of_shared(answer: Response<Incoming>, lease: Lease, reused: bool) -> Answer {
    let (head, incoming) = answer.into_parts();
    Answer { status: head.status, headers: head.headers, body: AnswerBody::shared(incoming, lease), reused }
}

/// Whether the next connection to there may serve others too, so that they should wait for it.
fn may_be_shared(site: &Site, to: &Destination) -> bool {
    match to.http2 {
        Http2::PriorKnowledge => true,
        Http2::Offered => to.address.tls && site.speaks.maybe_http2(),
        Http2::Never => false,
    }
}

fn of_http2(head: Head, body: Outgoing, site: &Site, address: &Address) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.version_mut() = Version::HTTP_2;
    let scheme = if address.tls { Scheme::HTTPS } else { Scheme::HTTP };
    *request.uri_mut() = absolute(scheme, site.authority.clone(), head.path);
    *request.headers_mut() = head.headers;
    // Hardly any head has one of them, and a look at all names costs less than six searches.
    if request.headers().keys().any(|name| *name == HOST || REBUILT.contains(name)) {
        REBUILT.iter().chain([&HOST]).for_each(|name| drop(request.headers_mut().remove(name)));
    }
    request
}

fn absolute(scheme: Scheme, authority: Authority, path: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).expect("a URI with scheme, authority and path is whole")
}
