//! Reading, writing and closing one stream, plain or TLS.
//!
//! In comes a stream; out go pieces for the decoder, and answers to the peer. Promised: a read needs no
//! buffer that outlives it, so ten thousand silent peers hold none; a close waits for the peer, within
//! limits, so that it can still read its answer. Refused is nothing here.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::answers::Outgoing;
use crate::limits::ListenLimits;

/// Read at a time, into the stack.
const READ_BYTES: usize = 16 * 1024;

/// What a stream did.
pub(super) enum Moved {
    Wrote,
    /// So many bytes; none means that the peer closed its side.
    Read(usize),
}

/// Writes what is to be written, and else reads, if there is someone to `take` it. One future for both,
/// since both need the stream.
pub(super) fn poll_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    outgoing: &mut Outgoing,
    take: Option<impl FnOnce(&[u8])>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Moved>> {
    if outgoing.needs_flush() {
        if let Poll::Ready(flushed) = Pin::new(&mut *stream).poll_flush(cx) {
            outgoing.flushed();
            return Poll::Ready(flushed.map(|()| Moved::Wrote));
        }
    } else if !outgoing.is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, outgoing.unwritten()) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                outgoing.written(count);
                return Poll::Ready(Ok(Moved::Wrote));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
    }
    match take {
        Some(take) => poll_read(stream, take, cx).map_ok(Moved::Read),
        None => Poll::Pending,
    }
}

/// Closes our side, and throws away what still comes until the peer closed its own. Bytes that we have not
/// read would make the system reset the connection, and a reset takes back what the peer has not read.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, limits: &ListenLimits) {
    let closed = async {
        stream.shutdown().await?;
        let mut thrown_away = 0_usize;
        while thrown_away < limits.linger_bytes_max {
            match poll_fn(|cx| poll_read(stream, |_| {}, cx)).await? {
                0 => break,
                count => thrown_away = thrown_away.saturating_add(count),
            }
        }
        Ok::<(), io::Error>(())
    };
    let _ = tokio::time::timeout(limits.linger_deadline, closed).await;
}

/// Closes our side and waits for nothing.
pub(super) async fn close<S: AsyncWrite + Unpin>(stream: &mut S, limits: &ListenLimits) {
    let _ = tokio::time::timeout(limits.linger_deadline, stream.shutdown()).await;
}

/// Reads one piece. A peer that ends TLS without saying so has closed its side: no frame depends on it.
fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    take: impl FnOnce(&[u8]),
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut storage = [MaybeUninit::<u8>::uninit(); READ_BYTES];
    let mut piece = ReadBuf::uninit(&mut storage);
    match Pin::new(stream).poll_read(cx, &mut piece) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) => {
            take(piece.filled());
            Poll::Ready(Ok(piece.filled().len()))
        }
    }
}
