//! The settings of traces as one place gives them.
use clap::Args;
use serde::{Deserialize, Serialize};

const RUN: &str = "Performance and monitoring";

/// The settings of traces.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct TraceLayer {
    /// Send a trace of each frame to this OpenTelemetry collector (OTLP over HTTP), for example
    /// http://127.0.0.1:4318
    #[arg(long, env = "MATTEBOX_OTLP", value_name = "URL", help_heading = RUN)]
    pub otlp: Option<String>,

    /// Send the traces of this share of the frames, 0 to 1
    #[arg(
        long,
        env = "MATTEBOX_OTLP_SAMPLE",
        value_name = "SHARE",
        allow_negative_numbers = true,
        help_heading = RUN
    )]
    pub otlp_sample: Option<f64>,
}
