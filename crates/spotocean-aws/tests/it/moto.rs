//! moto, which nobody here wrote, as a server on loopback.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Names the server's script; else the cache of `cargo xtask test` is looked into.
const PROGRAM_VARIABLE: &str = "SPOTOCEAN_MOTO_SERVER";
const CACHED_PROGRAM: &str = "spotocean/moto-5.2.1/bin/moto_server";

/// A running moto; it ends with this value.
pub(crate) struct Moto {
    /// Its endpoint.
    pub(crate) url: String,
    _process: Child,
}

impl Moto {
    /// Starts it on a free port, with the checks on that it leaves off by default.
    pub(crate) async fn start() -> Moto {
        let program = program();
        assert!(
            program.is_file(),
            "moto is not at {}: run `cargo xtask test`, which installs it, or name it in {PROGRAM_VARIABLE}",
            program.display()
        );
        let mut process = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1")
            .env("MOTO_ENABLE_AMI_VALIDATION", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the script is there and can be started");
        let url = address(&mut process).await;
        Moto {
            url,
            _process: process,
        }
    }
}

fn program() -> PathBuf {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return named.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(home, PathBuf::from)
        .join(CACHED_PROGRAM)
}

/// The address it prints once it listens. Its log is read on, so that it never blocks on a full pipe.
async fn address(process: &mut Child) -> String {
    let log = process.stderr.take().expect("its standard error is piped");
    let mut lines = BufReader::new(log).lines();
    let mut seen = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, address)) = line.split_once("Running on ") {
            let url = address.split_whitespace().next().unwrap_or_default().to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return url;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("moto ended before it listened:\n{seen}")
}
