//! Sends spans to a collector: OTLP over HTTP, as protobuf.
use crate::address::{Address, scrub::Scrubber};
use crate::trace::{TraceError, TraceSettings};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// The time limit of one request, with its repetitions.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends spans, and logs when that fails and when it works again.
#[derive(Debug)]
pub(super) struct Export {
    to: Otlp,
    address: Address,
    scrubber: Scrubber,
    is_lost: AtomicBool,
}

impl Export {
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, TraceError> {
        // The same TLS as the live page, which may have installed it before.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::blocking::Client::builder().timeout(REQUEST_TIMEOUT);
        if settings.is_local {
            client = client.no_proxy();
        }
        let client = client.build().map_err(TraceError::Client)?;
        let exporter = Otlp::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(client)
            .with_endpoint(settings.endpoint.reveal())
            .with_timeout(REQUEST_TIMEOUT);
        let scrubber = Scrubber::of_addresses([settings.endpoint.reveal()]);
        let to = exporter
            .build()
            .map_err(|e| TraceError::Exporter(scrubber.scrub(&e.to_string())))?;
        Ok(Export {
            to,
            scrubber,
            address: settings.endpoint.clone(),
            is_lost: AtomicBool::new(false),
        })
    }
}

impl SpanExporter for Export {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // The error repeats the address, and the calling library logs it.
        let clean = |error: OTelSdkError| {
            OTelSdkError::InternalFailure(self.scrubber.scrub(&error.to_string()))
        };
        let sent = self.to.export(batch).await.map_err(clean);
        match (&sent, self.is_lost.swap(sent.is_err(), Relaxed)) {
            (Err(error), false) => {
                let hint = "mattebox needs an OTLP collector over HTTP (port 4318), not gRPC";
                tracing::warn!(
                    "traces cannot be sent to {} and are lost: {error} ({hint})",
                    self.address
                );
            }
            (Ok(()), true) => tracing::info!("traces are sent to {} again", self.address),
            _ => {}
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.to.set_resource(resource);
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.to.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.to.force_flush()
    }
}
