//! The cache of built programs: one folder per name and content, one lock per
//! name. A program appears in its folder by a rename, so what is there is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of the content hash in a folder's name.
const HASH_DIGITS: usize = 16;

/// `$SPOTOCEAN_CACHE`, else `$XDG_CACHE_HOME/spotocean`, else `~/.cache/spotocean`.
pub(super) fn directory() -> Result<PathBuf> {
    if let Some(own) = std::env::var_os("SPOTOCEAN_CACHE") {
        return Ok(PathBuf::from(own));
    }
    if let Some(caches) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(caches).join("spotocean"));
    }
    match std::env::var_os("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".cache/spotocean")),
        None => bail!("there is no folder to cache built programs in: set HOME or SPOTOCEAN_CACHE"),
    }
}

/// The folder of `name` for exactly these parts of its definition.
pub(super) fn folder(name: &str, definition: &[Vec<u8>]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for part in definition {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let digits: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .take(HASH_DIGITS / 2)
        .collect();
    Ok(directory()?.join(format!("{name}-{digits}")))
}

/// Waits until no other process builds `name`; the lock ends with the returned file, also in a crash.
pub(super) fn lock(name: &str) -> Result<File> {
    let directory = directory()?;
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let path = directory.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another process that builds {name}");
        file.lock()
            .with_context(|| format!("{} cannot be locked", path.display()))?;
    }
    Ok(file)
}

/// Moves a finished file into place in one step.
pub(super) fn publish(finished: &Path, place: &Path) -> Result<()> {
    fs::rename(finished, place).with_context(|| format!("{} cannot be put into place", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_definition_is_another_folder() {
        let of = |parts: &[&str]| {
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
            folder("x", &parts).unwrap()
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
    }
}
