//! Builds a Go program from a module of this repository whose go.mod and go.sum
//! pin every source. Knows the go command; not what the program is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache, progress};
use crate::repository;

/// One program of one Go module.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoProgram {
    /// Its file name in the cache.
    pub(super) name: &'static str,
    /// How progress lines call it.
    pub(super) title: &'static str,
    /// The module's folder in this repository.
    pub(super) module: &'static str,
    /// The main package.
    pub(super) package: &'static str,
    /// Given to the linker.
    pub(super) link_flags: &'static str,
    /// Names a ready-made program instead.
    pub(super) override_variable: &'static str,
}

impl GoProgram {
    /// The program: named by the environment, cached, or built now.
    pub(super) fn find_or_build(&self) -> Result<PathBuf> {
        if let Some(given) = std::env::var_os(self.override_variable) {
            return given_program(self.override_variable, PathBuf::from(given));
        }
        let place = cache::folder(self.name, &self.definition()?)?.join(self.name);
        if place.is_file() {
            return Ok(place);
        }
        let _lock = cache::lock(self.name)?;
        if !place.is_file() {
            self.build(&place)?;
        }
        Ok(place)
    }

    fn definition(&self) -> Result<Vec<Vec<u8>>> {
        let module = repository::path(self.module);
        let mut parts = vec![
            self.package.as_bytes().to_vec(),
            self.link_flags.as_bytes().to_vec(),
        ];
        for file in sources(&module).with_context(|| format!("{} cannot be read", self.module))? {
            parts.push(fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?);
        }
        Ok(parts)
    }

    fn build(&self, place: &Path) -> Result<()> {
        check(self.module)?;
        let folder = place.parent().context("a program's place lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let unfinished = place.with_extension("partial");
        let mut command = Command::new("go");
        command
            .current_dir(repository::path(self.module))
            // The environment's flags could unpin the module (-mod=mod) or change what is built (-tags).
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .args(["build", "-v", "-trimpath", "-ldflags", self.link_flags, "-o"])
            .arg(&unfinished)
            .arg(self.package);
        progress::run(command, &format!("building {} (once, then cached)", self.title))?;
        cache::publish(&unfinished, place)
    }
}

/// What decides a module's program: its pins and its own sources, if it has any, in the order of their names.
fn sources(module: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(module)? {
        let path = entry?.path();
        let is_pin = ["go.mod", "go.sum"].iter().any(|name| path.ends_with(name));
        if is_pin || path.extension().is_some_and(|extension| extension == "go") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Fails with a sentence when `go` is missing or older than the module asks for.
pub(super) fn check(module: &str) -> Result<()> {
    let manifest = repository::path(module).join("go.mod");
    let manifest =
        fs::read_to_string(&manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let needed = manifest
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap_or("1.26.0");
    let found = match Command::new("go")
        .args(["env", "GOVERSION", "GOTOOLCHAIN"])
        .output()
    {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => bail!(
            "go is missing: the Kubernetes control plane is built from its Go modules. Install Go {needed} or \
             newer, or set KUBEBUILDER_ASSETS to a folder with the ready-made programs."
        ),
    };
    let mut lines = found.lines();
    let version = lines.next().unwrap_or_default();
    // With any other setting the go command fetches the release that go.mod names by itself.
    let stays_local = lines.next().unwrap_or_default() == "local";
    if stays_local && parse(version) < parse(needed) {
        bail!(
            "go is {version} and {needed} is needed: install a newer Go, or unset GOTOOLCHAIN so that it fetches one"
        );
    }
    Ok(())
}

fn given_program(variable: &str, program: PathBuf) -> Result<PathBuf> {
    if program.is_file() {
        return Ok(program);
    }
    bail!(
        "{variable} is {}, where no file is: correct it, or unset it to build the program",
        program.display()
    )
}

/// The numbers of `go1.26.8` or `1.26.0`, comparable in order.
fn parse(version: &str) -> Vec<u32> {
    version
        .trim_start_matches("go")
        .split(|separator: char| !separator.is_ascii_digit())
        .map_while(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_a_module_counts() {
        let names = |module: &str| -> Vec<String> {
            let files = sources(&repository::path(module)).unwrap();
            let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
            files.iter().map(name).collect()
        };
        assert_eq!(
            names("crates/xtask/controlplane"),
            [
                "go.mod",
                "go.sum",
                "main.go",
                "oracle.go",
                "oracle_api.go",
                "oracle_pin.go"
            ]
        );
    }

    #[test]
    fn go_versions_compare_by_number() {
        for (older, newer) in [
            ("go1.25.9", "1.26.0"),
            ("go1.9", "1.26.0"),
            ("1.26.0", "go1.26.8"),
            ("go1.26rc1", "1.26.1"),
        ] {
            assert!(parse(older) < parse(newer), "{older} < {newer}");
        }
    }

    #[test]
    fn a_given_program_that_is_not_there_is_refused_by_the_variable_s_name() {
        let refused = given_program("SPOTOCEAN_KWOK", PathBuf::from("/nonexistent"))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("SPOTOCEAN_KWOK") && refused.contains("unset"),
            "{refused}"
        );
    }
}
