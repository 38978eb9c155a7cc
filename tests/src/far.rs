//! A far HTTP system that does what its script says: answers, answers late, hangs up, or says nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Fallible;
use crate::wait::Stopwatch;

/// More than any document that a test delivers.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names of headers in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The document.
    pub body: Vec<u8>,
    /// When it had been read, since the server started.
    pub at: Duration,
    /// What was done with it.
    pub reply: Reply,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status.
    Status(u16),
    /// A status, and a header.
    With(u16, &'static str, &'static str),
    /// The request is taken, and the connection ends without an answer.
    HangUp,
    /// No answer, ever; the connection stays open.
    Silence,
}

/// The server. It ends when dropped.
#[derive(Debug)]
pub struct Far {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Far {
    /// Listens on a free port of 127.0.0.1. `script` gets a body and how often this very body came before.
    pub fn new(script: impl Fn(&[u8], usize) -> Reply + Send + Sync + 'static) -> Fallible<Far> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let far = Far { address: listener.local_addr()?, requests: Arc::default(), stop: Arc::default() };
        let (requests, stop, script) = (Arc::clone(&far.requests), Arc::clone(&far.stop), Arc::new(script));
        let watch = Stopwatch::start();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (requests, script) = (Arc::clone(&requests), Arc::clone(&script));
                // A connection that breaks is the hub's affair; what was read of it is recorded.
                thread::spawn(move || serve(&stream, &requests, &*script, watch));
            }
        });
        Ok(far)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/take", self.address)
    }

    /// Everything that came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener; if that fails it has ended already.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: &TcpStream,
    requests: &Mutex<Vec<Request>>,
    script: &(dyn Fn(&[u8], usize) -> Reply + Sync),
    watch: Stopwatch,
) -> Fallible<()> {
    stream.set_read_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    while let Some((headers, body)) = read_request(&mut reader)? {
        let reply = {
            let mut all = requests.lock().unwrap_or_else(PoisonError::into_inner);
            let before = all.iter().filter(|request| request.body == body).count();
            let reply = script(&body, before);
            all.push(Request { headers, body, at: watch.elapsed(), reply: reply.clone() });
            reply
        };
        let mut writer = stream;
        match reply {
            Reply::Status(status) => write!(writer, "HTTP/1.1 {status} Scripted\r\ncontent-length: 0\r\n\r\n")?,
            Reply::With(status, name, value) => {
                write!(writer, "HTTP/1.1 {status} Scripted\r\n{name}: {value}\r\ncontent-length: 0\r\n\r\n")?;
            }
            Reply::HangUp => return Ok(()),
            // Reads on until the hub gives up and closes, or asks again on the same connection.
            Reply::Silence => {}
        }
    }
    Ok(())
}

type Head = Vec<(String, String)>;

/// One request, or `None` at the end of the connection.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Fallible<Option<(Head, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Head::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let length: usize = length.parse()?;
    if length > BODY_BYTES_MAX {
        return Err("a body over the limit".into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((headers, body)))
}
