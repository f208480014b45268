//! One HTTP/1.1 connection: carries one call at a time, and is driven by that call itself.
//!
//! Takes a stream and a request, gives the answer's head. There is no task behind it: whoever waits for the answer
//! polls the connection, so dropping the call closes the socket, and an answer nobody reads is not read from it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;

use super::body::Outgoing;
use super::died::{Died, failure_of};
use super::wire::{Phase, Watch, Wire};
use super::{ANSWER_HEADERS, HEAD_LIMIT_BYTES};
use crate::domain::failure::Failure;
use crate::listen::Ear;

/// Interim (1xx) heads before the answer's own. Nothing sane sends more than two.
const INTERIM_HEADS: u64 = 10;

/// What one connection reads ahead of its reader: enough for a large answer at full speed, little enough that a slow
/// reader holds less than 256 KiB of ours. The head must fit too.
const READ_AHEAD_BYTES: usize = HEAD_LIMIT_BYTES;

/// An answer's head, or what became of the request.
pub(super) type Heard = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>;

/// A piece of an answer's body, or why there are no more.
pub(super) type Arrived = Result<Bytes, hyper::Error>;

pub(super) struct Single {
    sender: http1::SendRequest<Outgoing>,
    line: Driven,
    watch: Arc<Watch>,
    /// The answer's framing can be read in two ways, so nothing may follow it.
    doubtful: bool,
    behind: Behind,
}

/// What hyper may have for the answer's body, behind what it gave last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Perhaps a piece, which came with the head.
    Piece,
    /// Perhaps bytes, of which it makes a piece when it is driven.
    Bytes,
    /// Nothing, until the connection is called.
    Nothing,
}

/// hyper's side of the connection, and who hears of its moves.
struct Driven {
    /// Gone once the connection has ended.
    connection: Option<http1::Connection<TokioIo<Wire>, Outgoing>>,
    ear: Arc<Ear>,
    waker: Waker,
}

impl Single {
    pub(super) async fn open(wire: Wire, watch: Arc<Watch>) -> Result<Box<Self>, Failure> {
        let (sender, connection) = http1::Builder::new()
            .max_headers(ANSWER_HEADERS)
            .max_header_size(HEAD_LIMIT_BYTES)
            .max_buf_size(READ_AHEAD_BYTES)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|_| Failure::Internal("an HTTP/1.1 connection could not be set up"))?;
        let ear = Ear::new();
        let line = Driven { connection: Some(connection), waker: ear.clone().into(), ear };
        Ok(Box::new(Self { sender, line, watch, doubtful: false, behind: Behind::Piece }))
    }

    /// Hands the request over; nothing of it goes out before the answer is waited for. A step of its own, so that the
    /// wait does not hold a request that has gone.
    pub(super) fn send(&mut self, request: Request<Outgoing>) -> impl Future<Output = Heard> + Send + use<> {
        self.sender.try_send_request(request)
    }

    /// Waits for the head of the answer to what was handed over.
    pub(super) async fn hear(
        &mut self,
        mut answer: Pin<&mut impl Future<Output = Heard>>,
    ) -> Result<Response<Incoming>, Died> {
        let before = self.watch.interim();
        let Self { line, watch, .. } = self;
        let answered = poll_fn(|cx| {
            let driven = line.drive(cx);
            if watch.interim() - before > INTERIM_HEADS {
                return Poll::Ready(Err(Died::of(Failure::Garbage("too many interim answers".into()))));
            }
            match Ear::look(|| poll_alone(answer.as_mut())).0 {
                Poll::Ready(answered) => Poll::Ready(answered.map_err(|error| died(watch, error))),
                // The connection is gone and took the call with it.
                Poll::Pending if driven.is_ready() => Poll::Ready(Err(Died::of(silence(watch)))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        self.check(&answered)?;
        Ok(answered)
    }

    fn check(&mut self, answer: &Response<Incoming>) -> Result<(), Died> {
        if answer.status().is_informational() {
            return Err(Died::of(Failure::Garbage("the answer switches protocols".into())));
        }
        let headers = answer.headers();
        let in_chunks = headers.contains_key(TRANSFER_ENCODING);
        self.doubtful = in_chunks && headers.contains_key(CONTENT_LENGTH);
        self.behind = Behind::Piece;
        self.watch.follow_chunks(in_chunks);
        Ok(())
    }

    /// The next piece of this connection's answer. Pending only while the connection lives: once it has ended, the
    /// body itself says how.
    pub(super) fn poll_piece(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Arrived>> {
        match self.behind {
            Behind::Nothing if self.line.ear.is_quiet(cx) => return Poll::Pending,
            Behind::Nothing | Behind::Bytes => {}
            Behind::Piece => {
                self.behind = Behind::Bytes;
                let piece = poll_piece_alone(body);
                if piece.is_ready() {
                    return piece;
                }
            }
        }
        let reads = self.watch.reads();
        if self.line.drive(cx).is_ready() {
            return poll_piece_alone(body);
        }
        let piece = poll_piece_alone(body);
        let is_all = match &piece {
            Poll::Ready(Some(Ok(piece))) => self.watch.reads() == reads + 1 && self.watch.was_chunk(piece),
            Poll::Ready(_) => false,
            Poll::Pending => true,
        };
        self.behind = if is_all { Behind::Nothing } else { Behind::Bytes };
        piece
    }

    /// Whether the connection may wait for another call: the answer ended exactly at its framing, the request went out
    /// whole, nothing lies behind the answer, and a read found nothing more. Entered into the watch if so.
    pub(super) fn comes_to_rest(&mut self) -> bool {
        if !self.sender.is_ready() && self.line.drive(&mut Context::from_waker(Waker::noop())).is_ready() {
            return false;
        }
        self.line.ear.shut();
        // hyper asks for the next call only after it has read at the end of the last one and found nothing.
        let rests = self.line.connection.is_some() && self.sender.is_ready() && !self.doubtful;
        if rests && self.watch.phase() == Phase::Answering {
            self.watch.enter(Phase::Idle);
            return true;
        }
        false
    }
}

impl Driven {
    /// Lets the connection read and write. Ready once it has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        self.ear.open(cx);
        // Errors reach the call through its answer or its body.
        if Pin::new(connection).poll(&mut Context::from_waker(&self.waker)).is_pending() {
            return Poll::Pending;
        }
        // Dropped at once: that gives a call back that it never began, and ends a body.
        self.connection = None;
        Poll::Ready(())
    }
}

/// Polls what only moves when the connection is driven, so it need not wake anybody.
fn poll_alone<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_piece_alone(body: &mut Incoming) -> Poll<Option<Arrived>> {
    Ear::look(|| poll_piece(body, &mut Context::from_waker(Waker::noop()))).0
}

/// Trailers are passed over: nobody asked for any.
pub(super) fn poll_piece(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Arrived>> {
    loop {
        return Poll::Ready(match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => Some(Ok(piece)),
                Err(_) => continue,
            },
            Some(Err(error)) => Some(Err(error)),
            None => None,
        });
    }
}

fn died(watch: &Watch, mut error: TrySendError<Request<Outgoing>>) -> Died {
    if error.take_message().is_some() {
        return Died::unsent(silence(watch));
    }
    match watch.phase() {
        Phase::Answering => Died::of(failure_of(error.error())),
        _ => Died::unheard(silence(watch)),
    }
}

/// What it means that no byte of an answer came.
fn silence(watch: &Watch) -> Failure {
    match watch.phase() {
        Phase::Stray => Failure::Garbage("the peer spoke before it was asked".into()),
        _ => Failure::Reset,
    }
}
