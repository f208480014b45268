//! One current-thread runtime per core, each with its own listener on the same port: how the mock provider and the
//! bare pass-through use a machine, and how Keyway does.

use std::future::Future;
use std::net::SocketAddr;
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections the kernel holds for us while a core is busy; 5,000 held streams arrive within two seconds.
const BACKLOG: i32 = 4096;

pub fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Serves `address` on every core until the process is ended. `build` makes each core's own state.
pub fn serve<S, F>(address: SocketAddr, build: impl Fn() -> S, each: fn(S, TcpStream) -> F) -> Result<(), String>
where
    S: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut cores = Vec::new();
    for _ in 0..count() {
        let listener = listener(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let state = build();
        cores.push(thread::spawn(move || runtime()?.block_on(accept(listener, state, each))));
    }
    for core in cores {
        core.join().map_err(|_| "a core panicked".to_owned())??;
    }
    Ok(())
}

pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

fn listener(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept<S, F>(listener: std::net::TcpListener, state: S, each: fn(S, TcpStream) -> F) -> Result<(), String>
where
    S: Clone,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| format!("cannot accept: {error}"))?;
        // Without it small writes wait 40 ms for an acknowledgement.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        tokio::spawn(each(state.clone(), stream));
    }
}
