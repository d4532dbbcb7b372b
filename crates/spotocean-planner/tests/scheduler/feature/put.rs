//! Puts features into a cluster under construction, each so that it matters.

use serde_json::{Value, json};

use super::{APART, EBS, Feature, GPU, NODE_TERMS, RACK, SPREAD, TAINT, TIER, TOGETHER};
use crate::draft::{CPU, Draft, FAMILY, HOST, ZONE, ZONES, container, push};
use crate::volume::bound_volume;

fn term(key: &str, app: &str) -> Value {
    json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}})
}

fn spread(key: &str, app: &str) -> Value {
    json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}}})
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    match operator {
        "Exists" | "DoesNotExist" => json!({"key": key, "operator": operator}),
        _ => json!({"key": key, "operator": operator, "values": values}),
    }
}

impl Feature {
    /// Puts it into the cluster.
    pub(crate) fn apply(self, draft: &mut Draft) {
        match self {
            Self::ExtendedResource
            | Self::EphemeralStorage
            | Self::InitContainer
            | Self::Sidecar
            | Self::Overhead
            | Self::PodLevelRequests
            | Self::PodDensity => self.apply_requests(draft),
            Self::NodeSelector
            | Self::AffinityIn
            | Self::AffinityNotIn
            | Self::AffinityExists
            | Self::AffinityDoesNotExist
            | Self::AffinityGt
            | Self::AffinityLt
            | Self::AffinityFields
            | Self::AffinityAlternatives => self.apply_node_affinity(draft),
            Self::PoolTaint
            | Self::NodeTaint
            | Self::Toleration
            | Self::Cordon
            | Self::PoolRequirement
            | Self::PoolWeight
            | Self::Gate => self.apply_pools(draft),
            Self::ZoneSpread
            | Self::HostSpread
            | Self::LabelSpread
            | Self::MinDomains
            | Self::AffinityPolicy
            | Self::TaintsPolicy
            | Self::SpreadKeys
            | Self::SpreadOfOthers
            | Self::Ending => self.apply_spread(draft),
            Self::ZoneAffinity
            | Self::HostAffinity
            | Self::ZoneAntiAffinity
            | Self::HostAntiAffinity
            | Self::ResidentAntiAffinity
            | Self::Namespaces
            | Self::NamespaceSelector
            | Self::TermKeys
            | Self::TermMismatchKeys => self.apply_pod_affinity(draft),
            Self::HostPort | Self::HostIp | Self::DaemonSet | Self::DaemonSetSelector | Self::DaemonPort => {
                self.apply_daemons(draft);
            }
            Self::VolumeZone
            | Self::VolumeClass
            | Self::AttachLimit
            | Self::SharedVolume
            | Self::ExclusiveVolume => self.apply_volumes(draft),
        }
    }

    fn apply_requests(self, draft: &mut Draft) {
        let index = draft.fresh(2);
        let spec = &mut draft.workloads[index].spec;
        match self {
            Self::ExtendedResource => {
                spec["containers"][0]["resources"]["limits"] = json!({GPU: "1"});
                let requirement =
                    json!({"key": "spotocean.dev/instance-category", "operator": "In", "values": ["g"]});
                draft.pool("gpu")["requirements"] = json!([requirement]);
            }
            Self::EphemeralStorage => {
                spec["containers"][0]["resources"]["requests"]["ephemeral-storage"] = json!("10Gi");
            }
            Self::InitContainer => push(spec, "initContainers", container("init", 1700, 100)),
            Self::Sidecar => {
                let mut sidecar = container("sidecar", 900, 1000);
                sidecar["restartPolicy"] = json!("Always");
                push(spec, "initContainers", sidecar);
            }
            Self::Overhead => spec["overhead"] = json!({"cpu": "700m", "memory": "300Mi"}),
            Self::PodLevelRequests => {
                spec["resources"] = json!({"requests": {"cpu": "2600m", "memory": "4200Mi"}});
            }
            _ => {
                draft.pool("main")["template"] = json!({"kubelet": {"maxPods": 2}});
                for workload in &mut draft.workloads {
                    workload.waiting += 1;
                }
            }
        }
    }

    fn apply_node_affinity(self, draft: &mut Draft) {
        let index = draft.fresh(2);
        let needs_tier = matches!(self, Self::AffinityExists | Self::AffinityDoesNotExist);
        if needs_tier {
            let weight = if self == Self::AffinityDoesNotExist { 20 } else { 0 };
            let pool = draft.pool("gold");
            pool["labels"][TIER] = json!("gold");
            pool["weight"] = json!(weight);
        }
        if self == Self::AffinityFields {
            let zone = draft.dice.below(ZONES.len());
            let node = draft.add_node(ZONES[zone], 2000);
            let name = draft.world.objects[node]["metadata"]["name"].clone();
            let operator = *draft.dice.pick(&["In", "NotIn"]);
            let item =
                json!({"matchFields": [{"key": "metadata.name", "operator": operator, "values": [name]}]});
            draft.add(index, NODE_TERMS, item);
            return;
        }
        let zone = *draft.dice.pick(&ZONES[1..]);
        if self == Self::NodeSelector {
            let (key, value) = *draft.dice.pick(&[
                (ZONE, zone),
                (FAMILY, "r5"),
                (CPU, "4"),
                ("failure-domain.beta.kubernetes.io/zone", zone),
            ]);
            if key != "failure-domain.beta.kubernetes.io/zone" {
                draft.workloads[index].spec["nodeSelector"] = json!({key: value});
            } else {
                draft.workloads[index].spec["nodeSelector"] =
                    json!({ZONE: value, "kubernetes.io/arch": "amd64"});
            }
            return;
        }
        let terms = match self {
            Self::AffinityIn => vec![expression(FAMILY, "In", &["r5", "r6i"])],
            Self::AffinityNotIn => vec![expression(FAMILY, "NotIn", &["m5", "c5"])],
            Self::AffinityExists => vec![expression(TIER, "Exists", &[])],
            Self::AffinityDoesNotExist => vec![expression(TIER, "DoesNotExist", &[])],
            Self::AffinityGt => vec![expression(CPU, "Gt", &["4"])],
            Self::AffinityLt => vec![expression("spotocean.dev/instance-memory", "Lt", &["8000"])],
            _ => vec![
                expression(ZONE, "In", &[zone]),
                expression(
                    "node.kubernetes.io/instance-type",
                    "In",
                    &["r6i.xlarge", "r5.large"],
                ),
            ],
        };
        for one in terms {
            draft.add(index, NODE_TERMS, json!({"matchExpressions": [one]}));
        }
    }

    fn apply_pools(self, draft: &mut Draft) {
        let index = draft.any();
        match self {
            Self::PoolTaint => {
                let effect = *draft.dice.pick(&["NoSchedule", "NoExecute"]);
                let weight = draft.dice.between(0, 1) * 10;
                let pool = draft.pool("guarded");
                pool["taints"] = json!([{"key": TAINT, "value": "x", "effect": effect}]);
                pool["weight"] = json!(weight);
                draft.pool("main")["requirements"] =
                    json!([{"key": ZONE, "operator": "In", "values": [ZONES[2]]}]);
            }
            Self::NodeTaint => {
                let zone = draft.dice.below(ZONES.len());
                let node = draft.add_node(ZONES[zone], 2500);
                let effect = *draft.dice.pick(&["NoSchedule", "NoExecute"]);
                draft.world.objects[node]["spec"]["taints"] =
                    json!([{"key": TAINT, "value": "x", "effect": effect}]);
            }
            Self::Toleration => {
                for pool in &mut draft.world.pools {
                    pool["taints"] = json!([{"key": TAINT, "value": "x", "effect": "NoSchedule"}]);
                }
                for workload in &mut draft.workloads {
                    let toleration = match draft.dice.below(4) {
                        0 => json!({"key": TAINT, "operator": "Exists"}),
                        1 => json!({"key": TAINT, "value": "x", "effect": "NoSchedule"}),
                        2 => json!({"operator": "Exists"}),
                        _ => json!({"key": TAINT, "value": "y"}),
                    };
                    push(&mut workload.spec, "tolerations", toleration);
                }
            }
            Self::Cordon => {
                let zone = draft.dice.below(ZONES.len());
                let node = draft.add_node(ZONES[zone], 2500);
                draft.world.objects[node]["spec"]["unschedulable"] = json!(true);
                // The node controller's taint comes with the field.
                draft.world.objects[node]["spec"]["taints"] =
                    json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
            }
            Self::PoolRequirement => {
                let requirement = match draft.dice.below(3) {
                    0 => json!({"key": ZONE, "operator": "In", "values": [ZONES[1], ZONES[2]]}),
                    1 => json!({"key": CPU, "operator": "Gt", "values": ["2"]}),
                    _ => json!({"key": FAMILY, "operator": "NotIn", "values": ["m5"]}),
                };
                for pool in &mut draft.world.pools {
                    push(pool, "requirements", requirement.clone());
                }
            }
            Self::PoolWeight => {
                let pool = draft.pool("preferred");
                pool["weight"] = json!(100);
                pool["requirements"] = json!([{"key": FAMILY, "operator": "In", "values": ["r5"]}]);
            }
            _ => draft.workloads[index].spec["schedulingGates"] = json!([{"name": "example.com/wait"}]),
        }
    }

    fn apply_spread(self, draft: &mut Draft) {
        let index = draft.fresh(3);
        let app = draft.workloads[index].name;
        let mut constraint = spread(ZONE, app);
        match self {
            Self::ZoneSpread => {
                let skew = draft.dice.between(1, 2);
                constraint["maxSkew"] = json!(skew);
            }
            Self::HostSpread => constraint["topologyKey"] = json!(HOST),
            Self::LabelSpread => {
                constraint["topologyKey"] = json!(TIER);
                draft.pool("main")["labels"][TIER] = json!("plain");
                draft.pool("gold")["labels"][TIER] = json!("gold");
            }
            Self::MinDomains => {
                draft.workloads[index].waiting += 2;
                constraint["minDomains"] = json!(5);
            }
            Self::AffinityPolicy => {
                draft.add_node(ZONES[0], 100);
                constraint["nodeAffinityPolicy"] = json!("Ignore");
                draft.workloads[index].spec["nodeSelector"] = json!({ZONE: ZONES[1]});
            }
            Self::TaintsPolicy => {
                let node = draft.add_node(ZONES[0], 1000);
                let node = &mut draft.world.objects[node];
                node["metadata"]["labels"][RACK] = json!("old");
                node["spec"]["taints"] = json!([{"key": "example.com/other", "effect": "NoSchedule"}]);
                draft.pool("main")["labels"][RACK] = json!("new");
                constraint["topologyKey"] = json!(RACK);
                constraint["nodeTaintsPolicy"] = json!("Honor");
            }
            Self::SpreadKeys => {
                draft.workloads[index].labels = json!({"pod-template-hash": "old"});
                for zone in &ZONES[..draft.dice.between(1, 2)] {
                    let node = draft.add_node(zone, 200);
                    let name = draft.name(node);
                    draft.add_resident(index, &name, 10);
                    draft.add_resident(index, &name, 10);
                }
                draft.workloads[index].labels = json!({"pod-template-hash": "new"});
                constraint["matchLabelKeys"] = json!(["pod-template-hash"]);
            }
            Self::SpreadOfOthers => {
                constraint["labelSelector"] = json!({"matchLabels": {"app": "cache"}});
                let node = draft.add_node(ZONES[0], 200);
                let name = draft.name(node);
                for _ in 0..2 {
                    let pod = draft.add_resident(index, &name, 10);
                    draft.world.objects[pod]["metadata"]["labels"] = json!({"app": "cache"});
                }
            }
            _ => {
                let node = draft.add_node(ZONES[0], 300);
                let name = draft.name(node);
                for _ in 0..2 {
                    let pod = draft.add_resident(index, &name, 10);
                    let metadata = &mut draft.world.objects[pod]["metadata"];
                    metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                    metadata["finalizers"] = json!(["example.com/wait"]);
                }
            }
        }
        // The apiserver admits one constraint per key.
        let key = constraint["topologyKey"].clone();
        let others = &mut draft.workloads[index].spec[SPREAD];
        if let Some(others) = others.as_array_mut() {
            others.retain(|own| own["topologyKey"] != key);
        }
        draft.add(index, SPREAD, constraint);
    }

    fn apply_pod_affinity(self, draft: &mut Draft) {
        let index = draft.fresh(2);
        let app = draft.workloads[index].name;
        let zone = *draft.dice.pick(&ZONES[1..]);
        let resident_at = |draft: &mut Draft, workload: usize, zone: &str, cpu: usize| {
            let node = draft.add_node(zone, cpu);
            let name = draft.name(node);
            draft.add_resident(workload, &name, 10)
        };
        match self {
            Self::ZoneAffinity => {
                let other = draft.any();
                resident_at(draft, other, zone, 100);
                let other = draft.workloads[other].name;
                draft.add(index, TOGETHER, term(ZONE, other));
            }
            Self::HostAffinity => {
                draft.workloads[index].waiting += 1;
                draft.add(index, TOGETHER, term(HOST, app));
            }
            Self::ZoneAntiAffinity => {
                draft.workloads[index].waiting += 2;
                draft.add(index, APART, term(ZONE, app));
            }
            Self::HostAntiAffinity => {
                let other = if draft.dice.chance(80) { index } else { draft.any() };
                let other = draft.workloads[other].name;
                draft.add(index, APART, term(HOST, other));
            }
            Self::ResidentAntiAffinity => {
                let pod = resident_at(draft, index, ZONES[0], 3000);
                push(&mut draft.world.objects[pod]["spec"], APART, term(ZONE, app));
            }
            Self::Namespaces | Self::NamespaceSelector => {
                let pod = resident_at(draft, index, ZONES[0], 100);
                draft.world.objects[pod]["metadata"]["namespace"] = json!("other");
                let mut one = term(ZONE, app);
                if self == Self::Namespaces {
                    one["namespaces"] = json!(["other"]);
                } else {
                    one["namespaceSelector"] = json!({"matchLabels": {"team": "away"}});
                }
                let side = *draft.dice.pick(&[TOGETHER, APART]);
                draft.add(index, side, one);
            }
            _ => {
                draft.workloads[index].labels = json!({"pod-template-hash": "old"});
                resident_at(draft, index, ZONES[0], 100);
                draft.workloads[index].labels = json!({"pod-template-hash": "new"});
                let mut one = term(ZONE, app);
                if self == Self::TermKeys {
                    one["matchLabelKeys"] = json!(["pod-template-hash"]);
                    draft.add(index, APART, one);
                } else {
                    one["mismatchLabelKeys"] = json!(["pod-template-hash"]);
                    draft.add(index, APART, one);
                }
            }
        }
    }

    fn apply_daemons(self, draft: &mut Draft) {
        let port = |number: u16| json!([{"containerPort": number, "hostPort": number}]);
        match self {
            Self::HostPort => {
                let index = draft.fresh(3);
                draft.workloads[index].spec["containers"][0]["ports"] = port(8080);
            }
            Self::HostIp => {
                // Two workloads on one port of different addresses go together, and need not without them.
                for (index, workload) in draft.workloads.iter_mut().enumerate() {
                    workload.spec["containers"][0]["ports"] = port(9090);
                    workload.spec["containers"][0]["ports"][0]["hostIP"] = json!(format!("10.0.0.{index}"));
                }
            }
            _ => {
                let number = draft.world.daemon_sets.len();
                let name = format!("agent-{number}");
                let mut spec = json!({"containers": [container("agent", 300, 200)], "tolerations": [{"operator": "Exists"}]});
                if self == Self::DaemonSetSelector {
                    spec["containers"][0]["resources"]["requests"]["cpu"] = json!("1200m");
                    spec["nodeSelector"] = match draft.dice.below(3) {
                        0 => json!({ZONE: ZONES[0]}),
                        1 => json!({FAMILY: "m5"}),
                        _ => json!({CPU: "2"}),
                    };
                }
                if self == Self::DaemonPort {
                    spec["containers"][0]["ports"] = port(7070);
                    spec["nodeSelector"] = json!({CPU: "2"});
                    let index = draft.fresh(1);
                    draft.workloads[index].spec["containers"][0]["ports"] = port(7070);
                }
                draft
                    .world
                    .daemon_sets
                    .push(json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
                    "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
                    "spec": {"selector": {"matchLabels": {"app": name}},
                        "template": {"metadata": {"labels": {"app": name}}, "spec": spec}}}));
            }
        }
    }

    fn apply_volumes(self, draft: &mut Draft) {
        let index = draft.fresh(2);
        let app = draft.workloads[index].name;
        let disk = draft.world.of_kind("PersistentVolumeClaim").count();
        let name = format!("{app}-disk{disk}");
        let (own, zone, mode) = match self {
            Self::VolumeZone => (true, Some(*draft.dice.pick(&ZONES)), "ReadWriteOnce"),
            Self::VolumeClass => (true, None, "ReadWriteOnce"),
            Self::AttachLimit => (true, None, "ReadWriteOnce"),
            Self::SharedVolume => (false, None, "ReadWriteMany"),
            _ => (false, None, "ReadWriteOncePod"),
        };
        if matches!(self, Self::AttachLimit | Self::SharedVolume) {
            // Two volumes beside three interfaces and the root disk.
            draft.world.attachment_slots = 6;
            draft.workloads[index].waiting += 2;
            draft.workloads[index].spec["containers"] = json!([container("main", 100, 100)]);
            let zone = draft.dice.below(ZONES.len());
            let node = draft.add_node(ZONES[zone], 2000);
            let node = draft.world.objects[node]["metadata"]["name"].clone();
            draft.world.objects.push(json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": node},
                "spec": {"drivers": [{"name": EBS, "nodeID": node, "topologyKeys": [], "allocatable": {"count": 1}}]}}));
        }
        let class = if self == Self::VolumeClass {
            "zonal"
        } else {
            "anywhere"
        };
        add_class(draft, class);
        let copies = if own { draft.workloads[index].waiting } else { 1 };
        for number in 0..copies.max(8 * usize::from(own)) {
            let claim = if own {
                format!("{name}-{number}")
            } else {
                name.clone()
            };
            let zone = zone.filter(|_| self == Self::VolumeZone);
            add_claim(draft, &claim, class, mode, zone);
        }
        let claim = if own { format!("{name}-N") } else { name.clone() };
        draft.add(
            index,
            "volumes",
            json!({"name": format!("disk{disk}"), "persistentVolumeClaim": {"claimName": claim}}),
        );
        if self == Self::SharedVolume {
            add_claim(draft, &format!("{name}-more"), class, mode, None);
            draft.add(index, "volumes", json!({"name": format!("more{disk}"), "persistentVolumeClaim": {"claimName": format!("{name}-more")}}));
        }
    }
}

fn add_class(draft: &mut Draft, name: &str) {
    let is_there = draft
        .world
        .of_kind("StorageClass")
        .any(|class| class["metadata"]["name"] == name);
    if is_there {
        return;
    }
    let mut class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": EBS, "volumeBindingMode": "WaitForFirstConsumer"});
    if name == "zonal" {
        class["allowedTopologies"] = json!([{"matchLabelExpressions": [{"key": "topology.ebs.csi.aws.com/zone", "values": [ZONES[1], ZONES[2]]}]}]);
    }
    draft.world.objects.push(class);
}

/// A claim, bound to a volume in `zone` or to one that is anywhere; classes' claims wait for their pod.
fn add_claim(draft: &mut Draft, name: &str, class: &str, mode: &str, zone: Option<&str>) {
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
        "spec": {"storageClassName": class, "accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}});
    if class == "anywhere" {
        let volume = bound_volume(&mut claim, zone.map(Value::from).as_ref());
        draft.world.objects.push(volume);
    }
    draft.world.objects.push(claim);
}
