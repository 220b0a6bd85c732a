//! Bodies of requests, with limits.
use super::problem::Problem;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, StatusCode, header},
};
use std::time::Duration;

/// The time limit for receiving a picture or a change of settings.
pub(super) const BODY_TIME: Duration = Duration::from_secs(30);

/// Receives the whole body. It is an error as soon as it is too long or takes too long.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    time: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            match limit >> 20 {
                0 => format!("larger than {} kB", limit >> 10),
                mega => format!("larger than {mega} MB"),
            },
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(time, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body took longer than {} s", time.as_secs()),
        )),
    }
}
