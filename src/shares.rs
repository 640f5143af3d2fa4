//! [`Shares`]: places that all clients share, and the rule for how many of them a client may take. It applies to
//! viewers of the stream, renditions and listeners.
//!
//! The rule: a client may take any free place except the last quarter (at least one), which is reserved for clients
//! without a place.

use crate::sync::lock;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};

/// A client: an address together with the user who logged in from it. Users distinguish the clients that share an
/// address behind a proxy or a router; addresses distinguish the clients that share a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// An IPv4 address or an IPv6 network.
    pub address: Option<IpAddr>,
    /// The user; `None` when no password is needed.
    pub user: Option<Box<str>>,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, self.address) {
            (Some(user), Some(address)) => write!(f, "{user} at {address}"),
            (Some(user), None) => f.write_str(user),
            (None, Some(address)) => write!(f, "{address}"),
            (None, None) => f.write_str("an unknown address"),
        }
    }
}

/// Why a client gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Full,
    /// The client has a place already, and the free ones are reserved for others.
    Kept,
}

/// The number of `total` places that are reserved for clients without one.
pub fn kept(total: usize) -> usize {
    (total / 4).max(1)
}

/// Applies the rule; `holders` lists the client of each used place.
///
/// # Errors
/// When `client` may not take another of `total` places.
pub fn may_take<'a>(
    client: &Client,
    holders: impl Iterator<Item = &'a Client> + Clone,
    total: usize,
) -> Result<(), Refusal> {
    match total.saturating_sub(holders.clone().count()) {
        0 => Err(Refusal::Full),
        free if free <= kept(total) && holders.clone().any(|holder| holder == client) => Err(Refusal::Kept),
        _ => Ok(()),
    }
}

/// A place of a client, which is free again when this is dropped.
pub type TakenPlace = Arc<Client>;

/// Places of one kind, with the client of each used one.
#[derive(Default)]
pub struct Shares(Mutex<Vec<Weak<Client>>>);

impl Shares {
    /// A place for `client`.
    ///
    /// # Errors
    /// As [`may_take`].
    pub fn take(&self, client: &Client, total: usize) -> Result<TakenPlace, Refusal> {
        let mut places = lock(&self.0);
        places.retain(|place| place.strong_count() > 0);
        let holders: Vec<TakenPlace> = places.iter().filter_map(Weak::upgrade).collect();
        may_take(client, holders.iter().map(|holder| &**holder), total)?;
        let place = Arc::new(client.clone());
        places.push(Arc::downgrade(&place));
        Ok(place)
    }

    pub fn taken(&self) -> usize {
        lock(&self.0).iter().filter(|place| place.strong_count() > 0).count()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The client at 127.0.0.`host`, without a user.
    pub(crate) fn at(host: u8) -> Client {
        Client { address: Some([127, 0, 0, host].into()), user: None }
    }

    /// Takes places for `client` until it is refused.
    fn take_all(shares: &Shares, client: &Client, total: usize) -> Vec<TakenPlace> {
        std::iter::from_fn(|| shares.take(client, total).ok()).collect()
    }

    #[test]
    fn one_client_gets_three_quarters_and_each_remaining_place_goes_to_another_one() {
        for (total, own) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (8, 6), (32, 24), (99, 75), (250, 188)] {
            let shares = Shares::default();
            let greedy = take_all(&shares, &at(2), total);
            assert_eq!(greedy.len(), own, "of {total}");
            let others: Vec<usize> = (3..=255).map(|host| take_all(&shares, &at(host), total).len()).collect();
            // Each drops its places at once, so that the next one finds them free.
            assert!(others.iter().all(|taken| *taken == usize::from(total > 1)), "of {total}: {others:?}");
            let others: Vec<TakenPlace> = (3..=255).filter_map(|host| shares.take(&at(host), total).ok()).collect();
            assert_eq!((others.len(), shares.taken()), (total - own, total));
            assert_eq!(shares.take(&at(1), total).err(), Some(Refusal::Full));
            drop((greedy, others));
            assert_eq!((shares.taken(), take_all(&shares, &at(1), total).len()), (0, own));
        }
    }

    #[test]
    fn each_user_of_an_address_and_each_address_of_a_user_has_its_own_share() {
        let client = |host, user: &str| Client { user: Some(user.into()), ..at(host) };
        let shares = Shares::default();
        let _anna = take_all(&shares, &client(2, "anna"), 8);
        assert_eq!(shares.take(&client(2, "anna"), 8).err(), Some(Refusal::Kept));
        let _others =
            [shares.take(&client(2, "bob"), 8).ok().unwrap(), shares.take(&client(3, "anna"), 8).ok().unwrap()];
        assert_eq!(shares.take(&client(4, "carl"), 8).err(), Some(Refusal::Full));
    }

    /// Every sequence of six steps in which three clients take a place or free their oldest one: 6^6 of them.
    #[test]
    fn in_every_order_of_steps_a_client_without_a_place_is_refused_only_when_all_are_in_use() {
        for total in 1..=5 {
            for sequence in 0..6_u32.pow(6) {
                let (shares, mut places): (Shares, [Vec<TakenPlace>; 3]) = Default::default();
                for step in 0..6 {
                    let (who, takes) =
                        ((sequence / 6_u32.pow(step) % 6 / 2) as usize, sequence / 6_u32.pow(step) % 2 == 0);
                    let (taken, held) = (shares.taken(), places[who].len());
                    assert_eq!(taken, places.iter().map(Vec::len).sum::<usize>(), "dropped places are free again");
                    if takes {
                        let place = shares.take(&at(who as u8), total);
                        // The rule in another form: a client with places leaves a quarter, at least one, free.
                        let left_free = (total - taken) as f64 - 1.0;
                        let may =
                            taken < total && (held == 0 || left_free >= f64::max(1.0, (total as f64 / 4.0).floor()));
                        assert_eq!(place.is_ok(), may, "{held} of {taken} of {total}");
                        places[who].extend(place);
                    } else if held > 0 {
                        places[who].remove(0);
                    }
                }
                drop(places);
                assert_eq!(shares.taken(), 0);
            }
        }
    }

    #[test]
    fn with_fewer_places_after_a_reload_all_clients_are_refused_until_there_is_room() {
        let shares = Shares::default();
        let mut places = take_all(&shares, &at(2), 32);
        assert_eq!(shares.take(&at(3), 8).err(), Some(Refusal::Full));
        places.truncate(7);
        assert_eq!(shares.take(&at(2), 8).err(), Some(Refusal::Kept));
        assert!(shares.take(&at(3), 8).is_ok());
    }
}
