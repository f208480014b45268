//! One connection's bytes, watched: what came before it was asked for is never read as an answer.
//!
//! Takes any stream; gives hyper a stream that fails when the peer speaks out of turn, and tells the pool how far a
//! call got. Knows nothing of HTTP.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::counts::Gauge;
use crate::listen::poll_write_slices;

/// A connection as the pool wants it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Whether nothing waits to be read, asked of the kernel itself: the runtime may not have heard yet.
    fn is_quiet(&self) -> bool;

    /// Pending: a read now would find nothing, and the task is woken as soon as one would. Asked after a read that left
    /// room, so the kernel need not be asked. Ready also where only a read could tell.
    fn poll_more(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Stream for TcpStream {
    fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        // A waiting end of the stream reads as 0 bytes: not quiet either.
        matches!(SockRef::from(self).peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }
}

impl Stream for TlsStream<TcpStream> {
    /// Any record that waits counts: a session ticket costs us a handshake here, a late answer would cost far more.
    fn is_quiet(&self) -> bool {
        self.get_ref().0.is_quiet()
    }

    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (tcp, tls) = self.get_ref();
        // Only with no text left does it want more records.
        if tls.wants_read() { tcp.poll_more(cx) } else { Poll::Ready(()) }
    }
}

/// A pipe in memory says at once what it holds, so hyper's own look before a reuse is enough.
impl Stream for DuplexStream {
    fn is_quiet(&self) -> bool {
        true
    }
}

/// How far the call on an HTTP/1.1 connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Connected, nothing was ever sent.
    Fresh,
    /// Between calls: whatever comes now belongs to nobody.
    Idle,
    /// The request is on its way and no byte of an answer came.
    Asked,
    Answering,
    /// The peer spoke or hung up before it was asked.
    Stray,
    /// HTTP/2: frames come at any time.
    Shared,
}

const PHASES: [Phase; 6] = [Phase::Fresh, Phase::Idle, Phase::Asked, Phase::Answering, Phase::Stray, Phase::Shared];

/// What the pool may ask about a connection that hyper holds.
#[derive(Debug)]
pub(super) struct Watch {
    phase: AtomicU8,
    reads: AtomicU64,
    interim: AtomicU64,
    /// The answer comes in chunks, so each read is asked whether it was one.
    in_chunks: AtomicBool,
    /// The length of the chunk that the last read was, from its first byte to its last; else 0.
    one_chunk: AtomicUsize,
}

impl Watch {
    pub(super) fn new(phase: Phase) -> Arc<Self> {
        let none = || AtomicU64::new(0);
        let (in_chunks, one_chunk) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { phase: AtomicU8::new(phase as u8), reads: none(), interim: none(), in_chunks, one_chunk })
    }

    pub(super) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Relaxed))]
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// How often bytes came. Two equal numbers: the peer was silent in between.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// Interim (1xx) heads so far.
    pub(super) fn interim(&self) -> u64 {
        self.interim.load(Relaxed)
    }

    pub(super) fn follow_chunks(&self, in_chunks: bool) {
        self.in_chunks.store(in_chunks, Relaxed);
        self.one_chunk.store(0, Relaxed);
    }

    /// Was the last read exactly the chunk of this piece, and nothing was left to read? So it is with almost every event
    /// of a stream.
    pub(super) fn was_chunk(&self, piece: &[u8]) -> bool {
        self.one_chunk.load(Relaxed) == piece.len()
    }
}

/// The watched stream that hyper reads and writes.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    watch: Arc<Watch>,
    heads: Heads,
    _open: Gauge,
}

/// Where in the heads of an answer its bytes have come to. hyper could tell of interim heads, but for each call it would
/// have to be given somebody to tell.
#[derive(Clone, Copy)]
enum Heads {
    /// So many of a status line's first letters have come.
    Status(usize),
    /// In an interim head; in an empty line it ends.
    Interim { line_is_empty: bool },
    /// The answer's own has begun.
    Own,
}

/// A status line up to the first digit of an interim status. The minor version may be any.
const INTERIM: &[u8; 10] = b"HTTP/1.? 1";
const MINOR_VERSION: usize = 7;

impl Heads {
    /// How many interim heads began in these bytes.
    fn push(&mut self, bytes: &[u8]) -> u64 {
        let mut begun = 0;
        for byte in bytes {
            *self = match *self {
                Self::Own => break,
                Self::Status(0) if matches!(byte, b'\r' | b'\n') => Self::Status(0),
                Self::Status(at) if at != MINOR_VERSION && *byte != INTERIM[at] => Self::Own,
                Self::Status(at) if at + 1 < INTERIM.len() => Self::Status(at + 1),
                Self::Status(_) => {
                    begun += 1;
                    Self::Interim { line_is_empty: false }
                }
                Self::Interim { line_is_empty: true } if *byte == b'\n' => Self::Status(0),
                Self::Interim { line_is_empty } => {
                    Self::Interim { line_is_empty: *byte == b'\n' || line_is_empty && *byte == b'\r' }
                }
            };
        }
        begun
    }
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, watch: Arc<Watch>, open: Gauge) -> Self {
        Self { stream, watch, heads: Heads::Own, _open: open }
    }

    /// Before the first byte of a call goes out on a used connection: the read before reuse that must find nothing.
    fn before_write(&mut self) -> io::Result<()> {
        match self.watch.phase() {
            Phase::Idle if !self.stream.is_quiet() => {
                self.watch.enter(Phase::Stray);
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Phase::Idle | Phase::Fresh => {
                self.watch.enter(Phase::Asked);
                self.heads = Heads::Status(0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn after_read(&mut self, bytes: &[u8], room_left: usize, cx: &mut Context<'_>) -> io::Result<()> {
        match self.watch.phase() {
            Phase::Idle | Phase::Fresh | Phase::Stray => {
                self.watch.enter(Phase::Stray);
                return Err(io::ErrorKind::InvalidData.into());
            }
            Phase::Asked => self.watch.enter(Phase::Answering),
            Phase::Answering | Phase::Shared => {}
        }
        self.watch.reads.store(self.watch.reads() + 1, Relaxed);
        self.watch.interim.store(self.watch.interim() + self.heads.push(bytes), Relaxed);
        if self.watch.in_chunks.load(Relaxed) {
            let chunk = one_chunk(bytes).filter(|_| room_left > 0 && self.stream.poll_more(cx).is_pending());
            self.watch.one_chunk.store(chunk.unwrap_or(0), Relaxed);
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if bytes.is_empty() { Poll::Ready(Ok(())) } else { Poll::Ready(self.after_read(bytes, buf.remaining(), cx)) }
    }
}

/// The length of the chunk that these bytes are, if they are one whole chunk as nearly everybody writes it and nothing
/// else. What comes in parts or with more behind it is looked at once more, which is never wrong.
fn one_chunk(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().take(CHUNK_DIGITS + 1).position(|byte| *byte == b'\r')?;
    let length = usize::from_str_radix(std::str::from_utf8(&bytes[..digits]).ok()?, 16).ok()?;
    let data = bytes.len().checked_sub(digits + "\r\n\r\n".len())?;
    (data == length).then_some(length)
}

/// Of the length of a chunk that fits into one read.
const CHUNK_DIGITS: usize = 8;

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.before_write()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.before_write()?;
        poll_write_slices(&mut *self.stream, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_heads_are_counted_up_to_the_answers_own_wherever_a_read_ends() {
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
        let own = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        let all = format!("{interim}\r\nHTTP/1.0 102 \n\n{interim}{own}");
        for cut in 0..all.len() {
            let mut heads = Heads::Status(0);
            assert_eq!(heads.push(&all.as_bytes()[..cut]) + heads.push(&all.as_bytes()[cut..]), 3, "{cut}");
        }
        assert_eq!(Heads::Status(0).push(own.as_bytes()), 0);
    }

    #[test]
    fn a_read_is_one_chunk_only_from_its_first_byte_to_its_last() {
        let data = "x".repeat(300);
        assert_eq!(one_chunk(format!("12c\r\n{data}\r\n").as_bytes()), Some(300));
        // The last of these is as long as a chunk of its own would be.
        for other in [format!("12c\r\n{data}"), format!("12c\r\n{data}\r\n1"), format!("{data}\r\n0\r\n\r\n")] {
            assert_eq!(one_chunk(other.as_bytes()), None, "{other}");
        }
        for other in ["", "\r\n", "zz\r\n", "fffffffff\r\n", "ffffffff\r\n", "0\r\n\r\n1\r\n"] {
            assert_eq!(one_chunk(other.as_bytes()), None, "{other}");
        }
    }
}
