//! The state of all cameras once a second, as server-sent events.
use super::{Site, model::Overview};
use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{self, MissedTickBehavior};

const SECOND: Duration = Duration::from_secs(1);

/// The event `cameras`, once a second: the same as /api/cameras.
#[utoipa::path(
    get,
    path = "/api/events",
    responses(
        (
            status = 200,
            description = "Server-sent events",
            body = String,
            content_type = "text/event-stream",
        ),
    )
)]
pub(crate) async fn events(
    State(site): State<Arc<Site>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = seconds(site).map(|site| {
        let event = Event::default()
            .event("cameras")
            .json_data(Overview::new(&site))
            .unwrap_or_default();
        Ok(event)
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Yields the site once a second.
pub(super) fn seconds(site: Arc<Site>) -> impl Stream<Item = Arc<Site>> + Send {
    let mut ticks = time::interval(SECOND);
    // A slow viewer gets the next event, not all that it missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    stream::unfold((site, ticks), |(site, mut ticks)| async move {
        ticks.tick().await;
        Some((site.clone(), (site, ticks)))
    })
}
