//! Writes JSON straight into the bytes that go out. A comma is put where one is due, by what stands before.

use super::text::{Json, Quoted};

/// Something that can stand as a value.
pub(in crate::protocol) trait Value {
    fn write(&self, out: &mut Vec<u8>);
}

/// A text of ours that needs no escape.
impl Value for &'static str {
    fn write(&self, out: &mut Vec<u8>) {
        quote(out, self.as_bytes());
    }
}

impl Value for Quoted<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        quote(out, self.as_bytes());
    }
}

/// Written on one line: a line end would cut an event in two, and between JSON's tokens it means nothing.
impl Value for Json<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        one_line(out, self.as_bytes());
    }
}

impl Value for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        let (mut digits, mut at, mut rest) = ([0; 20], 20, *self);
        loop {
            at -= 1;
            // A digit is always below ten.
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        out.extend_from_slice(&digits[at..]);
    }
}

impl Value for usize {
    fn write(&self, out: &mut Vec<u8>) {
        (*self as u64).write(out);
    }
}

impl Value for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

/// `None` is written as `null`.
impl<T: Value> Value for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: Value> Value for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (*self).write(out);
    }
}

/// JSON that we wrote ourselves a moment ago.
pub(in crate::protocol) struct Raw<'a>(pub(in crate::protocol) &'a [u8]);

impl Value for Raw<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

/// Adds to a body or an event.
pub(in crate::protocol) trait Write {
    /// A member of an object.
    fn member(&mut self, key: &'static str, value: impl Value) -> &mut Self;
    /// A member, if there is something to say.
    fn maybe(&mut self, key: &'static str, value: Option<impl Value>) -> &mut Self;
    /// The key of a member whose value the caller writes next.
    fn key(&mut self, key: &'static str) -> &mut Self;
    /// An element of an array, or a value behind a key.
    fn value(&mut self, value: impl Value) -> &mut Self;
    fn object(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self;
    fn array(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self;
    /// An event's frame, by name where the protocol names its events.
    fn event(&mut self, name: Option<&'static str>, data: impl FnOnce(&mut Self)) -> &mut Self;
}

impl Write for Vec<u8> {
    fn member(&mut self, key: &'static str, value: impl Value) -> &mut Self {
        self.key(key);
        value.write(self);
        self
    }

    fn maybe(&mut self, key: &'static str, value: Option<impl Value>) -> &mut Self {
        match value {
            Some(value) => self.member(key, value),
            None => self,
        }
    }

    fn key(&mut self, key: &'static str) -> &mut Self {
        comma(self);
        quote(self, key.as_bytes());
        self.push(b':');
        self
    }

    fn value(&mut self, value: impl Value) -> &mut Self {
        comma(self);
        value.write(self);
        self
    }

    fn object(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        comma(self);
        self.push(b'{');
        inside(self);
        self.push(b'}');
        self
    }

    fn array(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        comma(self);
        self.push(b'[');
        inside(self);
        self.push(b']');
        self
    }

    fn event(&mut self, name: Option<&'static str>, data: impl FnOnce(&mut Self)) -> &mut Self {
        if let Some(name) = name {
            self.extend_from_slice(b"event: ");
            self.extend_from_slice(name.as_bytes());
            self.push(b'\n');
        }
        self.extend_from_slice(b"data: ");
        data(self);
        self.extend_from_slice(b"\n\n");
        self
    }
}

/// Every value ends in a quote, a bracket, a digit or a letter. What ends otherwise is still open.
fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[' | b':' | b',' | b' ' | b'\n')) {
        out.push(b',');
    }
}

fn quote(out: &mut Vec<u8>, inside: &[u8]) {
    out.reserve(inside.len() + 2);
    out.push(b'"');
    out.extend_from_slice(inside);
    out.push(b'"');
}

fn one_line(out: &mut Vec<u8>, json: &[u8]) {
    let mut from = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', json) {
        out.extend_from_slice(&json[from..at]);
        out.push(b' ');
        from = at + 1;
    }
    out.extend_from_slice(&json[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_where_they_are_due() {
        let mut out = Vec::new();
        out.event(Some("e"), |out| {
            out.object(|out| {
                out.member("a", 0_u64).maybe("b", None::<u64>).member("c", u64::MAX).member("d", Quoted::of("é\n"));
                out.key("e").array(|out| {
                    out.value(true).object(|_| {}).value(Json::of(&b"{\r\n\"x\": 1\n}"[..]));
                });
                out.key("f").object(|out| {
                    out.member("g", None::<u64>);
                });
            });
        });
        let wanted = "event: e\ndata: {\"a\":0,\"c\":18446744073709551615,\"d\":\"é\\n\",\
                      \"e\":[true,{},{  \"x\": 1 }],\"f\":{\"g\":null}}\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
