//! The bounds of the edges, each with its name, its unit and its default.
//!
//! In comes configuration; out go numbers that the transports obey. Promised is H6: whatever crosses an
//! edge has a bound here, and over it the far side is told or slowed. Refused is nothing in this file.

use std::time::Duration;

/// Bounds of MLLP framing, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The largest body that is taken.
    pub frame_bytes_max: usize,
    /// How much of a body that was not taken is kept as evidence.
    pub kept_bytes_max: usize,
    /// How far a body over `frame_bytes_max` is skipped, unstored, before the decoder gives up.
    pub skipped_bytes_max: usize,
    /// How many bytes outside of frames are dropped in one run before the decoder gives up.
    pub junk_bytes_max: usize,
}

impl Default for FrameLimits {
    /// 1 MiB, 64 KiB kept, 16 MiB skipped, 64 KiB of junk.
    fn default() -> Self {
        FrameLimits {
            frame_bytes_max: 1024 * 1024,
            kept_bytes_max: 64 * 1024,
            skipped_bytes_max: 16 * 1024 * 1024,
            junk_bytes_max: 64 * 1024,
        }
    }
}

/// Bounds of an MLLP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// Bounds of the framing.
    pub frame: FrameLimits,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address. Hospitals behind one NAT share an address, so the
    /// default only keeps a quarter of the connections free for everyone else.
    pub connections_per_peer_max: usize,
    /// Connections over a limit that are being answered at a time; the rest are closed unanswered.
    pub refusals_max: usize,
    /// Connections accepted a second; the rest wait in the system's queue.
    pub accepts_per_second_max: u32,
    /// Connections in the system's queue. Over it their first packets are dropped and come again a second
    /// later. The system may set a lower bound (`net.core.somaxconn`).
    pub backlog: u32,
    /// Messages of one connection that may wait for their answers. 1 takes one at a time.
    pub window: usize,
    /// Bytes of one connection that may wait for their answers before it is read further.
    pub in_hand_bytes_max: usize,
    /// Bytes held by all connections together, half frames included, before none is read further.
    pub held_bytes_max: usize,
    /// Application answers of one connection that may be outstanding; over it the oldest is given up.
    pub later_answers_max: usize,
    /// For the TLS handshake.
    pub handshake_deadline: Duration,
    /// Without a frame, from the first byte on.
    pub idle_deadline: Duration,
    /// From a frame's first byte to its last.
    pub frame_deadline: Duration,
    /// Silence that ends a message without a frame, where such messages are taken.
    pub unframed_silence: Duration,
    /// For the peer to take any byte of an answer.
    pub write_deadline: Duration,
    /// For the peer to close its side after the listener closed its own.
    pub linger_deadline: Duration,
    /// Unread bytes thrown away in that time.
    pub linger_bytes_max: usize,
    /// Silence after which the system probes whether the peer is still there.
    pub keepalive: Duration,
    /// For every message in hand to be answered once draining began.
    pub drain_deadline: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        ListenLimits {
            frame: FrameLimits::default(),
            connections_max: 16_384,
            connections_per_peer_max: 12_288,
            refusals_max: 256,
            accepts_per_second_max: 2_000,
            backlog: 4_096,
            window: 64,
            in_hand_bytes_max: 2 * 1024 * 1024,
            held_bytes_max: 256 * 1024 * 1024,
            later_answers_max: 1_024,
            handshake_deadline: Duration::from_secs(5),
            idle_deadline: Duration::from_hours(24),
            frame_deadline: Duration::from_mins(1),
            unframed_silence: Duration::from_secs(2),
            write_deadline: Duration::from_secs(30),
            linger_deadline: Duration::from_secs(1),
            linger_bytes_max: 64 * 1024 * 1024,
            keepalive: Duration::from_mins(1),
            drain_deadline: Duration::from_secs(8),
        }
    }
}

/// Bounds of an MLLP destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLimits {
    /// Connections, each with one message in flight.
    pub connections: usize,
    /// For a connection to become free.
    pub turn_deadline: Duration,
    /// For the TCP connection and, apart, for the TLS handshake.
    pub connect_deadline: Duration,
    /// For the message to be written.
    pub write_deadline: Duration,
    /// For the answer, from the last byte written.
    pub answer_deadline: Duration,
    /// The largest answer that is read, in bytes.
    pub answer_bytes_max: usize,
    /// Silence after which the system probes whether the peer is still there.
    pub keepalive: Duration,
}

impl Default for SendLimits {
    fn default() -> Self {
        SendLimits {
            connections: 1,
            turn_deadline: Duration::from_mins(1),
            connect_deadline: Duration::from_secs(5),
            write_deadline: Duration::from_secs(30),
            answer_deadline: Duration::from_secs(30),
            answer_bytes_max: 64 * 1024,
            keepalive: Duration::from_mins(1),
        }
    }
}

/// Bounds of an HTTP destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// For TCP and TLS together.
    pub connect_deadline: Duration,
    /// For the whole exchange.
    pub exchange_deadline: Duration,
    /// The part of an answer's body that is read, and dropped, so that the connection can be used again.
    pub answer_bytes_max: usize,
    /// The longest `Retry-After` that is obeyed.
    pub retry_after_max: Duration,
    /// Idle connections kept.
    pub idle_connections_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            connect_deadline: Duration::from_secs(5),
            exchange_deadline: Duration::from_secs(30),
            answer_bytes_max: 64 * 1024,
            retry_after_max: Duration::from_hours(24),
            idle_connections_max: 8,
        }
    }
}

/// Bounds of a folder destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Files written at a time.
    pub writers_max: usize,
    /// For one file to be on disk.
    pub write_deadline: Duration,
}

impl Default for FileLimits {
    fn default() -> Self {
        FileLimits { writers_max: 4, write_deadline: Duration::from_secs(30) }
    }
}
