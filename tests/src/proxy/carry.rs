//! The bytes of one connection: a pump for each direction, and how both end.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Counters, Direction, Fault, Faults, Mark, Setting};

/// What is read at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Pieces a second under `Fault::Rate`.
const RATE_STEPS: u32 = 20;
/// Long enough for a slice to be a packet of its own.
const SLICE_PAUSE: Duration = Duration::from_millis(1);
/// How long a server that is being cut off may go on sending what nobody reads.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its sender has nothing more to say; the other direction may.
    Finished,
    /// A fault or an error ended the connection.
    Cut,
    /// A fault resets the connection.
    Reset,
}

/// Throws away what comes until the fault ends or the sender does.
pub(super) async fn swallow(client: &mut TcpStream, up: &mut watch::Receiver<Arc<Setting>>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        tokio::select! {
            // It has lost bytes, or has waited for a server in vain: it ends.
            _ = up.changed() => return,
            read = client.read(&mut piece) => if !matches!(read, Ok(1..)) { return },
        }
    }
}

/// Carries both directions until the connection ends.
pub(super) async fn carry(mut client: TcpStream, mut far: TcpStream, faults: &Faults) {
    // Fails only on a connection that has ended, which the pumps find too.
    let _ = client.set_nodelay(true);
    let _ = far.set_nodelay(true);
    match pump_both(&mut client, &mut far, faults).await {
        End::Finished => {}
        End::Cut => {
            // Who connected hears nothing more. The server does what it was asked for before it learns of the end.
            drop(client);
            let _ = far.shutdown().await;
            let mut nobody = tokio::io::sink();
            let _ = timeout(DRAIN_WITHIN, tokio::io::copy(&mut far, &mut nobody)).await;
        }
        End::Reset => {
            let _ = client.set_zero_linger();
            let _ = far.set_zero_linger();
        }
    }
}

async fn pump_both(client: &mut TcpStream, far: &mut TcpStream, faults: &Faults) -> End {
    let silent = AtomicBool::new(false);
    let (client_read, client_write) = client.split();
    let (far_read, far_write) = far.split();
    let pump_of = |direction, setting: &watch::Receiver<Arc<Setting>>| Pump {
        direction,
        setting: setting.clone(),
        counters: &faults.counters,
        silent: &silent,
        progress: Progress::default(),
    };
    let up = pump_of(Direction::Up, &faults.up).run(client_read, far_write);
    let down = pump_of(Direction::Down, &faults.down).run(far_read, client_write);
    tokio::pin!(up, down);
    tokio::select! {
        end = &mut up => if end == End::Finished { down.await } else { end },
        end = &mut down => if end == End::Finished { up.await } else { end },
    }
}

/// What a direction of a connection went through under the present setting.
#[derive(Debug, Default)]
struct Progress {
    bytes: u64,
    swallowed: bool,
    /// The last bytes, in which a pattern may have begun.
    tail: Vec<u8>,
}

struct Pump<'c> {
    direction: Direction,
    setting: watch::Receiver<Arc<Setting>>,
    counters: &'c Counters,
    /// Set when this connection is about to be cut: nothing is handed on any more.
    silent: &'c AtomicBool,
    progress: Progress,
}

impl Pump<'_> {
    async fn run(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> End {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let setting = Arc::clone(&self.setting.borrow_and_update());
            if setting.fault == Fault::Reset {
                return End::Reset;
            }
            let room = room_of(&setting.fault);
            let read = tokio::select! {
                // What is sent after a fault was set meets that fault, so the setting is looked at first.
                biased;
                changed = self.setting.changed() => {
                    if changed.is_err() || self.progress.swallowed {
                        return End::Cut;
                    }
                    self.progress = Progress::default();
                    continue;
                }
                read = read_unless(&setting.fault, &mut from, piece.get_mut(..room)) => read,
            };
            let end = match read {
                Err(_) => End::Cut,
                Ok(0) => {
                    let _ = to.shutdown().await;
                    End::Finished
                }
                Ok(count) => {
                    let came = piece.get(..count).unwrap_or_default();
                    match self.hand_on(&setting, came, &mut to).await {
                        None => continue,
                        Some(end) => end,
                    }
                }
            };
            return end;
        }
    }

    /// Does to a piece what the fault says; gives the end if that was one.
    async fn hand_on(&mut self, setting: &Setting, piece: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> Option<End> {
        if self.silent.load(Ordering::SeqCst) {
            return pending().await;
        }
        match &setting.fault {
            Fault::Pass => self.write(piece, to).await,
            Fault::Blackhole => {
                self.progress.swallowed = true;
                None
            }
            // Nothing is read under these; if it were, it would not be lost.
            Fault::Partition | Fault::Reset => self.write(piece, to).await,
            Fault::Cut(mark, _) => self.cut(setting, mark, piece, to).await,
            Fault::Delay(delay) => {
                sleep(*delay).await;
                self.write(piece, to).await
            }
            Fault::Rate(_) => {
                sleep(Duration::from_secs(1) / RATE_STEPS).await;
                self.write(piece, to).await
            }
            Fault::Slice(size) => {
                for slice in piece.chunks((*size).max(1)) {
                    if let Some(end) = self.write(slice, to).await {
                        return Some(end);
                    }
                    sleep(SLICE_PAUSE).await;
                }
                None
            }
        }
    }

    async fn cut(
        &mut self,
        setting: &Setting,
        mark: &Mark,
        piece: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Option<End> {
        let reached = match mark {
            Mark::Bytes(limit) => {
                let left = usize::try_from(limit.saturating_sub(self.progress.bytes)).unwrap_or(usize::MAX);
                piece.get(..left)
            }
            Mark::Before(pattern) => self.sees(pattern, piece).then_some(&[][..]),
            Mark::After(pattern) => self.sees(pattern, piece).then_some(piece),
        };
        let Some(last) = reached.filter(|_| setting.take_cut()) else {
            return self.write(piece, to).await;
        };
        self.silent.store(true, Ordering::SeqCst);
        self.counters.cuts.fetch_add(1, Ordering::SeqCst);
        // Whether it arrives or not, this is the end.
        let _ = self.write(last, to).await;
        Some(End::Cut)
    }

    /// Whether a pattern ends in this piece; it may have begun in those before.
    fn sees(&mut self, pattern: &[u8], piece: &[u8]) -> bool {
        let tail = &mut self.progress.tail;
        tail.extend_from_slice(piece);
        let seen = memmem::find(tail, pattern).is_some();
        let old = tail.len().saturating_sub(pattern.len().saturating_sub(1));
        tail.drain(..old);
        seen
    }

    async fn write(&mut self, piece: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> Option<End> {
        if to.write_all(piece).await.is_err() {
            return Some(End::Cut);
        }
        let count = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.progress.bytes = self.progress.bytes.saturating_add(count);
        self.counters.bytes(self.direction).fetch_add(count, Ordering::SeqCst);
        None
    }
}

/// How much is read at once under a fault.
fn room_of(fault: &Fault) -> usize {
    match fault {
        Fault::Rate(per_second) => {
            let step = (per_second / RATE_STEPS).max(1);
            usize::try_from(step).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)
        }
        Fault::Pass
        | Fault::Blackhole
        | Fault::Partition
        | Fault::Cut(..)
        | Fault::Delay(_)
        | Fault::Slice(_)
        | Fault::Reset => PIECE_BYTES,
    }
}

async fn read_unless(
    fault: &Fault,
    from: &mut (impl AsyncRead + Unpin),
    piece: Option<&mut [u8]>,
) -> std::io::Result<usize> {
    match piece {
        Some(room) if *fault != Fault::Partition => from.read(room).await,
        _ => pending().await,
    }
}
