//! The command lines of the cluster's own programs, with the flags that matter.
//! Decides nothing at run time.

use std::path::{Path, PathBuf};

use super::Recipe;
use super::credentials::Credentials;
use crate::repository;
use crate::toolchain::ControlPlane;

/// The service range that `aws-sim`'s EKS names by default too.
const SERVICE_RANGE: &str = "10.0.0.0/24";

/// A Node with this label is not played by KWOK any more: no heartbeat, and its pods neither start nor stop, as
/// when the instance under a kubelet is gone. Whoever ends an instance sets it.
pub(super) const STOPPED_LABEL: &str = "sim.spotocean.dev/stopped";

/// `ports`: etcd's clients, etcd's peers, apiserver, KWOK, aws-sim.
pub(super) fn etcd(tools: &ControlPlane, directory: &Path, ports: [u16; 5]) -> Recipe {
    let (clients, peers) = (url(ports[0]), url(ports[1]));
    recipe(
        tools,
        "etcd",
        vec![
            format!("--data-dir={}", directory.join("etcd").display()),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            // A stack does not survive its machine, so nothing needs to reach the disk.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ],
    )
}

pub(super) fn api_server(
    tools: &ControlPlane,
    credentials: &Credentials,
    directory: &Path,
    ports: [u16; 5],
) -> Recipe {
    let key = credentials.service_account_key();
    recipe(
        tools,
        "kube-apiserver",
        vec![
            format!("--etcd-servers={}", url(ports[0])),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", ports[2]),
            // Without it the address is that of the default route, which a machine may not have.
            // 192.0.2.0/24 is reserved for documentation (RFC 5737): nothing answers there.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--cert-dir={}", credentials.certificates().display()),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            format!("--service-account-issuer={}", credentials.server()),
            format!("--service-account-key-file={}", key.display()),
            format!("--service-account-signing-key-file={}", key.display()),
            format!("--token-auth-file={}", credentials.tokens().display()),
            "--authorization-mode=RBAC,Node".to_owned(),
            "--allow-privileged=true".to_owned(),
            // The audit log is how tests see who asked for what; metadata only.
            format!("--audit-log-path={}", directory.join("audit.log").display()),
            format!(
                "--audit-policy-file={}",
                repository::path("crates/spotocean-e2e/audit-policy.yaml").display()
            ),
        ],
    )
}

pub(super) fn controller_manager(
    tools: &ControlPlane,
    credentials: &Credentials,
    kubeconfig: &Path,
) -> Recipe {
    recipe(
        tools,
        "kube-controller-manager",
        vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            format!(
                "--service-account-private-key-file={}",
                credentials.service_account_key().display()
            ),
        ],
    )
}

pub(super) fn scheduler(tools: &ControlPlane, kubeconfig: &Path) -> Recipe {
    recipe(
        tools,
        "kube-scheduler",
        vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // By itself it takes 20 s to look at 1,000 pods.
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=2000".to_owned(),
        ],
    )
}

/// Whose kubelets KWOK plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlayedNodes {
    /// Of every Node.
    All,
    /// Of the Nodes of oceans: the others have kubelets of their own.
    OfOceans,
}

pub(super) fn kwok(program: PathBuf, kubeconfig: &Path, port: u16, nodes: PlayedNodes) -> Recipe {
    let ours = match nodes {
        PlayedNodes::All => "",
        PlayedNodes::OfOceans => "spotocean.dev/ocean,",
    };
    let arguments = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!(
            "--config={}",
            repository::path("crates/xtask/kwok/stages.yaml").display()
        ),
        // The selector is judged by the apiserver, so that labelling a Node takes it out of KWOK's watch.
        format!("--manage-nodes-with-label-selector={ours}!{STOPPED_LABEL}"),
        "--node-lease-duration-seconds=40".to_owned(),
        format!("--server-address=127.0.0.1:{port}"),
    ];
    Recipe {
        name: "kwok",
        program,
        arguments,
        environment: Vec::new(),
    }
}

fn recipe(tools: &ControlPlane, name: &'static str, arguments: Vec<String>) -> Recipe {
    Recipe {
        name,
        program: tools.program(name),
        arguments,
        environment: Vec::new(),
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
