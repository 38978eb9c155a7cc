//! One connection to a far system.
//!
//! In comes a frame; out comes the far system's next frame. Promised: opening, writing and waiting end at
//! their deadlines (H6); a link that failed is dropped, and with it whatever still comes on it. Refused:
//! answers over their limit, and bytes that no message asked for.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Options;
use crate::hl7v2::mllp::{Decoder, Event};
use crate::limits::{FrameLimits, SendLimits};

/// Read at a time.
const READ_BYTES: usize = 4 * 1024;

/// Why an attempt was not answered. Says nothing of the message.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("all connections were busy")]
    Busy,
    #[error("cannot connect: {}", .0.kind())]
    Connect(std::io::Error),
    #[error("connecting took too long")]
    ConnectTooSlow,
    #[error("tls failed: {0}")]
    Tls(std::io::Error),
    #[error("the message was not taken in time")]
    WriteTooSlow,
    #[error("the connection was lost: {}", .0.kind())]
    Lost(std::io::Error),
    #[error("the connection was closed before an answer came")]
    Closed,
    #[error("no answer came in time")]
    NoAnswer,
    #[error("the answer was too large or not framed")]
    Unframed,
    #[error("the answer was no acknowledgement")]
    NoAcknowledgement,
    #[error("the answer was for another message")]
    OtherMessage,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    events: VecDeque<Event>,
}

impl Link {
    pub(super) async fn open(options: &Options) -> Result<Link, Failure> {
        let limits = &options.limits;
        let plain = within(limits.connect_deadline, TcpStream::connect(&options.address), Failure::ConnectTooSlow)
            .await?
            .map_err(Failure::Connect)?;
        crate::tcp::prepare(&plain, limits.keepalive).map_err(Failure::Connect)?;
        let stream: Box<dyn Stream> = match &options.tls {
            None => Box::new(plain),
            Some(tls) => {
                let shaking = TlsConnector::from(tls.client.config()).connect(tls.server_name.clone(), plain);
                let shaken = within(limits.connect_deadline, shaking, Failure::ConnectTooSlow).await?;
                Box::new(shaken.map_err(Failure::Tls)?)
            }
        };
        let frame = FrameLimits {
            frame_bytes_max: limits.answer_bytes_max,
            kept_bytes_max: 0,
            skipped_bytes_max: limits.answer_bytes_max,
            junk_bytes_max: limits.answer_bytes_max,
        };
        Ok(Link { stream, decoder: Decoder::new(frame), events: VecDeque::new() })
    }

    /// Sends a frame and waits for the next one that comes.
    pub(super) async fn exchange(&mut self, frame: &[u8], limits: &SendLimits) -> Result<Bytes, Failure> {
        let writing = async {
            self.stream.write_all(frame).await?;
            self.stream.flush().await
        };
        within(limits.write_deadline, writing, Failure::WriteTooSlow).await?.map_err(Failure::Lost)?;
        within(limits.answer_deadline, self.next_frame(), Failure::NoAnswer).await?
    }

    /// Whether nothing came, not even an end, since the last answer.
    pub(super) async fn is_silent(&mut self) -> bool {
        poll_fn(|cx| {
            let mut byte = [0];
            Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())
        })
        .await
    }

    /// Whether nothing followed the last answer.
    pub(super) fn is_clean(&self) -> bool {
        self.events.is_empty() && !self.decoder.is_inside()
    }

    async fn next_frame(&mut self) -> Result<Bytes, Failure> {
        let mut piece = Vec::with_capacity(READ_BYTES);
        loop {
            match self.events.pop_front() {
                Some(Event::Frame(body)) => return Ok(body),
                Some(Event::Junk(_)) => {}
                Some(Event::TooLarge(_) | Event::Resync(_) | Event::Cut(_) | Event::GaveUp(_)) => {
                    return Err(Failure::Unframed);
                }
                None => {
                    piece.clear();
                    match self.stream.read_buf(&mut piece).await.map_err(Failure::Lost)? {
                        0 => return Err(Failure::Closed),
                        _ => self.decoder.feed(&piece, &mut self.events),
                    }
                }
            }
        }
    }
}

async fn within<T>(
    deadline: std::time::Duration,
    work: impl Future<Output = T>,
    failure: Failure,
) -> Result<T, Failure> {
    tokio::time::timeout(deadline, work).await.map_err(|_| failure)
}
