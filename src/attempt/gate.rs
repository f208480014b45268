//! The commit gate: holds an answer back until it is certain that it is one.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;

use super::Settings;
use super::reply::Source;
use super::tap::Tap;
use crate::domain::failure::Failure;
use crate::protocol::splice::Pieces;
use crate::protocol::{self, Ending};

/// An error object or an error page shows itself in its first bytes.
const JUDGED_BYTES: usize = 4 * 1024;

/// Holds a stream up to its first content event, so that an error before it can still become another attempt.
/// Who has said as much as the settings allow without content is committed as it is.
pub(super) async fn events(body: &mut Source, tap: &mut Tap, settings: &Settings) -> Result<Vec<Bytes>, Failure> {
    let mut held: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    loop {
        let Some(piece) = next(body).await? else {
            // Ended without content: an answer only if it ended as its protocol ends.
            return if tap.end(&mut held) == Ending::Clean { Ok(held) } else { Err(Failure::BrokeOff) };
        };
        bytes += piece.len();
        let progress = tap.push(piece, &mut held);
        if let Some(failure) = progress.failure.filter(|_| !progress.content) {
            return Err(failure);
        }
        if progress.content || tap.events() >= settings.held_events || bytes >= settings.held_bytes {
            return Ok(held);
        }
    }
}

/// An answer that is good by its beginning.
pub(super) enum Judged {
    /// It is here altogether.
    Whole(Bytes),
    /// More of it is to come.
    Longer(Vec<Bytes>),
}

/// Judges a whole answer of this content type by its beginning.
pub(super) async fn whole(body: &mut Source, kind: &[u8], limit_bytes: usize) -> Result<Judged, Failure> {
    let is_json = kind.starts_with(b"application/json");
    if is_json && body.size_hint().lower() > limit_bytes as u64 {
        return Err(Failure::AnswerTooLarge { limit_bytes });
    }
    let mut first = Pieces::default();
    let mut bytes = 0;
    let mut ended = body.is_end_stream();
    while !ended && bytes < JUDGED_BYTES {
        match next(body).await? {
            None => ended = true,
            Some(piece) => {
                bytes += piece.len();
                first.push(piece);
                ended = body.is_end_stream();
            }
        }
    }
    let beginning = first.joined();
    // Media and files are not judged: what looks like an error in them may be what was asked for.
    let is_json_or_text = is_json || kind.is_empty() || kind.starts_with(b"text/html");
    if is_json_or_text && let Some(failure) = protocol::failure_under_success(&beginning) {
        return Err(failure);
    }
    Ok(if ended { Judged::Whole(beginning) } else { Judged::Longer(first.into_iter().collect()) })
}

/// All of a whole answer, where it must be read before anything of it can go on.
pub(super) async fn collected(body: &mut Source, limit_bytes: usize) -> Result<Bytes, Failure> {
    let mut all = Pieces::default();
    let mut bytes = 0;
    while let Some(piece) = next(body).await? {
        bytes += piece.len();
        if bytes > limit_bytes {
            return Err(Failure::AnswerTooLarge { limit_bytes });
        }
        all.push(piece);
    }
    Ok(all.joined())
}

/// The next piece of data; trailers are passed over.
async fn next(body: &mut Source) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
