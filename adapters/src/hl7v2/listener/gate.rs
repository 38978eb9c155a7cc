//! Who gets in: limits on connections, in all and from one address, and on how fast they come.
//!
//! In come addresses of peers; out go seats, which are given back when dropped. Promised is H6: no more
//! connections than the limits, and no one peer can take them all. Refused is one connection more, with
//! an answer as long as not too many others are being answered the same way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::BreachKind;
use crate::limits::ListenLimits;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Gate {
    seats: Mutex<Seats>,
    refusals: Arc<Semaphore>,
    connections_max: usize,
    connections_per_peer_max: usize,
}

#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// What becomes of one new connection.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may stay.
    Seated(Seat),
    /// It is answered and closed.
    TurnedAway { kind: BreachKind, _permit: OwnedSemaphorePermit },
    /// It is closed.
    Dropped,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    gate: Arc<Gate>,
    peer: IpAddr,
}

impl Gate {
    pub(super) fn new(limits: &ListenLimits) -> Gate {
        Gate {
            seats: Mutex::default(),
            refusals: Arc::new(Semaphore::new(limits.refusals_max)),
            connections_max: limits.connections_max,
            connections_per_peer_max: limits.connections_per_peer_max,
        }
    }

    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let peer = address.to_canonical();
        let Err(limit) = self.take_seat(peer) else {
            return Admission::Seated(Seat { gate: Arc::clone(self), peer });
        };
        match Arc::clone(&self.refusals).try_acquire_owned() {
            Ok(permit) => Admission::TurnedAway { kind: BreachKind::TooManyConnections { limit }, _permit: permit },
            Err(_) => Admission::Dropped,
        }
    }

    /// Takes a seat, or tells which limit is met.
    fn take_seat(&self, peer: IpAddr) -> Result<(), usize> {
        let mut seats = self.seats();
        if seats.taken >= self.connections_max {
            return Err(self.connections_max);
        }
        let of_peer = seats.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= self.connections_per_peer_max {
            return Err(self.connections_per_peer_max);
        }
        seats.taken = seats.taken.saturating_add(1);
        seats.by_peer.insert(peer, of_peer.saturating_add(1));
        Ok(())
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.gate.seats();
        seats.taken = seats.taken.saturating_sub(1);
        let left = seats.by_peer.get(&self.peer).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            seats.by_peer.remove(&self.peer);
        } else {
            seats.by_peer.insert(self.peer, left);
        }
    }
}

/// Lets so many through in any second that begins with one let through.
#[derive(Debug)]
pub(super) struct Pace {
    per_second_max: u32,
    left: u32,
    renewed_at: Instant,
}

impl Pace {
    pub(super) fn new(per_second_max: u32) -> Pace {
        Pace { per_second_max: per_second_max.max(1), left: 0, renewed_at: Instant::now() }
    }

    /// Waits until one more may pass. Takes nothing: see [`Pace::passed`].
    pub(super) async fn ready(&mut self) {
        if self.left == 0 {
            tokio::time::sleep_until(self.renewed_at).await;
            self.left = self.per_second_max;
        }
    }

    /// One passed.
    pub(super) fn passed(&mut self) {
        if self.left == self.per_second_max {
            self.renewed_at = Instant::now().checked_add(Duration::from_secs(1)).unwrap_or_else(Instant::now);
        }
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections_max: usize, connections_per_peer_max: usize, refusals_max: usize) -> Arc<Gate> {
        let defaults = ListenLimits::default();
        Arc::new(Gate::new(&ListenLimits { connections_max, connections_per_peer_max, refusals_max, ..defaults }))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn a_seat_that_is_dropped_can_be_taken_again() {
        let gate = gate(1, 1, 9);
        let Admission::Seated(seat) = gate.admit(address(1)) else { panic!("the first must be seated") };
        assert!(matches!(gate.admit(address(2)), Admission::TurnedAway { .. }));
        drop(seat);
        assert!(matches!(gate.admit(address(2)), Admission::Seated(_)));
        assert!(gate.seats().by_peer.is_empty(), "a peer without a connection is forgotten");
    }

    #[test]
    fn one_peer_cannot_take_the_seats_of_the_others() {
        let gate = gate(3, 2, 9);
        let _taken = [gate.admit(address(1)), gate.admit(address(1))];
        let third = gate.admit(address(1));
        assert!(
            matches!(third, Admission::TurnedAway { kind: BreachKind::TooManyConnections { limit: 2 }, .. }),
            "{third:?}"
        );
        assert!(matches!(gate.admit(address(2)), Admission::Seated(_)));
    }

    #[test]
    fn an_address_mapped_into_version_6_is_the_same_peer() {
        let gate = gate(9, 1, 9);
        let _taken = gate.admit(address(1));
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        assert!(matches!(gate.admit(mapped), Admission::TurnedAway { .. }));
    }

    #[test]
    fn only_so_many_are_turned_away_with_an_answer_at_a_time() {
        let gate = gate(0, 0, 1);
        let away = gate.admit(address(1));
        assert!(matches!(away, Admission::TurnedAway { .. }));
        assert!(matches!(gate.admit(address(1)), Admission::Dropped));
        drop(away);
        assert!(matches!(gate.admit(address(1)), Admission::TurnedAway { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_lets_more_through_than_the_pace() {
        let mut pace = Pace::new(10);
        let started = Instant::now();
        for _ in 0..35 {
            pace.ready().await;
            pace.passed();
        }
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_pace_takes_nothing_when_it_is_given_up() {
        let mut pace = Pace::new(2);
        for _ in 0..10 {
            pace.ready().await;
        }
        let started = Instant::now();
        for _ in 0..2 {
            pace.ready().await;
            pace.passed();
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
