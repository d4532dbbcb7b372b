//! Puts the parts together and runs them until the process is told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use spotocean_aws::{
    AwsCloud, built_in_interruption_buckets, built_in_on_demand_prices, measured_memory_bytes,
};
use spotocean_core::catalogue::Catalogue;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::{Health, Pulse, serve_health, serve_metrics};
use crate::cloud::View;
use crate::cluster::{self, Reader};
use crate::config::Config;
use crate::context::Context;
use crate::lease::Timing;
use crate::lease::election::{Election, identity};
use crate::lease::fence::Fence;
use crate::metrics::Metrics;
use crate::reconcile::{Term, lead};
use crate::store::Store;
use crate::wake::Wake;

/// The longest wait for a connection to the apiserver.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a standby shows that it is alive.
const STANDBY_BEAT: Duration = Duration::from_secs(5);

/// Everything that outlives a term.
struct Parts {
    config: Config,
    client: Client,
    cloud: AwsCloud,
    store: Arc<Store>,
    wake: Arc<Wake>,
    metrics: Arc<Metrics>,
    fence: Arc<Fence>,
    pulse: Arc<Pulse>,
    stop: CancellationToken,
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no kubeconfig, no AWS region, an address in use.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let parts = parts(config).await?;
    let stop = parts.stop.clone();
    tokio::spawn(heed_signals(stop.clone()));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = &*parts.config.cluster_name,
        "starting"
    );

    let health = Health {
        pulse: parts.pulse.clone(),
        store: parts.store.clone(),
    };
    let ended = CancellationToken::new();
    let pages = async {
        tokio::try_join!(
            serve_health(parts.config.listen_health, health, ended.clone()),
            serve_metrics(parts.config.listen_metrics, parts.metrics.clone(), ended.clone()),
        )
    };
    let reader = Reader {
        client: parts.client.clone(),
        store: parts.store.clone(),
        wake: parts.wake.clone(),
    };
    let mut readers = JoinSet::new();
    cluster::start(&reader, &mut readers);
    tokio::select! {
        result = pages => result.map(drop),
        () = take_part(&parts) => {
            info!("stopped");
            Ok(())
        }
    }
}

async fn parts(config: Config) -> anyhow::Result<Parts> {
    let mut kubeconfig = kube::Config::infer()
        .await
        .context("no way to reach the apiserver was found: run in a pod, or set KUBECONFIG")?;
    // Repeating an eviction that a disruption budget refused would hold up a drain for minutes.
    kubeconfig.default_retry = false;
    kubeconfig.connect_timeout = Some(CONNECT_TIMEOUT);
    let client =
        Client::try_from(kubeconfig).context("the apiserver's address or certificates cannot be used")?;
    let cloud = AwsCloud::load(None).await.context("AWS cannot be used")?;
    Ok(Parts {
        wake: Arc::new(Wake::new(config.batch_idle, config.batch_max)),
        config,
        client,
        cloud,
        store: Arc::default(),
        metrics: Arc::default(),
        fence: Arc::new(Fence::closed(Timing::DEFAULT)),
        pulse: Arc::default(),
        stop: CancellationToken::new(),
    })
}

/// Stands for election, leads whenever elected, and gives the lease back only once all work has ended.
async fn take_part(parts: &Parts) {
    let (leads, led) = watch::channel(false);
    let election = Election::new(
        parts.client.clone(),
        &parts.config.namespace,
        &parts.config.lease_name,
        Timing::DEFAULT,
        parts.fence.clone(),
        leads,
    );
    let resign = CancellationToken::new();
    let election = tokio::spawn(election.run(resign.clone()));
    terms(parts, led).await;
    resign.cancel();
    // An election that panicked holds no lease that anybody renews: it runs out by itself.
    let _ = election.await;
}

async fn terms(parts: &Parts, mut led: watch::Receiver<bool>) {
    while !parts.stop.is_cancelled() {
        if *led.borrow_and_update() {
            parts.metrics.leader.set(1);
            tokio::select! {
                () = lead(context(parts), term(parts)) => {}
                _ = led.wait_for(|leads| !leads) => {}
            }
            parts.metrics.leader.set(0);
            continue;
        }
        parts.pulse.beat();
        tokio::select! {
            _ = led.changed() => {}
            () = tokio::time::sleep(STANDBY_BEAT) => {}
            () = parts.stop.cancelled() => {}
        }
    }
}

/// A new term knows nothing of the cloud: what an earlier one saw may be old.
fn context(parts: &Parts) -> Arc<Context<AwsCloud>> {
    let catalogue = Catalogue {
        region: parts.cloud.region.clone(),
        interruption_buckets: built_in_interruption_buckets(&parts.cloud.region),
        on_demand_prices: built_in_on_demand_prices().prices,
        on_demand_prices_are_built_in: true,
        ..Catalogue::default()
    };
    Arc::new(Context {
        view: Arc::new(View::new(catalogue, parts.config.interruption_queue.is_some())),
        config: parts.config.clone(),
        client: parts.client.clone(),
        cloud: parts.cloud.clone(),
        store: parts.store.clone(),
        fence: parts.fence.clone(),
        metrics: parts.metrics.clone(),
        wake: parts.wake.clone(),
    })
}

fn term(parts: &Parts) -> Term {
    Term {
        pulse: parts.pulse.clone(),
        instance: identity(),
        measured_memory_bytes: Arc::new(measured_memory_bytes()),
        stop: parts.stop.clone(),
    }
}

async fn heed_signals(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened to; only SIGKILL ends this process");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("asked to stop");
    stop.cancel();
}
