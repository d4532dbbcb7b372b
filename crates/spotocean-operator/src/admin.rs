//! The pages for machines: /healthz, /readyz and /metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::store::Store;

/// A loop that has not beaten for this long is stuck: a pass takes seconds at most.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The pulse of the loop.
#[derive(Debug)]
pub struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    /// The loop is alive.
    pub fn beat(&self) {
        *self.0.lock().expect("nothing panics while it holds this lock") = Instant::now();
    }

    fn silence(&self) -> Duration {
        self.0
            .lock()
            .expect("nothing panics while it holds this lock")
            .elapsed()
    }
}

/// What the health pages look at.
#[derive(Clone)]
pub struct Health {
    /// The pulse of the loop.
    pub pulse: Arc<Pulse>,
    /// The stores.
    pub store: Arc<Store>,
}

/// Serves /healthz and /readyz until `stop`.
pub async fn serve_health(
    address: SocketAddr,
    health: Health,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health);
    serve(address, router, stop).await
}

/// Serves /metrics until `stop`.
pub async fn serve_metrics(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new().route("/metrics", get(page)).with_state(metrics);
    serve(address, router, stop).await
}

async fn serve(address: SocketAddr, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on"))?;
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .with_context(|| format!("serving {address} failed"))
}

async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    let silence = health.pulse.silence();
    if silence > SILENCE_MAX {
        let text = format!("the loop has been silent for {} s\n", silence.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    (StatusCode::OK, "ok\n".to_owned())
}

/// A standby is as ready as a leader: what counts is that it could take over at once.
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let unsynced = health.store.unsynced();
    if unsynced.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let text = format!("not yet listed: {}\n", unsynced.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn page(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, form)], metrics.page())
}
