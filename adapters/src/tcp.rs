//! What both directions of TCP share.
//!
//! In comes a fresh connection; out goes the same one, set up so that small frames leave at once and a peer
//! that is gone is noticed. Refused is a connection that is already lost.

use std::time::Duration;

use tokio::net::TcpStream;

/// Sets no delay, and probes after a `keepalive` of silence.
pub(crate) fn prepare(stream: &TcpStream, keepalive: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = socket2::TcpKeepalive::new().with_time(keepalive).with_interval(keepalive);
    socket2::SockRef::from(stream).set_tcp_keepalive(&probes)
}
