//! The commit gate: holds an answer back until it is certain that it is one.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;

use super::Settings;
use super::reply::{ReplyBody, Rest};
use super::tap::Tap;
use crate::domain::failure::Failure;
use crate::protocol::{self, Ending};

/// An error object or an error page shows itself in its first bytes.
const JUDGED_BYTES: usize = 4 * 1024;

/// Holds a stream up to its first content event, so that an error before it can still become another attempt.
/// Who has said as much as the settings allow without content is committed as it is.
pub(super) async fn events(mut rest: Rest, mut tap: Tap, settings: &Settings) -> Result<ReplyBody, Failure> {
    let mut held: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    loop {
        let Some(piece) = next(&mut rest).await? else {
            // Ended without content: an answer only if it ended as its protocol ends.
            let ended = tap.end(&mut held);
            return if ended == Ending::Clean {
                Ok(ReplyBody::Events { held, tap, rest })
            } else {
                Err(Failure::BrokeOff)
            };
        };
        bytes += piece.len();
        let progress = tap.push(piece, &mut held);
        if let Some(failure) = progress.failure.filter(|_| !progress.content) {
            return Err(failure);
        }
        if progress.content || tap.events() >= settings.held_events || bytes >= settings.held_bytes {
            return Ok(ReplyBody::Events { held, tap, rest });
        }
    }
}

/// Judges a whole answer by its beginning. A short one is here altogether when it is judged.
pub(super) async fn whole(mut rest: Rest, headers: &HeaderMap, limit_bytes: usize) -> Result<ReplyBody, Failure> {
    let is_json = is_json(headers);
    if is_json && rest.size_hint().lower() > limit_bytes as u64 {
        return Err(Failure::AnswerTooLarge { limit_bytes });
    }
    let mut first: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    let mut ended = rest.is_end_stream();
    while !ended && bytes < JUDGED_BYTES {
        match next(&mut rest).await? {
            None => ended = true,
            Some(piece) => {
                bytes += piece.len();
                first.push(piece);
                ended = rest.is_end_stream();
            }
        }
    }
    let beginning = joined(&first);
    if is_json_or_text(headers)
        && let Some(failure) = protocol::failure_under_success(&beginning)
    {
        return Err(failure);
    }
    Ok(if ended { ReplyBody::Whole(beginning) } else { ReplyBody::Passing { first, rest } })
}

fn content_type(headers: &HeaderMap) -> &[u8] {
    headers.get(header::CONTENT_TYPE).map_or(b"", |value| value.as_bytes())
}

fn is_json(headers: &HeaderMap) -> bool {
    content_type(headers).starts_with(b"application/json")
}

/// Media and files are not judged: what looks like an error in them may be what was asked for.
fn is_json_or_text(headers: &HeaderMap) -> bool {
    let stated = content_type(headers);
    stated.is_empty() || is_json(headers) || stated.starts_with(b"text/html")
}

/// One piece stays as it is; several are joined.
fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [one] => one.clone(),
        several => {
            let mut all = BytesMut::with_capacity(several.iter().map(Bytes::len).sum());
            several.iter().for_each(|piece| all.extend_from_slice(piece));
            all.freeze()
        }
    }
}

/// The next piece of data; trailers are passed over.
async fn next(body: &mut Rest) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
