//! CEL rules that more than one kind or type shares, or that are too long to sit at their type.
//!
//! Each rule comes with the sentence that refuses: what was found, what is needed, what to change. Rules use
//! only what Kubernetes 1.32 evaluates, and nothing that needs AWS or the merged pool to judge.

use kube::core::{Message, Rule};

/// A rule whose sentence is a CEL expression, for when the found value helps.
pub(crate) fn rule_saying(rule: impl Into<String>, message_expression: impl Into<String>) -> Rule {
    Rule::new(rule).message(Message::Expression(message_expression.into()))
}

/// Keys of `limits` that are not extended resources.
const LIMIT_KEYS: &str = "['nodes', 'hourlyCost', 'cpu', 'memory', 'ephemeral-storage', 'pods']";

/// A typing error in a limit's name must not become "no limit".
pub(crate) fn limit_names() -> Rule {
    rule_saying(
        format!("!has(self.limits) || self.limits.all(k, k in {LIMIT_KEYS} || k.contains('/'))"),
        format!(
            "'limits has the unknown resource ' + self.limits.filter(k, !(k in {LIMIT_KEYS} || k.contains('/')))[0] + \
             ': use nodes, hourlyCost, cpu, memory, ephemeral-storage, pods, or an extended resource such as nvidia.com/gpu'"
        ),
    )
}

/// Nodes are counted whole. (Kubernetes 1.32 prices a number-or-string value as unbounded text, so these rules
/// look at types and suffixes only, which cost the same for any length.)
pub(crate) fn limit_nodes() -> Rule {
    Rule::new("!has(self.limits) || !('nodes' in self.limits) || type(self.limits['nodes']) == int")
        .message("limits.nodes counts nodes: write a whole number without quotes or unit, such as 50")
}

/// Dollars have no quantity suffix: `5k` would be a surprise.
pub(crate) fn limit_hourly_cost() -> Rule {
    Rule::new(
        "!has(self.limits) || !('hourlyCost' in self.limits) || type(self.limits['hourlyCost']) == int || \
         ['m', 'k', 'M', 'G', 'T', 'P', 'i'].all(s, !self.limits['hourlyCost'].endsWith(s))",
    )
    .message("limits.hourlyCost is in US dollars an hour: write a plain amount such as '12.50'")
}

/// `memory: 1000` is a thousand bytes, which nobody means.
pub(crate) fn limit_memory_unit() -> Rule {
    Rule::new(
        "!has(self.limits) || !('memory' in self.limits) || self.limits['memory'] == 0 || self.limits['memory'] == '0' || \
         (type(self.limits['memory']) == string && ['k', 'M', 'G', 'T', 'P', 'i'].exists(s, self.limits['memory'].endsWith(s)))",
    )
    .message("limits.memory has no unit and would be counted in bytes: write it with one, such as 1000Gi")
}

/// Room for nothing is there already.
pub(crate) fn headroom_asks() -> Rule {
    Rule::new("has(self.cpu) || has(self.memory) || has(self.gpu)")
        .message("a headroom unit asks for nothing: give the cpu, memory or gpu of one pod")
}

/// As for limits: `memory: 512` would be half a kilobyte.
pub(crate) fn headroom_memory_unit() -> Rule {
    Rule::new(
        "!has(self.memory) || self.memory == 0 || self.memory == '0' || \
         (type(self.memory) == string && ['k', 'M', 'G', 'T', 'P', 'i'].exists(s, self.memory.endsWith(s)))",
    )
    .message(
        "memory of a headroom unit has no unit and would be counted in bytes: write it with one, such as 2Gi",
    )
}

/// Signals of the kubelet's eviction manager.
const EVICTION_SIGNALS: &str = "['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree', 'pid.available']";

/// An unknown signal would keep the kubelet from starting.
pub(crate) fn eviction_signals() -> Rule {
    Rule::new(format!(
        "(!has(self.evictionHard) || self.evictionHard.all(k, k in {EVICTION_SIGNALS})) && \
         (!has(self.evictionSoft) || self.evictionSoft.all(k, k in {EVICTION_SIGNALS}))"
    ))
    .message(
        "evictionHard and evictionSoft know the signals memory.available, nodefs.available, nodefs.inodesFree, \
         imagefs.available, imagefs.inodesFree and pid.available: correct or remove the others",
    )
}

/// Resources that the kubelet can reserve.
const RESERVABLE: &str = "['cpu', 'memory', 'ephemeral-storage', 'pid']";

/// An unknown reserved resource would keep the kubelet from starting.
pub(crate) fn reserved_resources() -> Rule {
    Rule::new(format!(
        "(!has(self.kubeReserved) || self.kubeReserved.all(k, k in {RESERVABLE})) && \
         (!has(self.systemReserved) || self.systemReserved.all(k, k in {RESERVABLE}))"
    ))
    .message("kubeReserved and systemReserved know cpu, memory, ephemeral-storage and pid: correct or remove the others")
}

/// EC2 refuses tags under `aws:`; the others carry ownership, of the cluster and of the operator.
pub(crate) fn reserved_tags() -> Rule {
    rule_saying(
        format!("!has(self.tags) || self.tags.all(k, !({RESERVED_TAG}))"),
        format!(
            "'tags has the reserved key ' + self.tags.filter(k, {RESERVED_TAG})[0] + \
             ': remove it; aws: belongs to AWS, and the operator sets kubernetes.io/cluster/ and spotocean.dev/ itself'"
        ),
    )
}

const RESERVED_TAG: &str = "k.startsWith('aws:') || k.startsWith('AWS:') || k.startsWith('Aws:') || \
     k.startsWith('kubernetes.io/cluster/') || k.startsWith('spotocean.dev/') || k.startsWith('eks:')";

/// EC2's limit for a key.
pub(crate) fn tag_key_length() -> Rule {
    Rule::new("!has(self.tags) || self.tags.all(k, k.size() >= 1 && k.size() <= 128)")
        .message("a tag key has 1 to 128 characters: shorten the longer one")
}

/// EC2 keeps such keys apart, but IAM conditions read them as one (IAM User Guide, "Case sensitivity" of tag keys),
/// so that a policy could not tell what it allows. The sentence names them in lower case, as a map has no order.
pub(crate) fn tag_key_case() -> Rule {
    rule_saying(
        format!("!has(self.tags) || self.tags.all(k, {ONE_IN_ANY_CASE})"),
        format!(
            "'tags has keys that differ only in case, ' + self.tags.filter(k, !({ONE_IN_ANY_CASE}))[0].lowerAscii() + \
             ': keep one of them, IAM policies read them as the same key'"
        ),
    )
}

const ONE_IN_ANY_CASE: &str = "self.tags.exists_one(l, l.lowerAscii() == k.lowerAscii())";

/// A security group among the subnets, or the other way round.
pub(crate) fn subnet_ids() -> Rule {
    Rule::new("!has(self.subnets) || self.subnets.all(t, !has(t.id) || t.id.startsWith('subnet-'))")
        .message("subnets has the id of a security group: move it to securityGroups")
}

/// A subnet among the security groups, or the other way round.
pub(crate) fn security_group_ids() -> Rule {
    Rule::new("!has(self.securityGroups) || self.securityGroups.all(t, !has(t.id) || t.id.startsWith('sg-'))")
        .message("securityGroups has the id of a subnet: move it to subnets")
}

/// EC2 refuses two mappings of one device.
pub(crate) fn unique_devices() -> Rule {
    Rule::new(
        "!has(self.blockDevices) || self.blockDevices.all(a, self.blockDevices.exists_one(b, b.deviceName == a.deviceName))",
    )
    .message("two blockDevices have the same deviceName: give each disk a device of its own")
}

/// An instance has one root volume.
pub(crate) fn one_root_volume() -> Rule {
    Rule::new(
        "!has(self.blockDevices) || self.blockDevices.filter(d, has(d.rootVolume) && d.rootVolume).size() <= 1",
    )
    .message("several blockDevices have rootVolume: true, and an instance has one root volume: keep one")
}

/// Label keys that requirements may be about: those of instance types and zones.
const REQUIREMENT_KEYS: &str = "['kubernetes.io/arch', 'kubernetes.io/os', 'node.kubernetes.io/instance-type', \
     'topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'topology.k8s.aws/zone-id', \
     'spotocean.dev/capacity-type', 'spotocean.dev/instance-category', 'spotocean.dev/instance-family', \
     'spotocean.dev/instance-size', 'spotocean.dev/instance-gpu-name', 'spotocean.dev/instance-hypervisor', \
     'spotocean.dev/instance-generation', 'spotocean.dev/instance-cpu', 'spotocean.dev/instance-memory', \
     'spotocean.dev/instance-gpu-count', 'spotocean.dev/instance-local-storage', 'spotocean.dev/instance-network-gbps']";

/// Those of them whose values are integers.
const INTEGER_KEYS: &str = "['spotocean.dev/instance-generation', 'spotocean.dev/instance-cpu', 'spotocean.dev/instance-memory', \
     'spotocean.dev/instance-gpu-count', 'spotocean.dev/instance-local-storage', 'spotocean.dev/instance-network-gbps']";

/// A requirement on a label that no instance type has would silently empty the pool.
pub(crate) fn requirement_key() -> Rule {
    Rule::new(format!("self.key in {REQUIREMENT_KEYS}")).message(
        "a requirement is about instance types and zones, and its key is no label of those: use spotocean.dev/instance-*, \
         spotocean.dev/capacity-type or a well-known label such as topology.kubernetes.io/zone, and put labels of your own into labels",
    )
}

/// Only integers can be compared.
pub(crate) fn comparable_key() -> Rule {
    Rule::new(format!("!(self.operator in ['Gt', 'Lt', 'Gte', 'Lte']) || self.key in {INTEGER_KEYS}")).message(
        "Gt, Lt, Gte and Lte compare whole numbers: use them with spotocean.dev/instance-cpu, -memory, -generation, -gpu-count, \
         -local-storage or -network-gbps, and In or NotIn with other labels",
    )
}

/// Values of a label that has a closed set of them.
pub(crate) fn closed_values(key: &str, values: &str, message: &str) -> Rule {
    Rule::new(format!(
        "self.key != '{key}' || !has(self.values) || self.values.all(v, v in {values})"
    ))
    .message(message)
}

/// Labels that kubelets may not set, or that the operator computes.
pub(crate) fn node_labels() -> Rule {
    rule_saying(
        format!("!has(self.labels) || self.labels.all(k, !({RESERVED_LABEL}))"),
        format!(
            "'labels has ' + self.labels.filter(k, {RESERVED_LABEL})[0] + \
             ', which Kubernetes or the operator sets itself: use a domain of your own, or requirements to choose instance types'"
        ),
    )
}

/// The kubelet refuses to start with unknown labels under kubernetes.io and k8s.io (KEP-279); it allows the
/// first three prefixes.
const RESERVED_LABEL: &str = "k.startsWith('spotocean.dev/') || k.contains('.spotocean.dev/') || \
     ((k.contains('kubernetes.io/') || k.contains('k8s.io/')) && \
     !(k.startsWith('node.kubernetes.io/') && k != 'node.kubernetes.io/instance-type') && \
     !k.startsWith('node-restriction.kubernetes.io/') && !k.startsWith('kubelet.kubernetes.io/') && !k.startsWith('kops.k8s.io/'))";

/// The peers' labels follow the capacity type of each node, so a fixed value would lie.
pub(crate) fn peer_labels() -> Rule {
    Rule::new(
        "!has(self.labels) || !['karpenter.sh/capacity-type', 'eks.amazonaws.com/capacityType', 'spotinst.io/node-lifecycle']\
         .exists(k, k in self.labels)",
    )
    .message("labels fixes the capacity type label of a peer, which differs from node to node: list the peer in spec.compatibilityLabels")
}

/// Taints that Kubernetes or the operator puts on and takes off.
pub(crate) fn node_taints() -> Rule {
    let reserved = "t.key.startsWith('spotocean.dev/') || t.key.startsWith('node.kubernetes.io/')";
    Rule::new(format!(
        "(!has(self.taints) || self.taints.all(t, !({reserved}))) && \
         (!has(self.startupTaints) || self.startupTaints.all(t, !t.key.startsWith('spotocean.dev/')))"
    ))
    .message("taints under node.kubernetes.io/ and spotocean.dev/ are set by Kubernetes and the operator: use a key of your own")
}

/// Kubernetes keeps one taint for each key and effect.
pub(crate) fn unique_taints() -> Rule {
    Rule::new(
        "(!has(self.taints) || self.taints.all(a, self.taints.exists_one(b, b.key == a.key && b.effect == a.effect))) && \
         (!has(self.startupTaints) || self.startupTaints.all(a, \
         self.startupTaints.exists_one(b, b.key == a.key && b.effect == a.effect) && \
         (!has(self.taints) || !self.taints.exists(b, b.key == a.key && b.effect == a.effect))))",
    )
    .message("a node has one taint for each key and effect: remove the repeated one from taints or startupTaints")
}

/// Pods without a toleration would wait for ever, with an ocean that claims to serve them.
pub(crate) fn some_pool_for_plain_pods() -> Rule {
    Rule::new(
        "has(self.pods.selector) || has(self.pods.namespaceSelector) || \
         self.pools.exists(p, !has(p.taints) || !p.taints.exists(t, t.effect != 'PreferNoSchedule'))",
    )
    .message(
        "every pool has a taint, so pods without a toleration could never be served: add a pool without taints, or say with \
         spec.pods which pods this ocean is for",
    )
}

/// Custom images are found by selector alone.
pub(crate) fn pool_custom_image() -> Rule {
    Rule::new(
        "self.template.image.family == 'Custom' || self.pools.all(p, !has(p.template) || !has(p.template.image) || \
         !has(p.template.image.family) || p.template.image.family != 'Custom' || has(p.template.image.selector))",
    )
    .message("a pool has image.family Custom and no image.selector: say which images (id, tags, name or ssmParameter)")
}

/// One market is part of its type and of its zone, so a smaller share for either would make the first void.
pub(crate) fn max_share_order() -> (&'static str, &'static str) {
    (
        "!has(self.market) || !has(self.type) || !has(self.zone) || (self.market <= self.type && self.market <= self.zone)",
        "maxShare.market is above maxShare.type or maxShare.zone, though one market is part of its type and its zone: lower market, or raise the other",
    )
}

/// The same, for what a pool inherits in part.
pub(crate) fn pool_max_share_order() -> Rule {
    let merged = |field: &str| {
        format!(
            "(has(p.strategy.maxShare.{field}) ? p.strategy.maxShare.{field} : self.strategy.maxShare.{field})"
        )
    };
    let (market, instance_type, zone) = (merged("market"), merged("type"), merged("zone"));
    Rule::new(format!(
        "self.pools.all(p, !has(p.strategy) || !has(p.strategy.maxShare) || ({market} <= {instance_type} && {market} <= {zone}))"
    ))
    .message(
        "a pool's maxShare.market, with what it inherits, is above its maxShare.type or maxShare.zone: lower market, or raise the other in that pool",
    )
}

/// The pool's own family, or the ocean's.
const POOL_FAMILY: &str = "(has(p.template.image) && has(p.template.image.family) ? p.template.image.family : self.template.image.family)";

/// Each family reads its own form of user data.
pub(crate) fn pool_user_data_form() -> Rule {
    Rule::new(format!(
        "self.pools.all(p, !has(p.template) || !has(p.template.userData) || \
         (({POOL_FAMILY} != 'Bottlerocket' || !(p.template.userData.startsWith('#!') || p.template.userData.startsWith('MIME-Version'))) && \
         ({POOL_FAMILY} != 'AL2023' || !p.template.userData.startsWith('[settings'))))"
    ))
    .message(
        "a pool's userData is not of its image family: Bottlerocket reads TOML that starts with [settings…], AL2023 a NodeConfig, \
         a shell script or a MIME document",
    )
}

/// The ocean's user data reaches every pool, and is of one family's form.
pub(crate) fn user_data_across_families() -> Rule {
    Rule::new(format!(
        "!has(self.template.userData) || self.pools.all(p, !has(p.template) || {POOL_FAMILY} == self.template.image.family)"
    ))
    .message(
        "template.userData would reach a pool of another image family, which cannot read it: move it into the userData of the \
         pools of its family",
    )
}

/// nodeadm and Bottlerocket learn from the metadata service which instance they are.
pub(crate) fn pool_metadata_endpoint() -> Rule {
    Rule::new(format!(
        "self.pools.all(p, !has(p.template) || !has(p.template.metadata) || !has(p.template.metadata.httpEndpoint) || \
         p.template.metadata.httpEndpoint == 'enabled' || {POOL_FAMILY} == 'Custom')"
    ))
    .message("AL2023 and Bottlerocket need the metadata service to join: set metadata.httpEndpoint of the pool to enabled, or use a Custom image")
}

/// A duration between two others, in CEL. The form is looked at again because the pattern's own refusal is no
/// sentence, and `duration()` of another form is an evaluation error.
pub(crate) fn within(field: &str, least: &str, most: &str) -> Rule {
    Rule::new(format!(
        "!has(self.{field}) || (self.{field}.matches('^([0-9]+h)?([0-9]+m)?([0-9]+s)?$') && \
         duration(self.{field}) >= duration('{least}') && duration(self.{field}) <= duration('{most}'))"
    ))
    .message(
        format!("{field} is no duration from {least} to {most}: write one, such as 90s, 5m or 1h30m")
            .as_str(),
    )
}

/// IAM's two common mix-ups: the console shows ARNs, and the fields want names.
pub(crate) fn identity_names() -> Rule {
    Rule::new(
        "(!has(self.role) || !self.role.startsWith('arn:')) && (!has(self.instanceProfile) || !self.instanceProfile.startsWith('arn:'))",
    )
    .message("role and instanceProfile are names, and this one is an ARN: keep what follows its last slash")
}
