//! A connection's stream of bytes as the pool wants it: one that can tell whether its peer has said anything.

use std::io;
use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Whether nothing waits to be read, asked of the kernel itself: the runtime may not have heard yet.
    fn is_quiet(&self) -> bool;
}

impl Stream for TcpStream {
    fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        // A waiting end of the stream reads as 0 bytes: not quiet either.
        matches!(SockRef::from(self).peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Stream for TlsStream<TcpStream> {
    /// Any record that waits counts: a session ticket costs us a handshake here, a late answer would cost far more.
    fn is_quiet(&self) -> bool {
        self.get_ref().0.is_quiet()
    }
}

/// A pipe in memory says at once what it holds.
impl Stream for DuplexStream {
    fn is_quiet(&self) -> bool {
        true
    }
}
