//! AWS' signature, version 4: a request's head and body in, the headers that prove who sends it out.
//!
//! Pure; the time comes as a value. The path is signed as it is sent, encoded once more, for that is what every service but
//! one expects. Of the headers only those are signed that nobody on the way changes.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::domain::failure::Failure;
use crate::domain::time::Timestamp;

/// What a request is signed with: `ID:SECRET`, and `:TOKEN` behind it where they are lent for a time.
pub(in crate::attempt) struct AccessKeys {
    id: String,
    secret: Zeroizing<Vec<u8>>,
    session: Option<HeaderValue>,
}

/// Ids of access keys are so long at least, and nothing but capitals and digits.
const ID_BYTES: usize = 16;
const SERVICE: &str = "bedrock";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

impl AccessKeys {
    /// `None` where it is something else: an API key, which is shown as it is.
    pub(in crate::attempt) fn read(secret: &[u8]) -> Option<Self> {
        let mut parts = secret.splitn(3, |byte| *byte == b':');
        let (id, secret, session) = (parts.next()?, parts.next()?, parts.next());
        let is_id = id.len() >= ID_BYTES && id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let session = match session.map(HeaderValue::from_bytes).transpose() {
            Ok(session) => session.map(|mut token| {
                token.set_sensitive(true);
                token
            }),
            Err(_) => return None,
        };
        let id = String::from_utf8(id.to_vec()).ok()?;
        is_id.then(|| Self { id, secret: Zeroizing::new(secret.to_vec()), session })
    }

    fn key(&self, day: &str, region: &str) -> hmac::Key {
        let first = Zeroizing::new([b"AWS4", self.secret.as_slice()].concat());
        [day, region, SERVICE, "aws4_request"]
            .into_iter()
            .fold(hmac::Key::new(hmac::HMAC_SHA256, &first), |key, step| {
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref())
            })
    }
}

/// What of a request is signed.
pub(in crate::attempt) struct Signed<'a> {
    pub method: &'a str,
    /// Host, and port where it is not the usual one.
    pub host: &'a str,
    /// As it is sent, percent-encoded once; there is never a query.
    pub path: &'a str,
    pub content_type: &'a str,
    pub region: &'a str,
}

impl Signed<'_> {
    /// The headers to add.
    pub(in crate::attempt) fn headers(
        &self,
        keys: &AccessKeys,
        body: impl Iterator<Item = Bytes>,
        now: Timestamp,
    ) -> Result<HeaderMap, Failure> {
        let time = basic(now);
        let day = &time[..8];
        let mut names = vec!["content-type", "host", "x-amz-date"];
        let mut canonical = format!("{}\n{}\n\n", self.method, twice(self.path));
        // Writing to a String can't fail.
        let _ = write!(canonical, "content-type:{}\nhost:{}\nx-amz-date:{time}\n", self.content_type, self.host);
        if let Some(token) = &keys.session {
            names.push("x-amz-security-token");
            let _ = writeln!(canonical, "x-amz-security-token:{}", String::from_utf8_lossy(token.as_bytes()));
        }
        let names = names.join(";");
        let mut hash = digest::Context::new(&digest::SHA256);
        body.for_each(|piece| hash.update(&piece));
        let _ = write!(canonical, "\n{names}\n{}", hex(hash.finish().as_ref()));
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{canonical}");
        let signature = hex(hmac::sign(&keys.key(day, self.region), to_sign.as_bytes()).as_ref());
        let shown = format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id);
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Failure::CredentialUnusable("it holds characters that no header may"))
        };
        let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, value(&shown)?), (DATE, value(&time)?)]);
        headers.extend(keys.session.clone().map(|token| (TOKEN, token)));
        Ok(headers)
    }
}

/// `20150830T123600Z`
fn basic(now: Timestamp) -> String {
    let text: String = now.iso8601().chars().filter(|sign| !matches!(sign, '-' | ':')).collect();
    text[..15].to_string() + "Z"
}

/// Every byte of a segment but letters, digits and `-._~` is encoded, and so is the percent sign of what is already.
fn twice(path: &str) -> String {
    path.replace('%', "%25")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The region that an address of AWS names: `bedrock-runtime.eu-central-1.amazonaws.com`.
pub(in crate::attempt) fn region_of(host: &str) -> Option<&str> {
    let (_, rest) = host.split_once("bedrock-runtime").filter(|_| host.ends_with(".amazonaws.com"))?;
    rest.split('.').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2015-08-30T12:36:00Z, as in AWS' own examples.
    const NOW: Timestamp = Timestamp(1_440_938_160_000);
    const KEYS: &str = "AKIDEXAMPLE00000:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn keys(text: &str) -> AccessKeys {
        // The examples' id is shorter than real ones.
        AccessKeys { id: "AKIDEXAMPLE".into(), ..AccessKeys::read(text.as_bytes()).unwrap() }
    }

    fn signature(path: &str, host: &str, body: &str, text: &str) -> String {
        let (method, content_type, region) = ("POST", "application/json", "eu-central-1");
        let signed = Signed { method, host, path, content_type, region };
        let body = [Bytes::copy_from_slice(body.as_bytes())].into_iter();
        let headers = signed.headers(&keys(text), body, NOW).unwrap();
        assert_eq!(headers[DATE], "20150830T123600Z");
        headers[header::AUTHORIZATION].to_str().unwrap().rsplit('=').next().unwrap().to_string()
    }

    /// What botocore 1.44.5 signs for the same requests at the same time.
    #[test]
    fn signatures_are_those_of_awss_own_signer() {
        let host = "bedrock-runtime.eu-central-1.amazonaws.com";
        let body = r#"{"messages":[]}"#;
        assert_eq!(
            signature("/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse", host, body, KEYS),
            "1a71e0d9f6646f97ddfcdd66849ddc53209fcc5b62dcf066426cb457e659c16a"
        );
        let arn = "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Ainference-profile%2Feu.x/converse-stream";
        assert_eq!(
            signature(arn, host, body, &format!("{KEYS}:SESSION")),
            "a0c98b72f796388098522f02ad9c5fd59269caeae59ba80f5718738470dae080"
        );
        assert_eq!(
            signature("/model/m/converse", "127.0.0.1:8443", "", KEYS),
            "3f827b9a759637e813f0fd2555a3936ad0217fb28d26c85bcb990b0e122e9851"
        );
    }

    #[test]
    fn access_keys_are_told_from_api_keys() {
        assert!(AccessKeys::read(b"AKIAIOSFODNN7EXAMPLE:secret").is_some());
        assert!(AccessKeys::read(b"ASIAIOSFODNN7EXAMPLE:secret:a:b").is_some_and(|keys| keys.session.is_some()));
        for other in ["bedrock-api-key-YmVk", "ABSKQmVk", "kw:x", "abcdefghijklmnop:secret"] {
            assert!(AccessKeys::read(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn an_address_of_aws_names_its_region() {
        assert_eq!(region_of("bedrock-runtime.eu-central-1.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(region_of("bedrock-runtime-fips.us-east-1.amazonaws.com"), Some("us-east-1"));
        assert_eq!(region_of("127.0.0.1"), None);
    }
}
