//! [`Shares`]: places that all clients share, and the one rule of how many of them one client may take. Viewers of the
//! stream, kinds of picture and listeners are counted by it alike.
//!
//! The rule: a client may take any free place except the last quarter, at least one, which is kept for clients that hold
//! none.

use crate::health::lock;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// What takes places: an address together with the user who logged in from it. Users tell apart the clients to which a proxy
/// or a router gives one address, and addresses those that share one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// An IPv4 address or an IPv6 network.
    pub address: Option<IpAddr>,
    /// `None` where no password is needed.
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
    /// All places are taken.
    Full,
    /// The client holds some already, and those that are free are kept for others.
    Kept,
}

/// How many of `total` places are kept for clients that hold none.
pub fn kept(total: usize) -> usize {
    (total / 4).max(1)
}

/// Applies the rule: `holders` names the client of each place that is taken.
///
/// # Errors
/// When `client` may take no place of `total`.
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

/// Places of one sort, with a row for each that is taken: never more rows than places.
#[derive(Default)]
pub struct Shares(Arc<Mutex<Vec<Client>>>);

impl Shares {
    /// A place for `client`, kept until it is dropped.
    ///
    /// # Errors
    /// As [`may_take`].
    pub fn take(&self, client: &Client, total: usize) -> Result<Place, Refusal> {
        let mut holders = lock(&self.0);
        may_take(client, holders.iter(), total)?;
        holders.push(client.clone());
        Ok(Place { holders: Arc::clone(&self.0), client: client.clone() })
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        lock(&self.0).len()
    }
}

/// A place that a client holds, given back on drop.
pub struct Place {
    holders: Arc<Mutex<Vec<Client>>>,
    client: Client,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut holders = lock(&self.holders);
        if let Some(at) = holders.iter().position(|holder| *holder == self.client) {
            holders.swap_remove(at);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The client at 127.0.0.`host`, without a user.
    pub(crate) fn at(host: u8) -> Client {
        Client { address: Some([127, 0, 0, host].into()), user: None }
    }

    /// Takes for `client` until it is refused.
    fn take_all(shares: &Shares, client: &Client, total: usize) -> Vec<Place> {
        std::iter::from_fn(|| shares.take(client, total).ok()).collect()
    }

    #[test]
    fn one_client_gets_three_quarters_and_each_place_that_is_left_goes_to_another_one() {
        for (total, own) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (8, 6), (32, 24), (99, 75), (250, 188)] {
            let shares = Shares::default();
            let greedy = take_all(&shares, &at(2), total);
            assert_eq!(greedy.len(), own, "of {total}");
            let others: Vec<usize> = (3..=255).map(|host| take_all(&shares, &at(host), total).len()).collect();
            // Dropped at once, each of them finds what the one before has given back.
            assert!(others.iter().all(|taken| *taken == usize::from(total > 1)), "of {total}: {others:?}");
            let others: Vec<Place> = (3..=255).filter_map(|host| shares.take(&at(host), total).ok()).collect();
            assert_eq!((others.len(), shares.taken()), (total - own, total));
            assert_eq!(shares.take(&at(1), total).err(), Some(Refusal::Full));
            drop((greedy, others));
            assert_eq!((shares.taken(), take_all(&shares, &at(1), total).len()), (0, own));
        }
    }

    #[test]
    fn a_user_has_a_share_behind_an_address_that_others_use_up_and_an_address_one_of_its_user() {
        let client = |host, user: &str| Client { user: Some(user.into()), ..at(host) };
        let shares = Shares::default();
        let _anna = take_all(&shares, &client(2, "anna"), 8);
        assert_eq!(shares.take(&client(2, "anna"), 8).err(), Some(Refusal::Kept));
        let _others =
            [shares.take(&client(2, "bob"), 8).ok().unwrap(), shares.take(&client(3, "anna"), 8).ok().unwrap()];
        assert_eq!(shares.take(&client(4, "carl"), 8).err(), Some(Refusal::Full));
    }

    /// Every sequence of six steps of three clients that take a place or give their oldest one back: 6^6 of them.
    #[test]
    fn in_whatever_order_clients_come_and_go_who_holds_none_is_refused_only_when_all_places_are_taken() {
        for total in 1..=5 {
            for sequence in 0..6_u32.pow(6) {
                let (shares, mut places): (Shares, [Vec<Place>; 3]) = Default::default();
                for step in 0..6 {
                    let (who, takes) =
                        ((sequence / 6_u32.pow(step) % 6 / 2) as usize, sequence / 6_u32.pow(step) % 2 == 0);
                    let (taken, held) = (shares.taken(), places[who].len());
                    assert_eq!(taken, places.iter().map(Vec::len).sum::<usize>(), "what is dropped is given back");
                    if takes {
                        let place = shares.take(&at(who as u8), total);
                        // Said in other words than the code: who holds some leaves a quarter, at least one, free.
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
    fn fewer_places_after_a_reload_refuse_everybody_until_there_is_room() {
        let shares = Shares::default();
        let mut places = take_all(&shares, &at(2), 32);
        assert_eq!(shares.take(&at(3), 8).err(), Some(Refusal::Full));
        places.truncate(7);
        assert_eq!(shares.take(&at(2), 8).err(), Some(Refusal::Kept));
        assert!(shares.take(&at(3), 8).is_ok());
    }
}
