//! MLLP a second time, on a blocking socket, so that the hub's framing is not judged by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Fallible;
use crate::wait::Deadline;

const START: u8 = 0x0b;
const END: [u8; 2] = [0x1c, 0x0d];
/// More than any answer.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long one read may block, so that its caller can look up.
const READ_BLOCKS: Duration = Duration::from_millis(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// A message in its frame.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 3);
    frame.push(START);
    frame.extend_from_slice(body);
    frame.extend_from_slice(&END);
    frame
}

/// Writes all bodies to one new connection without waiting in between, then takes their answers. Returns how many were
/// answered before the hub died, or all of them. Fails if one is refused.
pub fn send_all(
    to: SocketAddr,
    bodies: impl IntoIterator<Item = impl AsRef<[u8]>>,
    within: Duration,
) -> Fallible<usize> {
    let mut connection = Connection::open(to)?;
    let mut sent = 0;
    for body in bodies {
        if connection.write(&framed(body.as_ref())).is_err() {
            break;
        }
        sent += 1;
    }
    for answered in 0..sent {
        match connection.answer(within) {
            Ok(answer) if answer.is_positive() == Some(true) => {}
            Ok(answer) => return Err(format!("refused: {}", answer.text).into()),
            Err(_) => return Ok(answered),
        }
    }
    Ok(sent)
}

/// What an acknowledgement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// MSA-1.
    pub code: String,
    /// MSA-2.
    pub control_id: String,
    /// All of it.
    pub text: String,
}

impl Answer {
    /// Reads an acknowledgement.
    pub fn read(body: &[u8]) -> Fallible<Answer> {
        let text = String::from_utf8(body.to_vec())?;
        let msa = text.split('\r').find(|line| line.starts_with("MSA|")).ok_or("an answer without MSA")?;
        let mut fields = msa.split('|').skip(1);
        let code = fields.next().unwrap_or_default().to_owned();
        let control_id = fields.next().unwrap_or_default().to_owned();
        Ok(Answer { code, control_id, text })
    }

    /// Whether the hub took the message: `Some(false)` is a refusal, `None` a code that is none.
    pub fn is_positive(&self) -> Option<bool> {
        match self.code.as_str() {
            "AA" | "CA" => Some(true),
            "AE" | "AR" | "CE" | "CR" => Some(false),
            _ => None,
        }
    }
}

/// What one look at a connection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// An answer.
    Answer(Answer),
    /// Nothing yet.
    Nothing,
    /// The hub closed the connection, or died.
    Closed,
}

/// One connection to the hub.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Fallible<Connection> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_BLOCKS))?;
        stream.set_write_timeout(Some(WRITE_WITHIN))?;
        Ok(Connection { stream, received: Vec::new() })
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> Fallible<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) -> Fallible<()> {
        Ok(self.stream.shutdown(std::net::Shutdown::Write)?)
    }

    /// Looks for the next answer.
    pub fn poll(&mut self) -> Fallible<Polled> {
        if let Some(answer) = self.take_frame()? {
            return Ok(Polled::Answer(answer));
        }
        let mut chunk = [0u8; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(Polled::Closed),
            Ok(read) => {
                self.received.extend_from_slice(chunk.get(..read).unwrap_or_default());
                Ok(self.take_frame()?.map_or(Polled::Nothing, Polled::Answer))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(Polled::Nothing),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Ok(Polled::Closed),
                _ => Err(error.into()),
            },
        }
    }

    /// Waits for the next answer.
    pub fn answer(&mut self, within: Duration) -> Fallible<Answer> {
        let deadline = Deadline::within(within);
        while !deadline.has_passed() {
            match self.poll()? {
                Polled::Answer(answer) => return Ok(answer),
                Polled::Nothing => {}
                Polled::Closed => return Err("the hub closed the connection instead of answering".into()),
            }
        }
        Err(format!("no answer within {within:?}").into())
    }

    /// Waits until the hub closes the connection, and gives the answers that came before.
    pub fn until_closed(&mut self, within: Duration) -> Fallible<Vec<Answer>> {
        let deadline = Deadline::within(within);
        let mut answers = Vec::new();
        while !deadline.has_passed() {
            match self.poll()? {
                Polled::Answer(answer) => answers.push(answer),
                Polled::Nothing => {}
                Polled::Closed => return Ok(answers),
            }
        }
        Err(format!("the connection was not closed within {within:?}").into())
    }

    fn take_frame(&mut self) -> Fallible<Option<Answer>> {
        let Some(end) = self.received.windows(END.len()).position(|window| window == END) else {
            if self.received.len() > ANSWER_BYTES_MAX {
                return Err("an answer without end".into());
            }
            return Ok(None);
        };
        let frame: Vec<u8> = self.received.drain(..end + END.len()).collect();
        let body = frame.get(..end).and_then(|bytes| bytes.strip_prefix(&[START])).ok_or("bytes outside a frame")?;
        Answer::read(body).map(Some)
    }
}
