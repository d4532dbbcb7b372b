//! A cluster under the operator: it looks, plans, passes the guard and acts;
//! instances join as Nodes and become ready, each in its own time; between the
//! looks the real scheduler binds what it can.
//!
//! Every decision is the planner's own: `plan`, `guard`, `settle`. Played here
//! are the apiserver, EC2 (which takes the cheapest place of each launch and
//! always has room), kubelets, and the DaemonSet and volume controllers. What
//! the scheduler cannot bind loses its nomination, as with the scheduler
//! itself. Left out: what lies between a nomination and the end of its node's
//! taint, and nodes that are given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Value, json};
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_core::id::NodeName;
use spotocean_core::instance::{Instance, InstanceState};
use spotocean_core::label::{NOT_READY_TAINT, UNREGISTERED_TAINT};
use spotocean_core::launch::{FleetAnswer, FleetInstance};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_planner::command::{Command, NodePatch, Purchase};
use spotocean_planner::guard::guard;
use spotocean_planner::plan::plan;
use spotocean_planner::provisioning::in_flight::{market_of, pool_of};
use spotocean_planner::provisioning::provision;
use spotocean_planner::settlement::{request, settle};
use spotocean_planner::snapshot::{Memory, Snapshot};
use spotocean_planner::vocabulary;
use spotocean_solver::solution::Solution;

use crate::account;
use crate::dice::Dice;
use crate::draft::ZONE;
use crate::oracle::{Answer, Case};
use crate::purchase::{joined, taints_json};
use crate::volume::bind_claim;
use crate::world::{OnSale, World, key, kind};

/// The soonest that the operator looks again: its batch window.
const SOONEST: SignedDuration = SignedDuration::from_secs(5);
/// Seconds from a launch to the Node, as far apart as measured on EC2, and from there to Ready.
const JOINING: (usize, usize) = (22, 38);
const STARTING: (usize, usize) = (3, 10);
/// A cluster that has not come to rest by then does not.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What a cluster's first plan said, and what came of it; money in micro-dollars an hour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill {
    /// Pods that the plan buys for.
    pub(crate) pods: usize,
    /// Nodes of the plan.
    pub(crate) planned_nodes: usize,
    /// What they cost.
    pub(crate) planned: i64,
    /// What no plan for the same pods costs less than.
    pub(crate) bound: i64,
    /// Nodes bought until no pod waited.
    pub(crate) nodes: usize,
    /// What all of them cost.
    pub(crate) realised: i64,
    /// Planned pods still waiting at the end.
    pub(crate) left: Vec<String>,
}

/// What happens to an instance by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Its kubelet registers the Node.
    Joins,
    /// The Node becomes Ready.
    Starts,
}

/// One cluster.
pub(crate) struct Operated {
    /// Its name in questions.
    id: String,
    world: World,
    /// Whether nominations are written.
    nominates: bool,
    dice: Dice,
    now: Timestamp,
    next_look: Timestamp,
    on_sale: Option<OnSale>,
    ocean_nodes: Vec<Arc<OceanNode>>,
    launches: Vec<Arc<OceanLaunch>>,
    instances: Vec<Instance>,
    templates: BTreeMap<Arc<str>, Timestamp>,
    memory: Memory,
    /// What is still to happen, by OceanNode.
    to_come: BTreeSet<(Timestamp, Event, String)>,
    /// Whether the scheduler has seen everything.
    is_settled: bool,
    bill: Bill,
}

impl Operated {
    /// A cluster before the first look; `number` tells it from others, and says when its nodes join.
    pub(crate) fn new(number: u64, world: World, nominates: bool) -> Self {
        Self {
            id: number.to_string(),
            world,
            nominates,
            dice: Dice::new(number),
            now: account::now(),
            next_look: account::now(),
            on_sale: None,
            ocean_nodes: Vec::new(),
            launches: Vec::new(),
            instances: Vec::new(),
            templates: BTreeMap::new(),
            memory: Memory::default(),
            to_come: BTreeSet::new(),
            is_settled: false,
            bill: Bill::default(),
        }
    }

    /// What came of it.
    pub(crate) fn bill(&self) -> Bill {
        Bill {
            left: self.world.pending.iter().map(key).collect(),
            ..self.bill.clone()
        }
    }

    /// Whether no pod waits, or nothing comes of waiting.
    pub(crate) fn is_over(&self) -> bool {
        let is_first = self.on_sale.is_none();
        let is_late = self.now > account::now() + PATIENCE;
        !is_first && (self.world.pending.is_empty() || is_late)
    }

    /// The question to the scheduler, where something has changed for it.
    pub(crate) fn question(&self) -> Option<Case> {
        let nominated = |pod: &Value| {
            let node = pod["status"]["nominatedNodeName"].as_str()?;
            Some((key(pod), node.to_owned()))
        };
        (!self.is_settled).then(|| Case {
            id: self.id.clone(),
            objects: self.world.objects.clone(),
            pending: self.world.pending.clone(),
            nominate: self.world.pending.iter().filter_map(nominated).collect(),
            ..Case::default()
        })
    }

    /// What the scheduler has done.
    pub(crate) fn settle(&mut self, answer: &Answer) {
        assert_eq!(answer.error, "", "{}", self.id);
        assert!(answer.preempted.is_empty(), "{}: {answer:?}", self.id);
        for mut pod in std::mem::take(&mut self.world.pending) {
            if let Some(status) = pod["status"].as_object_mut() {
                status.remove("nominatedNodeName");
            }
            match answer.bound.get(&key(&pod)) {
                Some(node) => self.bind(pod, node),
                None => self.world.pending.push(pod),
            }
        }
        self.is_settled = true;
    }

    fn bind(&mut self, mut pod: Value, node: &str) {
        let zone = self.node_mut(node)["metadata"]["labels"][ZONE].clone();
        pod["spec"]["nodeName"] = json!(node);
        pod["status"] = json!({"phase": "Running"});
        // Admission plugin PodTopologyLabels.
        pod["metadata"]["labels"][ZONE] = zone.clone();
        for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            bind_claim(
                &mut self.world,
                &volume["persistentVolumeClaim"]["claimName"],
                &zone,
            );
        }
        self.world.objects.push(pod);
    }

    fn node_mut(&mut self, name: &str) -> &mut Value {
        let mut objects = self.world.objects.iter_mut();
        let node = objects.find(|one| kind(one) == "Node" && one["metadata"]["name"] == name);
        node.unwrap_or_else(|| panic!("there is no node {name}"))
    }

    /// The operator's next look, with everything that happens before it.
    pub(crate) fn look(&mut self) {
        let event = self.to_come.first().map(|(at, ..)| *at);
        let due = event.map_or(self.next_look, |event| event.min(self.next_look));
        if self.on_sale.is_some() {
            self.now = due.max(self.now + SOONEST);
        } else {
            self.begin();
        }
        while let Some((at, event, own)) = self.to_come.first().cloned() {
            if at > self.now {
                break;
            }
            self.to_come.pop_first();
            match event {
                Event::Joins => self.join(&own),
                Event::Starts => self.start(&own),
            }
        }
        let snapshot = self.snapshot();
        let approved = guard(&snapshot, plan(&snapshot)).plan;
        assert!(approved.stripped.is_empty(), "{:?}", approved.stripped);
        self.memory = approved.memory;
        self.next_look = approved.next_look;
        for planned in approved.commands {
            self.carry_out(planned.command);
        }
    }

    /// The plan to be judged by. Pods that it has no node for leave: they are another suite's matter.
    fn begin(&mut self) {
        let snapshot = self.snapshot();
        self.on_sale = Some(OnSale::of(&snapshot));
        let Solution {
            existing, new_nodes, ..
        } = provision(&snapshot).solution;
        let bought = new_nodes.iter().flat_map(|node| &node.pods);
        let planned: BTreeSet<String> = bought
            .chain(existing.values().flatten())
            .map(ToString::to_string)
            .collect();
        self.world.pending.retain(|pod| planned.contains(&key(pod)));
        let solution = provision(&self.snapshot()).solution;
        self.bill = Bill {
            pods: solution.new_nodes.iter().map(|node| node.pods.len()).sum(),
            planned_nodes: solution.new_nodes.len(),
            planned: solution.cost().micro_usd(),
            bound: solution.lower_bound.map_or(0, PricePerHour::micro_usd),
            ..Bill::default()
        };
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.world.snapshot();
        snapshot.now = self.now;
        for source in [
            &mut snapshot.sources.kubernetes,
            &mut snapshot.sources.instances,
            &mut snapshot.sources.catalogue,
            &mut snapshot.sources.prices,
        ] {
            source.as_of = Some(self.now);
        }
        snapshot.ocean_nodes.clone_from(&self.ocean_nodes);
        snapshot.launches.clone_from(&self.launches);
        snapshot.instances = Arc::new(self.instances.clone());
        snapshot.launch_templates = Arc::new(self.templates.clone());
        snapshot.memory = self.memory.clone();
        snapshot
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Purchase(purchase) => self.buy(*purchase),
            Command::SetOceanNodeStatus { uid, status, .. } => {
                let mut nodes = self.ocean_nodes.iter_mut();
                let own = nodes.find(|own| own.metadata.uid.as_deref() == Some(uid.as_str()));
                Arc::make_mut(own.expect("the OceanNode is there")).status = Some(*status);
            }
            Command::SetLaunchStatus { uid, status, .. } => {
                let mut launches = self.launches.iter_mut();
                let launch = launches.find(|own| own.metadata.uid.as_deref() == Some(uid.as_str()));
                Arc::make_mut(launch.expect("the launch is there")).status = Some(*status);
            }
            Command::PatchNode(patch) => self.patch(&patch),
            Command::NominatePod { pod, node, .. } => self.nominate(&pod.to_string(), &node),
            Command::Terminate { .. } | Command::DeleteOceanNode { .. } | Command::DeleteNode { .. } => {}
            other => panic!("{}: {} is not expected", self.id, other.kind()),
        }
    }

    /// Writes the intent, asks EC2, and puts its answer on record.
    fn buy(&mut self, purchase: Purchase) {
        let written = |metadata: &mut ObjectMeta, at: Timestamp| {
            metadata.uid = metadata.name.clone();
            metadata.creation_timestamp = Some(Time(at));
        };
        let mut launch = purchase.launch;
        written(&mut launch.metadata, self.now);
        let mut members = Vec::new();
        for mut own in purchase.nodes {
            written(&mut own.metadata, self.now);
            members.push(Arc::new(own));
        }
        for template in purchase.templates {
            self.templates.entry(template.name).or_insert(self.now);
        }
        let answer = self.create_fleet(&launch);
        self.launches.push(Arc::new(launch.clone()));
        self.ocean_nodes.extend(members.iter().cloned());
        for command in settle(&launch, &members, &Ok(answer), self.now) {
            self.carry_out(command);
        }
        for own in &members {
            let name = own.metadata.name.clone().unwrap_or_default();
            let boot = self.dice.between(JOINING.0, JOINING.1);
            let joins = self.now + SignedDuration::from_secs(i64::try_from(boot).unwrap_or(0));
            self.to_come.insert((joins, Event::Joins, name));
        }
    }

    fn create_fleet(&mut self, launch: &OceanLaunch) -> FleetAnswer {
        let request = request(launch);
        let catalogue = self.world.snapshot().catalogue;
        let places = request.configs.iter().flat_map(|config| &config.overrides);
        let priced = places.filter_map(|place| {
            let market = Market {
                instance_type: place.instance_type.clone(),
                zone: place.zone.clone(),
            };
            Some((catalogue.price(&market, request.capacity_type)?, market))
        });
        let (price, market) = priced.min().expect("a launch offers EC2 a place");
        let mut answer = FleetAnswer::default();
        for _ in 0..request.target_capacity {
            let id = format!("i-{:08x}", self.instances.len());
            self.bill.nodes += 1;
            self.bill.realised += price.micro_usd();
            self.instances.push(Instance {
                id: id.as_str().into(),
                instance_type: market.instance_type.clone(),
                zone: market.zone.clone(),
                capacity_type: request.capacity_type,
                state: InstanceState::Running,
                state_reason: "".into(),
                image: "ami-x86".into(),
                launched_at: self.now,
                private_dns_name: id.as_str().into(),
                tags: request.tags.clone(),
            });
            answer.instances.push(FleetInstance {
                id: id.as_str().into(),
                instance_type: market.instance_type.clone(),
                zone: market.zone.clone(),
                capacity_type: request.capacity_type,
            });
        }
        answer
    }

    fn own(&self, name: &str) -> Arc<OceanNode> {
        let mut nodes = self.ocean_nodes.iter();
        let own = nodes.find(|own| own.metadata.name.as_deref() == Some(name));
        own.expect("the OceanNode is there").clone()
    }

    /// The Node as its kubelet registers it, with the pods of DaemonSets; both keep others out.
    fn join(&mut self, name: &str) {
        let own = self.own(name);
        let market = market_of(&own).expect("its instance is known");
        let offer = (
            pool_of(&own),
            vocabulary::capacity_type(own.spec.capacity_type),
            market,
        );
        let on_sale = self.on_sale.as_ref().expect("the first look is over");
        let [mut node, drivers] = joined(&on_sale.offers[&offer], &[], name);
        let provider_id = own.status.as_ref().and_then(|status| status.provider_id.clone());
        node["metadata"]["uid"] = json!(format!("uid-{name}"));
        node["metadata"]["resourceVersion"] = json!("1");
        node["metadata"]["creationTimestamp"] = json!(self.now);
        node["spec"]["providerID"] = json!(provider_id);
        let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
        node["spec"]["taints"] = json!([taint(UNREGISTERED_TAINT), taint(NOT_READY_TAINT)]);
        node["status"]["conditions"][0]["status"] = json!("False");
        let daemons = self.daemons(&node, name);
        self.world.objects.extend([node, drivers]);
        self.world.objects.extend(daemons);
        let pause = self.dice.between(STARTING.0, STARTING.1);
        let starts = self.now + SignedDuration::from_secs(i64::try_from(pause).unwrap_or(0));
        self.to_come.insert((starts, Event::Starts, name.to_owned()));
    }

    /// The generator's DaemonSets tolerate everything; some select nodes by label.
    fn daemons(&self, node: &Value, name: &str) -> Vec<Value> {
        let labels = &node["metadata"]["labels"];
        let runs = |set: &&Value| {
            let selector = set["spec"]["template"]["spec"]["nodeSelector"].as_object();
            let mut wanted = selector.into_iter().flatten();
            wanted.all(|(key, value)| labels[key] == *value)
        };
        let pod = |set: &Value| {
            let metadata = &set["metadata"];
            let template = &set["spec"]["template"];
            let pod_name = format!("{}-{name}", metadata["name"].as_str().unwrap_or_default());
            let owner = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "controller": true,
                "name": metadata["name"], "uid": metadata["uid"]});
            let mut spec = template["spec"].clone();
            spec["nodeName"] = json!(name);
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod_name, "uid": format!("uid-{pod_name}"),
                "namespace": metadata["namespace"], "labels": template["metadata"]["labels"], "ownerReferences": [owner]},
                "spec": spec, "status": {"phase": "Running"}})
        };
        self.world.daemon_sets.iter().filter(runs).map(pod).collect()
    }

    fn start(&mut self, name: &str) {
        let node = self.node_mut(name);
        node["status"]["conditions"][0]["status"] = json!("True");
        if let Some(taints) = node["spec"]["taints"].as_array_mut() {
            taints.retain(|taint| taint["key"] != NOT_READY_TAINT);
        }
        self.is_settled = false;
    }

    fn patch(&mut self, patch: &NodePatch) {
        for nominee in &patch.nominees {
            self.nominate(&nominee.pod.to_string(), &patch.name);
        }
        let node = self.node_mut(patch.name.as_str());
        for (key, value) in &patch.labels {
            node["metadata"]["labels"][key.as_ref()] = json!(value);
        }
        if let Some(taints) = &patch.taints {
            node["spec"]["taints"] = taints_json(taints);
        }
        self.is_settled = false;
    }

    fn nominate(&mut self, pod: &str, node: &NodeName) {
        let mut pods = self.world.pending.iter_mut();
        let nominee = pods.find(|own| key(own) == pod);
        if let Some(nominee) = nominee.filter(|_| self.nominates) {
            nominee["status"]["nominatedNodeName"] = json!(node);
            self.is_settled = false;
        }
    }
}
