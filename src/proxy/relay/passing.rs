//! A whole answer that is longer than what was judged of it: its beginning, then the rest as it comes.

use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::super::Settings;
use super::Next;
use super::clock::{Clock, Silence};
use crate::attempt::Rest;
use crate::domain::protocol::Protocol;
use crate::domain::usage::Basis;
use crate::meter::{Exchange, Outcome};
use crate::protocol;

/// What is kept of an answer that is too long to be kept: usage stands at its end.
const TAIL_BYTES: usize = 16 * 1024;

pub(super) struct Passing {
    first: IntoIter<Bytes>,
    rest: Box<Rest>,
    client: Protocol,
    tail: Vec<u8>,
    outcome: Outcome,
    clock: Clock,
    exchange: Exchange,
    /// The last piece, until the exchange is settled.
    last: Option<Bytes>,
}

impl Passing {
    pub(super) fn new(
        first: Vec<Bytes>,
        rest: Box<Rest>,
        client: Protocol,
        outcome: Outcome,
        exchange: Exchange,
        settings: &Settings,
    ) -> Self {
        let clock = Clock::new(settings);
        Self { first: first.into_iter(), rest, client, tail: Vec::new(), outcome, clock, exchange, last: None }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let held = self.first.as_slice().iter().map(Bytes::len).sum::<usize>() as u64;
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(held + rest),
            None => SizeHint::default(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(bytes) = self.first.next() {
            self.keep_tail(&bytes);
            return Poll::Ready(Next::Data(bytes));
        }
        if self.last.is_none() {
            match self.rest.poll_piece(cx) {
                Poll::Pending => return self.silence(cx),
                Poll::Ready(Some(Err(_))) => {
                    self.rest.ended_early();
                    return Poll::Ready(self.broke_off());
                }
                Poll::Ready(None) => self.last = Some(Bytes::new()),
                Poll::Ready(Some(Ok(bytes))) => {
                    self.clock.heard();
                    self.keep_tail(&bytes);
                    if !self.rest.is_end_stream() {
                        return Poll::Ready(Next::Data(bytes));
                    }
                    self.last = Some(bytes);
                }
            }
            self.report(Basis::Reported);
            self.exchange.ends(self.outcome);
        }
        ready!(self.exchange.poll_settle(cx));
        Poll::Ready(Next::Last(self.last.take().unwrap_or_default()))
    }

    /// A whole answer can't be bridged: there is no word in it that means nothing.
    fn silence(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            match ready!(self.clock.poll(cx)) {
                Silence::Bridge => {}
                Silence::TooLong => {
                    self.rest.fell_silent();
                    return Poll::Ready(self.broke_off());
                }
            }
        }
    }

    fn keep_tail(&mut self, piece: &[u8]) {
        // With as much still to come, nothing of this would be kept.
        if self.rest.size_hint().lower() >= TAIL_BYTES as u64 {
            return;
        }
        let kept = &piece[piece.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend_from_slice(kept);
    }

    fn report(&mut self, basis: Basis) {
        if let Some(usage) = protocol::usage_of_tail(self.client, &self.tail) {
            self.exchange.reports(usage, basis);
        }
    }

    fn broke_off(&mut self) -> Next {
        self.report(Basis::Partial);
        self.exchange.ends(Outcome::CutOff);
        Next::Broken(None)
    }
}
