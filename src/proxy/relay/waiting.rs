//! A stream that has a status but no provider yet: comments keep it alive while attempts go on.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::super::Settings;
use super::super::answer::Attempting;
use super::Part;
use super::clock::{Clock, Silence};
use crate::attempt::{Reply, ReplyBody};
use crate::domain::protocol::Protocol;
use crate::domain::refusal::Refusal;
use crate::meter::Outcome;
use crate::protocol;

pub(super) struct Waiting {
    attempting: Attempting,
    client: Protocol,
    settings: Settings,
    clock: Clock,
    /// The first comment goes out at once, with the head.
    greeted: bool,
}

/// The provider's own words, if they are an error.
fn said(client: Protocol, reply: &Reply) -> Option<Bytes> {
    match &reply.body {
        ReplyBody::Whole(body) if !reply.status.is_success() => protocol::said_event(client, body),
        _ => None,
    }
}

pub(super) enum Waited {
    Comment(Bytes),
    Came(Part),
    Refused(Bytes),
}

impl Waiting {
    pub(super) fn new(attempting: Attempting, client: Protocol, settings: &Settings) -> Self {
        // The deadline of the attempts bounds this wait; the clock only bridges it.
        let patient = Settings { idle: std::time::Duration::from_secs(86_400), ..*settings };
        Self { attempting, client, settings: *settings, clock: Clock::new(&patient), greeted: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Waited> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Poll::Ready(Waited::Comment(protocol::keep_alive(self.client)));
        }
        if let Poll::Ready((result, mut exchange)) = self.attempting.as_mut().poll(cx) {
            return Poll::Ready(match result {
                Ok(reply) if matches!(reply.body, ReplyBody::Events { .. }) => {
                    Waited::Came(Part::reply(reply, exchange, self.client, &self.settings))
                }
                // The status is out, so an answer that is no stream can only be told as what it is: a failure.
                Ok(reply) => {
                    exchange.has_reply(reply.from.clone(), reply.at);
                    if let Some(said) = said(self.client, &reply) {
                        exchange.ends(Outcome::of_status(reply.status));
                        return Poll::Ready(Waited::Refused(said));
                    }
                    let failure = format!("it answered {} instead of a stream", reply.status.as_u16());
                    let refusal = Refusal::ProviderFailed { provider: reply.from.provider.to_string(), failure };
                    exchange.refused(&refusal);
                    Waited::Refused(protocol::refusal_event(self.client, &refusal))
                }
                Err(refusal) => {
                    exchange.refused(&refusal);
                    Waited::Refused(protocol::refusal_event(self.client, &refusal))
                }
            });
        }
        loop {
            if ready!(self.clock.poll(cx)) == Silence::Bridge {
                return Poll::Ready(Waited::Comment(protocol::keep_alive(self.client)));
            }
        }
    }
}
