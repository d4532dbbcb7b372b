//! nodeadm's own code reads the user data of AL2023 pools from a metadata service, and finds in it what was meant.
//!
//! The program (`crates/xtask/nodeadm`) prints the merged configuration by nodeadm's Go types.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};
use spotocean_api::template::ImageFamily;

use crate::pools::Pool;

/// Names the reader, ready-made; else it is built here.
const PROGRAM_VARIABLE: &str = "SPOTOCEAN_NODEADM";

fn reader() -> &'static Path {
    static READER: OnceLock<PathBuf> = OnceLock::new();
    READER.get_or_init(|| std::env::var_os(PROGRAM_VARIABLE).map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nodeadm");
    let output = Command::new("go")
        .args(["build", "-mod=readonly", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/nodeadm"))
        .output()
        .expect("Go is installed: docs/contributing/testing.md says what tests need");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

/// An instance metadata service (version 2) on loopback that knows user data and nothing else. Its thread ends with
/// the test program.
fn metadata_service(user_data: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A reader that hangs up shows as its own failure.
            let _ = answer(stream, &user_data);
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, user_data: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let headers: Vec<String> = lines
        .by_ref()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let has_token = headers
        .iter()
        .any(|line| line.eq_ignore_ascii_case("x-aws-ec2-metadata-token: token"));
    let (status, body) = if request.starts_with("PUT /latest/api/token ") {
        ("200 OK", "token")
    } else if request.starts_with("GET /latest/user-data ") && has_token {
        ("200 OK", user_data)
    } else {
        ("404 Not Found", "")
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 300\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn run(user_data: String) -> Output {
    Command::new(reader())
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_service(user_data))
        .output()
        .expect("the reader starts")
}

/// The `spec` that nodeadm has read.
fn read(user_data: &str) -> Value {
    let output = run(user_data.to_owned());
    assert!(
        output.status.success(),
        "{}\n{user_data}",
        String::from_utf8_lossy(&output.stderr)
    );
    let config: Value = serde_json::from_slice(&output.stdout).expect("the reader prints JSON");
    config["spec"].clone()
}

fn read_pool(pool: &Pool) -> Value {
    let user_data = pool.user_data(ImageFamily::AL2023);
    read(&user_data.expect("this pool has user data"))
}

fn refused(user_data: String) -> String {
    let output = run(user_data);
    assert!(!output.status.success(), "nodeadm took it");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn cluster() -> Value {
    json!({
        "name": "shop",
        "apiServerEndpoint": "https://shop.eks.example",
        "certificateAuthority": "Q0E=",
        "cidr": "10.100.0.0/16",
    })
}

#[test]
fn a_minimal_pool_is_read_as_meant() {
    let spec = read_pool(&Pool::minimal());
    assert_eq!(spec["cluster"], cluster());
    assert_eq!(spec["instance"]["localStorage"], json!({}));
    assert_eq!(
        spec["kubelet"],
        json!({
            "config": {
                "clusterDNS": ["10.100.0.10"],
                "maxPods": 29,
                "registerWithTaints": [
                    {"effect": "NoExecute", "key": "spotocean.dev/unregistered", "value": ""},
                ],
            },
            "flags": ["--node-labels=spotocean.dev/pool=main"],
        })
    );
}

#[test]
fn every_setting_arrives() {
    let spec = read_pool(&Pool::full());
    assert_eq!(spec["cluster"], cluster());
    assert_eq!(spec["instance"]["localStorage"], json!({"strategy": "RAID0"}));
    assert_eq!(
        spec["kubelet"]["config"],
        json!({
            "maxPods": 50,
            "podsPerCore": 10,
            "kubeReserved": {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "2Gi"},
            "systemReserved": {"cpu": "50m", "memory": "200Mi"},
            "evictionHard": {"memory.available": "5%", "nodefs.inodesFree": "3%", "pid.available": "200"},
            "evictionSoft": {"memory.available": "500Mi"},
            "evictionSoftGracePeriod": {"memory.available": "1m30s"},
            "imageGCHighThresholdPercent": 80,
            "imageGCLowThresholdPercent": 70,
            "cpuCFSQuota": false,
            "clusterDNS": ["10.100.0.10", "169.254.20.10"],
            "registerWithTaints": [
                {"effect": "NoSchedule", "key": "dedicated", "value": "yes"},
                {"effect": "NoExecute", "key": "dedicated", "value": "yes"},
                {"effect": "NoSchedule", "key": "example.com/agent-not-ready", "value": ""},
                {"effect": "NoExecute", "key": "spotocean.dev/unregistered", "value": ""},
            ],
        })
    );
    assert_eq!(
        spec["kubelet"]["flags"],
        json!([
            "--node-labels=empty=,example.com/team_name=A.b-c,spotocean.dev/capacity-type=spot,spotocean.dev/pool=main"
        ])
    );
}

#[test]
fn the_users_part_is_merged_under_ours_whatever_its_form() {
    const CONFIG: &str = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  cluster:\n    name: theirs\n  containerd:\n    config: |\n      version = 2\n  kubelet:\n    config:\n      maxPods: 7\n      serializeImagePulls: false\n    flags:\n      - --v=4\n";
    const SCRIPT: &str = "#!/bin/sh\necho --not-a-boundary\n";
    const CLOUD_CONFIG: &str = "#cloud-config\npackages: [jq]\n";
    const DOCUMENT: &str = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n--//\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/sh\necho hello\n--//\nContent-Type: application/node.eks.aws\n\n---\napiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  containerd:\n    config: |\n      version = 2\n  kubelet:\n    config:\n      maxPods: 7\n      serializeImagePulls: false\n    flags: [--v=4]\n--//--\n";
    let rows: [(&[&'static str], bool); 5] = [
        (&[SCRIPT], false),
        (&[CLOUD_CONFIG], false),
        (&[CONFIG], true),
        (&[DOCUMENT], true),
        (&[SCRIPT, DOCUMENT, CLOUD_CONFIG], true),
    ];
    for (own, has_config) in rows {
        let pool = Pool {
            own: own.to_vec(),
            ..Pool::minimal()
        };
        let spec = read_pool(&pool);
        assert_eq!(spec["cluster"], cluster(), "{own:?}");
        assert_eq!(spec["kubelet"]["config"]["maxPods"], 29, "{own:?}: ours wins");
        let theirs = if has_config {
            (json!(false), json!("version = 2\n"), json!("--v=4"))
        } else {
            (
                Value::Null,
                Value::Null,
                json!("--node-labels=spotocean.dev/pool=main"),
            )
        };
        let found = (
            spec["kubelet"]["config"]["serializeImagePulls"].clone(),
            spec["containerd"]["config"].clone(),
            spec["kubelet"]["flags"][0].clone(),
        );
        assert_eq!(found, theirs, "{own:?}");
        let flags = spec["kubelet"]["flags"].as_array().expect("flags are a list");
        assert_eq!(
            flags.last(),
            Some(&json!("--node-labels=spotocean.dev/pool=main")),
            "{own:?}"
        );
    }
}

#[test]
fn what_is_broken_is_refused() {
    let whole = Pool::full()
        .user_data(ImageFamily::AL2023)
        .expect("this pool has user data");
    let boundary = whole
        .lines()
        .find(|line| line.starts_with("--"))
        .expect("the document has a boundary");
    let rows = [
        (whole.replacen(boundary, "--another", 1), "EOF"),
        (whole.replace("\"cidr\"", "\"cidrs\""), "CIDR is missing"),
        (
            whole.replace("application/node.eks.aws", "text/plain"),
            "Could not find NodeConfig",
        ),
        (
            whole.replace("\"kind\": \"NodeConfig\"", "\"kind\": \"Config\""),
            "no kind",
        ),
        (
            whole.replace("\"maxPods\": 50", "\"maxPods\": \"50\""),
            "would not read",
        ),
        (
            whole.replace("\"podsPerCore\"", "\"podsPerCores\""),
            "unknown field",
        ),
    ];
    for (broken, expected) in rows {
        assert_ne!(broken, whole, "{expected}");
        let error = refused(broken);
        assert!(error.contains(expected), "{error}\nhas no {expected}");
    }
}
