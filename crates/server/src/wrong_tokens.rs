//! Logs the addresses of clients that send wrong tokens, without filling the log.
use super::places::network;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time between two lines about one address, at least.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses that are remembered, at most. Others have no line.
const MAX_ADDRESSES: usize = 64;

/// Clients that sent wrong tokens lately.
#[derive(Debug, Default)]
pub(super) struct WrongTokens(Mutex<HashMap<Option<IpAddr>, TokenSender>>);

#[derive(Debug)]
struct TokenSender {
    /// The time of its last line.
    logged: Instant,
    /// Wrong tokens since then.
    count: u64,
}

impl WrongTokens {
    /// Counts a wrong token from an address, and logs it if it is time for a line.
    pub(super) fn note(&self, address: Option<IpAddr>) {
        let Some(before) = self.count(address.map(network), Instant::now()) else {
            return;
        };
        let address = address.map_or("unknown".to_owned(), |address| {
            address.to_canonical().to_string()
        });
        let more = match before {
            0 => String::new(),
            count => format!(", {count} more since the last message"),
        };
        tracing::warn!("wrong token for the live page from {address}{more}");
    }

    /// Counts a wrong token. `Some` if it is time for a line: the number since the last line.
    fn count(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get_mut(&address) {
            if now.saturating_duration_since(sender.logged) < PAUSE {
                sender.count += 1;
                return None;
            }
            sender.logged = now;
            return Some(std::mem::take(&mut sender.count));
        }
        senders.retain(|_, sender| now.saturating_duration_since(sender.logged) < PAUSE);
        if senders.len() >= MAX_ADDRESSES {
            return None;
        }
        let sender = TokenSender {
            logged: now,
            count: 0,
        };
        senders.insert(address, sender);
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_address_has_a_line_a_minute() {
        let wrong = WrongTokens::default();
        let begun = Instant::now();
        let at = |address: u32, second| {
            let address = Ipv4Addr::from_bits(address).into();
            wrong.count(Some(address), begun + Duration::from_secs(second))
        };
        assert_eq!(at(1, 0), Some(0));
        assert_eq!((at(1, 1), at(1, 59)), (None, None));
        assert_eq!(at(2, 59), Some(0), "another address");
        assert_eq!(at(1, 60), Some(2), "with the two before it");
        assert_eq!(at(1, 130), Some(0));
    }

    #[test]
    fn many_addresses_fill_neither_the_log_nor_memory() {
        let wrong = WrongTokens::default();
        let now = Instant::now();
        let count = |address| wrong.count(Some(Ipv4Addr::from_bits(address).into()), now);
        let lines = (0..10_000).filter_map(count).count();
        assert_eq!(lines, MAX_ADDRESSES);
        assert_eq!(wrong.0.lock().unwrap().len(), MAX_ADDRESSES);
    }
}
