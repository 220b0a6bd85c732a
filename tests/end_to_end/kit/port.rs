//! Free ports.
use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports that Linux gives to programs that ask for any (32768 and above), and apart from
/// those that `scripts/kafka` picks.
const FIRST: u16 = 10_000;
const COUNT: u16 = 8_000;

/// A free port of 127.0.0.1. No other test gets it, and the kernel gives it to no connection, so it
/// is still free when the test or its child listens on it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test processes at the same time begin at different ports.
    let start = (process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + number) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {} is free", FIRST + COUNT);
}
