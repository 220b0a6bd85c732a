//! Limits of connections: in total and for each address, and the choice of the connection that is
//! closed for a new one.
//!
//! A connection is *pending* until one of its requests may see the cameras. There are few pending
//! places, and fewer for one address. A new connection always gets one: the oldest pending
//! connection is closed for it. So health and metrics are always answered, and connections without
//! a token cannot keep out those with one. The first request that may see the cameras *admits* its
//! connection if there is a place, or an idle admitted connection that can be closed. Else the
//! request gets an error at once.
use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The largest numbers of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaceLimits {
    /// Pending connections.
    pub(super) pending: usize,
    /// Pending connections of one address.
    pub(super) pending_per_address: usize,
    /// Admitted connections.
    pub(super) admitted: usize,
    /// Admitted connections of one address.
    pub(super) admitted_per_address: usize,
}

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Places {
    limits: PlaceLimits,
    taken: Mutex<TakenPlaces>,
}

#[derive(Debug, Default)]
struct TakenPlaces {
    connections: HashMap<u64, ConnectionEntry>,
    next: u64,
}

#[derive(Debug)]
struct ConnectionEntry {
    /// `None`: this machine. It has no limit per address, because all its users and tunnels share
    /// the address.
    address: Option<IpAddr>,
    is_admitted: bool,
    /// Requests whose answers have not ended.
    requests: usize,
    /// When its last answer ended, or when it was opened.
    idle_since: Instant,
    close: Arc<Notify>,
}

/// One connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    peer: SocketAddr,
    close: Arc<Notify>,
    unsent: Mutex<Unsent>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    place: Arc<Place>,
    id: u64,
}

/// The answers of a connection that wait for the peer to take the next part.
#[derive(Debug, Default)]
struct Unsent {
    next: u64,
    since: HashMap<u64, Instant>,
}

impl Places {
    pub(super) fn new(limits: PlaceLimits) -> Arc<Self> {
        Arc::new(Places {
            limits,
            taken: Mutex::default(),
        })
    }

    /// A place for a new connection. There is always one.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Arc<Place> {
        let address = shared_address(peer.ip());
        let mut taken = self.lock();
        let pending = taken.count(false, None);
        if address.is_some() && taken.count(false, Some(address)) >= self.limits.pending_per_address
        {
            taken.close_oldest_pending(Some(address));
        } else if pending >= self.limits.pending {
            let most = taken.most_pending();
            taken.close_oldest_pending(most);
        }
        let id = taken.next;
        taken.next += 1;
        let close = Arc::new(Notify::new());
        let entry = ConnectionEntry {
            address,
            is_admitted: false,
            requests: 0,
            idle_since: Instant::now(),
            close: close.clone(),
        };
        taken.connections.insert(id, entry);
        Arc::new(Place {
            places: self.clone(),
            id,
            peer,
            close,
            unsent: Mutex::default(),
        })
    }

    /// Closes every connection, because the token has changed.
    pub(super) fn close_all(&self) {
        for (_, entry) in self.lock().connections.drain() {
            entry.close.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, TakenPlaces> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TakenPlaces {
    fn of(
        &self,
        is_admitted: bool,
        address: Option<Option<IpAddr>>,
    ) -> impl Iterator<Item = (&u64, &ConnectionEntry)> {
        self.connections.iter().filter(move |(_, entry)| {
            entry.is_admitted == is_admitted
                && address.is_none_or(|address| entry.address == address)
        })
    }

    fn count(&self, is_admitted: bool, address: Option<Option<IpAddr>>) -> usize {
        self.of(is_admitted, address).count()
    }

    /// The address with the most pending connections; of several, the one that came first.
    fn most_pending(&self) -> Option<Option<IpAddr>> {
        let mut addresses = HashMap::<_, (usize, Reverse<u64>)>::new();
        for (id, entry) in self.of(false, None) {
            let (count, first) = addresses.entry(entry.address).or_insert((0, Reverse(*id)));
            *count += 1;
            *first = (*first).max(Reverse(*id));
        }
        let most = addresses.into_iter().max_by_key(|(_, most)| *most);
        most.map(|(address, _)| address)
    }

    /// Closes the oldest pending connection, even during a request: a slow request must not keep
    /// its place.
    fn close_oldest_pending(&mut self, address: Option<Option<IpAddr>>) {
        let oldest = self.of(false, address).map(|(id, _)| *id).min();
        self.close(oldest);
    }

    /// Closes the admitted connection that has been idle for the longest time. False if none is
    /// idle.
    fn close_idlest_admitted(&mut self, address: Option<Option<IpAddr>>) -> bool {
        let idlest = self
            .of(true, address)
            .filter(|(_, entry)| entry.requests == 0)
            .min_by_key(|(_, entry)| entry.idle_since)
            .map(|(id, _)| *id);
        self.close(idlest)
    }

    fn close(&mut self, id: Option<u64>) -> bool {
        let closed = id.and_then(|id| self.connections.remove(&id));
        if let Some(entry) = &closed {
            entry.close.notify_one();
        }
        closed.is_some()
    }
}

impl Place {
    /// The address of the peer.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Counts a request until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        if let Some(entry) = self.places.lock().connections.get_mut(&self.id) {
            entry.requests += 1;
        }
        let mut unsent = self.unsent();
        unsent.next += 1;
        Answering {
            place: self.clone(),
            id: unsent.next,
        }
    }

    /// The longest time that a part of an answer has waited for the peer.
    pub(super) fn stalled_for(&self) -> Duration {
        let unsent = self.unsent();
        let longest = unsent.since.values().min();
        longest.map_or(Duration::ZERO, Instant::elapsed)
    }

    /// The time since the last request.
    pub(super) fn idle_for(&self) -> Duration {
        match self.places.lock().connections.get(&self.id) {
            Some(entry) if entry.requests == 0 => entry.idle_since.elapsed(),
            _ => Duration::ZERO,
        }
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits the connection. False if all admitted places are taken. A connection that is being
    /// closed needs no place.
    pub(super) fn admit(&self) -> bool {
        let limits = self.places.limits;
        let mut taken = self.places.lock();
        let address = match taken.connections.get(&self.id) {
            Some(entry) if entry.is_admitted => return true,
            Some(entry) => entry.address,
            None => return true,
        };
        let is_full_for_address =
            address.is_some() && taken.count(true, Some(address)) >= limits.admitted_per_address;
        let has_room = if is_full_for_address {
            taken.close_idlest_admitted(Some(address))
        } else {
            taken.count(true, None) < limits.admitted || taken.close_idlest_admitted(None)
        };
        if has_room && let Some(entry) = taken.connections.get_mut(&self.id) {
            entry.is_admitted = true;
        }
        has_room
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().connections.remove(&self.id);
    }
}

impl Answering {
    /// Notes that a part of the answer waits for the peer.
    pub(super) fn has_part(&self) {
        self.place.unsent().since.insert(self.id, Instant::now());
    }

    /// Notes that the peer has taken the last part and asks for the next.
    pub(super) fn asks_next(&self) {
        self.place.unsent().since.remove(&self.id);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.asks_next();
        let Place { places, id, .. } = &*self.place;
        if let Some(entry) = places.lock().connections.get_mut(id) {
            entry.requests = entry.requests.saturating_sub(1);
            entry.idle_since = Instant::now();
        }
    }
}

/// The address for the limits; `None` for this machine.
fn shared_address(address: IpAddr) -> Option<IpAddr> {
    let is_own = address.to_canonical().is_loopback();
    (!is_own).then(|| network(address))
}

/// The address that stands for a peer: of IPv6 the network, because one machine has all of it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LIMITS: PlaceLimits = PlaceLimits {
        pending: 8,
        pending_per_address: 3,
        admitted: 4,
        admitted_per_address: 2,
    };

    fn peer(host: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, host), 4000).into()
    }

    fn is_closed(place: &Place) -> bool {
        !place.places.lock().connections.contains_key(&place.id)
    }

    fn count_closed(places: &[Arc<Place>]) -> usize {
        places.iter().filter(|place| is_closed(place)).count()
    }

    #[test]
    fn an_address_with_many_pending_connections_loses_its_oldest() {
        let places = Places::new(LIMITS);
        let other = places.enter(peer(1));
        let greedy: Vec<_> = (0..50).map(|_| places.enter(peer(2))).collect();
        assert_eq!(count_closed(&greedy), 47);
        assert!(!is_closed(&other) && !is_closed(greedy.last().unwrap()));
        assert!(is_closed(&greedy[0]), "the oldest");
    }

    #[test]
    fn many_addresses_cannot_keep_a_new_one_out() {
        let places = Places::new(LIMITS);
        let crowd: Vec<_> = (10..60).map(|host| places.enter(peer(host))).collect();
        let ours = places.enter(peer(1));
        assert!(!is_closed(&ours) && count_closed(&crowd) >= 43);
        assert!(ours.admit(), "none of them has shown a token");
        let later: Vec<_> = (60..99).map(|host| places.enter(peer(host))).collect();
        assert!(
            !is_closed(&ours),
            "pending ones do not push out admitted ones"
        );
        drop(later);
    }

    #[test]
    fn a_request_that_never_ends_does_not_keep_its_place() {
        let places = Places::new(LIMITS);
        let slow: Vec<_> = (0..8).map(|host| places.enter(peer(host))).collect();
        let requests: Vec<_> = slow.iter().map(Place::begin).collect();
        let ours = places.enter(peer(9));
        let theirs = places.enter(peer(10));
        assert!(!is_closed(&ours) && !is_closed(&theirs));
        assert_eq!(count_closed(&slow), 2);
        assert!(
            slow.iter()
                .filter(|place| is_closed(place))
                .all(|place| place.admit())
        );
        drop(requests);
    }

    #[test]
    fn the_time_of_a_stalled_peer_is_measured() {
        let places = Places::new(LIMITS);
        let place = places.enter(peer(1));
        let (slow, quick) = (place.begin(), place.begin());
        slow.has_part();
        quick.has_part();
        quick.asks_next();
        std::thread::sleep(Duration::from_millis(20));
        assert!(place.stalled_for() >= Duration::from_millis(20));
        assert_eq!(place.idle_for(), Duration::ZERO);
        drop(slow);
        assert_eq!(place.stalled_for(), Duration::ZERO);
        drop(quick);
        std::thread::sleep(Duration::from_millis(2));
        assert!(place.idle_for() > Duration::ZERO);
    }

    #[test]
    fn an_idle_admitted_connection_is_closed_for_a_new_one() {
        let places = Places::new(LIMITS);
        let watching: Vec<_> = (1..5).map(|host| places.enter(peer(host))).collect();
        assert!(watching.iter().all(|place| place.admit()));
        let mut answers: Vec<_> = watching.iter().map(Place::begin).collect();
        let late = places.enter(peer(9));
        assert!(!late.admit(), "all are watching");
        answers.pop();
        assert!(late.admit(), "one has become idle");
        assert!(is_closed(&watching[3]) && !is_closed(&watching[0]));
    }

    #[test]
    fn only_this_machine_may_have_all_admitted_places() {
        let places = Places::new(LIMITS);
        let enter = |peer: SocketAddr| {
            let place = places.enter(peer);
            let answering = place.begin();
            (place.admit(), place, answering)
        };
        let far: Vec<_> = (0..3).map(|_| enter(peer(1))).collect();
        assert_eq!(far.iter().filter(|one| one.0).count(), 2);
        drop(far);
        let near: Vec<_> = (0..3).map(|_| enter(([127, 0, 0, 1], 1).into())).collect();
        assert!(near.iter().all(|one| one.0));
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let places = Places::new(LIMITS);
        for _ in 0..100 {
            let place = places.enter(peer(1));
            assert!(place.admit());
        }
        assert!(places.lock().connections.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let v6 = |text: &str| shared_address(text.parse().unwrap());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:192.0.2.1"), v6("192.0.2.1"));
        assert_eq!((v6("::1"), v6("127.0.0.2")), (None, None));
    }
}
