//! Why an instance does not join, as far as its console tells: which consoles to read, and what their lines mean.
//!
//! Knows the lines of those who stand between an instance and the cluster: the kernel, nodeadm (amazon-eks-ami),
//! Bottlerocket's early-boot-config, and the kubelet. The last telling line counts, because what was overcome comes
//! before it. An image that keeps its journal to itself shows none of them.

use std::collections::BTreeSet;

use spotocean_api::ocean_node::Phase;
use spotocean_core::id::InstanceId;

use super::view::{Member, Standing, View, span};
use crate::snapshot::Snapshot;

/// Consoles read at once: one cause seldom has many faces.
const CONSOLES_MAX: usize = 20;
/// Of a line that is quoted.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// What keeps an instance from joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// The kernel does not get as far as starting programs.
    Kernel,
    /// Nothing can be made of the user data.
    UserData,
    /// nodeadm may not ask EC2 about its own instance.
    Permissions,
    /// There are no credentials to come with.
    Credentials,
    /// The kubelet does not start with its settings.
    KubeletSettings,
    /// The apiserver's name is not known.
    Name,
    /// The apiserver, or what comes before it, is out of reach.
    Network,
    /// The apiserver shows a certificate of another authority.
    Certificate,
    /// The apiserver does not know who asks.
    Admission,
}

impl Obstacle {
    /// What was found, what was needed, and what to change.
    pub(super) fn sentence(self, role: &str) -> String {
        match self {
            Self::Kernel => "the kernel does not start: choose another image, or other instance types".to_owned(),
            Self::UserData => {
                "its user data cannot be read by the image: correct template.userData, and see that template.image.family is the image's".to_owned()
            }
            Self::Permissions => format!(
                "nodeadm may not ask EC2 about its own instance: attach the policy AmazonEKSWorkerNodePolicy to role {role}"
            ),
            Self::Credentials => format!(
                "it has no credentials: see that its instance profile holds role {role} and that template.metadata lets it ask for them"
            ),
            Self::KubeletSettings => {
                "the kubelet does not start with its settings: correct template.kubelet, the pool's labels and taints, and template.userData".to_owned()
            }
            Self::Name => {
                "it cannot resolve the apiserver's name: turn on DNS support and host names in the VPC, and look at its DHCP options".to_owned()
            }
            Self::Network => {
                "it cannot reach the apiserver: let the cluster's security group take port 443 from template.securityGroups, and look at the subnets' routes".to_owned()
            }
            Self::Certificate => {
                "it does not trust the apiserver's certificate: correct cluster.certificateAuthority and what template.userData says of it".to_owned()
            }
            Self::Admission => format!(
                "the apiserver does not admit role {role}: give it an access entry of type EC2_LINUX or a row in aws-auth, or let template.access do so"
            ),
        }
    }
}

/// The obstacle that a console tells of, with the line that does.
pub(super) fn obstacle(console: &str) -> Option<(Obstacle, String)> {
    let told = |tell: fn(&str) -> Option<Obstacle>| {
        let mut lines = console.lines().rev();
        lines.find_map(|line| Some((tell(line)?, quote(line))))
    };
    told(tell).or_else(|| told(hint))
}

/// The last line with anything in it.
pub(super) fn last_line(console: &str) -> Option<String> {
    let mut lines = console.lines().rev();
    lines.find(|line| !line.trim().is_empty()).map(quote)
}

fn quote(line: &str) -> String {
    line.trim().chars().take(QUOTE_CHARACTERS_MAX).collect()
}

fn tell(line: &str) -> Option<Obstacle> {
    let has = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    if has(&["Kernel panic - not syncing", "VFS: Unable to mount root fs"]) {
        return Some(Obstacle::Kernel);
    }
    let is_kubelet = has(&["kubelet"]);
    let is_nodeadm = has(&["nodeadm"]);
    if !is_kubelet && !is_nodeadm {
        let is_refused = has(&["early-boot-config"]) && has(&BOTTLEROCKET_REFUSES);
        return is_refused.then_some(Obstacle::UserData);
    }
    if has(&[
        "no EC2 IMDS role found",
        "NoCredentialProviders",
        "failed to retrieve credentials",
    ]) {
        return Some(Obstacle::Credentials);
    }
    if is_nodeadm && has(&["UnauthorizedOperation", "AccessDenied"]) {
        return Some(Obstacle::Permissions);
    }
    if is_nodeadm && has(&NODEADM_REFUSES) {
        return Some(Obstacle::UserData);
    }
    if is_kubelet && has(&KUBELET_REFUSES) {
        return Some(Obstacle::KubeletSettings);
    }
    if has(&["x509:"]) {
        return Some(Obstacle::Certificate);
    }
    if is_kubelet
        && has(&[
            "Unauthorized",
            "User \\\"system:anonymous\\\"",
            "User \"system:anonymous\"",
        ])
    {
        return Some(Obstacle::Admission);
    }
    if has(&["no such host"]) {
        return Some(Obstacle::Name);
    }
    has(&UNREACHABLE).then_some(Obstacle::Network)
}

/// Lines that tell who failed and not why; systemd's.
fn hint(line: &str) -> Option<Obstacle> {
    let has = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    let is_bootstrap = has(&[
        "nodeadm",
        "EKS Nodeadm",
        "Bottlerocket userdata configuration system",
    ]);
    (is_bootstrap && has(&["Failed to start"])).then_some(Obstacle::UserData)
}

/// nodeadm's own words and its decoder's (nodeadm/internal/{api,configprovider}, apimachinery's serializers).
const NODEADM_REFUSES: [&str; 9] = [
    "ould not find NodeConfig",
    "is missing in cluster configuration",
    "failed to decode",
    "no kind ",
    "cannot unmarshal",
    "strict decoding error",
    "error converting YAML",
    "multipart:",
    "no config in chain",
];
/// bottlerocket-core-kit, early-boot-config and apiserver.
const BOTTLEROCKET_REFUSES: [&str; 6] = [
    "Provider error",
    "Error parsing TOML",
    "Error PATCHing",
    "deserialize error",
    "is not valid TOML",
    "is missing",
];
/// kubernetes, cmd/kubelet/app.
const KUBELET_REFUSES: [&str; 9] = [
    "labels specified with --node-labels",
    "failed to load kubelet config file",
    "failed to load Kubelet config file",
    "failed to validate kubelet",
    "failed to parse kubelet flag",
    "invalid configuration",
    "unknown flag",
    "invalid argument",
    "cannot unmarshal",
];
/// Go's net package.
const UNREACHABLE: [&str; 7] = [
    "i/o timeout",
    "no route to host",
    "network is unreachable",
    "connection refused",
    "context deadline exceeded",
    "Client.Timeout exceeded",
    "TLS handshake timeout",
];

/// Instances whose consoles are worth reading: past half their time to register, and no Node yet. The oldest first.
pub(crate) fn wanted(snapshot: &Snapshot) -> BTreeSet<InstanceId> {
    let view = View::of(snapshot);
    let mut silent: Vec<_> = view
        .members()
        .filter(|member| is_silent(&view, member))
        .filter_map(|member| Some((member.status.launched_at.as_ref()?.0, member.instance_id?)))
        .collect();
    silent.sort();
    silent.into_iter().take(CONSOLES_MAX).map(|(_, id)| id).collect()
}

/// Whether half of the time to register has passed without a Node.
pub(super) fn is_silent(view: &View<'_>, member: &Member<'_>) -> bool {
    let half = span(member.disruption.registration_timeout) / 2;
    let launched_at = member.status.launched_at.as_ref().map(|time| time.0);
    let is_waiting = member.status.phase == Phase::Launched && member.node.is_none();
    let is_ours = !matches!(member.standing, Standing::Frozen | Standing::Ownerless);
    is_waiting && is_ours && launched_at.is_some_and(|at| at + half <= view.now())
}

#[cfg(test)]
mod tests {
    use super::{Obstacle, last_line, obstacle};

    /// What consoles have been seen to show, and what it tells.
    const SEEN: [(&str, Obstacle); 15] = [
        (
            "Jun 06 19:33:03 ip-10-150-127-198 kubelet[3214]: E0606 19:33:03.828406 3214 kubelet_node_status.go:96] \"Unable to register node with API server\" err=\"Unauthorized\" node=\"ip-10-150-127-198.ec2.internal\"",
            Obstacle::Admission,
        ),
        (
            "kubelet[1046]: E0510 kubelet_node_status.go:92] \"Unable to register node with API server\" err=\"nodes is forbidden: User \\\"system:anonymous\\\" cannot create resource \\\"nodes\\\" in API group \\\"\\\" at the cluster scope\"",
            Obstacle::Admission,
        ),
        (
            "[   42.1] kubelet[991]: E0101 \"Unable to register node with API server\" err=\"Post \\\"https://shop.eks.example/api/v1/nodes\\\": dial tcp 10.0.0.9:443: i/o timeout\"",
            Obstacle::Network,
        ),
        (
            "kubelet[991]: E0101 err=\"Post \\\"https://shop.eks.example/api/v1/nodes\\\": dial tcp: lookup shop.eks.example on 10.0.0.2:53: no such host\"",
            Obstacle::Name,
        ),
        (
            "kubelet[991]: E0101 err=\"Post \\\"https://shop.eks.example/api/v1/nodes\\\": tls: failed to verify certificate: x509: certificate signed by unknown authority\"",
            Obstacle::Certificate,
        ),
        (
            "kubelet[991]: E0101 run.go:74] \"command failed\" err=\"failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [kubernetes.io/team]\"",
            Obstacle::KubeletSettings,
        ),
        (
            "kubelet[991]: E0101 run.go:74] \"command failed\" err=\"failed to load kubelet config file, path: /etc/kubernetes/kubelet/config.json, error: no kind\"",
            Obstacle::KubeletSettings,
        ),
        (
            "nodeadm[1510]: {\"level\":\"fatal\",\"msg\":\"Command failed\",\"error\":\"Could not find NodeConfig within UserData\"}",
            Obstacle::UserData,
        ),
        (
            "nodeadm[1510]: {\"level\":\"fatal\",\"msg\":\"Command failed\",\"error\":\"CIDR is missing in cluster configuration\"}",
            Obstacle::UserData,
        ),
        (
            "nodeadm[1510]: {\"level\":\"fatal\",\"error\":\"operation error EC2: DescribeInstances, https response error StatusCode: 403, api error UnauthorizedOperation: You are not authorized\"}",
            Obstacle::Permissions,
        ),
        (
            "nodeadm[1510]: {\"level\":\"fatal\",\"error\":\"get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found\"}",
            Obstacle::Credentials,
        ),
        (
            "[    3.918631] early-boot-config[3439]: Provider error: Unable to serialize settings from instance user data: Error parsing TOML user data: expected an equals, found a colon at line 1 column 13\n[FAILED] Failed to start Bottlerocket userdata configuration system.\nSee 'systemctl status early-boot-config.service' for details.\n[DEPEND] Dependency failed for Kubelet.",
            Obstacle::UserData,
        ),
        (
            "[    4.831386] early-boot-config[1425]: Error PATCHing '/settings?tx=bottlerocket-launch': Status 400 when PATCHing /settings?tx=bottlerocket-launch: Json deserialize error: unknown field `maxPods`",
            Obstacle::UserData,
        ),
        (
            "[FAILED] Failed to start nodeadm-config.service - EKS Nodeadm Config.",
            Obstacle::UserData,
        ),
        (
            "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
            Obstacle::Kernel,
        ),
    ];

    fn found(console: &str) -> Option<Obstacle> {
        obstacle(console).map(|(obstacle, _)| obstacle)
    }

    #[test]
    fn lines_of_real_instances_tell_the_obstacle() {
        for (console, expected) in SEEN {
            assert_eq!(found(console), Some(expected), "{console}");
        }
    }

    #[test]
    fn what_does_not_stand_in_the_way_tells_nothing() {
        let rows = [
            "",
            "[  OK  ] Started kubelet.service - Kubernetes Kubelet.",
            "amazon-ssm-agent[1500]: dial tcp 10.0.0.1:443: i/o timeout",
            "early-boot-config[1034]: [INFO] No user data found via local file: /var/lib/bottlerocket/user-data.toml",
            "nodeadm[1510]: {\"level\":\"info\",\"msg\":\"Configuration is valid\"}",
            "Amazon Linux 2023\nip-10-0-0-9 login: ",
        ];
        for console in rows {
            assert_eq!(found(console), None, "{console}");
        }
    }

    #[test]
    fn the_last_telling_line_counts() {
        let network = "kubelet: dial tcp 10.0.0.9:443: i/o timeout";
        let refused = "kubelet: err=\"Unauthorized\"";
        assert_eq!(
            found(&format!("{network}\n{refused}\nlogin: ")),
            Some(Obstacle::Admission)
        );
        assert_eq!(found(&format!("{refused}\n{network}")), Some(Obstacle::Network));
        let both = format!("{refused}\n[FAILED] Failed to start nodeadm-run.service");
        assert_eq!(
            found(&both),
            Some(Obstacle::Admission),
            "a hint gives way to a reason"
        );
    }

    #[test]
    fn quotes_are_short() {
        let long = format!("kubelet: Unauthorized {}", "x".repeat(1000));
        assert_eq!(obstacle(&long).unwrap().1.chars().count(), 200);
        assert_eq!(last_line("a\n b \n\n").as_deref(), Some("b"));
    }
}
