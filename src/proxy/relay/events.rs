//! A stream of events after its commit: bytes as they come, silences bridged, an honest end.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::super::Settings;
use super::clock::{Clock, Silence};
use super::{Next, gathered};
use crate::attempt::{Rest, Tap};
use crate::domain::protocol::Protocol;
use crate::domain::usage::{Basis, Usage};
use crate::meter::{Exchange, Outcome};
use crate::protocol::Ending;

/// What one write may gather of a provider's pieces. More would hold a core; less costs a write each.
const GATHERED_BYTES: usize = 64 * 1024;

pub(super) struct Events {
    /// Ready for the client.
    out: Vec<Bytes>,
    tap: Box<Tap>,
    rest: Box<Rest>,
    client: Protocol,
    clock: Clock,
    exchange: Exchange,
    /// The terminal event is among what is ready, or out already.
    is_finished: bool,
    ended: Option<Ended>,
}

impl Drop for Events {
    /// The client has gone in the middle of it: what it had is metered all the same.
    fn drop(&mut self) {
        if self.ended.is_none() && !self.is_finished {
            self.report(Outcome::ClientLeft);
        }
    }
}

/// How the provider's side ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    /// Without its terminal event, or in the middle of one.
    Cut,
    Silent,
    /// The provider's own error event has gone out already.
    Failed,
}

impl Events {
    pub(super) fn new(
        held: Vec<Bytes>,
        tap: Box<Tap>,
        rest: Box<Rest>,
        client: Protocol,
        exchange: Exchange,
        settings: &Settings,
    ) -> Self {
        Self { out: held, tap, rest, client, clock: Clock::new(settings), exchange, is_finished: false, ended: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.ended.is_none() {
            self.gather(cx);
        }
        match self.ended {
            Some(ended) => self.end(cx, ended),
            None if self.is_finished => {
                // The terminal event is here, though not yet the end of the body: it waits for the settlement too.
                self.report(Outcome::Served);
                ready!(self.exchange.poll_settle(cx));
                self.out_or_silence(cx)
            }
            None => self.out_or_silence(cx),
        }
    }

    /// Takes what the provider has ready, without waiting for more.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let mut bytes: usize = self.out.iter().map(Bytes::len).sum();
        let mut has_heard = false;
        while bytes < GATHERED_BYTES {
            match self.rest.poll_piece(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(piece))) => {
                    let length = piece.len();
                    has_heard = true;
                    self.is_finished |= self.tap.push(piece, &mut self.out).terminal_at.is_some();
                    // In another protocol it may have become longer.
                    bytes += length.max(self.out.last().map_or(0, Bytes::len));
                }
                Poll::Ready(Some(Err(_))) => return self.ended = Some(self.how_it_broke()),
                Poll::Ready(None) => return self.ended = Some(self.how_it_ended()),
            }
        }
        if has_heard {
            self.clock.heard();
        }
    }

    fn how_it_ended(&mut self) -> Ended {
        match self.tap.end(&mut self.out) {
            Ending::Clean => Ended::Well,
            Ending::Failed => Ended::Failed,
            Ending::Cut => {
                self.rest.ended_early();
                Ended::Cut
            }
        }
    }

    /// What breaks behind the last word breaks nothing, and who has said that it failed need not be doubted.
    fn how_it_broke(&mut self) -> Ended {
        if self.is_finished {
            self.tap.end(&mut self.out);
            return Ended::Well;
        }
        self.rest.ended_early();
        if self.tap.has_failed() { Ended::Failed } else { Ended::Cut }
    }

    fn out_or_silence(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if !self.out.is_empty() {
            return Poll::Ready(Next::Data(gathered(&mut self.out)));
        }
        loop {
            match ready!(self.clock.poll(cx)) {
                // All was said, and the provider merely keeps its connection open.
                Silence::Bridge | Silence::TooLong if self.is_finished => {
                    self.ended = Some(self.how_it_broke());
                    return self.end(cx, Ended::Well);
                }
                Silence::Bridge if self.tap.is_between_events() => {
                    return Poll::Ready(Next::Data(self.tap.keep_alive(self.client)));
                }
                Silence::Bridge => {}
                Silence::TooLong => {
                    self.rest.fell_silent();
                    self.ended = Some(Ended::Silent);
                    return self.end(cx, Ended::Silent);
                }
            }
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, ended: Ended) -> Poll<Next> {
        self.report(match ended {
            Ended::Well => Outcome::Served,
            Ended::Failed => Outcome::Failed,
            Ended::Cut | Ended::Silent => Outcome::CutOff,
        });
        ready!(self.exchange.poll_settle(cx));
        let why = match ended {
            Ended::Well => return Poll::Ready(Next::Last(gathered(&mut self.out))),
            Ended::Failed => {
                return Poll::Ready(Next::Broken(Some(gathered(&mut self.out)).filter(|out| !out.is_empty())));
            }
            Ended::Cut => "the provider closed the stream before finishing",
            Ended::Silent => "the provider fell silent in the middle of the stream",
        };
        self.out.push(self.tap.broken(self.client, why));
        Poll::Ready(Next::Broken(Some(gathered(&mut self.out))))
    }

    fn report(&mut self, outcome: Outcome) {
        let events = self.tap.content_events();
        match (self.tap.usage(), outcome) {
            (Some(usage), Outcome::Served) => self.exchange.reports(usage, Basis::Reported),
            // Some count the answer's units at its end only: as much as has gone by was used at least.
            (Some(usage), _) => {
                let output = usage.output.max(events.saturating_sub(usage.reasoning));
                self.exchange.reports(Usage { output, ..usage }, Basis::Partial);
            }
            (None, _) => self.exchange.reports(Usage { output: events, ..Usage::default() }, Basis::Estimated),
        }
        self.exchange.ends(outcome);
    }
}
