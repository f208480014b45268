//! Takes a key out of what a provider says: some repeat in their errors what they were shown.

use bytes::Bytes;
use memchr::memmem;

/// What stands where the key stood.
const MARK: &[u8] = "…".as_bytes();

/// The same bytes without this secret. Without it in them nothing is copied.
pub fn scrub(said: &Bytes, secret: &[u8]) -> Bytes {
    if secret.is_empty() || memmem::find(said, secret).is_none() {
        return said.clone();
    }
    let mut clean = Vec::with_capacity(said.len());
    let mut from = 0;
    for at in memmem::find_iter(said, secret) {
        clean.extend_from_slice(&said[from..at]);
        clean.extend_from_slice(MARK);
        from = at + secret.len();
    }
    clean.extend_from_slice(&said[from..]);
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_provider_repeats_is_taken_out_each_time() {
        let said = Bytes::from_static(b"bad key sk-12345; sk-12345 is unknown");
        assert_eq!(scrub(&said, b"sk-12345"), "bad key …; … is unknown");
        assert_eq!(scrub(&said, b"sk-other").as_ptr(), said.as_ptr());
        assert_eq!(scrub(&said, b""), said);
    }
}
