//! Where traces go.
use crate::address::Address;

/// Where traces go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The address that spans are sent to.
    pub endpoint: Address,
    /// It is on this machine.
    pub is_local: bool,
    /// The share of frames whose trace is sent, 0 to 1. A frame whose trace was begun elsewhere has its say from there.
    pub sample: f64,
}
