//! Translation between any two protocols: the one place that names them all in pairs' two halves.
//!
//! Pure: bytes in, bytes out. `request` turns a call's body into the target's, `Translator` a provider's stream into the
//! client's, `whole` an answer, `error` a provider's no. Everything goes through the hub (`hub/mod.rs` says how, and what a
//! protocol must bring).

mod counting;
mod embedding;
mod head;
mod stream;

use bytes::Bytes;

use super::gemini::events::encode::Framing;
use super::hub::about::About;
use super::hub::answer::Answer;
use super::hub::event::{End, Fault, Sink};
use super::hub::field::{Named, Objection};
use super::hub::ids::Ids;
use super::hub::left_out::leave_out;
use super::hub::opaque::Maker;
use super::hub::request::{Request, Terms};
use super::{bedrock, chat, gemini, messages, responses};
use crate::domain::failure::Failure;
use crate::domain::protocol::{Delivery, Protocol};
use crate::domain::usage::Usage;

pub use counting::{count, counted, has_counter};
pub use embedding::embed;
pub use head::head;
pub use stream::Translator;

/// A request in the target's protocol.
#[derive(Debug)]
pub struct Translated {
    pub body: Vec<u8>,
    /// What the target can't be told, in the client's words.
    pub dropped: Named,
    pub asked: Asked,
}

/// What the answer must know of its request.
#[derive(Clone, Debug)]
pub struct Asked(Of);

#[derive(Clone, Debug)]
enum Of {
    Answer(Client),
    Embeddings(embedding::Form),
    Count(Protocol),
}

#[derive(Clone, Debug)]
enum Client {
    Chat(chat::request::Asked),
    Responses(responses::request::Asked),
    Messages,
    Gemini(Framing),
}

impl Asked {
    /// A stream that is no events but one array, where the protocol has such a thing.
    pub fn as_array(self) -> Self {
        match self.0 {
            Of::Answer(Client::Gemini(_)) => Self(Of::Answer(Client::Gemini(Framing::Array))),
            Of::Answer(Client::Chat(_) | Client::Responses(_) | Client::Messages)
            | Of::Embeddings(_)
            | Of::Count(_) => self,
        }
    }
}

/// Turns a body that `scan` has passed into one for this target.
pub fn request(
    client: Protocol,
    upstream: Protocol,
    body: &[u8],
    delivery: Delivery,
    terms: &Terms<'_>,
) -> Result<Translated, Objection> {
    let (mut request, client_asked) = decode(client, body, terms)?;
    request.keep_allowed();
    request.fill(terms);
    let dropped = leave_out(&mut request, client, upstream, terms)?;
    let body = encode(upstream, &request, terms, delivery)?;
    Ok(Translated { body, dropped, asked: Asked(Of::Answer(client_asked)) })
}

fn decode<'a>(client: Protocol, body: &'a [u8], terms: &Terms<'_>) -> Result<(Request<'a>, Client), Objection> {
    Ok(match client {
        Protocol::Chat => {
            let (request, asked) = chat::request::decode(body)?;
            (request, Client::Chat(asked))
        }
        Protocol::Responses => {
            let (request, asked) = responses::request::decode(body, terms)?;
            (request, Client::Responses(asked))
        }
        Protocol::Messages => (messages::request::decode(body)?, Client::Messages),
        Protocol::Gemini => (gemini::request::decode(body)?, Client::Gemini(Framing::Events)),
        Protocol::Bedrock => return Err(untold(client)),
    })
}

fn encode(
    upstream: Protocol,
    request: &Request<'_>,
    terms: &Terms<'_>,
    delivery: Delivery,
) -> Result<Vec<u8>, Objection> {
    match upstream {
        Protocol::Chat => Ok(chat::request::encode(request, terms, delivery)),
        Protocol::Responses => Ok(responses::request::encode(request, terms, delivery)),
        Protocol::Messages => messages::request::encode(request, terms, delivery),
        // Its path says how the answer is to come.
        Protocol::Gemini => gemini::request::encode(request, terms),
        Protocol::Bedrock => bedrock::request::encode(request, terms),
    }
}

fn untold(protocol: Protocol) -> Objection {
    Objection::unsupported(protocol.name())
}

/// A whole answer in the client's protocol, and what it used.
#[derive(Debug)]
pub struct Whole {
    pub body: Vec<u8>,
    pub usage: Option<Usage>,
}

/// Translates a whole answer that came under a status of success; an error in it is what the attempt failed with.
pub fn whole(
    upstream: Protocol,
    body: &[u8],
    maker: Maker,
    asked: &Asked,
    about: &About,
) -> Result<Whole, Fault<'static>> {
    let client = match &asked.0 {
        Of::Answer(client) => client,
        Of::Embeddings(form) => return embedding::whole(upstream, body, form, about),
        Of::Count(client) => return counting::whole(upstream, body, *client),
    };
    let mut answer = Answer::default();
    decode_whole(upstream, body, maker, about.ids, &mut |event| answer.fold(&event));
    if let Some(End::Failed(fault)) = answer.end {
        return Err(fault);
    }
    let body = match client {
        Client::Chat(_) => chat::events::whole::encode(&answer, about),
        Client::Responses(asked) => responses::events::object::whole(&answer, about, asked),
        Client::Messages => messages::events::whole(&answer, about),
        Client::Gemini(_) => gemini::events::encode::whole(&answer, about),
    };
    Ok(Whole { body, usage: answer.usage })
}

fn decode_whole(upstream: Protocol, body: &[u8], maker: Maker, ids: Ids, sink: &mut Sink<'_>) {
    match upstream {
        Protocol::Chat => chat::events::decode::whole(body, maker, ids, sink),
        Protocol::Responses => responses::events::decode::whole(body, maker, sink),
        Protocol::Messages => messages::events::decode::whole(body, maker, ids, sink),
        Protocol::Gemini => gemini::events::decode::whole(body, maker, ids, sink),
        Protocol::Bedrock => bedrock::events::whole(body, maker, ids, sink),
    }
}

/// An error as the client is to hear it.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub status: u16,
    pub body: Bytes,
}

/// A provider's error in the client's protocol. `failure` is what its status was classified as.
pub fn error(client: Protocol, upstream: Protocol, failure: &Failure, body: &[u8]) -> Said {
    let fault = match upstream {
        Protocol::Chat | Protocol::Responses => chat::fault::decode(body),
        Protocol::Bedrock => bedrock::fault::decode(None, body),
        Protocol::Messages => messages::fault::decode(body),
        Protocol::Gemini => gemini::fault::decode(body),
    };
    // A status tells more than its body.
    said(client, &Fault { failure: failure.clone(), ..fault })
}

/// The same of what was found in an answer.
pub fn said(client: Protocol, fault: &Fault<'_>) -> Said {
    let status = fault.status();
    match client {
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => Said { status, body: chat::fault::body(fault) },
        Protocol::Messages => messages::fault::said(fault),
        Protocol::Gemini => Said { status, body: gemini::fault::body(fault, status) },
    }
}
