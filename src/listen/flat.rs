//! Short writes in several slices, sent as one: the system takes one slice faster than it walks a list of them.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncWrite, ReadBuf};

/// Up to here a copy costs less than the list: most heads with a short body, and nearly every event of a stream.
const FLAT_BYTES: usize = 1_024;

/// Writes the slices one behind the other, as many of their bytes as the stream takes.
pub fn poll_write_slices<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let mut full = slices.iter().filter(|slice| !slice.is_empty());
    if let (Some(only), None) = (full.next(), full.next()) {
        return Pin::new(stream).poll_write(cx, only);
    }
    let mut room = [const { MaybeUninit::uninit() }; FLAT_BYTES];
    let mut flat = ReadBuf::uninit(&mut room);
    for slice in slices {
        if slice.len() > flat.remaining() {
            return Pin::new(stream).poll_write_vectored(cx, slices);
        }
        flat.put_slice(slice);
    }
    Pin::new(stream).poll_write(cx, flat.filled())
}

#[cfg(test)]
mod tests {
    use std::task::{Waker, ready};

    use super::*;

    /// Keeps what is written, and with how many slices each time.
    #[derive(Default)]
    struct Written(Vec<u8>, Vec<usize>);

    impl AsyncWrite for Written {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            slices.iter().for_each(|slice| self.0.extend_from_slice(slice));
            self.1.push(slices.len());
            Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.poll_flush(cx))?;
            Poll::Ready(Ok(()))
        }
    }

    fn written(lengths: &[usize]) -> (usize, usize) {
        let whole: Vec<u8> = (0..lengths.iter().sum()).map(|at: usize| at as u8).collect();
        let mut rest = &whole[..];
        let slices: Vec<IoSlice<'_>> =
            lengths.iter().map(|length| IoSlice::new(rest.split_off(..*length).unwrap())).collect();
        let mut stream = Written::default();
        let taken = poll_write_slices(&mut stream, &mut Context::from_waker(Waker::noop()), &slices);
        let Poll::Ready(Ok(taken)) = taken else { panic!() };
        assert_eq!(stream.0, whole);
        assert_eq!(stream.1.len(), 1);
        (taken, stream.1[0])
    }

    #[test]
    fn short_slices_go_as_one_and_long_ones_as_they_are() {
        assert_eq!(written(&[10, 0, 20]), (30, 1));
        assert_eq!(written(&[FLAT_BYTES - 1, 1]), (FLAT_BYTES, 1));
        assert_eq!(written(&[FLAT_BYTES, 1]), (FLAT_BYTES + 1, 2));
        assert_eq!(written(&[0, 2 * FLAT_BYTES, 0]), (2 * FLAT_BYTES, 1));
        assert_eq!(written(&[1, FLAT_BYTES, 1]), (FLAT_BYTES + 2, 3));
    }
}
