//! A cluster under construction: workloads as templates, before they become pods.

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::world::World;

/// Zones by price.
pub(crate) const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
/// The zone's node label.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
/// The host's node label.
pub(crate) const HOST: &str = "kubernetes.io/hostname";
/// Size in vCPUs, a label of ours.
pub(crate) const CPU: &str = "spotocean.dev/instance-cpu";
/// Family, a label of ours.
pub(crate) const FAMILY: &str = "spotocean.dev/instance-family";

/// Pods from one template.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Its name, which is its pods' label `app` too.
    pub(crate) name: &'static str,
    /// Its namespace.
    pub(crate) namespace: &'static str,
    /// Labels beside `app`, and the specification.
    pub(crate) labels: Value,
    /// The pods' specification.
    pub(crate) spec: Value,
    /// How many wait.
    pub(crate) waiting: usize,
}

/// A cluster under construction.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The source of chance.
    pub(crate) dice: Dice,
    /// What waits.
    pub(crate) workloads: Vec<Workload>,
    /// Everything else; `pending` is filled at the end.
    pub(crate) world: World,
    residents: usize,
}

impl Draft {
    /// A plain cluster: one or two pools, up to three nodes with some room, up to three workloads.
    pub(crate) fn new(seed: u64) -> Self {
        let mut draft = Self {
            dice: Dice::new(seed),
            workloads: Vec::new(),
            world: World {
                objects: vec![namespace("default", "home"), namespace("other", "away")],
                daemon_sets: Vec::new(),
                pending: Vec::new(),
                pools: vec![json!({"name": "main"})],
                attachment_slots: 27,
            },
            residents: 0,
        };
        for _ in 0..draft.dice.below(3) {
            let zone = draft.dice.below(ZONES.len());
            let cpu = draft.dice.between(1, 3) * 1000;
            draft.add_node(ZONES[zone], cpu);
        }
        let names = ["web", "db", "job", "api"];
        for name in &names[..draft.dice.between(2, 4)] {
            let cpu = *draft.dice.pick(&[200, 500, 900, 1500]);
            let memory = *draft.dice.pick(&[256, 700, 1500, 3000]);
            let waiting = draft.dice.between(1, 5);
            draft.workloads.push(Workload {
                name,
                namespace: "default",
                labels: json!({}),
                spec: json!({"containers": [container("main", cpu, memory)]}),
                waiting,
            });
        }
        draft
    }

    /// Any workload.
    pub(crate) fn any(&mut self) -> usize {
        self.dice.below(self.workloads.len())
    }

    /// A workload that nothing ties down yet, if there is one; it has at least `waiting` pods from now on.
    pub(crate) fn fresh(&mut self, waiting: usize) -> usize {
        let plain = |workload: &Workload| workload.spec.as_object().is_some_and(|spec| spec.len() == 1);
        let free: Vec<usize> = (0..self.workloads.len())
            .filter(|index| plain(&self.workloads[*index]))
            .collect();
        let chosen = if free.is_empty() {
            self.any()
        } else {
            *self.dice.pick(&free)
        };
        let workload = &mut self.workloads[chosen];
        workload.waiting = workload.waiting.max(waiting);
        chosen
    }

    /// Adds a node of somebody else's with so many milli-CPU; its index among the objects.
    pub(crate) fn add_node(&mut self, zone: &str, cpu: usize) -> usize {
        let number = self.world.of_kind("Node").count();
        let name = format!("old-{number}");
        let amounts = json!({"cpu": format!("{cpu}m"), "memory": format!("{}Mi", cpu * 4), "pods": "30",
            "ephemeral-storage": "40Gi"});
        self.world.objects.push(json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {HOST: name, ZONE: zone,
                "topology.ebs.csi.aws.com/zone": zone, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "m5.large", FAMILY: "m5", CPU: "2"}},
            "spec": {}, "status": {"allocatable": amounts, "capacity": amounts,
                "conditions": [{"type": "Ready", "status": "True"}]}}));
        self.world.objects.len() - 1
    }

    /// The name of the object at an index.
    pub(crate) fn name(&self, index: usize) -> String {
        let name = &self.world.objects[index]["metadata"]["name"];
        name.as_str().unwrap_or_default().to_owned()
    }

    /// Binds a pod with the workload's labels to a node; its index among the objects.
    pub(crate) fn add_resident(&mut self, workload: usize, node: &str, cpu: usize) -> usize {
        let workload = &self.workloads[workload];
        let mut labels = workload.labels.clone();
        labels["app"] = json!(workload.name);
        let metadata = json!({"name": format!("resident-{}", self.residents), "namespace": workload.namespace,
            "uid": format!("uid-resident-{}", self.residents), "labels": labels});
        self.residents += 1;
        self.world
            .objects
            .push(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"nodeName": node, "containers": [container("main", cpu, 64)]},
            "status": {"phase": "Running"}}));
        self.world.objects.len() - 1
    }

    /// The pool called `name`, made if it is not there.
    pub(crate) fn pool(&mut self, name: &str) -> &mut Value {
        let found = self.world.pools.iter().position(|pool| pool["name"] == name);
        let index = found.unwrap_or_else(|| {
            self.world.pools.push(json!({"name": name}));
            self.world.pools.len() - 1
        });
        &mut self.world.pools[index]
    }

    /// Adds to a list of the workload's specification.
    pub(crate) fn add(&mut self, workload: usize, path: &str, item: Value) {
        push(&mut self.workloads[workload].spec, path, item);
    }

    /// The cluster, its workloads as pods in a random order.
    pub(crate) fn finish(mut self) -> World {
        let mut pods = Vec::new();
        for workload in &self.workloads {
            for number in 0..workload.waiting {
                let name = format!("{}-{number}", workload.name);
                let mut labels = workload.labels.clone();
                labels["app"] = json!(workload.name);
                pods.push(json!({"apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": name, "namespace": workload.namespace, "labels": labels,
                        "uid": format!("uid-{}-{name}", workload.namespace)},
                    "spec": own_claims(&workload.spec, number)}));
            }
        }
        while !pods.is_empty() {
            let index = self.dice.below(pods.len());
            let pod = pods.swap_remove(index);
            self.world.pending.push(pod);
        }
        self.world
    }
}

/// A claim whose name ends in `-N` is one of the pod's own.
fn own_claims(spec: &Value, number: usize) -> Value {
    let mut spec = spec.clone();
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        let name = &mut volume["persistentVolumeClaim"]["claimName"];
        if let Some(shared) = name.as_str().and_then(|name| name.strip_suffix("-N")) {
            *name = json!(format!("{shared}-{number}"));
        }
    }
    spec
}

/// Adds to the list at `path` (keys joined by dots), making what is not there.
pub(crate) fn push(object: &mut Value, path: &str, item: Value) {
    let list = path.split('.').fold(object, |object, key| &mut object[key]);
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

/// A container that asks for so many milli-CPU and MiB.
pub(crate) fn container(name: &str, cpu: usize, memory: usize) -> Value {
    json!({"name": name, "image": "app", "resources": {"requests": {"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")}}})
}

fn namespace(name: &str, team: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": format!("uid-{name}"),
        "labels": {"team": team, "kubernetes.io/metadata.name": name}}})
}
