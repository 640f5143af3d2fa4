//! Which connections are open, whose they are, and which of them makes room for a new one.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a client may take of the server's time and memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a connection may be idle, and how long the head of a request may take from its first byte to its last.
    pub read_timeout: Duration,
    /// How long a new connection may take for its first request when more than half of all places, or of its client's, are
    /// held by connections without a request.
    pub hurried_timeout: Duration,
    /// How many connections may be open. One more closes the oldest one that waits for a request, of the client that has
    /// the most of these; when none waits, the oldest answer of the client that has the most answers; when that client
    /// would not have more than the one that comes, the new one is closed. Streams are never closed for it.
    pub max_connections: usize,
    /// How many of them may be one client's. One more closes the client's own oldest one.
    pub max_connections_per_client: usize,
    /// Which client an address belongs to.
    pub client: fn(IpAddr) -> IpAddr,
    /// How many bytes the request line and the headers may have together.
    pub max_head_bytes: usize,
    /// How many headers a request may have.
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            read_timeout: Duration::from_secs(30),
            hurried_timeout: Duration::from_secs(2),
            max_connections: 256,
            max_connections_per_client: 64,
            client: |address| address,
            max_head_bytes: 16 * 1024,
            max_headers: 100,
        }
    }
}

/// What a connection does. The order is that in which those of one client are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It has never sent a whole request. Bytes of a request change nothing.
    Waiting,
    /// Every request so far was answered.
    Idle,
    /// A request is being answered.
    Answering,
    /// The answer is a stream, which has no end of its own.
    Streaming,
}

impl State {
    /// True when no request is being answered.
    fn is_spare(self) -> bool {
        self < State::Answering
    }
}

/// How many connections are open, and how many had to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Connections that have never sent a whole request.
    pub waiting: usize,
    /// Connections whose requests were answered.
    pub idle: usize,
    /// Connections on which a request is being answered.
    pub answering: usize,
    /// Connections on which a stream is sent.
    pub streaming: usize,
    /// Connections that were closed as soon as they came, since the start.
    pub refused: u64,
    /// Connections that were closed for a newer one, since the start.
    pub closed_early: u64,
    /// The client that has the most connections, and how many.
    pub most: Option<(IpAddr, usize)>,
}

/// The address that stands for a client.
type Client = IpAddr;

/// A connection that has a place, and with it a thread.
struct Entry {
    /// None for the program's own question, which counts for nobody.
    client: Option<Client>,
    /// Its number among all connections.
    serial: u64,
    state: State,
    /// The event, counted from the start, since which it is in this state.
    since: u64,
    patience: Duration,
    socket: Arc<TcpStream>,
}

#[derive(Default, Clone, Copy)]
struct Share {
    open: usize,
    /// Those that wait or idle.
    spare: usize,
    /// Those on which an answer is under way that is no stream.
    answering: usize,
}

impl Share {
    /// Those that may have to go: all but the streams.
    fn held(self) -> usize {
        self.spare + self.answering
    }
}

struct Table {
    limits: Limits,
    events: u64,
    /// By the number of the place.
    entries: BTreeMap<u64, Entry>,
    /// Connections in each state, without the program's own question.
    states: [usize; 4],
    /// Clients that have connections.
    shares: HashMap<Client, Share>,
    refused: u64,
    closed_early: u64,
}

/// Where a new connection finds room.
enum Room {
    /// There is a place that nobody has.
    Free,
    /// In the place with this number, whose connection is closed.
    Of(u64),
    /// Nowhere.
    None,
}

impl Table {
    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    fn share(&self, client: Client) -> Share {
        self.shares.get(&client).copied().unwrap_or_default()
    }

    /// Moves a connection of `client` from one state to another one; None is before it came and after it has gone.
    fn count(&mut self, client: Option<Client>, from: Option<State>, to: Option<State>) {
        let client = match client {
            Some(client) => client,
            None => return,
        };
        let share = self.shares.entry(client).or_default();
        if let Some(from) = from {
            self.states[from as usize] -= 1;
            share.open -= 1;
            share.spare -= usize::from(from.is_spare());
            share.answering -= usize::from(from == State::Answering);
        }
        if let Some(to) = to {
            self.states[to as usize] += 1;
            share.open += 1;
            share.spare += usize::from(to.is_spare());
            share.answering += usize::from(to == State::Answering);
        }
        if share.open == 0 {
            self.shares.remove(&client);
        }
    }

    /// Gives the place with this number to `entry`; the connection that had it.
    fn put(&mut self, place: u64, entry: Entry) -> Option<Entry> {
        self.count(entry.client, None, Some(entry.state));
        let before = self.entries.insert(place, entry);
        if let Some(before) = &before {
            self.count(before.client, Some(before.state), None);
        }
        before
    }

    /// False when the connection has lost its place.
    fn change(&mut self, place: u64, serial: u64, to: State) -> bool {
        let since = self.next_event();
        let (client, from) = match self.entries.get_mut(&place) {
            Some(entry) if entry.serial == serial => {
                let from = std::mem::replace(&mut entry.state, to);
                entry.since = since;
                (entry.client, from)
            }
            _ => return false,
        };
        self.count(client, Some(from), Some(to));
        true
    }

    fn remove(&mut self, place: u64) {
        if let Some(entry) = self.entries.remove(&place) {
            self.count(entry.client, Some(entry.state), None);
        }
    }

    fn room_for(&self, client: Client) -> Room {
        let own = self.share(client);
        if own.open >= self.limits.max_connections_per_client {
            return self.oldest(client, State::Idle);
        }
        if self.states.iter().sum::<usize>() < self.limits.max_connections {
            return Room::Free;
        }
        // more than the one that comes would have then: two clients never push each other out in turn
        let has_more = |share: &Share| share.held() > own.held() + 1;
        // of clients with the same number the one that comes
        let spare = self.shares.iter().filter(|(who, share)| share.spare > 0 && (**who == client || has_more(share)));
        if let Some((who, _)) = spare.max_by_key(|(who, share)| (share.spare, **who == client)) {
            return self.oldest(*who, State::Idle);
        }
        let answering = self.shares.iter().filter(|(_, share)| share.answering > 0 && has_more(share));
        if let Some((who, _)) = answering.max_by_key(|(_, share)| share.answering) {
            return self.oldest(*who, State::Answering);
        }
        // so many clients that none has more than another one
        let equal = self.shares.iter().filter(|(_, share)| share.spare > 0 && share.held() >= own.held());
        let most = equal.max_by_key(|(_, share)| share.spare);
        most.map_or(Room::None, |(who, _)| self.oldest(*who, State::Idle))
    }

    /// The place of the oldest connection of `client` in the first state that there is, up to `last`.
    fn oldest(&self, client: Client, last: State) -> Room {
        let all = self.entries.iter().filter(|(_, e)| e.client == Some(client) && e.state <= last);
        let oldest = all.min_by_key(|(_, e)| (e.state, e.since));
        oldest.map_or(Room::None, |(place, _)| Room::Of(*place))
    }

    /// How long a new connection of `client` may take for its first request.
    fn patience(&self, client: Client) -> Duration {
        let spare = self.states[State::Waiting as usize] + self.states[State::Idle as usize];
        let hurried = 2 * spare > self.limits.max_connections
            || 2 * self.share(client).spare > self.limits.max_connections_per_client;
        if hurried { self.limits.hurried_timeout } else { self.limits.read_timeout }
    }
}

/// The table of connections.
pub(crate) struct Connections {
    table: Mutex<Table>,
    own_question: Arc<Mutex<Option<SocketAddr>>>,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Arc<Connections> {
        let table = Table {
            limits,
            events: 0,
            entries: BTreeMap::new(),
            states: [0; 4],
            shares: HashMap::new(),
            refused: 0,
            closed_early: 0,
        };
        Arc::new(Connections { table: Mutex::new(table), own_question: Arc::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the address stands that is let in beyond every limit.
    pub(crate) fn own_question(&self) -> Arc<Mutex<Option<SocketAddr>>> {
        self.own_question.clone()
    }

    fn is_own_question(&self, peer: SocketAddr) -> bool {
        let own = *self.own_question.lock().unwrap_or_else(PoisonError::into_inner);
        // not the whole: of IPv6 the flow may differ
        own.map(|own| (own.ip(), own.port())) == Some((peer.ip(), peer.port()))
    }

    pub(crate) fn limit(&self, max_connections: usize, max_connections_per_client: usize) {
        let mut table = self.table();
        table.limits.max_connections = max_connections;
        table.limits.max_connections_per_client = max_connections_per_client;
    }

    pub(crate) fn count(&self) -> Count {
        let table = self.table();
        let [waiting, idle, answering, streaming] = table.states;
        let most = table.shares.iter().map(|(who, share)| (*who, share.open));
        Count {
            waiting,
            idle,
            answering,
            streaming,
            refused: table.refused,
            closed_early: table.closed_early,
            most: most.max_by_key(|(_, open)| *open),
        }
    }

    /// Lets a new connection in, or closes it when there is no room. Some: a place that wants a thread. A connection that
    /// has the place of another one is served by the thread of that one, so there are never more threads than places.
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: SocketAddr,
        socket: Arc<TcpStream>,
    ) -> Option<Place> {
        let own = self.is_own_question(peer);
        let mut table = self.table();
        let serial = table.next_event();
        let client = (table.limits.client)(peer.ip());
        let room = if own { Room::Free } else { table.room_for(client) };
        let patience = if own { table.limits.read_timeout } else { table.patience(client) };
        let client = if own { None } else { Some(client) };
        let entry = Entry { client, serial, state: State::Waiting, since: serial, patience, socket };
        match room {
            Room::Free => {
                table.put(serial, entry);
                drop(table);
                Some(Place { connections: self.clone(), number: serial, serial: 0 })
            }
            Room::Of(place) => {
                table.closed_early += 1;
                let before = table.put(place, entry);
                drop(table);
                // the thread, which reads from it, wakes, and so does one that writes an answer
                let _ = before.map(|before| before.socket.shutdown(Shutdown::Both));
                None
            }
            Room::None => {
                table.refused += 1;
                drop(table);
                None
            }
        }
    }

    /// Counts a connection for which there was a place and no thread.
    pub(crate) fn no_thread(&self) {
        self.table().refused += 1;
    }
}

/// A place, held by a thread that serves the connections that have it, one after the other.
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    /// The connection that the thread serves, or served last.
    serial: u64,
}

impl Place {
    /// The connection that has the place now, and how long it may take for its first request. None, and the place is given
    /// back, when it is the one that was served last.
    pub(crate) fn next(&mut self) -> Option<(Arc<TcpStream>, Duration)> {
        let mut table = self.connections.table();
        match table.entries.get(&self.number) {
            Some(entry) if entry.serial != self.serial => {
                self.serial = entry.serial;
                Some((entry.socket.clone(), entry.patience))
            }
            _ => {
                table.remove(self.number);
                None
            }
        }
    }

    /// A whole request has come. False when the connection has lost its place.
    pub(crate) fn answering(&self) -> bool {
        self.connections.table().change(self.number, self.serial, State::Answering)
    }

    /// The answer is a stream.
    pub(crate) fn streaming(&self) {
        self.connections.table().change(self.number, self.serial, State::Streaming);
    }

    /// The request was answered. False when the connection has lost its place.
    pub(crate) fn idle(&self) -> bool {
        self.connections.table().change(self.number, self.serial, State::Idle)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn socket() -> Arc<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap())
    }

    /// Connections, and the places that would have threads.
    struct Hall {
        all: Arc<Connections>,
        places: Vec<Place>,
    }

    impl Hall {
        fn new(max_connections: usize, max_connections_per_client: usize) -> Hall {
            // the first 64 bits of IPv6, as the program has it
            let client = |address| match address {
                IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
                v4 => v4,
            };
            let limits = Limits { max_connections, max_connections_per_client, client, ..Limits::default() };
            Hall { all: Connections::new(limits), places: Vec::new() }
        }

        /// One more connection of `address`. False when it is refused.
        fn enter_from(&mut self, address: &str, port: u16) -> bool {
            let refused = self.all.count().refused;
            let peer = SocketAddr::new(address.parse().unwrap(), port);
            self.places.extend(self.all.enter(peer, socket()));
            for place in &mut self.places {
                let serial = self.all.table().entries[&place.number].serial;
                assert!(serial == place.serial || place.next().is_some(), "its thread wakes");
            }
            self.all.count().refused == refused
        }

        fn enter(&mut self, count: usize, address: &str) -> bool {
            (0..count).all(|_| self.enter_from(address, 4000))
        }

        fn client(&self, place: &Place) -> Client {
            self.all.table().entries[&place.number].client.unwrap()
        }

        fn of(&self, address: &str) -> Vec<&Place> {
            let client: IpAddr = address.parse().unwrap();
            self.places.iter().filter(|place| self.client(place) == client).collect()
        }

        /// The states of the connections of `address`, in the order in which they came.
        fn states(&self, address: &str) -> Vec<State> {
            let client = Some(address.parse().unwrap());
            let table = self.all.table();
            let mut of_it: Vec<&Entry> = table.entries.values().filter(|entry| entry.client == client).collect();
            of_it.sort_by_key(|entry| entry.serial);
            of_it.iter().map(|entry| entry.state).collect()
        }

        fn open(&self, address: &str) -> usize {
            self.states(address).len()
        }
    }

    const A: &str = "192.0.2.1";
    const B: &str = "192.0.2.2";
    const C: &str = "192.0.2.3";
    const D: &str = "192.0.2.4";

    #[test]
    fn the_oldest_that_waits_goes_and_its_thread_serves_the_one_that_comes() {
        let all = Hall::new(8, 4).all;
        let peer = SocketAddr::new(A.parse().unwrap(), 4000);
        let mut places: Vec<Place> = (0..4).map(|_| all.enter(peer, socket()).unwrap()).collect();
        places.iter_mut().for_each(|place| assert!(place.next().is_some()));
        assert!(places[0].answering());
        assert!(places[1].answering() && places[1].idle());
        let fifth = socket();
        assert!(all.enter(peer, fifth.clone()).is_none(), "no further thread");
        assert!(!places[2].answering() && !places[2].idle(), "its request came too late");
        assert!(Arc::ptr_eq(&places[2].next().unwrap().0, &fifth));
        assert!(all.enter(peer, socket()).is_none());
        assert!(places[1].answering() && places[1].idle() && places[2].answering());
        assert!(!places[3].answering(), "the last one that has never asked went before one that has");
        assert!(all.enter(peer, socket()).is_none(), "the sixth was not served yet, and goes");
        assert!(places[3].next().is_some());
        assert!(places[3].next().is_none() && all.enter(peer, socket()).is_some(), "a place is given back");
        assert_eq!((all.count().closed_early, all.count().refused), (3, 0));
    }

    #[test]
    fn when_every_place_is_in_an_answer_the_client_with_the_most_gives_its_oldest_to_those_who_have_less() {
        let mut hall = Hall::new(8, 4);
        assert!(hall.enter(4, A) && hall.enter(4, B) && hall.places.iter().all(Place::answering));
        let oldest: Vec<u64> = [A, B].iter().map(|who| hall.of(who)[0].serial).collect();
        assert!(!hall.enter(1, A), "all of its own answer");
        assert!(hall.enter(1, C) && hall.of(C)[0].answering());
        assert!(hall.enter(1, C) && hall.of(C).iter().all(|place| place.answering()));
        assert_eq!((hall.open(A), hall.open(B), hall.open(C)), (3, 3, 2), "each gave one");
        assert!(hall.places.iter().all(|place| !oldest.contains(&place.serial)), "the oldest ones went");
        assert!(!hall.enter(1, A) && !hall.enter(1, B) && !hall.enter(1, C), "nobody would have more than they");
        assert!(hall.enter(1, D) && hall.of(D)[0].answering());
        assert!(!hall.enter(1, A) && !hall.enter(1, B), "who gave one does not get it back");
        let count = hall.all.count();
        assert_eq!((count.answering, count.refused, count.closed_early), (8, 6, 3));
        assert!(count.most.map(|(_, open)| open) == Some(3), "{:?}", count);
        hall.places.pop();
        assert!(hall.enter(1, D));
    }

    #[test]
    fn a_new_connection_takes_no_place_from_one_that_came_for_less() {
        let mut hall = Hall::new(8, 4);
        assert!(hall.enter(4, A) && hall.enter(4, B) && hall.places.iter().all(Place::answering));
        assert!(hall.enter(1, C), "it has not asked yet");
        assert!(!hall.enter(1, A) && !hall.enter(1, B));
        assert!(hall.enter(1, D));
        assert_eq!((hall.open(A), hall.open(B)), (3, 3));
        assert_eq!((hall.states(C), hall.states(D)), (vec![State::Waiting], vec![State::Waiting]));
    }

    #[test]
    fn a_stream_is_never_broken_off_for_a_new_connection() {
        let mut hall = Hall::new(8, 6);
        assert!(hall.enter(6, A) && hall.enter(2, B) && hall.places.iter().all(Place::answering));
        hall.of(A).iter().for_each(|place| place.streaming());
        assert!(hall.enter(1, C) && hall.of(C)[0].answering());
        assert_eq!((hall.states(A), hall.open(B)), (vec![State::Streaming; 6], 1), "the client with two answers gave one");
        assert!(!hall.enter(1, D));
        let count = hall.all.count();
        assert_eq!((count.answering, count.streaming), (2, 6));
        assert!(hall.of(A)[0].idle() && hall.enter(1, D), "its stream has ended");
    }

    #[test]
    fn a_flood_makes_room_and_a_clients_idle_connection_stays_though_it_is_the_oldest() {
        let mut hall = Hall::new(32, 16);
        assert!(hall.enter(2, A) && hall.of(A).iter().all(|place| place.answering() && place.idle()));
        assert!(hall.enter(16, B) && hall.enter(14, C));
        for host in 4..20 {
            assert!(hall.enter(1, &format!("192.0.2.{}", host)));
        }
        assert_eq!(hall.states(A), [State::Idle; 2]);
        assert_eq!((hall.open(B), hall.open(C)), (7, 7), "those that have most gave equally");
    }

    #[test]
    fn connections_that_idle_after_an_answer_give_way_like_those_that_never_asked() {
        let mut hall = Hall::new(32, 16);
        assert!(hall.enter(16, A) && hall.enter(16, B));
        assert!(hall.places.iter().all(|place| place.answering() && place.idle()));
        assert!(hall.enter(10, C));
        assert_eq!((hall.open(A), hall.open(B), hall.open(C)), (11, 11, 10));
    }

    #[test]
    fn a_flood_without_end_takes_nothing_from_those_who_have_less() {
        let mut hall = Hall::new(256, 128);
        assert!(hall.enter(128, A) && hall.enter(128, B) && hall.enter(6, C));
        for _ in 0..500 {
            assert!(hall.enter(1, A) && hall.enter(1, B));
        }
        assert_eq!((hall.open(A), hall.open(B), hall.open(C)), (125, 125, 6));
        assert_eq!(hall.places.len(), 256, "threads");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let mut hall = Hall::new(32, 16);
        for host in 0..40 {
            assert!(hall.enter(1, &format!("2001:db8:0:1::{:x}", host)));
        }
        assert_eq!(hall.open("2001:db8:0:1::"), 16, "for all addresses of the network");
        assert!(hall.enter(16, "2001:db8:0:2::1"));
        assert_eq!(hall.open("2001:db8:0:1::"), 16, "another network has its own");
    }

    #[test]
    fn the_programs_own_question_is_let_in_beyond_every_limit_and_nobody_else_is() {
        let mut hall = Hall::new(8, 8);
        assert!(hall.enter(8, "127.0.0.1") && hall.places.iter().all(Place::answering));
        hall.places.iter().for_each(Place::streaming);
        let own = SocketAddr::new("127.0.0.1".parse().unwrap(), 5555);
        *hall.all.own_question().lock().unwrap() = Some(own);
        assert!(!hall.enter_from("127.0.0.1", 5556) && !hall.enter_from("127.0.0.2", 5555));
        assert!(hall.enter_from("127.0.0.1", 5555));
        assert_eq!(hall.places.len(), 9);
        assert!(hall.places[8].answering() && hall.places[8].idle());
        assert!(!hall.enter(1, "127.0.0.1"), "it does not make room");
        assert_eq!((hall.all.count().streaming, hall.all.count().answering), (8, 0));
        *hall.all.own_question().lock().unwrap() = None;
        assert!(!hall.enter_from("127.0.0.1", 5555));
    }

    #[test]
    fn who_comes_while_half_of_the_places_wait_has_less_time() {
        let mut hall = Hall::new(32, 16);
        let patience = |hall: &Hall| {
            let of = |address: &str| hall.all.table().patience(address.parse().unwrap()).as_secs();
            (of(A), of(B))
        };
        assert!(hall.enter(8, A));
        assert_eq!(patience(&hall), (30, 30));
        assert!(hall.enter(1, A));
        assert_eq!(patience(&hall), (2, 30), "more than half of its own");
        assert!(hall.enter(8, C));
        assert_eq!(patience(&hall), (2, 2), "more than half of all");
        assert!(hall.enter(1, B));
        let entry = |hall: &Hall| hall.all.table().entries.values().next_back().unwrap().patience.as_secs();
        assert_eq!(entry(&hall), 2);
        assert!(hall.places.iter().all(Place::answering));
        assert_eq!(patience(&hall), (30, 30), "answers are no reason to hurry");
    }

    #[test]
    fn nothing_is_left_of_those_who_have_gone() {
        let mut hall = Hall::new(64, 4);
        for host in 0..200 {
            assert!(hall.enter(6, &format!("192.0.2.{}", host)));
        }
        assert_eq!(hall.places.len(), 64);
        hall.places.clear();
        let table = hall.all.table();
        assert!(table.entries.is_empty() && table.shares.is_empty() && table.states == [0; 4]);
    }
}
