//! A whole cluster on loopback, in one temporary directory, gone when it is dropped.
//!
//! Decides what runs in which order and when it counts as ready, always by
//! looking. Does not know what runs on it, nor how its programs were built.

mod control_plane;
mod credentials;
mod group;
mod ports;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::eventually::eventually;
use crate::kubectl::Kubectl;
use crate::process::{Process, Signal};
use crate::sim::Sim;
use crate::toolchain::{self, ControlPlane};
use crate::{process, repository};
use credentials::Credentials;
use group::Group;

/// Stacks that one process may run at once: each takes most of a gigabyte and, while it starts, two cores.
static PLACES: Semaphore = Semaphore::const_new(2);

/// How long a component may take until it answers; cold caches on two busy cores.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Starts that are tried when another process took a port that was free a moment ago.
const ATTEMPTS: usize = 3;
/// The name of the cluster, in AWS's sense, that the stack plays.
pub const CLUSTER_NAME: &str = "demo";
/// The queue of the simulated AWS that carries interruption notices; named like the cluster, as `deploy/iam` names it.
pub const INTERRUPTION_QUEUE: &str = CLUSTER_NAME;
/// Where the operator keeps its lease.
pub const OPERATOR_NAMESPACE: &str = "spotocean";

/// How much of a cluster is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// etcd and kube-apiserver: enough to judge manifests and permissions.
    Schemas,
    /// Also kube-scheduler, kube-controller-manager and KWOK: pods bind and run on Nodes.
    Cluster,
    /// Also `aws-sim`: instances are bought, boot and join.
    Cloud,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct StackPlan {
    /// How much of it.
    pub shape: Shape,
    /// Whose cluster it is.
    pub cluster: ClusterSource,
    /// The seed of the simulated AWS.
    pub seed: u64,
    /// What the simulated AWS is like where it differs from its defaults, as its `--scenario` file has it.
    pub scenario: Value,
}

/// Where the cluster comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterSource {
    /// A control plane of its own.
    Own,
    /// A cluster that runs already; only the Nodes of oceans are played by KWOK there.
    Existing {
        /// How to reach it.
        kubeconfig: PathBuf,
    },
}

impl StackPlan {
    /// A stack of this shape with its own cluster and seed 1.
    pub fn new(shape: Shape) -> StackPlan {
        StackPlan {
            shape,
            cluster: ClusterSource::Own,
            seed: 1,
            scenario: brisk(),
        }
    }
}

/// An AWS whose instances come and go in seconds, not minutes. Its clock runs true all the same: what the
/// operator promises within two minutes must hold within two real ones.
fn brisk() -> Value {
    json!({
        "timing": {
            "launchCallSeconds": 0.3, "runningSeconds": 1.0, "bootSeconds": 3.0, "bootSpreadSeconds": 1.0,
            "shutdownSeconds": 2.0,
        },
    })
}

/// A running stack. Dropping it ends every process and removes its directory;
/// when this process dies in any other way, a watcher process does the same.
#[derive(Debug)]
pub struct Stack {
    // Fields drop in this order: processes first, then the group that would kill what is left.
    components: Mutex<BTreeMap<&'static str, Component>>,
    directory: PathBuf,
    kubeconfig: PathBuf,
    /// Of its own cluster.
    own: Option<OwnCluster>,
    sim_address: Option<String>,
    group: Group,
    _place: SemaphorePermit<'static>,
}

/// What a stack knows about a cluster that it started itself.
#[derive(Debug)]
struct OwnCluster {
    tools: ControlPlane,
    credentials: Credentials,
}

/// One process of the stack and how to start it again.
#[derive(Debug)]
struct Component {
    recipe: Recipe,
    process: Process,
}

/// How a component is started.
#[derive(Debug, Clone)]
struct Recipe {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Stack {
    /// Starts a stack and waits until it answers, with the kinds of `crds/` served.
    pub async fn start(plan: &StackPlan) -> Result<Stack> {
        let mut attempt = 1;
        loop {
            match Stack::try_start(plan).await {
                Err(failure) if attempt < ATTEMPTS && ports::was_taken(&failure) => attempt += 1,
                outcome => return outcome.context("the local stack did not start"),
            }
        }
    }

    async fn try_start(plan: &StackPlan) -> Result<Stack> {
        let place = PLACES
            .acquire()
            .await
            .context("the places of stacks are never closed")?;
        let directory = group::new_directory()?;
        let group = Group::start(&directory)?;
        let logs = directory.join("logs");
        fs::create_dir(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
        let kubeconfig = match &plan.cluster {
            ClusterSource::Own => directory.join("kubeconfig"),
            ClusterSource::Existing { kubeconfig } => kubeconfig.clone(),
        };
        let components = Mutex::new(BTreeMap::new());
        let mut stack = Stack {
            components,
            directory,
            kubeconfig,
            own: None,
            sim_address: None,
            group,
            _place: place,
        };
        stack.start_components(plan).await?;
        Ok(stack)
    }

    async fn start_components(&mut self, plan: &StackPlan) -> Result<()> {
        let ports = ports::free::<5>()?;
        if plan.cluster == ClusterSource::Own {
            self.start_api_server(ports).await?;
        }
        self.apply_kinds().await?;
        if plan.shape >= Shape::Cluster {
            self.start_controllers(ports[3]).await?;
        }
        if plan.shape >= Shape::Cloud {
            self.make_namespace(OPERATOR_NAMESPACE).await?;
            self.start_sim(ports[4], plan).await?;
        }
        Ok(())
    }

    async fn start_api_server(&mut self, ports: [u16; 5]) -> Result<()> {
        let tools = toolchain::control_plane()?;
        let credentials = Credentials::write(&self.directory, ports[2])?;
        self.launch(control_plane::etcd(&tools, &self.directory, ports))?;
        self.launch(control_plane::api_server(
            &tools,
            &credentials,
            &self.directory,
            ports,
        ))?;
        self.until("kube-apiserver wrote its certificate", || async {
            credentials.write_kubeconfig(&self.kubeconfig)
        })
        .await?;
        self.own = Some(OwnCluster { tools, credentials });
        self.await_api_server().await
    }

    /// Waits until the apiserver answers that it is ready. Its certificate was made in this
    /// stack's directory, so no other process can answer in its place.
    pub async fn await_api_server(&self) -> Result<()> {
        let client = self.client().await?;
        self.until("kube-apiserver is ready", || async {
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .context("a constant request is well-formed")?;
            client.request_text(request).await.map(drop).context("/readyz")
        })
        .await
    }

    async fn start_controllers(&mut self, kwok_port: u16) -> Result<()> {
        let kubeconfig = &self.kubeconfig;
        let nodes = if let Some(own) = &self.own {
            self.launch(control_plane::controller_manager(
                &own.tools,
                &own.credentials,
                kubeconfig,
            ))?;
            self.launch(control_plane::scheduler(&own.tools, kubeconfig))?;
            control_plane::PlayedNodes::All
        } else {
            control_plane::PlayedNodes::OfOceans
        };
        self.launch(control_plane::kwok(
            toolchain::kwok()?,
            kubeconfig,
            kwok_port,
            nodes,
        ))?;
        // Pods of a namespace are refused until kube-controller-manager made its service account.
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        self.until(
            "kube-controller-manager made the default service account",
            || async {
                accounts
                    .get("default")
                    .await
                    .map(drop)
                    .context("service account default/default")
            },
        )
        .await
    }

    async fn start_sim(&mut self, port: u16, plan: &StackPlan) -> Result<()> {
        let program = repository::program("aws-sim")?;
        let address = format!("127.0.0.1:{port}");
        let scenario = self.directory.join("scenario.json");
        fs::write(&scenario, plan.scenario.to_string()).context("the scenario cannot be written")?;
        let arguments = vec![
            format!("--listen={address}"),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--cluster={CLUSTER_NAME}"),
            format!("--queue={INTERRUPTION_QUEUE}"),
            format!("--seed={}", plan.seed),
            format!("--scenario={}", scenario.display()),
        ];
        self.launch(Recipe {
            name: "aws-sim",
            program,
            arguments,
            environment: Vec::new(),
        })?;
        let sim = Sim::new(&address);
        self.until("aws-sim answers", || async { sim.state().await.map(drop) })
            .await?;
        self.sim_address = Some(address);
        Ok(())
    }

    /// Looks at `probe` until it holds, but gives up at once when a component has ended.
    async fn until<Probe, Look>(&self, what: &str, mut probe: Probe) -> Result<()>
    where
        Probe: FnMut() -> Look,
        Look: Future<Output = Result<()>>,
    {
        let outcome = eventually(READY_WITHIN, what, || {
            let running = self.check_running();
            let look = probe();
            async move {
                match running {
                    Ok(()) => look.await.map(Ok),
                    Err(ended) => Ok(Err(ended)),
                }
            }
        })
        .await;
        outcome?
    }

    /// Fails with the log of the first component that has ended.
    pub fn check_running(&self) -> Result<()> {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components
            .values_mut()
            .try_for_each(|component| component.process.check_running())
    }

    fn launch(&self, recipe: Recipe) -> Result<()> {
        let mut command = Command::new(&recipe.program);
        command
            .args(&recipe.arguments)
            .envs(recipe.environment.iter().cloned())
            .current_dir(&self.directory);
        let process = Process::start(recipe.name, command, self.group.id(), &self.logs())?;
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.insert(recipe.name, Component { recipe, process });
        Ok(())
    }

    /// Kills a component and starts it again with the same arguments; does not wait until it answers.
    pub fn restart(&self, name: &str) -> Result<()> {
        let removed = self
            .components
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        let mut component = removed.with_context(|| format!("the stack runs no {name}"))?;
        component.process.kill()?;
        self.launch(component.recipe)
    }

    /// Sends a signal to a component.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components
            .get(name)
            .with_context(|| format!("the stack runs no {name}"))?
            .process
            .signal(signal)
    }

    /// The last lines a component wrote, empty when it does not run.
    pub fn log_tail(&self, name: &str) -> String {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components
            .get(name)
            .map(|component| component.process.log_tail())
            .unwrap_or_default()
    }

    /// Starts a further process that ends with the stack, its log beside the others.
    pub fn run(&self, name: &str, command: Command) -> Result<process::Process> {
        Process::start(name, command, self.group.id(), &self.logs())
    }

    /// Server-side applies every kind in `crds/` and waits until each is served.
    pub async fn apply_kinds(&self) -> Result<()> {
        let kinds: Api<CustomResourceDefinition> = Api::all(self.client().await?);
        for manifest in kind_manifests()? {
            let definition: CustomResourceDefinition = serde_yaml::from_str(&manifest)
                .context("a file of crds/ is not a CustomResourceDefinition")?;
            let name = definition
                .metadata
                .name
                .clone()
                .context("a CustomResourceDefinition has a name")?;
            let how = PatchParams::apply("spotocean-stack").force();
            kinds
                .patch(&name, &how, &Patch::Apply(&definition))
                .await
                .with_context(|| format!("applying {name}"))?;
            self.until(&format!("{name} is established"), || async {
                let seen = kinds.get(&name).await?;
                is_established(&seen)
                    .then_some(())
                    .ok_or_else(|| anyhow!("status {:?}", seen.status))
            })
            .await?;
        }
        Ok(())
    }

    /// A client with every permission; bound to the runtime that asks.
    pub async fn client(&self) -> Result<Client> {
        credentials::client(&self.kubeconfig).await
    }

    async fn make_namespace(&self, name: &str) -> Result<()> {
        let manifest = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}");
        crate::manifest::apply(&self.client().await?, &manifest).await
    }

    /// A kubectl with every permission: of the cluster's own version, or the machine's for an existing cluster.
    pub fn kubectl(&self) -> Kubectl {
        let program = self
            .own
            .as_ref()
            .map_or_else(|| "kubectl".into(), |own| own.tools.program("kubectl"));
        Kubectl::new(&program, &self.kubeconfig)
    }

    /// The kubeconfig with every permission.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// Writes a kubeconfig that carries a token of a service account, and its permissions alone.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(24 * 60 * 60),
                ..Default::default()
            }),
            ..Default::default()
        };
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("a token for service account {namespace}/{account}"))?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .context("a token request is answered with a token")?;
        let own = self
            .own
            .as_ref()
            .context("tokens are handed out for the stack's own cluster alone")?;
        let path = self.directory.join(format!("kubeconfig-{namespace}-{account}"));
        own.credentials.write_kubeconfig_with(&path, &token)?;
        Ok(path)
    }

    /// The simulated AWS; fails on a stack without one.
    pub fn sim(&self) -> Result<Sim> {
        let address = self
            .sim_address
            .as_deref()
            .context("this stack was started without aws-sim")?;
        Ok(Sim::new(address))
    }

    /// The stack's own temporary directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }
}

/// Different loopback ports that were free a moment ago.
pub fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    ports::free()
}

fn kind_manifests() -> Result<Vec<String>> {
    let directory = repository::path("crds");
    let mut files: Vec<PathBuf> = match fs::read_dir(&directory) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", directory.display())),
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display())))
        .collect()
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    })
}
