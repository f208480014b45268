//! Idempotency keys in the state database, so that a request that comes twice is done once, whichever replica it reaches
//! and whenever that was started.

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::State;
use super::message::{Ask, Away};
use super::replays::{BEGUN_FOR, Begun, KEPT_FOR, KeptAnswer, Promised, ReplayKey, Replays, RequestDigest};
use super::sql::{Db, on};
use crate::domain::entity::SealedBytes;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::seal::{Binding, Keyring, Purpose};

impl Replays for State {
    fn begin<'a>(&'a self, key: &'a ReplayKey, request: RequestDigest, now: Timestamp) -> Promised<'a, Begun> {
        Box::pin(async move {
            let begun = self.ask(|answer| Ask::Begin { key: key.clone(), request, now, answer }).await;
            begun.map_err(|Away| away())
        })
    }

    fn end<'a>(&'a self, key: &'a ReplayKey, answer: Option<KeptAnswer>) -> Promised<'a, ()> {
        Box::pin(async move {
            let kept = self.ask(|done| Ask::End { key: key.clone(), kept: answer, answer: done }).await;
            kept.map_err(|Away| away())
        })
    }
}

fn away() -> StoreError {
    StoreError::away("the state database does not answer")
}

/// An answer's head as it is sealed, on a line of its own before the body.
#[derive(Serialize, Deserialize)]
struct Written {
    status: u16,
    etag: Option<String>,
    location: Option<String>,
}

fn binding(key: &ReplayKey) -> Binding {
    Binding::default().with(b"replay").with(key.token.uuid().as_bytes()).with(key.key.as_bytes())
}

/// `None` where nothing can be sealed: then nothing is kept, and the key stays taken until it is forgotten.
pub(super) fn sealed(keyring: &Keyring, key: &ReplayKey, kept: KeptAnswer) -> Option<Vec<u8>> {
    let KeptAnswer { status, etag, location, body } = kept;
    let mut written = serde_json::to_vec(&Written { status, etag, location }).ok()?;
    written.push(b'\n');
    written.extend_from_slice(&body);
    keyring.seal(Purpose::State, &binding(key), &written).ok().map(|sealed| sealed.0)
}

fn opened(keyring: &Keyring, key: &ReplayKey, sealed: Vec<u8>) -> Option<KeptAnswer> {
    let opened = keyring.open(Purpose::State, &binding(key), &SealedBytes(sealed)).ok()?;
    let end_of_head = memchr::memchr(b'\n', opened.expose())?;
    let (head, body) = opened.expose().split_at(end_of_head);
    let Written { status, etag, location } = serde_json::from_slice(head).ok()?;
    Some(KeptAnswer { status, etag, location, body: body[1..].to_vec() })
}

fn before(now: Timestamp, time: std::time::Duration) -> i64 {
    now.0.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

impl Db {
    /// One statement claims, so that of two replicas one comes first.
    pub(super) async fn begin(
        &self,
        keyring: &Keyring,
        key: &ReplayKey,
        request: RequestDigest,
        now: Timestamp,
    ) -> Result<Begun, sqlx::Error> {
        const CLAIM: &str = "INSERT INTO state_replays (token, key, request, begun_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (token, key) DO UPDATE SET request = excluded.request, begun_at = excluded.begun_at, \
             answer = NULL WHERE state_replays.begun_at < $5 OR state_replays.answer IS NULL AND state_replays.begun_at < $6";
        const FIND: &str = "SELECT request, answer FROM state_replays WHERE token = $1 AND key = $2";
        let (token, over, given_up) = (key.token.uuid(), before(now, KEPT_FOR), before(now, BEGUN_FOR));
        let (known, sealed): (Vec<u8>, Option<Vec<u8>>) = on!(self, |pool| {
            let claim = sqlx::query(CLAIM).bind(token).bind(&key.key).bind(&request[..]).bind(now.0);
            if claim.bind(over).bind(given_up).execute(pool).await?.rows_affected() > 0 {
                return Ok(Begun::First);
            }
            // Freed in this very moment, it is taken by whoever asks next.
            let Some(row) = sqlx::query(FIND).bind(token).bind(&key.key).fetch_optional(pool).await? else {
                return Ok(Begun::Underway);
            };
            (row.try_get(0)?, row.try_get(1)?)
        });
        Ok(match sealed {
            _ if known != request => Begun::OtherRequest,
            None => Begun::Underway,
            // What no key opens any more can't be said again, and must not be done again.
            Some(sealed) => opened(keyring, key, sealed).map_or(Begun::Underway, Begun::Done),
        })
    }

    /// Keeps an answer, or frees the key.
    pub(super) async fn end(&self, key: &ReplayKey, answer: Option<Vec<u8>>) -> Result<(), sqlx::Error> {
        const KEEP: &str = "UPDATE state_replays SET answer = $3 WHERE token = $1 AND key = $2";
        const FREE: &str = "DELETE FROM state_replays WHERE token = $1 AND key = $2";
        let token = key.token.uuid();
        on!(self, |pool| match answer {
            Some(answer) => sqlx::query(KEEP).bind(token).bind(&key.key).bind(answer).execute(pool).await.map(drop),
            None => sqlx::query(FREE).bind(token).bind(&key.key).execute(pool).await.map(drop),
        })
    }

    pub(super) async fn forget_replays(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        const OLD: &str = "DELETE FROM state_replays WHERE begun_at < $1";
        on!(self, |pool| sqlx::query(OLD).bind(before(now, KEPT_FOR)).execute(pool).await.map(drop))
    }
}
