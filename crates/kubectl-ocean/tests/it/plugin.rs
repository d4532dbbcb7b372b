//! Runs the binary on small files.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// An ocean of one pool with every default.
pub(crate) const OCEAN: &str = "
apiVersion: spotocean.dev/v1alpha1
kind: SpotOcean
metadata: {name: shop}
spec:
  cluster: {name: shop}
  template:
    role: nodes
    subnets: [{tags: {cluster: shop}}]
    securityGroups: [{tags: {cluster: shop}}]
  pools: [{name: general}]
";

/// Three types in two zones: spot is 40 % of on-demand in use1-az1 and 50 % in use1-az2.
pub(crate) const CATALOGUE: &str = r#"{"meta": {"regions": {"us-east-1": {"az_prefix": "use1-az",
    "zones": {"use1-az1": "us-east-1b", "use1-az2": "us-east-1c"}}}}, "types": [
    {"type": "m5.large", "vcpu": 2, "mem_mib": 8192, "arch": ["x86_64"], "eni": 3, "ipv4": 10, "az": {"use1": [1, 2]},
     "usd": 0.1, "spot": {"use1-az1": 0.04, "use1-az2": 0.05}, "allocatable": {"cpuMillis": 1900, "memoryMiB": 7000, "pods": 29}},
    {"type": "m5.xlarge", "vcpu": 4, "mem_mib": 16384, "arch": ["x86_64"], "eni": 4, "ipv4": 15, "az": {"use1": [1, 2]},
     "usd": 0.2, "spot": {"use1-az1": 0.08, "use1-az2": 0.1}, "allocatable": {"cpuMillis": 3900, "memoryMiB": 15000, "pods": 58}},
    {"type": "r5.large", "vcpu": 2, "mem_mib": 16384, "arch": ["x86_64"], "eni": 3, "ipv4": 10, "az": {"use1": [1]},
     "usd": 0.13, "spot": 0.052, "allocatable": {"cpuMillis": 1900, "memoryMiB": 15000, "pods": 29}}]}"#;

/// A pending pod with this CPU and memory request.
pub(crate) fn pod(name: &str, cpu: &str, memory: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: web}}}}\nspec:\n  containers:\n  - name: c\n    resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}\nstatus: {{phase: Pending}}\n"
    )
}

/// Documents one after another.
pub(crate) fn documents(parts: &[String]) -> String {
    parts.join("---\n")
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The answer, without the time it took.
    pub(crate) fn json(&self) -> Value {
        let mut answer: Value = serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err));
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("solveMillis");
        }
        answer
    }
}

/// A folder that is removed with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the plugin.
pub(crate) fn run(arguments: &[&str], standard_input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-ocean"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The plugin may end without reading.
    let _ = child.stdin.take().unwrap().write_all(standard_input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `simulate -o json` with a catalogue of three types.
pub(crate) fn simulate(ocean: &str, cluster: &str) -> Run {
    simulate_with(ocean, cluster, &[])
}

/// The same with more options.
pub(crate) fn simulate_with(ocean: &str, cluster: &str, options: &[&str]) -> Run {
    let folder = Folder::new();
    let (ocean, cluster) = (
        folder.file("ocean.yaml", ocean),
        folder.file("cluster.yaml", cluster),
    );
    let catalogue = folder.file("catalogue.json", CATALOGUE);
    let files = [
        "simulate",
        "--ocean",
        &ocean,
        "--cluster",
        &cluster,
        "--catalogue",
        &catalogue,
    ];
    run(&[&files[..], &["-o", "json"], options].concat(), "")
}
