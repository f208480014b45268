//! What the driver saw, and the one JSON line it prints. Also the check of a stream against the bytes it should be.

use crate::script::{Script, Usage};
use crate::wire::find;

/// Latencies kept; at 100,000 answers/s this is 40 s. Later ones are counted but not sampled.
const SAMPLES_MAX: usize = 4_000_000;

/// An altered stream is kept to be counted when it ends; larger than any script we run.
const ALTERED_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    pub events: u64,
    pub lost_events: u64,
    pub truncated: u64,
    pub missing_usage: u64,
    pub altered: u64,
    pub refused: u64,
    pub broken: u64,
    pub stuck: u64,
    pub reconnects: u64,
    pub aborted: u64,
    pub late: u64,
    pub skipped: u64,
    pub first_error: Option<String>,
    pub whole_us: Vec<f32>,
    pub first_byte_us: Vec<f32>,
}

impl Tally {
    pub fn timed(&mut self, first_byte_us: f32, whole_us: f32) {
        if self.whole_us.len() < SAMPLES_MAX {
            self.first_byte_us.push(first_byte_us);
            self.whole_us.push(whole_us);
        }
    }

    pub fn complains(&mut self, text: impl FnOnce() -> String) {
        self.first_error.get_or_insert_with(text);
    }

    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in self.counts_mut().into_iter().zip(other.counts()) {
            *mine.1 += theirs.1;
        }
        self.first_error = self.first_error.take().or(other.first_error);
        self.whole_us.extend(other.whole_us);
        self.first_byte_us.extend(other.first_byte_us);
    }

    fn counts_mut(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("requests", &mut self.requests),
            ("events", &mut self.events),
            ("lost_events", &mut self.lost_events),
            ("truncated", &mut self.truncated),
            ("missing_usage", &mut self.missing_usage),
            ("altered", &mut self.altered),
            ("refused", &mut self.refused),
            ("broken", &mut self.broken),
            ("stuck", &mut self.stuck),
            ("reconnects", &mut self.reconnects),
            ("aborted", &mut self.aborted),
            ("late", &mut self.late),
            ("skipped", &mut self.skipped),
        ]
    }

    fn counts(&self) -> [(&'static str, u64); 13] {
        let mut copy = Self {
            requests: self.requests,
            events: self.events,
            lost_events: self.lost_events,
            truncated: self.truncated,
            missing_usage: self.missing_usage,
            altered: self.altered,
            refused: self.refused,
            broken: self.broken,
            stuck: self.stuck,
            reconnects: self.reconnects,
            aborted: self.aborted,
            late: self.late,
            skipped: self.skipped,
            ..Self::default()
        };
        copy.counts_mut().map(|(name, count)| (name, *count))
    }

    pub fn json(mut self, seconds: f64) -> String {
        let mut fields: Vec<String> = self.counts().map(|(name, count)| format!("\"{name}\":{count}")).into();
        fields.push(format!("\"seconds\":{seconds:.3}"));
        fields.push(percentiles("whole_us", &mut self.whole_us));
        fields.push(percentiles("first_byte_us", &mut self.first_byte_us));
        let error = self
            .first_error
            .map_or_else(|| "null".to_owned(), |text| format!("{:?}", text.escape_default().to_string()));
        fields.push(format!("\"first_error\":{error}"));
        format!("{{{}}}", fields.join(","))
    }
}

fn percentiles(name: &str, samples: &mut [f32]) -> String {
    samples.sort_unstable_by(f32::total_cmp);
    let at = |part: f64| {
        let place = ((samples.len() as f64 * part) as usize).min(samples.len().saturating_sub(1));
        samples.get(place).map_or_else(|| "null".to_owned(), |value| format!("{value:.1}"))
    };
    format!("\"{name}\":{{\"p50\":{},\"p90\":{},\"p99\":{}}}", at(0.5), at(0.9), at(0.99))
}

/// What a script's answer must be, byte for byte.
pub struct Expected {
    pub body: Vec<u8>,
    pub events: u64,
    streams: bool,
    usage: Usage,
}

impl Expected {
    pub fn of(script: &Script, model: &str, usage: Usage) -> Self {
        let pieces = script.pieces(model, usage);
        let events = if script.streams() { pieces.len() as u64 } else { 0 };
        Self { body: pieces.concat().into_bytes(), events, streams: script.streams(), usage }
    }
}

/// Compares an answer with what it should be as it comes; equal bytes cost a comparison and nothing else.
pub struct Check<'a> {
    expected: &'a Expected,
    equal: usize,
    rest: Option<Vec<u8>>,
}

impl<'a> Check<'a> {
    pub fn new(expected: &'a Expected) -> Self {
        Self { expected, equal: 0, rest: None }
    }

    pub fn began(&self) -> bool {
        self.equal > 0 || self.rest.is_some()
    }

    pub fn push(&mut self, piece: &[u8]) {
        match &mut self.rest {
            Some(rest) if rest.len() < ALTERED_BYTES_MAX => rest.extend_from_slice(piece),
            Some(_) => {}
            None if self.expected.body[self.equal..].starts_with(piece) => self.equal += piece.len(),
            None => self.rest = Some([&self.expected.body[..self.equal], piece].concat()),
        }
    }

    /// Books the answer, which ended here in good order or not.
    pub fn ends(self, tally: &mut Tally) {
        if self.rest.is_none() && self.equal == self.expected.body.len() {
            tally.events += self.expected.events;
            return;
        }
        tally.altered += u64::from(self.rest.is_some());
        let seen = self.rest.unwrap_or_else(|| self.expected.body[..self.equal].to_vec());
        if !self.expected.streams {
            // A whole answer that differs is only altered; that it is complete, its length said.
            tally.truncated += u64::from(seen.len() < self.expected.body.len());
            return;
        }
        let events = events(&seen);
        tally.events += events;
        tally.lost_events += self.expected.events.saturating_sub(events);
        tally.truncated += u64::from(!seen.ends_with(b"data: [DONE]\n\n"));
        let without_usage = self.expected.usage == Usage::Asked && find(&seen, br#""usage":{"#).is_none();
        tally.missing_usage += u64::from(without_usage);
    }
}

fn events(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    text.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n") && event.contains("data:")).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(cut: impl Fn(&[u8]) -> Vec<u8>) -> Tally {
        let expected = Expected::of(&Script::Burst { events: 5 }, "m", Usage::Asked);
        let (mut check, mut tally) = (Check::new(&expected), Tally::default());
        cut(&expected.body).chunks(7).for_each(|piece| check.push(piece));
        check.ends(&mut tally);
        tally
    }

    #[test]
    fn an_equal_stream_is_counted_whole() {
        let tally = checked(<[u8]>::to_vec);
        assert_eq!((tally.events, tally.altered, tally.truncated), (8, 0, 0));
    }

    #[test]
    fn a_cut_stream_is_truncated_and_its_events_are_lost() {
        let tally = checked(|body| body[..body.len() - 20].to_vec());
        assert_eq!((tally.events, tally.lost_events, tally.truncated), (6, 2, 1));
    }

    #[test]
    fn a_rewritten_stream_is_altered_but_complete() {
        let tally =
            checked(|body| String::from_utf8_lossy(body).replace("chatcmpl-bench", "chatcmpl-other").into_bytes());
        assert_eq!((tally.events, tally.altered, tally.lost_events, tally.truncated), (8, 1, 0, 0));
    }
}
