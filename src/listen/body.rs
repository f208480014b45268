//! The two bodies that pass through listening: the request's with its time limit, and the answer's, which tells the
//! connection when it has ended.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::desk::Answering;
use super::ear::Ear;
use super::io::Timer;
use super::wire::{Http, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the body did not arrive in time")]
    TimedOut,
    #[error("the body broke off before its end")]
    Broken,
}

/// A request's body as it comes in. Trailers are dropped: nothing we serve reads them.
#[derive(Debug)]
pub struct RequestBody(Source);

#[derive(Debug)]
enum Source {
    Whole(Option<Bytes>),
    Arriving(Arriving),
}

impl RequestBody {
    /// For requests that are made, not received: they pass the same steps.
    pub const fn whole(bytes: Bytes) -> Self {
        Self(Source::Whole(Some(bytes)))
    }

    pub(super) fn arriving(incoming: Incoming, wire: Arc<Wire>) -> Self {
        let ended = incoming.is_end_stream();
        Self(Source::Arriving(Arriving { incoming: Some(incoming), wire, timer: Timer::default(), ended }))
    }
}

#[derive(Debug)]
struct Arriving {
    /// Taken only when dropped.
    incoming: Option<Incoming>,
    wire: Arc<Wire>,
    timer: Timer,
    ended: bool,
}

impl Arriving {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        loop {
            let Some(incoming) = self.incoming.as_mut().filter(|_| !self.ended) else { return Poll::Ready(None) };
            let (frame, called) = match self.wire.http {
                Http::One => Ear::look(|| Pin::new(&mut *incoming).poll_frame(cx)),
                Http::Two => (Pin::new(&mut *incoming).poll_frame(cx), false),
            };
            // Nearly every request is one frame, and behind the last one its connection has nothing to bring.
            let is_last = frame.is_ready() && incoming.is_end_stream();
            if called && !is_last {
                self.wire.ear.wake_by_ref();
            }
            let Poll::Ready(frame) = frame else { return self.poll_time(cx).map(|fault| Some(Err(fault))) };
            if is_last {
                self.end();
            }
            match frame.map(|frame| frame.map(Frame::into_data)) {
                // An empty frame is no progress, or a peer could send nothing for ever.
                Some(Ok(Ok(data))) if data.is_empty() => (),
                Some(Ok(Ok(data))) => {
                    self.timer.stop();
                    self.wire.moved();
                    return Poll::Ready(Some(Ok(data)));
                }
                None | Some(Ok(Err(_))) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Some(Err(_)) => {
                    self.end();
                    let late = self.wire.body_late.load(Relaxed);
                    return Poll::Ready(Some(Err(if late { BodyFault::TimedOut } else { BodyFault::Broken })));
                }
            }
        }
    }

    /// HTTP/1.1 has one body at a time, and the connection's own timer for it.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        if self.wire.http == Http::One {
            return Poll::Pending;
        }
        ready!(self.timer.poll(cx, self.wire.limits().body_stall));
        self.wire.counts().body_timeouts.add();
        self.end();
        Poll::Ready(BodyFault::TimedOut)
    }

    fn end(&mut self) {
        self.ended = true;
        self.wire.body_open.store(false, Relaxed);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.wire.body_open.store(false, Relaxed);
        if let Some(incoming) = self.incoming.take().filter(|_| !self.ended) {
            self.wire.rest.leave(incoming);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut self.0 {
            Source::Whole(bytes) => {
                Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(Frame::data).map(Ok))
            }
            Source::Arriving(arriving) => arriving.poll_data(cx).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Source::Arriving(arriving) => arriving.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Arriving(arriving) => arriving.incoming.as_ref().map(Body::size_hint).unwrap_or_default(),
        }
    }
}

/// Where a body goes that the service dropped before its end, so that what is left can be read away. Open only while
/// the service works on an HTTP/1.1 request; a body dropped at any other time is simply dropped.
#[derive(Debug, Default)]
pub(super) struct Rest(Mutex<Slot>);

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Closed,
    Open,
    Left(Incoming),
}

impl Rest {
    pub(super) fn open(&self) {
        *self.slot() = Slot::Open;
    }

    /// What was left, if anything was; from now on nothing is taken.
    pub(super) fn close(&self) -> Option<Incoming> {
        match std::mem::take(&mut *self.slot()) {
            Slot::Left(incoming) => Some(incoming),
            Slot::Open | Slot::Closed => None,
        }
    }

    fn leave(&self, incoming: Incoming) {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Open) {
            *slot = Slot::Left(incoming);
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads away what is left of a body. `false`: it is too much, or too slow, and the connection has to close.
pub(super) async fn drain(mut rest: Incoming, bytes: usize, time: Duration) -> bool {
    if rest.size_hint().lower() > bytes as u64 {
        return false;
    }
    let mut left = bytes;
    let all = async {
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut rest).poll_frame(cx)).await {
            let Ok(frame) = frame else { return false };
            let Some(after) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return false };
            left = after;
        }
        true
    };
    tokio::time::timeout(time, all).await.unwrap_or(false)
}

/// Of one HTTP/2 frame, so that a slow reader holds no more than this and shows progress as it goes.
const SLICE_BYTES: usize = 32 << 10;

/// The service's answer on its way out. Dropped when it has ended or nobody wants it.
pub struct AnswerBody<B: Body> {
    body: B,
    /// Why it breaks off, until all that came before has been written. HTTP/1.1 only.
    broken: Option<B::Error>,
    answering: Answering,
    /// HTTP/2 only.
    reader: Option<Arc<Reader>>,
    held: Option<Bytes>,
}

impl<B: Body> AnswerBody<B> {
    pub(super) fn new(body: B, answering: Answering, reader: Option<Arc<Reader>>) -> Self {
        Self { body, broken: None, answering, reader, held: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> AnswerBody<B> {
    fn slice(&mut self, mut data: Bytes, reader: &Reader) -> Frame<Bytes> {
        if data.len() > SLICE_BYTES {
            self.held = Some(data.split_off(SLICE_BYTES));
        }
        reader.was_given();
        Frame::data(data)
    }

    /// hyper drops what it has not yet written as soon as a body breaks, the head included. So the break is told only
    /// when the socket has taken everything before it; hyper flushes whenever a body has to wait, and then asks again.
    fn poll_http1(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.broken.is_none() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Err(broken)) => self.broken = Some(broken),
                frame => return Poll::Ready(frame),
            }
            self.answering.awaits_flush();
        }
        if self.answering.is_flushed() { Poll::Ready(self.broken.take().map(Err)) } else { Poll::Pending }
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let me = &mut *self;
        let Some(reader) = me.reader.clone() else { return me.poll_http1(cx) };
        reader.has_room();
        if let Some(held) = me.held.take() {
            return Poll::Ready(Some(Ok(me.slice(held, &reader))));
        }
        let frame = ready!(Pin::new(&mut me.body).poll_frame(cx));
        me.answering.made_progress();
        Poll::Ready(frame.map(|frame| {
            Ok(match frame?.into_data() {
                Ok(data) => me.slice(data, &reader),
                Err(other) => other,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let held = self.held.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + held);
        }
        hint.set_lower(hint.lower() + held);
        hint
    }
}

/// Whether an HTTP/2 stream's reader has room: hyper asks for a frame only then. The lowest bit says that the last
/// frame found no room yet; the rest counts frames.
#[derive(Debug, Default)]
pub(super) struct Reader(AtomicU32);

impl Reader {
    fn has_room(&self) {
        self.0.store(self.0.load(Relaxed) & !1, Relaxed);
    }

    fn was_given(&self) {
        self.0.store((self.0.load(Relaxed) | 1).wrapping_add(2), Relaxed);
    }

    /// The frame that waits, if one does.
    pub(super) fn waiting(&self) -> Option<u32> {
        Some(self.0.load(Relaxed)).filter(|frames| frames & 1 == 1)
    }
}
