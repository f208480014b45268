//! A body that follows a script: send, wait, break off.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

#[derive(Debug)]
pub(super) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// The connection ends here, in the middle of the answer.
    Cut,
}

#[derive(Debug)]
pub struct Script {
    steps: VecDeque<Step>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Script {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let takes_time = |step: &Step| !matches!(step, Step::Wait(Duration::ZERO));
        Self { steps: steps.into_iter().filter(takes_time).collect(), waiting: None }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            match self.steps.pop_front() {
                Some(Step::Wait(time)) => self.waiting = Some(Box::pin(sleep(time))),
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Cut) => return Poll::Ready(Some(Err(io::Error::other("cut off, as it was asked to")))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Known only where the answer is one piece.
    fn size_hint(&self) -> SizeHint {
        match self.steps.front() {
            Some(Step::Send(bytes)) if self.steps.len() == 1 => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
