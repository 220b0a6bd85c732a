//! Settings of traces.
use crate::address::Address;

/// The collector, and the share of frames.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The address of the collector.
    pub endpoint: Address,
    /// The collector is on this machine.
    pub is_local: bool,
    /// The share of frames whose trace is sent, 0 to 1. A frame whose trace began in another
    /// process follows the decision of that process.
    pub sample: f64,
}
