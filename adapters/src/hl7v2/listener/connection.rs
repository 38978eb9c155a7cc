//! One MLLP connection.
//!
//! In come bytes of a peer; out go arrivals and breaches to the intake, and the intake's answers to the
//! peer in the order of receipt; application answers follow whenever they come. Promised: reading,
//! writing and the messages in hand go on side by side, so that a peer that does not read its answers
//! holds up nobody's message; no more is read than the window and the limits allow (H6); when the
//! connection is lost its place is kept until what it had in hand is done. Refused: see the listener.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::answers::{Later, Outgoing};
use super::hand::{Done, Hand};
use super::stream::{Moved, close, linger, poll_stream};
use super::{Shared, after, begun, count};
use crate::clock::Timestamp;
use crate::hl7v2::mllp::{self, Decoder, Event, Excess};
use crate::limits::ListenLimits;
use crate::{Arrival, Breach, BreachKind, Drain, Intake, Principal, Reply};

/// Answers that wait for the peer to take them, in bytes, before nothing more is read from it.
const OUTGOING_BYTES_MAX: usize = 64 * 1024;

/// Between two looks at the bytes held by all connections, when they are over their limit.
const HELD_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) peer: Arc<str>,
}

/// A connection and all it holds.
pub(super) struct Connection<S> {
    stream: S,
    caller: Caller,
    shared: Arc<Shared>,
    intake: Arc<dyn Intake>,
    decoder: Decoder,
    /// Read and not yet handed over.
    events: VecDeque<Event>,
    events_bytes: usize,
    received_at: Timestamp,
    hand: Hand,
    later: Later,
    outgoing: Outgoing,
    read_by: Instant,
    was_reading: bool,
    frames_begun: u64,
    ending: Option<Ending>,
    /// What this connection added to the bytes held by all.
    counted_bytes: usize,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The peer closed its side.
    PeerClosed,
    /// The hub is stopping.
    Drained,
    /// Nothing came for too long.
    Idle,
    /// A frame took too long.
    Slow,
    /// What came was no MLLP, or had no end.
    GaveUp(Excess),
    /// The intake panicked: there is no answer.
    Unanswerable,
    /// The peer did not take its answers.
    Unwritable,
    /// The connection broke.
    Lost(io::ErrorKind),
}

impl Ending {
    /// Whether nothing can be sent any more.
    fn is_broken(self) -> bool {
        match self {
            Ending::Unwritable | Ending::Lost(_) => true,
            Ending::PeerClosed | Ending::Drained | Ending::Idle => false,
            Ending::Slow | Ending::GaveUp(_) | Ending::Unanswerable => false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, caller: Caller, shared: Arc<Shared>, intake: Arc<dyn Intake>) -> Self {
        let limits = &shared.options.limits;
        let frame = limits.frame;
        Connection {
            stream,
            caller,
            intake,
            decoder: if shared.options.unframed { Decoder::taking_unframed(frame) } else { Decoder::new(frame) },
            events: VecDeque::new(),
            events_bytes: 0,
            received_at: shared.options.clock.now(),
            hand: Hand::new(),
            later: Later::new(limits.later_answers_max),
            outgoing: Outgoing::new(limits.write_deadline),
            read_by: after(Instant::now(), limits.idle_deadline),
            was_reading: true,
            frames_begun: 0,
            ending: None,
            counted_bytes: 0,
            shared,
        }
    }

    /// Answers the refusal of this connection, and closes it.
    pub(super) async fn turn_away(mut self, kind: BreachKind) {
        let breach = Breach { arrival: self.arrival(Bytes::new()), kind };
        let refusal = AssertUnwindSafe(self.intake.refuse(breach)).catch_unwind().await;
        let limits = self.shared.options.limits;
        if let Some(answer) = refusal.ok().and_then(|reply| reply.now) {
            let frame = mllp::encode(&answer);
            let written = async {
                self.stream.write_all(&frame).await?;
                self.stream.flush().await
            };
            if !matches!(tokio::time::timeout(limits.write_deadline, written).await, Ok(Ok(()))) {
                return;
            }
        }
        linger(&mut self.stream, &limits).await;
    }

    /// Serves the peer until it goes, fails, or `stopping`.
    pub(super) async fn serve(mut self, mut stopping: Drain) {
        tracing::debug!(peer = %self.caller.peer, principal = %self.caller.principal.0, "connection opened");
        let ending = self.exchange(&mut stopping).await;
        tracing::debug!(peer = %self.caller.peer, ?ending, "connection closed");
        let limits = self.shared.options.limits;
        if ending.is_broken() {
            return;
        }
        if self.is_worth_lingering(ending) {
            linger(&mut self.stream, &limits).await;
        } else {
            close(&mut self.stream, &limits).await;
        }
    }

    /// Reads, hands over, answers. Returns when there is an ending and everything in hand was answered.
    async fn exchange(&mut self, stopping: &mut Drain) -> Ending {
        let timer = tokio::time::sleep_until(self.read_by);
        tokio::pin!(timer);
        loop {
            self.hand_over_events();
            self.count_held_bytes();
            if let Some(ending) = self.ending
                && self.owes_nothing()
            {
                return ending;
            }
            let may_read = self.may_read();
            if may_read && !self.was_reading {
                self.renew_read_deadline();
            }
            self.was_reading = may_read;
            let has_room = self.shared.held_bytes.load(Ordering::Relaxed) <= self.limits().held_bytes_max;
            self.set_timer(timer.as_mut(), has_room);
            let is_open = self.ending.is_none();
            let (decoder, events) = (&mut self.decoder, &mut self.events);
            let mut take = (may_read && has_room).then_some(|piece: &[u8]| decoder.feed(piece, events));
            tokio::select! {
                biased;
                Some(done) = self.hand.next() => self.answer(done),
                answer = self.later.next() => self.outgoing.push(&answer),
                () = begun(stopping), if is_open => self.end(Ending::Drained),
                () = &mut timer => self.check_deadlines(timer.as_mut()),
                moved = poll_fn(|cx| poll_stream(&mut self.stream, &mut self.outgoing, take.as_mut(), cx)) => {
                    self.note(moved);
                }
            }
        }
    }

    fn limits(&self) -> &ListenLimits {
        &self.shared.options.limits
    }

    fn arrival(&self, bytes: Bytes) -> Arrival {
        Arrival {
            bytes,
            principal: self.caller.principal.clone(),
            peer: Arc::clone(&self.caller.peer),
            received_at: self.received_at,
        }
    }

    fn has_window(&self) -> bool {
        self.hand.len() < self.limits().window.max(1) && self.hand.bytes() < self.limits().in_hand_bytes_max.max(1)
    }

    fn may_read(&self) -> bool {
        self.ending.is_none() && self.events.is_empty() && self.has_window() && self.outgoing.len() < OUTGOING_BYTES_MAX
    }

    fn owes_nothing(&self) -> bool {
        self.events.is_empty() && self.hand.len() == 0 && self.outgoing.is_empty()
    }

    /// The first ending counts, unless the connection breaks while what it owes is being answered.
    fn end(&mut self, ending: Ending) {
        if self.ending.is_none_or(|earlier| ending.is_broken() && !earlier.is_broken()) {
            self.ending = Some(ending);
        }
        if ending.is_broken() {
            self.outgoing.discard();
        }
        self.later.clear();
    }

    /// Ends where the peer may have been inside a frame, of which what came is kept.
    fn end_reading(&mut self, ending: Ending) {
        self.end(ending);
        self.decoder.finish(&mut self.events);
        self.note_events();
    }

    // === in ===

    /// Hands over what was read, as far as the window allows.
    fn hand_over_events(&mut self) {
        while self.has_window() {
            let Some(event) = self.events.pop_front() else { return };
            self.events_bytes = self.events_bytes.saturating_sub(event.len());
            match event {
                Event::Frame(body) => {
                    count(&self.shared.counters.frames, 1);
                    let (intake, arrival) = (Arc::clone(&self.intake), self.arrival(body));
                    self.hand.take(arrival.bytes.len(), true, async move { intake.receive(arrival).await });
                }
                Event::Junk(bytes) => {
                    count(&self.shared.counters.junk_bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
                }
                Event::Resync(kept) => {
                    count(&self.shared.counters.resyncs, 1);
                    self.refuse(kept, BreachKind::FrameCut, false);
                }
                Event::TooLarge(kept) => {
                    let limit = self.limits().frame.frame_bytes_max;
                    self.refuse(kept, BreachKind::FrameTooLarge { limit }, true);
                }
                Event::Cut(kept) if self.ending == Some(Ending::Slow) => {
                    let limit = self.limits().frame_deadline;
                    self.refuse(kept, BreachKind::FrameTooSlow { limit }, true);
                }
                Event::Cut(kept) if kept.is_empty() => {}
                Event::Cut(kept) => self.refuse(kept, BreachKind::FrameCut, true),
                Event::GaveUp(excess) => {
                    tracing::info!(peer = %self.caller.peer, ?excess, "gave up on a connection");
                    self.end(Ending::GaveUp(excess));
                }
            }
        }
    }

    fn refuse(&mut self, kept: Bytes, kind: BreachKind, is_answered: bool) {
        count(&self.shared.counters.frames_refused, 1);
        tracing::info!(peer = %self.caller.peer, ?kind, "frame refused");
        let (intake, breach) = (Arc::clone(&self.intake), Breach { arrival: self.arrival(kept), kind });
        self.hand.take(breach.arrival.bytes.len(), is_answered, async move { intake.refuse(breach).await });
    }

    /// Notes what the stream did.
    fn note(&mut self, moved: io::Result<Moved>) {
        match moved {
            Ok(Moved::Wrote) => {}
            Ok(Moved::Read(0)) => self.end_reading(Ending::PeerClosed),
            Ok(Moved::Read(_)) => self.note_events(),
            Err(error) => self.end_reading(Ending::Lost(error.kind())),
        }
    }

    /// Notes when events came, and whether a frame was begun whose time runs from now on.
    fn note_events(&mut self) {
        self.received_at = self.shared.options.clock.now();
        self.events_bytes = self.events.iter().map(Event::len).sum();
        let begun = self.decoder.begun();
        if !self.decoder.is_inside() || begun != self.frames_begun {
            // So each byte of a message without a frame renews it too: silence is what ends that.
            self.renew_read_deadline();
        }
        self.frames_begun = begun;
    }

    fn count_held_bytes(&mut self) {
        let held = self.decoder.held_bytes().saturating_add(self.events_bytes).saturating_add(self.hand.bytes());
        let total = &self.shared.held_bytes;
        if held >= self.counted_bytes {
            total.fetch_add(held.saturating_sub(self.counted_bytes), Ordering::Relaxed);
        } else {
            total.fetch_sub(self.counted_bytes.saturating_sub(held), Ordering::Relaxed);
        }
        self.counted_bytes = held;
    }

    // === out ===

    fn answer(&mut self, done: Done) {
        let Some(Reply { now, later }) = done.reply else {
            tracing::error!(peer = %self.caller.peer, "the intake panicked");
            return self.end(Ending::Unanswerable);
        };
        if !done.is_answered || self.ending.is_some_and(Ending::is_broken) {
            return;
        }
        if let Some(body) = now {
            self.outgoing.push(&body);
        }
        if let (Some(answer), None) = (later, self.ending)
            && self.later.push(answer)
        {
            tracing::warn!(peer = %self.caller.peer, "too many application answers are outstanding");
        }
    }

    // === time ===

    fn renew_read_deadline(&mut self) {
        let limits = self.limits();
        let limit = if self.decoder.is_inside() {
            limits.frame_deadline
        } else if self.decoder.is_unframed() {
            limits.unframed_silence
        } else {
            limits.idle_deadline
        };
        self.read_by = after(Instant::now(), limit);
    }

    /// Makes `timer` ring no later than the next deadline. Ringing too early costs only a look.
    fn set_timer(&self, mut timer: Pin<&mut Sleep>, has_room: bool) {
        let read_by = self.was_reading.then_some(self.read_by);
        let look_at = (self.was_reading && !has_room).then(|| after(Instant::now(), HELD_PAUSE));
        if let Some(wake_at) = [read_by, look_at, self.outgoing.due()].into_iter().flatten().min()
            && wake_at < timer.deadline()
        {
            timer.as_mut().reset(wake_at);
        }
    }

    fn check_deadlines(&mut self, timer: Pin<&mut Sleep>) {
        let now = Instant::now();
        if self.outgoing.due().is_some_and(|due| now >= due) {
            self.end_reading(Ending::Unwritable);
        } else if self.was_reading && now >= self.read_by {
            if self.decoder.is_inside() {
                self.end_reading(Ending::Slow);
            } else if self.decoder.is_unframed() {
                self.decoder.end_unframed(&mut self.events);
                self.note_events();
            } else if self.hand.len() == 0 {
                self.end(Ending::Idle);
            } else {
                self.renew_read_deadline();
            }
        }
        timer.reset(after(now, self.limits().idle_deadline));
    }

    /// Whether the peer may not have read its answers yet, and may still be sending: see [`linger`].
    fn is_worth_lingering(&self, ending: Ending) -> bool {
        match ending {
            Ending::Slow | Ending::GaveUp(_) | Ending::Unanswerable => true,
            Ending::Drained => self.outgoing.moved_within(self.limits().linger_deadline),
            Ending::PeerClosed | Ending::Idle | Ending::Unwritable | Ending::Lost(_) => false,
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.shared.held_bytes.fetch_sub(self.counted_bytes, Ordering::Relaxed);
    }
}
