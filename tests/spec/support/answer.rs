//! What a scripted provider does with one request: bytes, pauses, and an end.

use std::time::Duration;

use bytes::Bytes;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Bytes(Bytes),
    Wait(Duration),
    Close,
    Reset,
    Hang,
}

/// One answer, built from left to right. Without an end of its own the connection stays for the next request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer(pub(super) Vec<Step>);

/// An event with a piece of text.
pub(crate) fn says(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n"
    )
}

impl Answer {
    pub(crate) const ROLE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
    pub(crate) const FINISH: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    pub(crate) const USAGE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
    pub(crate) const DONE: &str = "data: [DONE]\n\n";

    /// Any bytes.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::default().bytes(bytes)
    }

    /// A whole answer with a length.
    pub(crate) fn of(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self::raw(format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::of(status, &[("content-type", "application/json")], body)
    }

    /// An error as OpenAI's servers say it.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::json(
            status,
            &format!(
                "{{\"error\":{{\"message\":\"it says {code}\",\"type\":\"x\",\"param\":null,\"code\":\"{code}\"}}}}"
            ),
        )
    }

    /// A chat completion, seven units in and two out.
    pub(crate) fn whole(text: &str) -> Self {
        let text = serde_json::to_string(text).unwrap();
        Self::json(
            200,
            &format!(
                "{{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{text}}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}}}"
            ),
        )
    }

    /// A whole stream, its usage included.
    pub(crate) fn stream<const N: usize>(texts: [&str; N]) -> Self {
        let begun = texts.iter().fold(Self::begins().event(Self::ROLE), |answer, text| answer.event(says(text)));
        begun.event(Self::FINISH).event(Self::USAGE).event(Self::DONE).ends()
    }

    /// The head of a stream.
    pub(crate) fn begins() -> Self {
        Self::raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    /// A chunk of a stream, an event or any part of one.
    pub(crate) fn event(self, event: impl AsRef<[u8]>) -> Self {
        let event = event.as_ref();
        let mut chunk = format!("{:x}\r\n", event.len()).into_bytes();
        chunk.extend_from_slice(event);
        chunk.extend_from_slice(b"\r\n");
        self.bytes(chunk)
    }

    pub(crate) fn bytes(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Bytes(bytes.into()))
    }

    /// The regular end of a stream's body.
    pub(crate) fn ends(self) -> Self {
        self.bytes("0\r\n\r\n")
    }

    pub(crate) fn waits(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    pub(crate) fn closes(self) -> Self {
        self.step(Step::Close)
    }

    pub(crate) fn resets(self) -> Self {
        self.step(Step::Reset)
    }

    pub(crate) fn hangs(self) -> Self {
        self.step(Step::Hang)
    }

    /// Only its first pieces.
    pub(crate) fn cut_to(mut self, pieces: usize) -> Self {
        self.0.truncate(pieces);
        self
    }

    /// The same, so much later.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.0.insert(0, Step::Wait(time));
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}
