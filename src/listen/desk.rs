//! Where hyper brings a connection's requests: checked here, then answered by the service or refused in its words.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;

use super::Serve;
use super::body::{AnswerBody, RequestBody, drain};
use super::connection::Readers;
use super::head::{self, HeadFault, Lines};
use super::turnstile::RequestSlot;
use super::wire::{Http, Wire};

pub(super) struct Desk<S> {
    pub(super) service: S,
    pub(super) wire: Arc<Wire>,
    pub(super) readers: Readers,
}

/// Boxed so that an idle connection does not keep the room of a whole request. The box is made before what goes into
/// it: made the other way round, as `Box::pin` does, all its room would be copied, though most of it is empty yet.
type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<AnswerBody<B>>, Infallible>> + Send>>;

impl<S: Serve> hyper::service::Service<Request<Incoming>> for Desk<S> {
    type Response = Response<AnswerBody<S::Body>>;
    type Error = Infallible;
    type Future = Answer<S::Body>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, incoming) = request.into_parts();
        let reader = (self.wire.http == Http::Two).then(|| self.readers.next());
        let mut answering = self.begin(&incoming);
        let lines = Lines::of(&head.headers);
        let verdict = self.check(&head, &lines);
        let waits_for_continue = lines.expects_word;
        let body = RequestBody::arriving(incoming, self.wire.clone());
        let service = self.service.clone();
        let answer = Box::write(Box::new_uninit(), async move {
            let mut response = match verdict {
                Ok(slot) => {
                    answering.slot = Some(slot);
                    answering.serve(&service, Request::from_parts(head, body)).await
                }
                Err(fault) => {
                    drop(body);
                    answering.refuse(&service, fault, &head)
                }
            };
            answering.settle_connection(&mut response, waits_for_continue).await;
            answering.answered = true;
            Ok(response.map(|body| AnswerBody::new(body, answering, reader)))
        });
        Box::into_pin(answer)
    }
}

impl<S: Serve> Desk<S> {
    fn begin(&self, incoming: &Incoming) -> Answering {
        let wire = &self.wire;
        wire.counts().requests.add();
        wire.heads.store(wire.heads.load(Relaxed) + 1, Relaxed);
        wire.moved();
        if wire.http == Http::One {
            wire.answering.store(true, Relaxed);
            wire.body_open.store(!incoming.is_end_stream(), Relaxed);
            wire.rest.open();
        }
        Answering { wire: wire.clone(), slot: None, answered: false }
    }

    fn check(&self, head: &Parts, lines: &Lines<'_>) -> Result<RequestSlot, HeadFault> {
        match self.wire.faulty.get() {
            Some((faulty, fault)) if *faulty <= self.wire.heads.load(Relaxed) => return Err((*fault).into()),
            _ => head::check(head, lines)?,
        }
        if self.wire.peer.is_via_proxy() {
            let placed = self.wire.peer.takes_a_place(self.wire.peer.address(&head.headers));
            placed.map_err(|_| HeadFault::TooManyFromAddress)?;
        }
        self.wire.setup.turnstile.request().ok_or(HeadFault::AtCapacity)
    }
}

/// From a request's head to the end of its answer, however that comes about.
pub(super) struct Answering {
    wire: Arc<Wire>,
    slot: Option<RequestSlot>,
    answered: bool,
}

impl Answering {
    /// A panic while answering costs this request, not its connection's others.
    async fn serve<S: Serve>(&self, service: &S, request: Request<RequestBody>) -> Response<S::Body> {
        // Pinned where it is made: it is large, and a move would be a copy with room for both.
        let mut call = pin!(service.call(request, self.wire.peer.clone()));
        let caught = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        });
        caught.await.unwrap_or_else(|| {
            self.wire.counts().panics.add();
            service.refuse(HeadFault::Panicked, None)
        })
    }

    fn refuse<S: Serve>(&self, service: &S, fault: HeadFault, head: &Parts) -> Response<S::Body> {
        self.wire.counts().requests_refused.add();
        if fault.ends_connection() {
            self.wire.unread.store(true, Relaxed);
        }
        service.refuse(fault, Some(head))
    }

    /// Whether the connection can go on after this answer, decided before the answer's head is out.
    async fn settle_connection<B>(&self, response: &mut Response<B>, waits_for_continue: bool) {
        let limits = self.wire.limits();
        if let Some(rest) = self.wire.rest.close()
            // Told to go on, a client that waits would send only to be ignored.
            && (waits_for_continue || !drain(rest, limits.drain_bytes, limits.drain).await)
        {
            self.wire.unread.store(true, Relaxed);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.wire.upgraded.store(true, Relaxed);
        } else if self.wire.http == Http::One && (self.wire.unread.load(Relaxed) || self.wire.peer.is_draining()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// From now on `is_flushed` speaks of what comes after this.
    pub(super) fn awaits_flush(&self) {
        self.wire.flushed.store(false, Relaxed);
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.wire.flushed.load(Relaxed)
    }

    pub(super) fn made_progress(&self) {
        self.wire.moved();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.wire.answering.store(false, Relaxed);
        self.wire.counts().requests_finished.add();
        if !self.answered && !self.wire.peer.is_proven() {
            self.wire.abandoned.fetch_add(1, Relaxed);
        }
        self.slot.take();
    }
}
