//! Frames of an AWS event stream, written from lines that people can read: `kind {"payload":…}`, `!kind` for an exception.

const PRELUDE_BYTES: usize = 12;

pub(crate) fn written(lines: &[u8]) -> Vec<u8> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    lines
        .flat_map(|line| {
            let (kind, payload) = line.split_once(' ').unwrap();
            match kind.strip_prefix('!') {
                Some(kind) => frame(&[(":message-type", "exception"), (":exception-type", kind)], payload),
                None => frame(&[(":event-type", kind), (":message-type", "event")], payload),
            }
        })
        .collect()
}

fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend(name.bytes());
        head.push(7);
        head.extend((value.len() as u16).to_be_bytes());
        head.extend(value.bytes());
    }
    let length = PRELUDE_BYTES + head.len() + payload.len() + 4;
    let mut frame = [(length as u32).to_be_bytes(), (head.len() as u32).to_be_bytes()].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(head);
    frame.extend(payload.bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

/// Where each frame ends.
pub(crate) fn ends(stream: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < stream.len() {
        at += u32::from_be_bytes(stream[at..at + 4].try_into().unwrap()) as usize;
        ends.push(at);
    }
    ends
}
