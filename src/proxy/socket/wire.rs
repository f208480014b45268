//! A socket's bytes between the connection and the messages made of them: what is read counts against the memory for
//! bodies until its message is whole, and somebody else holds it.

use std::io::{self, Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::bodies::{BodyBudget, BodyShare};

/// What frames the bytes of a ping or a pong that a client sends, which must be masked.
const CONTROL_FRAME_BYTES: usize = 6;

pub(super) struct Wire {
    io: TokioIo<Upgraded>,
    budget: Arc<BodyBudget>,
    /// Of the memory for bodies, for the message that is on its way.
    share: BodyShare,
}

impl Wire {
    pub(super) fn new(io: Upgraded, budget: &Arc<BodyBudget>) -> Self {
        Self { io: TokioIo::new(io), budget: budget.clone(), share: BodyShare::none_of(budget) }
    }

    /// The share of a message that is whole now.
    pub(super) fn message(&mut self) -> BodyShare {
        std::mem::replace(&mut self.share, BodyShare::none_of(&self.budget))
    }

    /// Such a frame is part of no message, and nothing of it is kept.
    pub(super) fn control(&mut self, payload_bytes: usize) {
        self.share.shrink(payload_bytes + CONTROL_FRAME_BYTES);
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let grown = self.share.grow(buffer.filled().len() - before);
        Poll::Ready(grown.map_err(|refusal| Error::new(ErrorKind::OutOfMemory, refusal)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
