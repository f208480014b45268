//! One HTTP/1.1 connection: carries one call at a time, and is driven by that call itself.
//!
//! Takes a stream and a request, gives the answer's head and its body's pieces. There is no task behind it: whoever waits for
//! the answer writes and reads, so dropping the call closes the socket, and an answer nobody reads is not read from it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method};
use memchr::memchr;
use tokio::io::AsyncReadExt;
use tokio::task::coop::unconstrained;

use super::HEAD_LIMIT_BYTES;
use super::answer::Broken;
use super::body::{Head, Outgoing};
use super::counts::Gauge;
use super::died::Died;
use super::framing::Framing;
use super::head::{AnswerHead, taken};
use super::sending::{Sending, Unsent};
use super::stream::Stream;
use crate::domain::failure::Failure;

/// Interim (1xx) heads before the answer's own. Nothing sane sends more than two.
const INTERIM_HEADS: usize = 10;

/// What one read may bring: at first, and at most for a large answer at full speed. A slow reader holds no more than that.
const READ_BYTES: usize = 8 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

pub(super) struct Single {
    stream: Box<dyn Stream>,
    method: Method,
    sending: Sending,
    /// For the next reads, how large it was made, and how much one of them should bring.
    room: BytesMut,
    room_bytes: usize,
    read_bytes: usize,
    /// Read, and not taken yet.
    unread: Bytes,
    framing: Framing,
    phase: Phase,
    /// The answer lets another call follow.
    stays: bool,
    _open: Gauge,
}

/// How far the call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connected, nothing was ever sent.
    Fresh,
    /// Between calls: whatever comes now belongs to nobody.
    Idle,
    /// The request is on its way and no byte of an answer came.
    Asked,
    Answering,
}

impl Single {
    pub(super) fn new(stream: Box<dyn Stream>, open: Gauge) -> Box<Self> {
        Box::new(Self {
            stream,
            method: Method::GET,
            sending: Sending::nothing(),
            room: BytesMut::new(),
            room_bytes: 0,
            read_bytes: READ_BYTES,
            unread: Bytes::new(),
            framing: Framing::NONE,
            phase: Phase::Fresh,
            stays: false,
            _open: open,
        })
    }

    /// Takes the request over; nothing of it goes out before the answer is waited for.
    pub(super) fn ask(&mut self, head: Head, host: &HeaderValue, body: Outgoing) {
        self.sending = Sending::new(&head, host, body);
        self.method = head.method;
    }

    /// Waits for the head of the answer to what was taken over.
    pub(super) async fn hear(&mut self) -> Result<AnswerHead, Died> {
        let (mut is_next_turn, mut interim) = (false, 0);
        poll_fn(|cx| {
            // Behind what this core has to do at the moment: then the requests of several calls go out one after the other, and
            // their peer is woken once for all of them, which costs whoever wakes it as much as sending does.
            if !std::mem::replace(&mut is_next_turn, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.poll_head(cx, &mut interim)
        })
        .await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, interim: &mut usize) -> Poll<Result<AnswerHead, Died>> {
        if !self.sending.has_begun() {
            ready!(self.poll_begin(cx))?;
        }
        // A peer that takes no more may have said why.
        if let Poll::Ready(Err(Unsent::Broke)) = self.sending.poll(&mut *self.stream, cx) {
            return Poll::Ready(Err(Died::of(Failure::Reset)));
        }
        loop {
            let Ok(read @ 1..) = ready!(self.poll_read(cx)) else { return Poll::Ready(Err(self.silence())) };
            self.phase = Phase::Answering;
            skip_empty_lines(&mut self.unread);
            // A head ends with a line, so what ends none need not be looked at.
            let mut may_end = memchr(b'\n', &self.unread[self.unread.len().saturating_sub(read)..]).is_some();
            while may_end {
                let Some(head) = taken(&mut self.unread, &self.method).map_err(Died::of)? else { break };
                if !head.status.is_informational() {
                    (self.framing, self.stays) = (head.framing, head.stays);
                    return Poll::Ready(Ok(head));
                }
                *interim += 1;
                check_interim(&head, *interim).map_err(Died::of)?;
                may_end = !self.unread.is_empty();
            }
            if self.unread.len() > HEAD_LIMIT_BYTES {
                return Poll::Ready(Err(Died::of(Failure::Garbage("the head is too large".into()))));
            }
        }
    }

    /// Writes the first bytes, right behind a look at what has come: that is nobody's answer.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Died>> {
        let spoke = || Poll::Ready(Err(Died::unsent(Failure::Garbage("the peer spoke before it was asked".into()))));
        match self.phase {
            Phase::Idle if !self.stream.is_quiet() => return spoke(),
            // No answer went before, so the runtime has not heard what the connection is like.
            Phase::Fresh => match self.poll_read(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(1..)) => return spoke(),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(self.silence())),
            },
            Phase::Idle | Phase::Asked | Phase::Answering => {}
        }
        let sent = self.sending.poll(&mut *self.stream, cx);
        match (sent, self.sending.has_begun()) {
            (Poll::Ready(Err(Unsent::Broke)), _) => return Poll::Ready(Err(Died::of(Failure::Reset))),
            (Poll::Pending, false) => return Poll::Pending,
            _ => {}
        }
        self.phase = Phase::Asked;
        Poll::Ready(Ok(()))
    }

    /// What it means that the connection ended before the answer's head.
    fn silence(&self) -> Died {
        match self.phase {
            Phase::Answering => Died::of(Failure::Reset),
            Phase::Fresh | Phase::Idle | Phase::Asked => Died::unheard(Failure::Reset),
        }
    }

    /// The next piece of this connection's answer.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if !self.sending.is_done() {
            // An answer may begin while its request still goes out. What the peer no longer takes is missed at the end; a request
            // that breaks off it would wait for.
            if let Poll::Ready(Err(Unsent::Broke)) = self.sending.poll(&mut *self.stream, cx) {
                return Poll::Ready(Some(Err(Broken::Cut)));
            }
        }
        loop {
            match self.framing.take(&mut self.unread) {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.framing.has_ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(_) => return Poll::Ready(Some(Err(Broken::Malformed))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(1..) => {}
                Ok(0) if self.framing == Framing::UntilClose => return Poll::Ready(None),
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Broken::Cut))),
            }
        }
    }

    /// What is still to come.
    pub(super) const fn framing(&self) -> &Framing {
        &self.framing
    }

    /// Whether the connection may wait for another call: the answer ended exactly at its framing, the request went out whole,
    /// nothing lies behind the answer, and a read finds nothing more.
    pub(super) fn comes_to_rest(&mut self) -> bool {
        let is_over = self.stays && self.framing.has_ended() && self.sending.is_done();
        if !is_over || !self.unread.is_empty() || !self.finds_nothing() {
            return false;
        }
        self.phase = Phase::Idle;
        self.read_bytes = READ_BYTES;
        self.unread = Bytes::new();
        // What a large answer needed is not kept for the next one.
        if self.room_bytes > READ_BYTES {
            (self.room, self.room_bytes) = (BytesMut::new(), 0);
        }
        true
    }

    fn finds_nothing(&mut self) -> bool {
        // Where nothing has come since the last read, the runtime knows, and the system is not asked. Whether this task has used up
        // its budget is another question.
        let reads = pin!(unconstrained(poll_fn(|cx| self.poll_read(cx))));
        reads.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Reads once, behind what is not taken yet. How many bytes came; none: the peer sends no more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // What is left of the last room is used up to its half, for a small read costs as much as a large one.
        if self.room.capacity() < self.read_bytes / 2 && !self.room.try_reclaim(self.read_bytes) {
            (self.room, self.room_bytes) = (BytesMut::with_capacity(self.read_bytes), self.read_bytes);
        }
        let room = self.room.capacity();
        let read = ready!(pin!(self.stream.read_buf(&mut self.room)).poll(cx))?;
        self.read_bytes = match read {
            _ if read == room => READ_BYTES_MAX.min(self.read_bytes * 2),
            _ if read < self.read_bytes / 4 => READ_BYTES.max(self.read_bytes / 2),
            _ => self.read_bytes,
        };
        let new = self.room.split().freeze();
        self.unread = if self.unread.is_empty() { new } else { joined(std::mem::take(&mut self.unread), &new) };
        Poll::Ready(Ok(read))
    }
}

/// Only a head that comes in several reads is put together.
fn joined(before: Bytes, new: &[u8]) -> Bytes {
    let mut all = before.try_into_mut().unwrap_or_else(|before| BytesMut::from(&*before));
    all.extend_from_slice(new);
    all.freeze()
}

/// Some write them between two answers; looked through again with each read, many would cost more than they should.
fn skip_empty_lines(unread: &mut Bytes) {
    let empty = unread.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    unread.advance(empty);
}

fn check_interim(head: &AnswerHead, number: usize) -> Result<(), Failure> {
    if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Garbage("the answer switches protocols".into()));
    }
    if number > INTERIM_HEADS {
        return Err(Failure::Garbage("too many interim answers".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::super::counts::Counts;
    use super::super::died::Left;
    use super::*;

    /// What a call gets of an answer that is written so many bytes at a time, and whether its connection stays.
    fn called(answer: &[u8], size: usize, then_closes: bool) -> (Result<u16, Failure>, Result<Vec<u8>, Broken>, bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = duplex(size);
            let mut single = single(ours);
            asks(&mut single, Bytes::from("{}"));
            let peer = async {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n{}") {
                    theirs.read_buf(&mut asked).await.unwrap();
                }
                let _ = theirs.write_all(answer).await;
                (!then_closes).then_some(theirs)
            };
            let call = async {
                let status = match single.hear().await {
                    Ok(head) => head.status.as_u16(),
                    Err(died) => return (Err(died.failure), Ok(Vec::new()), false),
                };
                let mut body = Vec::new();
                while let Some(piece) = poll_fn(|cx| single.poll_piece(cx)).await {
                    match piece {
                        Ok(piece) => body.extend_from_slice(&piece),
                        Err(broken) => return (Ok(status), Err(broken), false),
                    }
                }
                (Ok(status), Ok(body), single.comes_to_rest())
            };
            tokio::join!(peer, call).1
        })
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_however_its_bytes_come(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..900), 0..6),
            interim in 0..3usize,
            size in 1..3_000usize,
        ) {
            let body = pieces.concat();
            let chunks: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| [format!("{:X}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
                .collect();
            let interim = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(interim);
            let with = |lines: &str, body: &[u8]| [format!("{interim}HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes(), body].concat();
            let in_chunks = with("transfer-encoding: chunked\r\n", &[&chunks[..], b"0\r\na: b\r\n\r\n"].concat());
            let with_length = with(&format!("Content-Length: {}\r\n", body.len()), &body);
            prop_assert_eq!(called(&in_chunks, size, false), (Ok(200), Ok(body.clone()), true));
            prop_assert_eq!(called(&with_length, size, false), (Ok(200), Ok(body.clone()), true));
            prop_assert_eq!(called(&with("", &body), size, true), (Ok(200), Ok(body), false));
        }

        #[test]
        fn what_is_cut_off_is_never_taken_for_whole(size in 1..80usize, cut in 1..90usize) {
            for whole in [
                "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhello, world",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
            ] {
                let cut = &whole.as_bytes()[..whole.len().saturating_sub(cut)];
                let (status, body, stays) = called(cut, size, true);
                prop_assert!(status == Err(Failure::Reset) || body == Err(Broken::Cut), "{status:?} {body:?}");
                prop_assert!(!stays);
            }
        }
    }

    fn single(stream: impl Stream + 'static) -> Box<Single> {
        Single::new(Box::new(stream), Gauge::opened(&Arc::<Counts>::default()))
    }

    fn asks(single: &mut Single, body: impl Into<Outgoing>) {
        let head = Head { method: Method::POST, path: "/v1".parse().unwrap(), headers: HeaderMap::new() };
        single.ask(head, &HeaderValue::from_static("h"), body.into());
    }

    #[tokio::test]
    async fn an_answer_that_came_before_the_first_request_is_nobodys() {
        let (ours, mut theirs) = duplex(100);
        let mut single = single(ours);
        theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        asks(&mut single, Bytes::from("{}"));
        assert!(matches!(single.hear().await, Err(Died { failure: Failure::Garbage(_), left: Left::Unsent })));
    }

    #[tokio::test]
    async fn a_request_that_breaks_ends_an_answer_that_waits_for_the_rest_of_it() {
        let (ours, mut theirs) = duplex(1_000);
        let (breaks, broken) = tokio::sync::oneshot::channel::<()>();
        let frames = futures_util::stream::once(async move {
            let _ = broken.await;
            Err(io::Error::other("the client has gone"))
        });
        let mut single = single(ours);
        let body = http_body_util::StreamBody::new(Box::pin(frames) as std::pin::Pin<Box<dyn Frames>>);
        asks(&mut single, Outgoing::Streamed(Box::pin(body)));
        let peer = async {
            theirs.read_buf(&mut Vec::new()).await.unwrap();
            theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await.unwrap();
        };
        let (head, ()) = tokio::join!(single.hear(), peer);
        assert!(head.is_ok());
        assert_eq!(poll_fn(|cx| single.poll_piece(cx)).await, Some(Ok(Bytes::from("hello"))));
        breaks.send(()).unwrap();
        assert_eq!(poll_fn(|cx| single.poll_piece(cx)).await, Some(Err(Broken::Cut)));
    }

    trait Frames: futures_util::Stream<Item = io::Result<http_body::Frame<Bytes>>> + Send {}
    impl<S: futures_util::Stream<Item = io::Result<http_body::Frame<Bytes>>> + Send> Frames for S {}

    #[tokio::test]
    async fn a_connection_at_rest_keeps_no_more_room_than_a_small_answer_needs() {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut single = single(ours);
        for length in [100, 500_000, 100] {
            asks(&mut single, Bytes::from("{}"));
            let peer = async {
                theirs.read_buf(&mut Vec::new()).await.unwrap();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
                theirs.write_all(answer.as_bytes()).await.unwrap();
            };
            let (head, ()) = tokio::join!(single.hear(), peer);
            let (mut read, mut largest) = (0, 0);
            drop(head);
            while let Some(piece) = poll_fn(|cx| single.poll_piece(cx)).await {
                let piece = piece.unwrap();
                (read, largest) = (read + piece.len(), largest.max(piece.len()));
            }
            assert!(read == length && largest <= READ_BYTES_MAX && single.comes_to_rest());
            assert!(single.room_bytes <= READ_BYTES);
        }
    }

    #[test]
    fn what_lies_behind_an_answer_keeps_its_connection_from_resting() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(called(answer, 100, false), (Ok(200), Ok(b"hello".to_vec()), true));
        assert!(!called(&[&answer[..], b"H"].concat(), 100, false).2);
        assert!(!called(answer, 100, true).2, "the peer has hung up");
    }
}
