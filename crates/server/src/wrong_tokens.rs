//! Says in the log who sends wrong tokens, without filling it.
use super::places::network;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Of one address a line is written no more often than this.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses that are remembered. While so many are, no other gets a line.
const MAX_ADDRESSES: usize = 64;

/// Who has sent wrong tokens lately.
#[derive(Debug, Default)]
pub(super) struct WrongTokens(Mutex<HashMap<Option<IpAddr>, Sender>>);

#[derive(Debug)]
struct Sender {
    told: Instant,
    /// Wrong tokens since then.
    count: u64,
}

impl WrongTokens {
    /// A wrong token came from an address.
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
        tracing::warn!("the live page was asked with a wrong token by {address}{more}");
    }

    /// Counts one. If it is time for a line: how many came before it that had none.
    fn count(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get_mut(&address) {
            if now.saturating_duration_since(sender.told) < PAUSE {
                sender.count += 1;
                return None;
            }
            sender.told = now;
            return Some(std::mem::take(&mut sender.count));
        }
        senders.retain(|_, sender| now.saturating_duration_since(sender.told) < PAUSE);
        if senders.len() >= MAX_ADDRESSES {
            return None;
        }
        let sender = Sender {
            told: now,
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
        assert_eq!(at(1, 60), Some(2), "the two before are told of");
        assert_eq!(at(1, 130), Some(0));
    }

    #[test]
    fn many_addresses_fill_neither_the_log_nor_memory() {
        let wrong = WrongTokens::default();
        let now = Instant::now();
        let count = |address| wrong.count(Some(Ipv4Addr::from_bits(address).into()), now);
        let told = (0..10_000).filter_map(count).count();
        assert_eq!(told, MAX_ADDRESSES);
        assert_eq!(wrong.0.lock().unwrap().len(), MAX_ADDRESSES);
    }
}
