//! The places of connections. When all are taken, the one that was longest without a request makes room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// While every connection is at work, the next look whether one can make room comes after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Of so many connections one makes room at each look: with few it is one alone, and a flood of new ones does not have
/// them all looked through for each.
const SHARE: usize = 64;

/// Every place.
pub(super) struct Places {
    free: Arc<Semaphore>,
    seats: Mutex<HashMap<u64, Arc<Seat>>>,
    next: AtomicU64,
    start: Instant,
}

impl Places {
    pub(super) fn new(number: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, seats: Mutex::default(), next: AtomicU64::new(0), start: Instant::now() })
    }

    /// A place, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        let permit = loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                break permit;
            }
            self.make_room();
            if let Ok(Ok(permit)) = tokio::time::timeout(LOOK_AGAIN, self.free.clone().acquire_owned()).await {
                break permit;
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            busy: AtomicU32::new(0),
            since: AtomicU64::new(self.now()),
            asked: AtomicBool::new(false),
            used_http2: AtomicBool::new(false),
            leave: Notify::new(),
        });
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).insert(number, seat.clone());
        Place { places: self.clone(), number, seat, _permit: permit }
    }

    /// Asks those to leave that are longest without a request.
    fn make_room(&self) {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = seats.iter().filter(|(_, seat)| seat.busy.load(Ordering::SeqCst) == 0);
        let mut idle: Vec<(u64, u64)> = idle.map(|(at, seat)| (seat.since.load(Ordering::Relaxed), *at)).collect();
        let leaving = (seats.len() / SHARE).clamp(1, idle.len().max(1));
        if idle.len() > leaving {
            idle.select_nth_unstable(leaving - 1);
        }
        for seat in idle.iter().take(leaving).filter_map(|(_, at)| seats.get(at)) {
            seat.leave.notify_one();
        }
    }

    /// True when every connection has asked something.
    pub(super) fn all_asked(&self) -> bool {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.values().all(|seat| seat.asked.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One connection, as the others see it.
struct Seat {
    /// Requests that are being answered.
    busy: AtomicU32,
    /// Since when there is none, in milliseconds of the server's life.
    since: AtomicU64,
    /// It has asked something.
    asked: AtomicBool,
    /// It speaks HTTP/2 and has asked something.
    used_http2: AtomicBool,
    leave: Notify,
}

/// The place of one connection, given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Ready when somebody else needs the place and nothing is being answered here.
    pub(super) async fn wanted(&self) {
        loop {
            self.seat.leave.notified().await;
            if self.seat.busy.load(Ordering::SeqCst) == 0 {
                return;
            }
        }
    }

    /// Ready when there was no request for `time`. One sleep for the whole connection, and none for each request.
    /// An HTTP/2 connection that has asked something is kept: pings tell whether its peer is still there.
    pub(super) async fn quiet_for(&self, time: Duration) {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut wait = time;
        loop {
            tokio::time::sleep(wait).await;
            let busy = self.seat.busy.load(Ordering::SeqCst) > 0 || self.seat.used_http2.load(Ordering::Relaxed);
            let quiet =
                if busy { 0 } else { self.places.now().saturating_sub(self.seat.since.load(Ordering::Relaxed)) };
            if quiet >= time_ms {
                return;
            }
            wait = Duration::from_millis(time_ms - quiet);
        }
    }

    /// What tells that a request is being answered.
    pub(super) fn desk(&self) -> Desk {
        Desk { places: self.places.clone(), seat: self.seat.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.seats.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Where the requests of one connection are answered.
#[derive(Clone)]
pub(super) struct Desk {
    places: Arc<Places>,
    seat: Arc<Seat>,
}

impl Desk {
    /// A request is being answered until the value is dropped.
    pub(super) fn busy(&self, http2: bool) -> Busy {
        self.seat.busy.fetch_add(1, Ordering::SeqCst);
        self.seat.asked.store(true, Ordering::Relaxed);
        if http2 {
            self.seat.used_http2.store(true, Ordering::Relaxed);
        }
        Busy(self.clone())
    }
}

/// A request that is being answered.
pub(super) struct Busy(Desk);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.seat.since.store(self.0.places.now(), Ordering::Relaxed);
        self.0.seat.busy.fetch_sub(1, Ordering::SeqCst);
    }
}
