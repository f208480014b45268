//! The talk on one socket: messages in their order, each answered before the next, until either side has had enough.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::Upgraded;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::bodies::BodyShare;
use super::super::native;
use super::super::relay::RelayBody;
use super::super::{Proxy, read};
use super::wire::Wire;
use crate::domain::protocol::Protocol;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::listen::Peer;
use crate::protocol;
use crate::protocol::hub::ids::Ids;
use crate::protocol::responses::socket::{self, Ending, Last, Turn};
use crate::protocol::sse::Splitter;
use crate::store::state::TRANSCRIPT_LIMIT_BYTES;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-keyway-request-id");

/// A message is read through this much; one per socket is there from its first byte to its last.
const READ_BYTES: usize = 8 * 1024;
/// Messages that wait for the answer before theirs. Agents send the next when they have heard the last.
const WAITING: usize = 8;
/// One event of an answer: an image, or all of a response, fits in one.
const EVENT_BYTES: usize = 16 * 1024 * 1024;
/// An answer that is no stream is an error, of which this much is told.
const ERROR_BYTES: usize = 64 * 1024;
/// How often the client is asked whether it is still there, so that proxies in between see a socket in use.
const PING: Duration = Duration::from_secs(30);
/// Whoever has answered none of three has gone.
const SILENCE: Duration = Duration::from_secs(100);
/// As OpenAI's: a socket is a place among connections, and its client opens the next when it is told.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// For the last words of both sides.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Talk {
    proxy: Proxy,
    headers: HeaderMap,
    peer: Arc<Peer>,
    messages: WebSocketStream<Wire>,
    waiting: VecDeque<(Bytes, BodyShare)>,
    /// What nobody else remembers of the last answer, with its share of the memory for bodies.
    last: Option<(Arc<Last>, BodyShare)>,
    heard: Instant,
    ping: Instant,
    end: Instant,
}

/// Why a talk is over.
enum End {
    /// The client has gone, be it without a word.
    Gone,
    TooOld,
    TooLarge,
    TooMany,
    /// The gateway ends.
    Draining,
}

impl Talk {
    pub(super) async fn new(proxy: Proxy, headers: HeaderMap, peer: Arc<Peer>, io: Upgraded) -> Self {
        let limit_bytes = proxy.gateway.settings.load().bodies.body_bytes;
        let settings = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(READ_BYTES)
            .max_message_size(Some(limit_bytes))
            .max_frame_size(Some(limit_bytes));
        let wire = Wire::new(io, &proxy.gateway.bodies);
        let messages = WebSocketStream::from_raw_socket(wire, Role::Server, Some(settings)).await;
        let now = Instant::now();
        let (heard, ping, end) = (now, now + PING, now + LIFE);
        Self { proxy, headers, peer, messages, waiting: VecDeque::new(), last: None, heard, ping, end }
    }

    pub(super) async fn run(mut self) {
        let Err(end) = self.talk().await;
        // Nobody else should wait for what these hold.
        self.waiting.clear();
        self.last = None;
        let limit_bytes = self.messages.get_config().max_message_size.unwrap_or_default() as u64;
        let (code, why, refusal) = match end {
            End::Gone => return,
            End::TooOld => (CloseCode::Normal, "an hour is over", Some(Refusal::SocketTooOld)),
            End::TooLarge => (CloseCode::Size, "too large a message", Some(Refusal::BodyTooLarge { limit_bytes })),
            End::TooMany => {
                (CloseCode::Policy, "too many messages wait", Some(Refusal::AtCapacity("waiting messages")))
            }
            End::Draining => (CloseCode::Away, "the gateway ends", None),
        };
        let farewell = async {
            if let Some(refusal) = refusal {
                let _ = self.refuse(&refusal).await;
            }
            let _ = self.messages.close(Some(CloseFrame { code, reason: why.into() })).await;
            // Closed before all is read, the connection would be reset, and these words lost.
            while self.messages.next().await.is_some_and(|heard| heard.is_ok()) {}
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn talk(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let (message, share) = self.next().await?;
            self.answer(message, share).await?;
        }
    }

    /// The message whose turn it is.
    async fn next(&mut self) -> Result<(Bytes, BodyShare), End> {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                return Ok(next);
            }
            let (peer, end) = (self.peer.clone(), self.end);
            tokio::select! {
                heard = self.hear() => heard?,
                () = peer.draining() => return Err(End::Draining),
                () = sleep_until(end) => return Err(End::TooOld),
            }
        }
    }

    /// Hears the client once, or asks whether it is still there.
    async fn hear(&mut self) -> Result<(), End> {
        let heard = tokio::select! {
            heard = self.messages.next() => heard,
            () = sleep_until(self.ping) => {
                if self.heard.elapsed() >= SILENCE {
                    return Err(End::Gone);
                }
                self.ping = Instant::now() + PING;
                return self.say([Message::Ping(Bytes::new())]).await;
            }
        };
        self.heard = Instant::now();
        match heard {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if self.waiting.len() >= WAITING {
                    return Err(End::TooMany);
                }
                let share = self.messages.get_mut().message();
                self.waiting.push_back((message.into_data(), share));
                Ok(())
            }
            Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                self.messages.get_mut().control(payload.len());
                // The answer to a ping is written already, and must go out.
                self.say([]).await
            }
            Some(Err(Error::Capacity(_))) => Err(End::TooLarge),
            Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => Err(End::Gone),
        }
    }

    async fn say(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), End> {
        for message in messages {
            self.messages.feed(message).await.map_err(|_| End::Gone)?;
        }
        self.messages.flush().await.map_err(|_| End::Gone)
    }

    /// Does this, and hears the client meanwhile: when it leaves, nothing more is done for it.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                heard = self.hear() => heard?,
            }
        }
    }

    /// One exchange.
    async fn answer(&mut self, message: Bytes, share: BodyShare) -> Result<(), End> {
        let proxy = self.proxy.clone();
        let last = self.last.as_ref().map(|(last, _)| last.clone());
        let length = message.len();
        let reading = proxy.gateway.hands.over(length, move || socket::turn(&message, last.as_deref()));
        let turn = match self.meanwhile(reading).await?.map_err(read::busy).and_then(|turn| turn) {
            Ok(turn) => turn,
            Err(refusal) => return self.refuse(&refusal).await,
        };
        // The call takes its own.
        drop(share);
        if turn.is_warm_up {
            return self.warm_up(turn).await;
        }
        let request = native::call(&self.headers, turn.body.clone());
        let response = self.meanwhile(proxy.handle(request, || ())).await?;
        let ending = if is_stream(&response) { self.stream(response).await? } else { self.error(response).await? };
        match ending {
            Some(ending) if turn.is_remembered => self.remember(turn.remembered(ending.as_bytes())),
            // What was not answered has changed nothing, unless it is this that could not be gone on from.
            None if !turn.goes_on => {}
            Some(_) | None => self.last = None,
        }
        Ok(())
    }

    /// Every event as a message. Gives the one it ended well with.
    async fn stream(&mut self, response: Response<RelayBody>) -> Result<Option<String>, End> {
        let mut body = response.into_body();
        let (mut splitter, mut ending) = (Splitter::new(EVENT_BYTES), None);
        // One that breaks off has said so in its last events.
        while let Some(Ok(frame)) = self.meanwhile(body.frame()).await? {
            let Ok(data) = frame.into_data() else { continue };
            let mut events = Vec::new();
            splitter.push(&data, |block, _, _| events.extend(socket::said(block)));
            let last = events.iter().rfind(|event| event.ending.is_some());
            if let Some(last) = last {
                ending = (last.ending == Some(Ending::Well)).then(|| last.text.clone());
            }
            self.say(events.into_iter().map(|event| Message::text(event.text))).await?;
        }
        Ok(ending)
    }

    async fn error(&mut self, response: Response<RelayBody>) -> Result<Option<String>, End> {
        let (head, body) = response.into_parts();
        let body = self.meanwhile(Limited::new(body, ERROR_BYTES).collect()).await?;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let id = head.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let error = socket::error(head.status.as_u16(), &body, id);
        self.say([Message::text(error)]).await.map(|()| None)
    }

    /// A response that no model was asked for, so it is no exchange. Only for whom a model would answer.
    async fn warm_up(&mut self, turn: Turn) -> Result<(), End> {
        let (proxy, now) = (self.proxy.clone(), Timestamp::now());
        if let Err(refusal) = proxy.caller(&self.headers, now).await {
            return self.refuse(&refusal).await;
        }
        let id = proxy.meter.draw_id(now);
        let created = id.get_timestamp().map_or(0, |time| time.to_unix().0);
        let events = turn.warmed_up(Ids::of(id), created);
        let last = turn.remembered(&events[1]);
        self.remember(last);
        // They are written by us, from texts that were read.
        let events = events.map(|event| Message::text(String::from_utf8_lossy(&event).into_owned()));
        self.say(events).await
    }

    /// A message that came to no exchange.
    async fn refuse(&mut self, refusal: &Refusal) -> Result<(), End> {
        self.proxy.meter.refused_outside(refusal);
        let body = protocol::refusal_body(Protocol::Responses, refusal);
        self.say([Message::text(socket::error(refusal.row().status, &body, None))]).await
    }

    /// Only the last is remembered, and only where there is room for it.
    fn remember(&mut self, last: Option<Last>) {
        let mut share = BodyShare::none_of(&self.proxy.gateway.bodies);
        self.last = last
            .filter(|last| last.bytes() <= TRANSCRIPT_LIMIT_BYTES && share.grow(last.bytes()).is_ok())
            .map(|last| (Arc::new(last), share));
    }
}

fn is_stream(response: &Response<RelayBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    response.status().is_success() && kind.starts_with(b"text/event-stream")
}
