//! The floor: hyper in front, hyper behind, nothing between. One runtime, listener and pool per core.
//!
//! Any request goes to the one upstream with head and body as they came. An upstream failure closes the connection,
//! which the driver counts as an error. Must never do anything Keyway could leave out.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cores;
use crate::flags::Flags;

/// Idle upstream connections a core keeps: as many as held streams may leave behind at once.
const POOL_MAX: usize = 8192;

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// One core's way upstream. The lock is its own core's alone, so it is never waited for.
#[derive(Clone)]
struct Pool {
    upstream: SocketAddr,
    idle: Arc<Mutex<Vec<SendRequest<Incoming>>>>,
}

pub fn run(flags: &Flags) -> Result<(), String> {
    let upstream = flags.address("upstream")?;
    cores::serve(flags.address("address")?, || Pool { upstream, idle: Arc::default() }, serve)
}

async fn serve(pool: Pool, stream: TcpStream) {
    let service = service_fn(move |request| pass(pool.clone(), request));
    // The driver counts what a broken connection loses.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn pass(pool: Pool, request: Request<Incoming>) -> Result<Response<Passing>, Problem> {
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| Passing { body, pool, sender: Some(sender) }))
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Incoming>, Problem> {
        while let Some(mut sender) = self.pop() {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn pop(&self) -> Option<SendRequest<Incoming>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, sender: SendRequest<Incoming>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < POOL_MAX {
            idle.push(sender);
        }
    }
}

/// An answer on its way, which gives its connection back when it went whole.
struct Passing {
    body: Incoming,
    pool: Pool,
    sender: Option<SendRequest<Incoming>>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // A stream its client left is still open: its connection goes with it.
        if let Some(sender) = self.sender.take().filter(|_| self.body.is_end_stream()) {
            self.pool.give_back(sender);
        }
    }
}
