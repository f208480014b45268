//! Turns the token a client shows into a caller.
//!
//! Takes the request's head, gives a `Caller` or a refusal that says nothing about why a token is not one.
//! It must never know where callers are kept, nor what they are about to ask.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::token::{TOKEN_LIMIT_BYTES, TokenHash};
use crate::snapshot::{Caller, Lookup, World};

/// A user's name or id as a trusted front end writes it; longer is a mistake.
const USER_LIMIT_BYTES: usize = 256;

/// The caller behind the head's token, with the view of the world its whole call will read.
pub async fn authenticate(world: &World, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Refusal> {
    let Shown { token, user } = shown(headers)?;
    if token.len() > TOKEN_LIMIT_BYTES {
        return Err(Refusal::TokenUnknown);
    }
    // The whole token is hashed before anything is looked up, so no lookup ever sees it.
    let caller = match world.caller(&TokenHash::of(token), now).await {
        Lookup::Known(caller) => caller,
        Lookup::Unknown => return Err(Refusal::TokenUnknown),
        Lookup::Away => return Err(Refusal::StoreAway),
    };
    match user {
        None => Ok(caller),
        Some(user) => caller.asserting(user_name(user)?),
    }
}

fn user_name(value: &HeaderValue) -> Result<&str, Refusal> {
    let readable = value.to_str().ok().map(str::trim).filter(|name| !name.is_empty() && name.len() <= USER_LIMIT_BYTES);
    readable
        .ok_or(Refusal::HeaderInvalid { header: "x-keyway-user", why: "it must be 1 to 256 visible ASCII characters" })
}

/// What a head says of who sends it.
#[derive(Debug, PartialEq, Eq)]
struct Shown<'a> {
    token: &'a [u8],
    /// The first, where there are several.
    user: Option<&'a HeaderValue>,
}

/// The one token in the head. The same one in two places is one; two different ones are a mistake we name.
fn shown(headers: &HeaderMap) -> Result<Shown<'_>, Refusal> {
    let mut shown: Option<(&'static str, &[u8])> = None;
    let mut user = None;
    for (name, value) in headers {
        let label = match name.as_str() {
            "x-keyway-user" => {
                user.get_or_insert(value);
                continue;
            }
            "authorization" => "authorization",
            "x-api-key" => "x-api-key",
            "api-key" => "api-key",
            "x-goog-api-key" => "x-goog-api-key",
            _ => continue,
        };
        let Some(token) = token_in(name, value) else { continue };
        match shown {
            Some((other, earlier)) if earlier != token => return Err(Refusal::TokensDiffer(other, label)),
            _ => shown = Some((label, token)),
        }
    }
    let (_, token) = shown.ok_or(Refusal::TokenMissing)?;
    Ok(Shown { token, user })
}

/// The token inside a header's value; `Authorization` must say `Bearer`.
fn token_in<'a>(name: &HeaderName, value: &'a HeaderValue) -> Option<&'a [u8]> {
    let bytes = value.as_bytes().trim_ascii();
    if name != header::AUTHORIZATION {
        return Some(bytes).filter(|token| !token.is_empty());
    }
    let (scheme, token) = bytes.split_at_checked(7)?;
    Some(token.trim_ascii()).filter(|token| scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_token(pairs: &[(&'static str, &'static str)]) -> Result<Vec<u8>, Refusal> {
        let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        shown(&pairs.iter().copied().map(pair).collect()).map(|shown| shown.token.to_vec())
    }

    #[test]
    fn a_token_is_taken_from_each_header_that_sdks_use() {
        for (name, value) in [
            ("authorization", "Bearer kw_1"),
            ("authorization", "bearer  kw_1 "),
            ("x-api-key", "kw_1"),
            ("api-key", "kw_1"),
            ("x-goog-api-key", "kw_1"),
        ] {
            assert_eq!(shown_token(&[(name, value)]), Ok(b"kw_1".to_vec()), "{name}: {value}");
        }
    }

    #[test]
    fn no_token_is_told_from_two_different_ones() {
        assert_eq!(shown_token(&[("authorization", "Basic a2V5")]), Err(Refusal::TokenMissing));
        assert_eq!(shown_token(&[("authorization", "Bearer ")]), Err(Refusal::TokenMissing));
        let differ = [("authorization", "Bearer a"), ("x-api-key", "b")];
        assert_eq!(shown_token(&differ), Err(Refusal::TokensDiffer("authorization", "x-api-key")));
        assert_eq!(shown_token(&[("authorization", "Bearer a"), ("x-api-key", "a")]), Ok(b"a".to_vec()));
    }
}
