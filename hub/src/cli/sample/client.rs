//! A sender of HL7 v2 over MLLP, as a hospital has one.
//!
//! In comes a message; out go the answers that the hub sent to it. Promised: every wait has a deadline, and
//! what came until then is what there is. Refused is nothing: an answer that cannot be read is no answer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use adapters::hl7v2::mllp::{self, Decoder, Event};
use adapters::limits::FrameLimits;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait until a message is written.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait for all answers to one message. The hub itself takes up to 10 s for an application answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(12);
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 4096;

/// Sends `message` on a connection of its own, and waits for `count` answers.
pub async fn ask(address: SocketAddr, message: &[u8], count: usize) -> std::io::Result<Vec<Bytes>> {
    let mut stream = timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await??;
    timeout(WRITE_DEADLINE, stream.write_all(&mllp::encode(message))).await??;
    let mut answers = Vec::new();
    match timeout(ANSWER_DEADLINE, read_answers(&mut stream, count, &mut answers)).await {
        Ok(read) => read?,
        Err(_) => tracing::warn!(came = answers.len(), count, "not every answer came in time"),
    }
    Ok(answers)
}

/// Reads until `count` answers are there, or the hub ends the connection.
async fn read_answers(stream: &mut TcpStream, count: usize, answers: &mut Vec<Bytes>) -> std::io::Result<()> {
    let mut decoder = Decoder::new(FrameLimits::default());
    let mut events = VecDeque::new();
    let mut piece = vec![0; PIECE_BYTES];
    while answers.len() < count {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        decoder.feed(piece.get(..read).unwrap_or_default(), &mut events);
        answers.extend(events.drain(..).filter_map(|event| match event {
            Event::Frame(body) => Some(body),
            Event::Junk(_) | Event::Resync(_) | Event::TooLarge(_) | Event::Cut(_) | Event::GaveUp(_) => None,
        }));
    }
    Ok(())
}
