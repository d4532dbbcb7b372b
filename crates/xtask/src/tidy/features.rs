//! One feature set: programs built alone have the features that they have when built with their tests.
//!
//! Otherwise a crate that a test program asks more of is built twice, with everything above it: once for the demo,
//! once for the test run. Reads `cargo tree`; builds nothing.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::suite;

/// One sentence for each crate whose features differ.
pub(super) fn complaints() -> Result<Vec<String>> {
    let programs = packages("normal,build")?;
    let with_tests = packages("normal,build,dev")?;
    Ok(differing(&programs, &with_tests))
}

/// Packages with their features, one a line, as a build over these edges has them.
fn packages(edges: &str) -> Result<String> {
    let output = suite::cargo()
        .args([
            "tree",
            "--locked",
            "--workspace",
            "--prefix=none",
            "--format={p} {f}",
        ])
        .arg(format!("--edges={edges},features"))
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!(
            "cargo tree failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn differing(programs: &str, with_tests: &str) -> Vec<String> {
    let lines = |tree: &str| -> BTreeSet<String> {
        let lines = tree.lines().map(|line| line.trim_end_matches(" (*)").trim_end());
        lines.map(str::to_owned).collect()
    };
    let with_tests = lines(with_tests);
    lines(programs)
        .into_iter()
        .filter(|line| !with_tests.contains(line))
        .map(|line| {
            let name = line.split(' ').next().unwrap_or_default();
            format!(
                "{line}: tests ask for more features of {name}, so that it is built twice: ask for them in a normal dependency too (Cargo.toml, bitflags)"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_of_which_tests_ask_more_is_named() {
        let programs = "bitflags v2.1.0 \nserde v1.0.0 derive\nserde v1.0.0 derive (*)\n";
        for (with_tests, expected) in [
            ("bitflags v2.1.0\nserde v1.0.0 derive\nproptest v1.0.0 std\n", 0),
            ("bitflags v2.1.0 std\nserde v1.0.0 derive\n", 1),
        ] {
            assert_eq!(differing(programs, with_tests).len(), expected, "{with_tests}");
        }
    }
}
