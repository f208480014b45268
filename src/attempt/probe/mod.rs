//! Asks a provider outside of any call: does it take a key, which models has it, what do they cost?
//!
//! Runs on the control runtime with that runtime's own connections, so that no call waits for it. What it sends a key to
//! is held to the same rules as a call: the address is checked when it connects, no redirect is followed, and a stored key
//! goes only where it was entered for. It saves nothing; that a stored key works or is refused is noted, as calls note it.

mod bounds;
mod subject;

pub use subject::{Key, Subject};

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use self::bounds::{Bounds, Remembered};
use super::breaker::Breakers;
use super::client::{AnswerBody, Client, Destination, Head, Http2, Outgoing, Recipe};
use crate::domain::address::BaseUrl;
use crate::domain::entity::Owner;
use crate::domain::failure::Failure;
use crate::domain::found::{FoundModel, ListedPrice};
use crate::domain::id::Id;
use crate::domain::protocol::Protocol;
use crate::protocol::{self, catalogue};
use crate::store::seal::Keyring;

/// All of one question, its pages included. People wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest list known, of 400 models with all that is said of each, has 1 MB; a list of all providers' prices 2 MB.
const ANSWER_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Models of one provider. The largest have some hundreds.
const MODELS_MAX: usize = 2_000;

/// Pages of one list, at a thousand models each.
const PAGES_MAX: usize = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OURS: HeaderValue = HeaderValue::from_static(concat!("keyway/", env!("CARGO_PKG_VERSION")));

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("{0}")]
    Failed(#[from] Failure),
    #[error(
        "Keyway can't ask providers of kind {0} for their models; test it with a model, or register models by hand"
    )]
    Unlisted(&'static str),
    #[error("Keyway does not speak to providers of kind {0} yet")]
    Unspoken(&'static str),
    #[error("the answer is no list of models that Keyway can read; is the base URL right?")]
    Unreadable,
    #[error("other questions to providers are still waiting for their answers; try again shortly")]
    Busy,
}

impl ProbeError {
    /// One of a bounded set.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed(failure) => failure.name(),
            Self::Unlisted(_) => "unlisted",
            Self::Unspoken(_) => "unspoken",
            Self::Unreadable => "unreadable",
            Self::Busy => "busy",
        }
    }
}

type Result<T> = std::result::Result<T, ProbeError>;

/// Whoever asks. One for the process.
pub struct Probe {
    client: Client,
    keyring: Arc<Keyring>,
    breakers: Arc<Breakers>,
    bounds: Bounds,
    remembered: Remembered,
}

impl Probe {
    pub fn new(client: Client, keyring: Arc<Keyring>, breakers: Arc<Breakers>) -> Self {
        Self { client, keyring, breakers, bounds: Bounds::default(), remembered: Remembered::default() }
    }

    /// Does the provider take the key? Costs nothing: its models are listed. How many there are.
    pub async fn list(&self, subject: &Subject) -> Result<usize> {
        if let Some(about_key) = subject.asked().key() {
            let _place = self.bounds.take(subject.owner).ok_or(ProbeError::Busy)?;
            self.noted(subject, self.answer(subject, about_key)).await?;
        }
        Ok(self.models(subject).await?.len())
    }

    /// Does the model answer? Costs a few units. How long it took.
    pub async fn ping(&self, subject: &Subject, model: &str) -> Result<Duration> {
        let request = subject.asked().ping(model).ok_or(ProbeError::Unspoken(subject.preset.kind.name()))?;
        let _place = self.bounds.take(subject.owner).ok_or(ProbeError::Busy)?;
        let began = Instant::now();
        let body = self.noted(subject, self.answer(subject, request)).await?;
        match protocol::failure_under_success(&body) {
            Some(failure) => Err(failure.into()),
            None if !protocol::is_error_body(subject.protocol, &body) => Err(ProbeError::Unreadable),
            None => Ok(began.elapsed()),
        }
    }

    /// Which models has it? Always asked anew.
    pub async fn models(&self, subject: &Subject) -> Result<Arc<[FoundModel]>> {
        let _place = self.bounds.take(subject.owner).ok_or(ProbeError::Busy)?;
        let found: Arc<[FoundModel]> = self.noted(subject, self.pages(subject)).await?.into();
        self.remembered.keep(subject, &found);
        Ok(found)
    }

    /// The same as a moment ago, if it was asked a moment ago: what somebody looked at is what they then take.
    pub async fn models_as_shown(&self, subject: &Subject) -> Result<Arc<[FoundModel]>> {
        match self.remembered.find(subject) {
            Some(found) => Ok(found),
            None => self.models(subject).await,
        }
    }

    /// A list of many providers' prices at a URL of the operator's.
    pub async fn price_list(&self, at: &BaseUrl) -> Result<Vec<ListedPrice>> {
        let _place = self.bounds.take(Owner::Platform).ok_or(ProbeError::Busy)?;
        let asking = self.exchange(at, at.path.to_string(), None);
        let body = timeout(PATIENCE, asking).await.unwrap_or(Err(Failure::TimedOut))?;
        catalogue::prices(&body).ok_or(ProbeError::Unreadable)
    }

    /// Tells something to a URL of the operator's, and waits for its answer's head alone.
    pub async fn tell(
        &self,
        at: &BaseUrl,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> std::result::Result<StatusCode, Failure> {
        headers.insert(USER_AGENT, OURS);
        headers.insert(CONTENT_TYPE, JSON);
        let path = match &*at.path {
            "" => "/",
            path => path,
        };
        let path = PathAndQuery::from_str(path).map_err(|_| Failure::Internal("the URL's path is no path"))?;
        let to = Destination { address: at.address.clone(), credential: Some(Id::random()), http2: Http2::Never };
        let mut asked = Asked { method: http::Method::POST, path, headers, body: Some(body) };
        Ok(self.client.send(&to, &mut asked).await?.status)
    }

    async fn pages(&self, subject: &Subject) -> Result<Vec<FoundModel>> {
        let (mut found, mut behind) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = subject.asked().models(behind.as_deref());
            let request = request.ok_or(ProbeError::Unlisted(subject.preset.kind.name()))?;
            let body = self.answer(subject, request).await?;
            let page = catalogue::models(subject.protocol, &body).ok_or(ProbeError::Unreadable)?;
            found.extend(page.models);
            found.truncate(MODELS_MAX);
            match page.next {
                Some(next) if found.len() < MODELS_MAX && behind.as_ref() != Some(&next) => behind = Some(next),
                _ => break,
            }
        }
        // Some say the same model twice, and the first word stands.
        let mut seen = std::collections::HashSet::new();
        found.retain(|model| seen.insert(model.model_id.clone()));
        Ok(found)
    }

    /// Within the time that there is; what it says of a stored key is noted.
    async fn noted<T>(&self, subject: &Subject, asking: impl Future<Output = Result<T>>) -> Result<T> {
        let result = timeout(PATIENCE, asking).await.unwrap_or(Err(Failure::TimedOut.into()));
        if let Key::Stored(credential) = &subject.key {
            match &result {
                Ok(_) => self.breakers.tested(credential.saved(), None, Instant::now()),
                Err(ProbeError::Failed(failure)) => {
                    self.breakers.tested(credential.saved(), Some(failure), Instant::now());
                }
                Err(_) => {}
            }
        }
        result
    }

    async fn answer(&self, subject: &Subject, request: catalogue::Request) -> Result<Bytes> {
        let mut headers = request.headers;
        if let Some((name, value)) = subject.shown(&self.keyring)? {
            headers.insert(name, value);
        }
        let more = More { method: request.method, headers, body: request.body, protocol: subject.protocol };
        Ok(self.exchange(&subject.base_url, request.path, Some(more)).await?)
    }

    /// One request and its whole answer. Nobody else's connection is used, and nobody else uses this one.
    async fn exchange(&self, at: &BaseUrl, path: String, more: Option<More>) -> std::result::Result<Bytes, Failure> {
        let More { method, mut headers, body, protocol } = more.unwrap_or_default();
        headers.insert(USER_AGENT, OURS);
        headers.insert(ACCEPT, JSON);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        let path = PathAndQuery::from_str(&path).map_err(|_| Failure::Internal("the provider's path is no path"))?;
        let to = Destination { address: at.address.clone(), credential: Some(Id::random()), http2: Http2::Never };
        let answer = self.client.send(&to, &mut Asked { method, path, headers, body }).await?;
        let body = whole(answer.body).await?;
        if answer.status == StatusCode::OK {
            return Ok(body);
        }
        Err(protocol::classify(protocol, answer.status, &answer.headers, &body, SystemTime::now()))
    }
}

/// One request of ours, which can be made as often as it must be.
struct Asked {
    method: http::Method,
    path: PathAndQuery,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl Recipe for Asked {
    fn goes_by_once(&self) -> bool {
        false
    }

    fn request(&mut self) -> (Head, Outgoing) {
        let head = Head { method: self.method.clone(), path: self.path.clone(), headers: self.headers.clone() };
        (head, self.body.clone().map_or(Outgoing::EMPTY, Outgoing::from))
    }
}

/// What a request holds besides its path.
struct More {
    method: http::Method,
    headers: HeaderMap,
    body: Option<Bytes>,
    protocol: Protocol,
}

impl Default for More {
    fn default() -> Self {
        Self { method: http::Method::GET, headers: HeaderMap::new(), body: None, protocol: Protocol::Chat }
    }
}

async fn whole(mut body: AnswerBody) -> std::result::Result<Bytes, Failure> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if read.len() + data.len() > ANSWER_LIMIT_BYTES {
            return Err(Failure::AnswerTooLarge { limit_bytes: ANSWER_LIMIT_BYTES });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}
