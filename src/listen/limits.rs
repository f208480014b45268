//! Every number that bounds what a peer may send, hold open or wait for. All are settings; these are the defaults.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections on all cores together: at about 40 KiB each this is 400 MiB at worst.
    pub connections: usize,
    /// Of these, from one address (one /64 of IPv6) that has not yet shown a valid token.
    pub connections_per_address: usize,
    /// Requests being answered on all cores together; one more is refused, not queued.
    pub requests_in_flight: usize,

    /// How long a connection may say nothing between two requests, or before its first.
    pub idle: Duration,
    /// From a head's first byte to its last.
    pub head: Duration,
    /// For the whole TLS handshake.
    pub handshake: Duration,
    /// How long a request's body may stand still while we want to read it.
    pub body_stall: Duration,
    /// How long a peer may take nothing of what we have for it.
    pub write_stall: Duration,
    /// A connection this old ends after the answer in progress, so that load moves after a change of replicas.
    pub connection_age: Duration,

    /// Header lines of one request.
    pub headers: usize,
    /// Bytes of an HTTP/1.1 head, and of hyper's buffers in both directions.
    pub head_bytes: usize,
    /// What is left of an unread body is read away up to here, so that the connection can go on; else it closes.
    pub drain_bytes: usize,
    pub drain: Duration,
    /// A closing connection reads on this long and this much, for a peer that is still sending would
    /// lose our answer to a reset.
    pub linger: Duration,
    pub linger_bytes: usize,
    /// Unsent bytes the kernel may hold for one connection before it counts as full: a slow reader must stop us, not fill us.
    pub unsent_bytes: u32,

    pub http2: Http2Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    pub streams: u32,
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    pub frame_bytes: u32,
    pub header_list_bytes: u32,
    pub send_buffer_bytes: usize,
    /// Streams reset by the peer before we took them up: the rapid reset attack.
    pub pending_reset_streams: usize,
    /// Streams we had to reset for the peer's faults.
    pub local_reset_streams: usize,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    /// Bytes that bring neither a request, a body byte nor an answer on: floods of PING, SETTINGS, PRIORITY. Four times
    /// the connection's window, which bodies may fill while we have not begun to read them.
    pub idle_chatter_bytes: usize,
    /// Requests that a peer without a valid token may give up before their answer.
    pub abandoned_requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            requests_in_flight: 4_096,
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            body_stall: Duration::from_secs(30),
            write_stall: Duration::from_secs(60),
            connection_age: Duration::from_secs(3_600),
            headers: 64,
            head_bytes: 32 << 10,
            drain_bytes: 64 << 10,
            drain: Duration::from_millis(250),
            linger: Duration::from_secs(2),
            linger_bytes: 1 << 20,
            unsent_bytes: 128 << 10,
            http2: Http2Limits::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window_bytes: 64 << 10,
            connection_window_bytes: 1 << 20,
            frame_bytes: 16 << 10,
            header_list_bytes: 16 << 10,
            send_buffer_bytes: 64 << 10,
            pending_reset_streams: 20,
            local_reset_streams: 128,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            idle_chatter_bytes: 4 << 20,
            abandoned_requests: 100,
        }
    }
}
