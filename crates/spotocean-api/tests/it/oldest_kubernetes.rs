//! The CRDs load on the oldest Kubernetes that is supported, by that release's own validation code.
//!
//! `oldest-kubernetes/` is a Go module that pins apiextensions-apiserver v0.32. It matters: what a CEL rule is
//! estimated to cost differs between releases, and 1.32 refuses rules that 1.36 accepts.

use std::{path::Path, process::Command};

#[test]
fn definitions_load_on_the_oldest_kubernetes() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crds = crate_folder
        .join("../../crds")
        .canonicalize()
        .expect("the CRDs are generated");
    let mut paths: Vec<_> = crds
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 3, "{paths:?}");
    let output = Command::new("go")
        .args(["run", "."])
        .args(&paths)
        .current_dir(crate_folder.join("oldest-kubernetes"))
        .output()
        .expect("Go is installed: CONTRIBUTING.md says which version");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
