//! A connection's bytes, between the socket and hyper: holds the waits hyper has no time-out for, notices a peer that
//! is gone while hyper does not look, and lingers so that a last answer survives what the peer is still sending.

use std::io::{self, Error, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::flat::poll_write_slices;
use super::guest::Guest;
use super::scan::Scan;
use super::wire::Wire;

/// Bytes taken in while hyper does not read, to see whether the peer has gone behind them. A peer that sends more
/// than this ahead of its turn is read no further until then.
const AHEAD_BYTES: usize = 16 << 10;

pub(super) struct Io<S> {
    stream: S,
    wire: Arc<Wire>,
    _guest: Guest,
    mode: Mode,
    /// Read from the socket, not yet by hyper.
    ahead: BytesMut,
    ahead_ended: bool,
    /// In this round of hyper's.
    reads: Reads,
    awaited: Option<Awaited>,
    read_timer: Timer,
    write_timer: Timer,
    linger_timer: Timer,
    lingered_bytes: usize,
    is_shut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Head,
    HeadEnd,
    Body,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// hyper has read all there was and will be woken by more.
    Awaited,
    /// hyper does not want to read now.
    Paused,
}

enum Mode {
    Http1(Scan),
    Http2 { chatter_bytes: usize, progress: u32 },
}

impl<S> Io<S> {
    pub(super) fn http1(stream: S, ahead: BytesMut, wire: Arc<Wire>, guest: Guest) -> Self {
        let mut scan = Scan::new();
        scan.push(&ahead);
        let io = Self::new(stream, ahead, wire, guest, Mode::Http1(scan));
        io.tell_fault();
        io
    }

    pub(super) fn http2(stream: S, ahead: BytesMut, wire: Arc<Wire>, guest: Guest) -> Self {
        Self::new(stream, ahead, wire, guest, Mode::Http2 { chatter_bytes: 0, progress: 0 })
    }

    fn new(stream: S, ahead: BytesMut, wire: Arc<Wire>, guest: Guest, mode: Mode) -> Self {
        Self {
            stream,
            wire,
            _guest: guest,
            mode,
            ahead,
            ahead_ended: false,
            reads: Reads::Paused,
            awaited: None,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
            linger_timer: Timer::default(),
            lingered_bytes: 0,
            is_shut: false,
        }
    }

    /// Each byte passes here once, in order, as soon as it has left the socket.
    fn came_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.mode {
            Mode::Http1(_) if self.wire.upgraded.load(Relaxed) => Ok(()),
            Mode::Http1(scan) => {
                let heads = scan.heads();
                scan.push(bytes);
                let began = self.awaited == Some(Awaited::Head) && scan.is_unfinished();
                if began || self.awaited == Some(Awaited::Body) || scan.heads() != heads {
                    self.awaited = None;
                    self.read_timer.stop();
                }
                self.tell_fault();
                Ok(())
            }
            Mode::Http2 { chatter_bytes, progress } => {
                let limits = self.wire.limits();
                let now = self.wire.progress.load(Relaxed);
                *chatter_bytes = if *progress == now { *chatter_bytes + bytes.len() } else { bytes.len() };
                *progress = now;
                let abandoned = self.wire.abandoned.load(Relaxed) > limits.http2.abandoned_requests;
                if *chatter_bytes <= limits.http2.idle_chatter_bytes && !abandoned {
                    return Ok(());
                }
                self.wire.counts().floods.add();
                Err(Error::new(ErrorKind::QuotaExceeded, "a flood that brings nothing on"))
            }
        }
    }

    fn tell_fault(&self) {
        if let Mode::Http1(scan) = &self.mode
            && let Some(fault) = scan.faulty()
        {
            let _ = self.wire.faulty.set(fault);
        }
    }

    /// What the peer is awaited for, and for how long. Asked only when there is nothing to read, so a request that comes
    /// in one piece costs no timer.
    fn poll_time(&mut self, cx: &mut Context<'_>, reads: Reads) -> Poll<io::Result<()>> {
        let Mode::Http1(scan) = &self.mode else { return Poll::Pending };
        let awaited = if self.wire.upgraded.load(Relaxed) {
            None
        } else if self.wire.answering.load(Relaxed) {
            // A body that we do not take right now is not late.
            (self.wire.body_open.load(Relaxed) && reads == Reads::Awaited).then_some(Awaited::Body)
        } else {
            Some(if scan.is_in_head() { Awaited::HeadEnd } else { Awaited::Head })
        };
        if self.awaited != awaited {
            self.awaited = awaited;
            self.read_timer.stop();
        }
        let limits = self.wire.limits();
        let limit = match awaited {
            None => return Poll::Pending,
            Some(Awaited::Head) => limits.idle,
            Some(Awaited::HeadEnd) => limits.head,
            Some(Awaited::Body) => limits.body_stall,
        };
        ready!(self.read_timer.poll(cx, limit));
        self.too_late(awaited);
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the peer sent nothing in time")))
    }

    fn too_late(&self, awaited: Option<Awaited>) {
        match awaited {
            Some(Awaited::HeadEnd) => self.wire.counts().head_timeouts.add(),
            Some(Awaited::Body) => {
                self.wire.counts().body_timeouts.add();
                self.wire.body_late.store(true, Relaxed);
            }
            // Nothing was begun, so nothing can be lost.
            Some(Awaited::Head) | None => return,
        }
        self.wire.unread.store(true, Relaxed);
    }

    fn wrote<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer.stop();
            return written;
        }
        ready!(self.write_timer.poll(cx, self.wire.limits().write_stall));
        self.wire.counts().write_timeouts.add();
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the peer takes nothing")))
    }

    /// hyper does not look at the socket during an answer, once it has all of the request or nobody wants the rest.
    fn may_look_ahead(&self) -> bool {
        let is_whole = matches!(&self.mode, Mode::Http1(scan) if !scan.is_unfinished());
        self.wire.answering.load(Relaxed) && (is_whole || !self.wire.body_open.load(Relaxed))
    }

    fn should_linger(&self) -> bool {
        let unfinished = matches!(&self.mode, Mode::Http1(scan) if scan.is_unfinished());
        !self.wire.upgraded.load(Relaxed) && (unfinished || self.wire.unread.load(Relaxed))
    }
}

impl<S: AsyncRead + Unpin> Io<S> {
    /// Reads on while hyper answers and does not read: it would not see the peer's end.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = [const { MaybeUninit::uninit() }; 2_048];
        while self.ahead.len() < AHEAD_BYTES && !self.ahead_ended {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Err(broken)) => return Err(broken),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.ahead_ended = true,
                Poll::Ready(Ok(())) => {
                    self.ahead.extend_from_slice(buffer.filled());
                    self.came_in(buffer.filled())?;
                }
            }
        }
        // Nobody is there to read the answer, so the work on it stops.
        if self.ahead_ended { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8_192];
        while self.lingered_bytes < self.wire.limits().linger_bytes {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.linger_timer.poll(cx, self.wire.limits().linger),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.lingered_bytes += buffer.filled().len(),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Io<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        me.reads = Reads::Paused;
        if !me.ahead.is_empty() {
            let here = me.ahead.len().min(buffer.remaining());
            buffer.put_slice(&me.ahead[..here]);
            me.ahead.advance(here);
            if me.ahead.is_empty() {
                me.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if me.ahead_ended {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut me.stream).poll_read(cx, buffer) {
            Poll::Pending => {
                me.reads = Reads::Awaited;
                me.poll_time(cx, Reads::Awaited)
            }
            Poll::Ready(Ok(())) => Poll::Ready(me.came_in(&buffer.filled()[before..])),
            broken @ Poll::Ready(Err(_)) => broken,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = poll_write_slices(&mut self.stream, cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let reads = std::mem::replace(&mut self.reads, Reads::Paused);
        if reads == Reads::Paused && self.may_look_ahead() {
            self.look_ahead(cx)?;
        }
        // Each round ends here, also the one that ended an answer and reads no further.
        if let Poll::Ready(late) = self.poll_time(cx, reads) {
            return Poll::Ready(late);
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.wire.flushed.store(flushed.is_ready(), Relaxed);
        self.wrote(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.wrote(cx, shut))?;
            self.is_shut = true;
        }
        if self.should_linger() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A wait that may begin and end a thousand times for one timer: the clock is set only when the wait outlives it.
#[derive(Debug, Default)]
pub(super) struct Timer {
    since: Option<Instant>,
    alarm: Option<Alarm>,
}

impl Timer {
    pub(super) const fn stop(&mut self) {
        self.since = None;
    }

    /// Ready once `limit` has passed since the first call after a stop.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let due = *self.since.get_or_insert_with(Instant::now) + limit;
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(due));
        // Set for a longer wait, it would ring too late for this one.
        if alarm.time() > due {
            alarm.set(due);
        }
        loop {
            ready!(alarm.poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            alarm.set(due);
        }
    }
}
