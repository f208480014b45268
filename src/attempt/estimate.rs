//! The length of a call whose provider's protocol has no counter: an estimate, and its answer says so.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::reply::{Reply, ReplyBody};
use crate::domain::call::{Call, CallBody};
use crate::domain::protocol::Purpose;
use crate::protocol::translate;
use crate::resolve::Target;

const ESTIMATED: HeaderName = HeaderName::from_static("x-keyway-estimated");
/// Bytes of text that are reckoned as one unit: rather too few, so that nobody runs out of context by it.
const BYTES_A_TOKEN: u64 = 3;
/// An image, a sound or a document, as budgets reckon it.
const PART_TOKENS: u64 = 2_000;

/// `None` where the provider can be asked, or something else is asked for.
pub(super) fn estimated(call: &Call, target: &Target<'_>) -> Option<Box<Reply>> {
    let upstream = target.spoken(call.protocol, call.operation)?;
    if call.operation.purpose() != Purpose::Count || upstream == call.protocol || translate::has_counter(upstream) {
        return None;
    }
    let CallBody::Json { found, .. } = &call.body else { return None };
    let text = (found.text_bytes as u64).div_ceil(BYTES_A_TOKEN);
    let number = text.saturating_add((found.media_parts as u64).saturating_mul(PART_TOKENS));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ESTIMATED, HeaderValue::from_static("true"));
    Some(Box::new(Reply {
        status: StatusCode::OK,
        headers,
        body: ReplyBody::Whole(translate::counted(call.protocol, number)),
        from: target.answerer(),
        is_translated: true,
        at: Instant::now(),
    }))
}
