//! Stands between one incarnation of the operator and the world, the apiserver and AWS alike: logs every call in
//! order and holds it back, loses its answer or cuts the operator off, as a law says.
//!
//! Once it has cut, nothing of that incarnation gets through any more, so that a kill a moment later is a kill at
//! that very call. The next incarnation gets a shim of its own. Knows what a call is called, not what it is for.

mod call;
mod forward;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_yaml::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use call::{Call, World};
use forward::Upstream;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It waits for [`Shim::release`], and has its effect only then.
    HoldBefore,
    /// It has its effect; the answer waits for [`Shim::release`].
    HoldAfter,
    /// It never arrives, and nothing after it does.
    CutBefore,
    /// It has its effect; the answer is lost, and nothing after it arrives.
    CutAfter,
}

/// Decides over each call in the order in which they come.
pub type Law = Arc<Mutex<dyn FnMut(&Call) -> Verdict + Send>>;

/// A law from a function.
pub fn law(judge: impl FnMut(&Call) -> Verdict + Send + 'static) -> Law {
    Arc::new(Mutex::new(judge))
}

/// A running shim; dropping it closes every connection through it.
#[derive(Debug)]
pub struct Shim {
    gate: Arc<Gate>,
    kubeconfig: PathBuf,
    aws_endpoint: String,
    _servers: JoinSet<()>,
}

/// What all connections of one shim share.
struct Gate {
    law: Law,
    log: Mutex<Vec<Call>>,
    /// The call at which the operator was cut off, once that has had its effect.
    struck: watch::Sender<Option<Call>>,
    is_cut: watch::Sender<bool>,
    /// Calls that wait.
    held: watch::Sender<usize>,
    /// Rises with each release.
    releases: watch::Sender<u64>,
    watch_delay_millis: AtomicU64,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Gate")
            .field("calls", &self.log().len())
            .finish()
    }
}

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

impl Shim {
    /// A shim before the cluster of `kubeconfig` and the AWS at `aws_url`. The kubeconfig that leads through it, with
    /// the same user, is written into `directory`.
    pub async fn start(kubeconfig: &Path, aws_url: &str, directory: &Path, law: Law) -> Result<Shim> {
        let gate = Arc::new(Gate {
            law,
            log: Mutex::default(),
            struck: watch::Sender::default(),
            is_cut: watch::Sender::default(),
            held: watch::Sender::default(),
            releases: watch::Sender::default(),
            watch_delay_millis: AtomicU64::new(0),
        });
        let mut servers = JoinSet::new();
        let cluster = serve(Upstream::cluster(kubeconfig).await?, &gate, &mut servers).await?;
        let aws = serve(Upstream::aws(aws_url), &gate, &mut servers).await?;
        let through = directory.join(format!("kubeconfig-shim-{}", cluster.port()));
        std::fs::write(&through, redirected(kubeconfig, cluster)?)
            .with_context(|| format!("{} cannot be written", through.display()))?;
        Ok(Shim {
            gate,
            kubeconfig: through,
            aws_endpoint: format!("http://{aws}"),
            _servers: servers,
        })
    }

    /// The kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// The AWS endpoint that leads through it.
    pub fn aws_endpoint(&self) -> String {
        self.aws_endpoint.clone()
    }

    /// Every call so far, those held and cut among them.
    pub fn calls(&self) -> Vec<Call> {
        self.gate.log().clone()
    }

    /// Waits until the law has cut the operator off; answers with the call at which it did.
    pub async fn struck(&self) -> Result<Call> {
        let mut struck = self.gate.struck.subscribe();
        let call = struck
            .wait_for(Option::is_some)
            .await
            .context("the shim ended")?
            .clone();
        call.context("a cut is made at a call")
    }

    /// Waits until so many calls are held.
    pub async fn held(&self, count: usize) -> Result<()> {
        let mut held = self.gate.held.subscribe();
        held.wait_for(|held| *held >= count)
            .await
            .map(drop)
            .context("the shim ended")
    }

    /// Lets every held call go on.
    pub fn release(&self) {
        self.gate.releases.send_modify(|releases| *releases += 1);
    }

    /// From now on, what watches tell arrives so much later. Lists and answers do not wait.
    pub fn delay_watches(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.gate.watch_delay_millis.store(millis, Ordering::Relaxed);
    }
}

impl Gate {
    fn log(&self) -> MutexGuard<'_, Vec<Call>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a call; a call after a cut is not even logged. Answers with its place in the log, too.
    fn judge(&self, call: &Call) -> Option<(usize, Verdict)> {
        let mut judge = self.law.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.is_cut.borrow() {
            return None;
        }
        let place = self.note(call);
        let verdict = judge(call);
        if matches!(verdict, Verdict::CutBefore | Verdict::CutAfter) {
            self.is_cut.send_replace(true);
        }
        Some((place, verdict))
    }

    fn note(&self, call: &Call) -> usize {
        let mut log = self.log();
        log.push(call.clone());
        log.len() - 1
    }

    async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        let before = *releases.borrow_and_update();
        self.held.send_modify(|held| *held += 1);
        // A shim that ends lets go too.
        let _ended = releases.wait_for(|now| *now > before).await;
        self.held.send_modify(|held| *held -= 1);
    }

    fn watch_delay(&self) -> Duration {
        Duration::from_millis(self.watch_delay_millis.load(Ordering::Relaxed))
    }
}

/// Listens on a free port and serves until the set is dropped.
async fn serve(upstream: Upstream, gate: &Arc<Gate>, servers: &mut JoinSet<()>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("no loopback port is free")?;
    let address = listener.local_addr().context("a listener has an address")?;
    let gate = gate.clone();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (upstream, gate) = (upstream.clone(), gate.clone());
            let service = service_fn(move |request| answer(upstream.clone(), gate.clone(), request));
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A connection ends with an error whenever the operator does.
            connections.spawn(async move { drop(connection.await) });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(address)
}

/// An error here closes the connection without an answer, as the world behind did.
async fn answer(upstream: Upstream, gate: Arc<Gate>, request: Request<Incoming>) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .context("the operator stopped in mid-request")?
        .to_bytes();
    let call = Call::read(upstream.world(), &parts, &body);
    // A task of its own: an operator that dies does not undo what it has asked for.
    let answered = tokio::spawn(carry(upstream, gate, call, Request::from_parts(parts, body)));
    answered.await.context("the shim failed")?
}

async fn carry(
    upstream: Upstream,
    gate: Arc<Gate>,
    call: Call,
    request: Request<Bytes>,
) -> Result<Response<Body>> {
    let Some((place, verdict)) = gate.judge(&call) else {
        return std::future::pending().await;
    };
    let forward = async {
        let answer = upstream.forward(&gate, &call, request).await;
        if let Ok(answer) = &answer {
            gate.log()[place].answer = Some(answer.status().as_u16());
        }
        answer
    };
    match verdict {
        Verdict::Pass => forward.await,
        Verdict::HoldBefore => {
            gate.hold().await;
            forward.await
        }
        Verdict::HoldAfter => {
            let answer = forward.await;
            gate.hold().await;
            answer
        }
        Verdict::CutBefore => {
            gate.struck.send_replace(Some(call.clone()));
            std::future::pending().await
        }
        Verdict::CutAfter => {
            let _lost = forward.await;
            gate.struck.send_replace(Some(call.clone()));
            std::future::pending().await
        }
    }
}

/// The kubeconfig with another server, to be reached without TLS.
fn redirected(kubeconfig: &Path, server: SocketAddr) -> Result<String> {
    let text = std::fs::read_to_string(kubeconfig)
        .with_context(|| format!("{} cannot be read", kubeconfig.display()))?;
    let mut config: Value = serde_yaml::from_str(&text).context("a kubeconfig is YAML")?;
    let clusters = config["clusters"]
        .as_sequence_mut()
        .context("a kubeconfig lists clusters")?;
    for entry in clusters {
        let cluster = entry["cluster"]
            .as_mapping_mut()
            .context("a cluster has an address")?;
        cluster.clear();
        cluster.insert("server".into(), format!("http://{server}").into());
    }
    serde_yaml::to_string(&config).context("a kubeconfig is plain data")
}

#[cfg(test)]
mod tests;
