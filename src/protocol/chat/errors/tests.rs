//! What errors promises, by example and over generated input.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn of(status: u16, body: &str) -> Failure {
    classify(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
}

#[test]
fn statuses_alone_tell_the_usual_classes() {
    assert_eq!(of(408, ""), Failure::TimedOut);
    for status in [500, 502, 503, 504, 529, 424, 498] {
        assert_eq!(of(status, "<html>"), Failure::Overloaded(status));
    }
    assert_eq!(of(401, ""), Failure::CredentialRefused { status: 401 });
    assert_eq!(of(402, ""), Failure::QuotaExhausted { status: 402 });
    assert_eq!(of(302, ""), Failure::Garbage("a status of 302".to_string()));
    for status in [400, 403, 404, 409, 413, 422] {
        assert_eq!(of(status, r#"{"error":{"message":"no"}}"#), Failure::CallRejected(status));
    }
}

#[test]
fn a_rate_limit_brings_its_wait() {
    let head = HeaderMap::from_iter([(http::header::RETRY_AFTER, "3".parse().unwrap())]);
    let failure = classify(429, &head, b"{}", SystemTime::UNIX_EPOCH);
    assert_eq!(failure, Failure::RateLimited { retry_after: Some(Duration::from_secs(3)) });
    let too_large = r#"{"error":{"message":"Request too large ... context","code":"rate_limit_exceeded"}}"#;
    assert_eq!(of(413, too_large), Failure::RateLimited { retry_after: None });
    let google =
        r#"[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED"}}]"#;
    assert_eq!(of(429, google), Failure::RateLimited { retry_after: None });
}

#[test]
fn an_empty_account_is_told_by_code_or_words() {
    for (status, body) in [
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
        ),
        (402, r#"{"error":{"code":402,"message":"This request requires more credits"}}"#),
        (403, r#"{"code":"denied","error":"Your team has used all available credits"}"#),
        (402, r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#),
    ] {
        assert_eq!(of(status, body), Failure::QuotaExhausted { status }, "{body}");
    }
}

#[test]
fn a_refused_key_is_not_the_clients_affair() {
    for (status, body) in [
        (401, r#"{"statusCode":401,"message":"Access denied due to invalid subscription key"}"#),
        (401, r#"{"error":{"code":"401","message":"Access denied"}}"#),
        (403, r#"{"error":{"message":"You have insufficient permissions for this operation"}}"#),
        (400, r#"{"code":"x","error":"Incorrect API key provided: xa***1"}"#),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
        ),
    ] {
        assert_eq!(of(status, body), Failure::CredentialRefused { status }, "{body}");
    }
    let moderated = r#"{"error":{"code":403,"message":"key words were flagged","metadata":{"reasons":["x"]}}}"#;
    assert_eq!(of(403, moderated), Failure::CallRejected(403));
}

#[test]
fn an_unknown_model_is_told_from_other_things_not_found() {
    for (status, body) in [
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#,
        ),
        (403, r#"{"error":{"message":"Project `p` does not have access to model `x`","code":"model_not_found"}}"#),
        (404, r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}"#),
        (404, r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#),
        (400, r#"{"error":{"message":"x is not a valid model ID","code":400}}"#),
        (400, r#"{"error":{"message":"Model Not Exist","code":"invalid_request_error"}}"#),
        (404, r#"{"error":{"message":"No endpoints found for a/b.","code":404}}"#),
        (404, r#"{"error":{"message":"model \"x\" not found, try pulling it first"}}"#),
    ] {
        assert_eq!(of(status, body), Failure::ModelUnknown, "{body}");
    }
    assert_eq!(of(404, r#"{"error":{"message":"No such File object: file-1"}}"#), Failure::CallRejected(404));
}

#[test]
fn a_call_too_long_is_told_however_it_is_said() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded"}}"#,
        ),
        (400, r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","code":400}"#),
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
        ),
        (500, r#"{"error":{"code":"context_length_exceeded"}}"#),
        (422, r#"{"detail":"the prompt is too long"}"#),
    ] {
        assert_eq!(of(status, body), Failure::ContextTooLong, "{body}");
    }
    let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    assert_eq!(of(503, loading), Failure::Overloaded(503));
}

#[test]
fn an_error_under_success_is_seen_and_a_null_error_is_none() {
    for (body, failure) in [
        (r#" {"error":{"code":502,"message":"bad upstream"}}"#, Failure::Overloaded(502)),
        (r#"{"error":{"code":429,"message":"slow"},"user_id":"u"}"#, Failure::RateLimited { retry_after: None }),
        (r#"{"error":{"message":"boom"}}"#, Failure::ErrorUnderSuccess),
        (r#"{"object":"error","message":"boom"}"#, Failure::ErrorUnderSuccess),
        ("\n<!DOCTYPE html><html>", Failure::ErrorUnderSuccess),
        (r#"{"error":"boom"#, Failure::ErrorUnderSuccess),
    ] {
        assert_eq!(classify_success_head(body.as_bytes()), Some(failure), "{body}");
    }
    for body in ["", "[]", r#"{"choices":[{"error":{}}]}"#, r#"{"error":null,"output":[]}"#, r#"{"id":"x","choi"#, "<3"]
    {
        assert_eq!(classify_success_head(body.as_bytes()), None, "{body}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(status in any::<u16>(), body in any::<Vec<u8>>(), json in r#"[\[\]{}:,"a-f0-9]{0,40}"#) {
        let _ = classify(status, &HeaderMap::new(), &body, SystemTime::UNIX_EPOCH);
        let _ = of(status, &format!("{{\"error\":{json}"));
        let _ = classify_success_head(format!("{{\"error\":{json}").as_bytes());
    }
}
