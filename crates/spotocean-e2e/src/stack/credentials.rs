//! The keys, tokens and kubeconfigs of one stack. All are made anew for it and
//! gone with it. Does not know who uses them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

/// An EC private key (RFC 5915) on curve P-256 before and after its 32 secret bytes. The public
/// key is left out: it is optional there, and Go computes it.
const KEY_HEAD: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
const KEY_TAIL: [u8; 12] = [
    0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// Files and secrets of one stack.
#[derive(Debug)]
pub(super) struct Credentials {
    directory: PathBuf,
    server: String,
    admin_token: String,
}

impl Credentials {
    /// Makes the service account key and the token of the administrator.
    pub(super) fn write(directory: &Path, api_port: u16) -> Result<Credentials> {
        let server = format!("https://127.0.0.1:{api_port}");
        let admin_token: String = random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let credentials = Credentials {
            directory: directory.to_path_buf(),
            server,
            admin_token,
        };
        put(&credentials.service_account_key(), &signing_key()?)?;
        let row = format!("{},admin,admin,\"system:masters\"\n", credentials.admin_token);
        put(&credentials.tokens(), &row)?;
        Ok(credentials)
    }

    /// Signs and verifies service account tokens.
    pub(super) fn service_account_key(&self) -> PathBuf {
        self.directory.join("service-account.key")
    }

    /// The apiserver's static tokens.
    pub(super) fn tokens(&self) -> PathBuf {
        self.directory.join("tokens.csv")
    }

    /// Where the apiserver makes its certificate.
    pub(super) fn certificates(&self) -> PathBuf {
        self.directory.join("certificates")
    }

    /// The apiserver's address.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Writes the administrator's kubeconfig; fails until the apiserver has made its certificate.
    pub(super) fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        self.write_kubeconfig_with(path, &self.admin_token)
    }

    /// Writes a kubeconfig for another token.
    pub(super) fn write_kubeconfig_with(&self, path: &Path, token: &str) -> Result<()> {
        put(path, &self.render(token)?)
    }

    fn render(&self, token: &str) -> Result<String> {
        let certificate = self.certificates().join("apiserver.crt");
        let authority =
            fs::read(&certificate).with_context(|| format!("{} is not there", certificate.display()))?;
        ensure!(
            authority.ends_with(b"-----END CERTIFICATE-----\n"),
            "{} is not whole",
            certificate.display()
        );
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "local",
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
            "clusters": [{"name": "local", "cluster": {
                "server": self.server,
                "certificate-authority-data": STANDARD.encode(authority),
            }}],
            "users": [{"name": "user", "user": {"token": token}}],
        });
        serde_json::to_string_pretty(&config).context("a kubeconfig is plain data")
    }
}

/// A client for a kubeconfig file. It does not retry by itself, so that tests see the server's own answer.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    // A second install answers with an error and changes nothing.
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("{} cannot be read", kubeconfig.display()))?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .context("the kubeconfig of the stack is not understood")?;
    config.default_retry = false;
    Client::try_from(config).context("no client can be made from the kubeconfig of the stack")
}

fn signing_key() -> Result<String> {
    let mut secret = random_bytes()?;
    // P-256's order begins with ff ff ff ff 00: with another first byte, the secret is surely below it.
    secret[0] &= 0x7f;
    let der: Vec<u8> = [&KEY_HEAD[..], &secret, &KEY_TAIL].concat();
    Ok(format!(
        "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
        STANDARD.encode(der)
    ))
}

fn random_bytes() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("/dev/urandom cannot be read")?;
    Ok(bytes)
}

fn put(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}
