//! A request on its way out: its head, then its body, in as few writes as they take.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderValue, Method};
use http_body::Body;

use super::body::{Head, Outgoing};
use super::head::{Extent, written};
use super::stream::Stream;
use crate::listen::poll_write_slices;

/// Up to here a copy behind what goes before it costs less than a slice of its own.
const SMALL_BYTES: usize = 1_024;

pub(super) struct Sending {
    /// What goes first, and how much of it is out.
    front: Vec<u8>,
    out: usize,
    piece: Bytes,
    /// Behind the piece.
    mark: &'static [u8],
    body: Outgoing,
    /// What is still to come.
    extent: Extent,
    has_begun: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Going,
    /// All of the body is among what is still to go out.
    Last,
    Done,
    Failed,
}

/// Why a request did not go out whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The peer takes no more. It may have said why.
    Refused,
    /// What was to be sent broke off, or is not as long as it said.
    Broke,
}

impl Sending {
    pub(super) const fn nothing() -> Self {
        Self {
            front: Vec::new(),
            out: 0,
            piece: Bytes::new(),
            mark: b"",
            body: Outgoing::EMPTY,
            extent: Extent::Nothing,
            has_begun: false,
            state: State::Done,
        }
    }

    pub(super) fn new(head: &Head, host: &HeaderValue, body: Outgoing) -> Self {
        let extent = extent(&head.method, &body);
        Self { front: written(head, host, extent), body, extent, state: State::Going, ..Self::nothing() }
    }

    /// Some of it is out.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Writes what the stream takes. Ready once all of it is out, or nothing more can be; an error is told once.
    pub(super) fn poll(&mut self, stream: &mut dyn Stream, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        if matches!(self.state, State::Done | State::Failed) {
            return Poll::Ready(Ok(()));
        }
        let sent = ready!(self.poll_send(stream, cx));
        let state = if sent.is_ok() { State::Done } else { State::Failed };
        // What went out is freed at once, for the head shows the key.
        *self = Self { state, has_begun: self.has_begun, ..Self::nothing() };
        Poll::Ready(sent)
    }

    fn poll_send(&mut self, stream: &mut dyn Stream, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        if matches!(self.body, Outgoing::Whole(_)) {
            // It waits for nothing, so its beginning goes with the head.
            ready!(self.poll_fill(cx))?;
        }
        loop {
            while self.has_something() {
                let slices = [&self.front[self.out..], &self.piece, self.mark].map(IoSlice::new);
                let wrote = ready!(poll_write_slices(&mut *stream, cx, &slices)).unwrap_or(0);
                if wrote == 0 {
                    return Poll::Ready(Err(Unsent::Refused));
                }
                self.wrote(wrote);
            }
            if self.state == State::Last {
                return Pin::new(stream).poll_flush(cx).map_err(|_| Unsent::Refused);
            }
            if self.poll_fill(cx)?.is_pending() {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|_| Unsent::Refused)?;
                return Poll::Pending;
            }
        }
    }

    const fn has_something(&self) -> bool {
        self.out < self.front.len() || !self.piece.is_empty() || !self.mark.is_empty()
    }

    fn wrote(&mut self, bytes: usize) {
        self.has_begun = true;
        let of_front = bytes.min(self.front.len() - self.out);
        let of_piece = (bytes - of_front).min(self.piece.len());
        self.out += of_front;
        self.piece.advance(of_piece);
        self.mark = &self.mark[bytes - of_front - of_piece..];
        if !self.has_something() {
            self.front.clear();
            self.out = 0;
        }
    }

    /// Takes of the body what comes next.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        while self.piece.is_empty() && self.state == State::Going {
            match &mut self.body {
                Outgoing::Whole(pieces) => match pieces.next() {
                    None => self.state = State::Last,
                    Some(piece) if self.front.len() + piece.len() <= SMALL_BYTES => {
                        self.front.extend_from_slice(&piece)
                    }
                    Some(piece) => self.piece = piece,
                },
                Outgoing::Streamed(body) => match ready!(body.as_mut().poll_frame(cx)) {
                    None => self.body_ended()?,
                    Some(Err(_)) => return Poll::Ready(Err(Unsent::Broke)),
                    Some(Ok(frame)) => self.goes(frame.into_data().unwrap_or_default())?,
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next bytes of a body that goes by, held against what the head says of its length: one byte more would be the next
    /// request.
    fn goes(&mut self, data: Bytes) -> Result<(), Unsent> {
        let length = data.len() as u64;
        match &mut self.extent {
            _ if data.is_empty() => return Ok(()),
            Extent::Nothing => return Err(Unsent::Broke),
            Extent::Length(left) => *left = left.checked_sub(length).ok_or(Unsent::Broke)?,
            Extent::Chunks => {
                self.front.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                self.mark = b"\r\n";
            }
        }
        self.piece = data;
        Ok(())
    }

    fn body_ended(&mut self) -> Result<(), Unsent> {
        match self.extent {
            Extent::Length(1..) => return Err(Unsent::Broke),
            Extent::Chunks => self.front.extend_from_slice(b"0\r\n\r\n"),
            Extent::Nothing | Extent::Length(0) => {}
        }
        self.state = State::Last;
        Ok(())
    }
}

fn extent(method: &Method, body: &Outgoing) -> Extent {
    match body.size_hint().exact() {
        Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => Extent::Nothing,
        Some(length) => Extent::Length(length),
        None => Extent::Chunks,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::HeaderMap;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    type Frames = Vec<io::Result<Frame<Bytes>>>;

    fn data(text: &str) -> io::Result<Frame<Bytes>> {
        Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn streamed(frames: Frames) -> Outgoing {
        Outgoing::Streamed(Box::pin(StreamBody::new(futures_util::stream::iter(frames))))
    }

    /// What a peer reads that takes so many bytes at a time, and how the sending ended.
    async fn sent(body: Outgoing, extent: Option<Extent>, pipe: usize) -> (String, Result<(), Unsent>) {
        let head = Head { method: Method::POST, path: "/v1".parse().unwrap(), headers: HeaderMap::new() };
        let mut sending = Sending::new(&head, &HeaderValue::from_static("h"), body);
        sending.extent = extent.unwrap_or(sending.extent);
        let (mut ours, mut theirs) = duplex(pipe);
        let sends = async {
            let ended = std::future::poll_fn(|cx| sending.poll(&mut ours, cx)).await;
            drop(ours);
            ended
        };
        let mut read = String::new();
        let (ended, _) = tokio::join!(sends, theirs.read_to_string(&mut read));
        (read.split_off(read.find("\r\n\r\n").unwrap() + 4), ended)
    }

    #[tokio::test]
    async fn a_body_goes_out_as_it_is_whatever_the_peer_takes_at_a_time() {
        let large = "x".repeat(5_000);
        for pipe in [1, 7, 100_000] {
            let mut pieces = crate::protocol::splice::Pieces::from(Bytes::from("a"));
            [large.clone(), "b".into(), "c".into()].into_iter().for_each(|piece| pieces.push(piece.into()));
            assert_eq!(sent(pieces.into(), None, pipe).await, (format!("a{large}bc"), Ok(())));
            let frames = || vec![data("hello"), data(""), data(&large)];
            let chunked = format!("5\r\nhello\r\n1388\r\n{large}\r\n0\r\n\r\n");
            assert_eq!(sent(streamed(frames()), None, pipe).await, (chunked, Ok(())));
            let whole = Some(Extent::Length(5_005));
            assert_eq!(sent(streamed(frames()), whole, pipe).await, (format!("hello{large}"), Ok(())));
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_as_long_as_it_said_breaks_off() {
        let broke = || data("he").and_then(|_| Err(io::Error::other("it broke")));
        for (frames, length) in [
            (vec![data("hello")], Extent::Length(4)),
            (vec![data("hello")], Extent::Length(6)),
            (vec![data("hello")], Extent::Nothing),
            (vec![data("hello"), broke()], Extent::Length(7)),
        ] {
            let (read, ended) = sent(streamed(frames), Some(length), 100).await;
            assert!(ended == Err(Unsent::Broke) && "hello".starts_with(&read), "{length:?}: {read}");
        }
    }
}
