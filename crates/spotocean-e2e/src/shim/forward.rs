//! Passes one call on to the world behind and its answer back, as it comes. What a watch tells can be made late.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::StreamExt;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::call::{Call, World};
use super::{Body, Gate};

/// The world behind.
#[derive(Clone)]
pub(super) enum Upstream {
    Cluster(Client),
    Aws {
        url: String,
        client: Box<HttpClient<HttpConnector, Full<Bytes>>>,
    },
}

impl Upstream {
    /// The apiserver of a kubeconfig; who asks stands in each call.
    pub(super) async fn cluster(kubeconfig: &Path) -> Result<Upstream> {
        // A second install answers with an error and changes nothing.
        let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut read = Kubeconfig::read_from(kubeconfig)
            .with_context(|| format!("{} cannot be read", kubeconfig.display()))?;
        for named in &mut read.auth_infos {
            named.auth_info = None;
        }
        for named in &mut read.contexts {
            if let Some(context) = &mut named.context {
                context.user = None;
            }
        }
        let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .context("the kubeconfig of the operator is not understood")?;
        config.default_retry = false;
        let client = Client::try_from(config).context("no client can be made from a kubeconfig")?;
        Ok(Upstream::Cluster(client))
    }

    pub(super) fn aws(url: &str) -> Upstream {
        Upstream::Aws {
            url: url.to_owned(),
            client: Box::new(HttpClient::builder(TokioExecutor::new()).build_http()),
        }
    }

    pub(super) fn world(&self) -> World {
        match self {
            Upstream::Cluster(_) => World::Cluster,
            Upstream::Aws { .. } => World::Aws,
        }
    }

    pub(super) async fn forward(
        &self,
        gate: &Arc<Gate>,
        call: &Call,
        mut request: Request<Bytes>,
    ) -> Result<Response<Body>> {
        for name in [HOST, CONNECTION, TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        let mut response = match self {
            Upstream::Cluster(client) => {
                let answer = client.send(request.map(kube::client::Body::from)).await;
                answer
                    .context("the apiserver does not answer")?
                    .map(|body| body.map_err(Into::into).boxed_unsync())
            }
            Upstream::Aws { url, client } => {
                let address: Uri = format!("{url}{}", call.path).parse().context("an address")?;
                *request.uri_mut() = address;
                let answer = client.request(request.map(Full::new)).await;
                answer
                    .context("AWS does not answer")?
                    .map(|body| body.map_err(Into::into).boxed_unsync())
            }
        };
        for name in [CONNECTION, TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        if call.is_watch() {
            let gate = gate.clone();
            return Ok(response.map(|body| late(body, gate)));
        }
        Ok(response)
    }
}

/// Everything the body says, each piece as late as watches were when it came.
fn late(body: Body, gate: Arc<Gate>) -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    // Read by a task of its own: a piece is stamped when it comes, not when the one before it was let through.
    tokio::spawn(async move {
        let mut pieces = body.into_data_stream();
        loop {
            tokio::select! {
                piece = pieces.next() => {
                    let Some(piece) = piece else { return };
                    if sender.send((Instant::now() + gate.watch_delay(), piece)).is_err() {
                        return;
                    }
                }
                () = sender.closed() => return,
            }
        }
    });
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        let (due, piece) = receiver.recv().await?;
        sleep_until(due).await;
        Some((piece.map(Frame::data), receiver))
    });
    StreamBody::new(pieces).boxed_unsync()
}
