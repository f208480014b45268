//! A form that goes by once: its beginning with the model's name changed, then the rest as the client sends it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::client::Outgoing;
use crate::domain::call::{Rest, Upload};
use crate::domain::failure::Failure;
use crate::protocol::splice::{Edit, apply};

/// Did the client's side of an upload break? A failed request is then nobody else's fault. What is no upload has none
/// that could break.
#[derive(Clone, Debug, Default)]
pub(super) struct Broke(Option<Arc<AtomicBool>>);

impl Broke {
    /// The failure as it really is.
    pub(super) fn instead_of(&self, failure: Failure) -> Failure {
        if self.0.as_ref().is_some_and(|broke| broke.load(Ordering::Relaxed)) { Failure::UploadBroken } else { failure }
    }
}

/// The upstream body of an upload, and who says whether it broke. It can be taken once.
pub(super) fn outgoing(upload: &Upload, edit: Option<&Edit>) -> Result<(Outgoing, Broke), Failure> {
    let rest = upload.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    let rest = rest.ok_or(Failure::Internal("an upload was sent twice"))?;
    let beginning: Vec<Bytes> = apply(&upload.beginning, edit.map_or(&[], std::slice::from_ref)).into_iter().collect();
    let sent: usize = beginning.iter().map(Bytes::len).sum();
    // The client's length, less what stood in the beginning, more what stands there now.
    let length = upload.length.map(|length| length - upload.beginning.len() as u64 + sent as u64);
    let broke = Arc::<AtomicBool>::default();
    let form = Form { beginning: beginning.into_iter(), rest, left: length, broke: broke.clone() };
    Ok((Outgoing::Streamed(Box::pin(form)), Broke(Some(broke))))
}

struct Form {
    beginning: IntoIter<Bytes>,
    rest: Rest,
    left: Option<u64>,
    broke: Arc<AtomicBool>,
}

impl Form {
    fn counted(&mut self, piece: &Bytes) {
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
    }
}

impl Body for Form {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(piece) = self.beginning.next() {
            self.counted(&piece);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = std::task::ready!(self.rest.as_mut().poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    let piece = piece.clone();
                    self.counted(&piece);
                }
            }
            Some(Err(_)) => self.broke.store(true, Ordering::Relaxed),
            None => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.as_slice().is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
