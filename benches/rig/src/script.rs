//! What the mock provider answers, chosen by the model id; the driver knows the same bytes and compares.
//!
//! `bench-small`, `bench-whole-BYTES`, `bench-stream-EVENTSxPAUSEms`, `bench-burst-EVENTS`.
//! Pure: a name in, bytes out.

use std::time::Duration;

/// The largest answer a script may ask for: above any figure we measure, below what would fill the machine.
const EVENTS_MAX: usize = 1_000_000;
const WHOLE_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    Whole { bytes: usize },
    Paced { events: usize, pause: Duration },
    Burst { events: usize },
}

impl Script {
    pub fn named(model: &str) -> Option<Self> {
        let rest = model.strip_prefix("bench-")?;
        if rest == "small" {
            return Some(Self::Whole { bytes: 40 });
        }
        if let Some(bytes) = rest.strip_prefix("whole-") {
            return bounded(bytes, WHOLE_BYTES_MAX).map(|bytes| Self::Whole { bytes });
        }
        if let Some(events) = rest.strip_prefix("burst-") {
            return bounded(events, EVENTS_MAX).map(|events| Self::Burst { events });
        }
        let (events, pause) = rest.strip_prefix("stream-")?.strip_suffix("ms")?.split_once('x')?;
        let pause = Duration::from_millis(pause.parse().ok()?);
        bounded(events, EVENTS_MAX).map(|events| Self::Paced { events, pause })
    }

    pub fn streams(&self) -> bool {
        !matches!(self, Self::Whole { .. })
    }

    /// The answer's body, event by event (a whole answer is one piece).
    pub fn pieces(&self, model: &str, usage: Usage) -> Vec<String> {
        match *self {
            Self::Whole { bytes } => vec![whole(model, bytes)],
            Self::Paced { events, .. } | Self::Burst { events } => stream(model, events, usage),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    Asked,
    NotAsked,
}

fn bounded(text: &str, most: usize) -> Option<usize> {
    text.parse().ok().filter(|number| *number <= most)
}

fn whole(model: &str, bytes: usize) -> String {
    let content = "word ".repeat(bytes.div_ceil(5));
    let content = &content[..bytes];
    format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":12,"completion_tokens":8,"total_tokens":20}}}}"#
    )
}

/// `events` pieces of content, the finish, the usage if asked, `[DONE]`.
fn stream(model: &str, events: usize, usage: Usage) -> Vec<String> {
    let head = format!(
        r#"data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"{model}","choices":"#
    );
    let mut pieces: Vec<String> = (0..events)
        .map(|at| {
            format!("{head}[{{\"index\":0,\"delta\":{{\"content\":\"word {at} \"}},\"finish_reason\":null}}]}}\n\n")
        })
        .collect();
    pieces.push(format!("{head}[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"));
    if usage == Usage::Asked {
        pieces.push(format!(
            "{head}[],\"usage\":{{\"prompt_tokens\":12,\"completion_tokens\":{events},\"total_tokens\":{}}}}}\n\n",
            events + 12
        ));
    }
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_names_its_script() {
        assert_eq!(Script::named("bench-burst-10000"), Some(Script::Burst { events: 10_000 }));
        let pause = Duration::from_millis(20);
        assert_eq!(Script::named("bench-stream-100x20ms"), Some(Script::Paced { events: 100, pause }));
        assert_eq!(Script::named("bench-whole-99999999999"), None);
        assert_eq!(Script::named("gpt-4o"), None);
    }

    #[test]
    fn a_stream_ends_with_usage_only_when_asked() {
        let asked = Script::Burst { events: 2 }.pieces("m", Usage::Asked);
        assert_eq!(asked.len(), 5);
        assert!(asked[3].contains(r#""usage":{"#));
        assert_eq!(Script::Burst { events: 2 }.pieces("m", Usage::NotAsked).len(), 4);
    }
}
