//! Says whether a solution is one that kube-scheduler would carry out.
//!
//! Shares nothing with the solver. It builds the cluster the plan describes (each
//! new node as one of its candidates), then asks kube-scheduler's filters
//! pod by pod, in the plainest way: (1) some order of binding gets every planned
//! pod to its node, (2) each pod would also be admitted if it came last.

use std::collections::{BTreeMap, BTreeSet};

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{Namespace, ObjectKey};
use spotocean_core::label;
use spotocean_core::pod::{DaemonSet, NodeTerm, Pod, PodShape};
use spotocean_core::requirement::Labels;
use spotocean_core::resources::Resources;
use spotocean_core::taint;
use spotocean_core::topology::{NodeInclusion, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use spotocean_solver::problem::{
    BuyablePool, NodeRef, Offer, PendingPod, PlacementNode, Problem, VolumeDemand,
};
use spotocean_solver::solution::{NewNode, Solution};

/// A pod as other pods see it.
#[derive(Clone)]
struct Resident<'a> {
    namespace: &'a Namespace,
    labels: &'a Labels,
    shape: &'a PodShape,
    volumes: &'a [VolumeDemand],
    is_ending: bool,
}

#[derive(Clone)]
struct Machine<'a> {
    name: String,
    labels: Labels,
    taints: &'a [taint::Taint],
    free: Resources,
    residents: Vec<Resident<'a>>,
    attached: BTreeMap<&'a str, BTreeSet<&'a str>>,
    attach_limits: BTreeMap<&'a str, i64>,
    accepts_pods: bool,
    is_on_its_way: bool,
}

struct Cluster<'a> {
    problem: &'a Problem,
    machines: Vec<Machine<'a>>,
}

/// Every fault found; empty means the solution is sound.
pub(crate) fn faults(problem: &Problem, solution: &Solution) -> Vec<String> {
    let mut faults = roll_call(problem, solution);
    for node in &solution.new_nodes {
        faults.extend(purchase_faults(problem, node));
    }
    faults.extend(limit_faults(problem, solution));
    // EC2 chooses among candidates: the best, the worst and mixed picks must all do.
    let picks: [fn(usize, usize) -> usize; 3] =
        [|_, _| 0, |_, count| count - 1, |index, count| index % count];
    for pick in picks {
        faults.extend(binding_faults(problem, solution, pick));
    }
    faults
}

fn roll_call(problem: &Problem, solution: &Solution) -> Vec<String> {
    let placed = solution.existing.values().flatten();
    let bought = solution.new_nodes.iter().flat_map(|node| &node.pods);
    let left = solution.unplaced.iter().map(|unplaced| &unplaced.pod);
    let mut told: Vec<&ObjectKey> = placed.chain(bought).chain(left).collect();
    let mut asked: Vec<&ObjectKey> = problem.pods.iter().map(|pending| &pending.pod.key).collect();
    told.sort();
    asked.sort();
    let mut faults = Vec::new();
    if told != asked {
        faults.push(format!("told about {told:?}, asked about {asked:?}"));
    }
    for unplaced in &solution.unplaced {
        if unplaced.reasons.len() != problem.pools.len() {
            faults.push(format!("{} lacks a reason for some pool", unplaced.pod));
        }
    }
    faults
}

fn pool_of<'a>(problem: &'a Problem, node: &NewNode) -> &'a BuyablePool {
    problem
        .pools
        .iter()
        .find(|pool| pool.key == node.pool)
        .expect("a pool that exists")
}

fn offers_of<'a>(problem: &'a Problem, node: &NewNode) -> Vec<Option<&'a Offer>> {
    let pool = pool_of(problem, node);
    let find = |market| {
        pool.offers
            .iter()
            .find(|offer| offer.market() == market && offer.offering.capacity_type == node.capacity_type)
    };
    node.candidates.iter().map(find).collect()
}

fn purchase_faults(problem: &Problem, node: &NewNode) -> Vec<String> {
    let pool = pool_of(problem, node);
    let offers = offers_of(problem, node);
    let mut faults = Vec::new();
    if pool.closed.is_some() {
        faults.push(format!("{} is closed", pool.key));
    }
    if offers.is_empty() || offers.len() > 100 || offers.iter().any(Option::is_none) || node.pods.is_empty() {
        faults.push(format!("candidates or pods are wrong: {node:?}"));
        return faults;
    }
    let offers: Vec<&Offer> = offers.into_iter().flatten().collect();
    let prices: Vec<_> = offers.iter().map(|offer| offer.offering.price).collect();
    let costs = offers.iter().map(|offer| offer.offering.price + offer.risk);
    if prices[0] != node.price || !costs.is_sorted() {
        faults.push(format!("prices are wrong: {prices:?} for {}", node.price));
    }
    let distinct: BTreeSet<_> = node.candidates.iter().collect();
    if distinct.len() != node.candidates.len() {
        faults.push(format!("a candidate twice: {:?}", node.candidates));
    }
    for each in &pool.requirements {
        let key = &each.requirement.key;
        let values: BTreeSet<_> = offers.iter().filter_map(|offer| offer.labels.get(key)).collect();
        if values.len() < each.min_values.unwrap_or(0) {
            faults.push(format!("minValues of {key} not kept: {values:?}"));
        }
    }
    for pod in &node.pods {
        if !pending(problem, pod).served_by.contains(&node.pool) {
            faults.push(format!("{pod} is not served by {}", node.pool));
        }
    }
    faults
}

fn limit_faults(problem: &Problem, solution: &Solution) -> Vec<String> {
    let mut faults = Vec::new();
    for pool in &problem.pools {
        let nodes: Vec<_> = solution
            .new_nodes
            .iter()
            .filter(|node| node.pool == pool.key)
            .collect();
        let worst = |measure: &dyn Fn(&Offer) -> i64| -> i64 {
            let each = |node: &&NewNode| offers_of(problem, node).into_iter().flatten().map(measure).max();
            nodes.iter().filter_map(each).sum()
        };
        for (name, left) in &pool.limits.resources {
            let taken = worst(&|offer| offer.capacity.amount(name));
            if taken > (*left).max(0) {
                faults.push(format!("{} takes {taken} {name} of {left}", pool.key));
            }
        }
        if pool
            .limits
            .nodes
            .is_some_and(|left| nodes.len() as i64 > left.max(0))
        {
            faults.push(format!("{} buys too many nodes", pool.key));
        }
        let cost = worst(&|offer| offer.offering.price.micro_usd());
        let over = |left: spotocean_core::money::PricePerHour| cost > left.micro_usd().max(0);
        if pool.limits.hourly_cost.is_some_and(over) {
            faults.push(format!("{} costs {cost}", pool.key));
        }
    }
    faults
}

fn pending<'a>(problem: &'a Problem, key: &ObjectKey) -> &'a PendingPod {
    problem
        .pods
        .iter()
        .find(|pending| &pending.pod.key == key)
        .expect("a pod that was asked about")
}

fn resident_of(pod: &Pod) -> Resident<'_> {
    Resident {
        namespace: pod.namespace(),
        labels: &pod.labels,
        shape: &pod.shape,
        volumes: &[],
        is_ending: pod.deleted_at.is_some(),
    }
}

fn newcomer(pending: &PendingPod) -> Resident<'_> {
    Resident {
        volumes: &pending.volumes,
        ..resident_of(&pending.pod)
    }
}

fn binding_faults(problem: &Problem, solution: &Solution, pick: fn(usize, usize) -> usize) -> Vec<String> {
    let mut cluster = existing(problem);
    let mut planned: Vec<(&PendingPod, usize)> = Vec::new();
    for (node, pods) in &solution.existing {
        let machine = problem
            .nodes
            .iter()
            .position(|known| &known.name == node)
            .expect("a node that exists");
        planned.extend(pods.iter().map(|pod| (pending(problem, pod), machine)));
    }
    for (index, node) in solution.new_nodes.iter().enumerate() {
        let offers = offers_of(problem, node);
        let Some(Some(offer)) = offers.get(pick(index, offers.len())) else {
            continue;
        };
        let machine = bought(problem, pool_of(problem, node), offer, index);
        planned.extend(
            node.pods
                .iter()
                .map(|pod| (pending(problem, pod), cluster.machines.len())),
        );
        cluster.machines.push(machine);
    }
    let mut faults = bind_all(&mut cluster, &planned);
    for (pod, machine) in &planned {
        let mut without = Cluster {
            problem,
            machines: cluster.machines.clone(),
        };
        unbind(&mut without.machines[*machine], &newcomer(pod));
        if let Err(why) = filter(&without, &newcomer(pod), *machine) {
            faults.push(format!("{} as the last: {why}", pod.pod.key));
        }
    }
    faults
}

fn bind_all<'a>(cluster: &mut Cluster<'a>, planned: &[(&'a PendingPod, usize)]) -> Vec<String> {
    let mut left: Vec<&(&PendingPod, usize)> = planned.iter().collect();
    loop {
        let mut still: Vec<&(&PendingPod, usize)> = Vec::new();
        let mut why = Vec::new();
        for each in &left {
            let pod = newcomer(each.0);
            match filter(cluster, &pod, each.1) {
                Ok(()) => bind(&mut cluster.machines[each.1], pod),
                Err(reason) => {
                    why.push(format!("{}: {reason}", each.0.pod.key));
                    still.push(each);
                }
            }
        }
        if still.is_empty() {
            return Vec::new();
        }
        if still.len() == left.len() {
            return why;
        }
        left = still;
    }
}

fn existing(problem: &Problem) -> Cluster<'_> {
    Cluster {
        problem,
        machines: problem.nodes.iter().map(existing_machine).collect(),
    }
}

fn existing_machine(node: &PlacementNode) -> Machine<'_> {
    let mut labels = (*node.labels).clone();
    let (name, is_on_its_way) = match &node.name {
        NodeRef::Node(name) => (name.to_string(), false),
        NodeRef::OnItsWay(name) => {
            labels.insert(label::HOSTNAME.into(), format!("on-its-way-{name}").into());
            (name.to_string(), true)
        }
    };
    let mut machine = Machine {
        name,
        labels,
        taints: &node.taints,
        free: node.allocatable.minus(&node.reserved),
        residents: vec![],
        attached: node
            .attached
            .iter()
            .map(|(driver, volumes)| (&**driver, volumes.iter().map(|volume| &**volume).collect()))
            .collect(),
        attach_limits: node
            .attach_limits
            .iter()
            .map(|(driver, limit)| (&**driver, *limit))
            .collect(),
        accepts_pods: node.accepts_pods,
        is_on_its_way,
    };
    for pod in node.pods.iter().filter(|pod| pod.holds_resources()) {
        bind(&mut machine, resident_of(pod));
    }
    machine
}

fn bought<'a>(problem: &'a Problem, pool: &'a BuyablePool, offer: &'a Offer, index: usize) -> Machine<'a> {
    let mut labels = (*offer.labels).clone();
    labels.insert(label::HOSTNAME.into(), format!("new-{index}").into());
    let mut machine = Machine {
        name: format!("new-{index} ({})", offer.market()),
        labels,
        taints: &pool.taints,
        free: offer.allocatable.clone(),
        residents: vec![],
        attached: BTreeMap::new(),
        attach_limits: offer
            .attach_limits
            .iter()
            .map(|(driver, limit)| (&**driver, *limit))
            .collect(),
        accepts_pods: true,
        is_on_its_way: false,
    };
    for daemon in &problem.daemon_sets {
        if selects(&daemon.shape, &machine) && tolerates(&daemon.shape, &machine) {
            bind(&mut machine, daemon_pod(daemon));
        }
    }
    machine
}

fn daemon_pod(daemon: &DaemonSet) -> Resident<'_> {
    Resident {
        namespace: &daemon.key.namespace,
        labels: &daemon.labels,
        shape: &daemon.shape,
        volumes: &[],
        is_ending: false,
    }
}

fn bind<'a>(machine: &mut Machine<'a>, pod: Resident<'a>) {
    machine.free = machine.free.minus(&pod.shape.requests);
    for demand in pod.volumes {
        if let Some(driver) = &demand.driver {
            machine.attached.entry(driver).or_default().insert(&demand.volume);
        }
    }
    machine.residents.push(pod);
}

/// Takes a pod off again; one that was never bound is told of elsewhere.
fn unbind<'a>(machine: &mut Machine<'a>, pod: &Resident<'a>) {
    let same = |other: &Resident<'_>| {
        std::ptr::eq(other.labels, pod.labels)
            && std::ptr::eq(other.shape, pod.shape)
            && other.volumes == pod.volumes
    };
    let Some(at) = machine.residents.iter().position(same) else {
        return;
    };
    let gone = machine.residents.remove(at);
    machine.free = machine.free.plus(&gone.shape.requests);
    for demand in pod.volumes {
        let is_used = machine
            .residents
            .iter()
            .flat_map(|other| other.volumes)
            .any(|other| other.volume == demand.volume);
        if let (Some(driver), false) = (&demand.driver, is_used) {
            machine
                .attached
                .entry(driver)
                .or_default()
                .remove(&*demand.volume);
        }
    }
}

/// kube-scheduler's filters for one pod on one node.
fn filter(cluster: &Cluster<'_>, pod: &Resident<'_>, at: usize) -> Result<(), String> {
    let machine = &cluster.machines[at];
    let checks: [(&str, bool); 10] = [
        ("does not accept pods", machine.accepts_pods),
        ("node affinity", selects(pod.shape, machine)),
        ("taints", tolerates(pod.shape, machine)),
        ("resources", pod.shape.requests.fits(&machine.free)),
        ("host ports", ports_are_free(pod, machine)),
        ("volume topology", volumes_reach(pod, machine)),
        ("attach limit", volumes_attach(pod, machine)),
        ("topology spread", spreads_hold(cluster, pod, machine)),
        ("pod affinity", affinity_holds(cluster, pod, machine)),
        ("pod anti-affinity", anti_affinity_holds(cluster, pod, machine)),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((what, _)) => Err(format!("{what} on {}", machine.name)),
    }
}

fn term_holds(term: &NodeTerm, machine: &Machine<'_>) -> bool {
    let known = |key: &str| machine.labels.contains_key(key) || !machine.is_on_its_way;
    let name = (!machine.is_on_its_way).then_some(machine.name.as_str());
    !(term.expressions.is_empty() && term.fields.is_empty())
        && term
            .expressions
            .iter()
            .all(|each| known(&each.key) && each.matches(&machine.labels))
        && term.fields.iter().all(|each| each.matches_value(name))
}

fn selects(shape: &PodShape, machine: &Machine<'_>) -> bool {
    let known = |key: &str| machine.labels.contains_key(key) || !machine.is_on_its_way;
    shape
        .node_selector
        .iter()
        .all(|each| known(&each.key) && each.matches(&machine.labels))
        && shape
            .node_terms
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|term| term_holds(term, machine)))
}

fn tolerates(shape: &PodShape, machine: &Machine<'_>) -> bool {
    machine.taints.iter().all(|taint| {
        !taint.is_hard()
            || shape
                .tolerations
                .iter()
                .any(|toleration| toleration.tolerates(taint))
    })
}

fn ports_are_free(pod: &Resident<'_>, machine: &Machine<'_>) -> bool {
    let mut bound = machine.residents.iter().flat_map(|other| &other.shape.host_ports);
    !bound.any(|other| pod.shape.host_ports.iter().any(|port| port.conflicts(other)))
}

fn volumes_reach(pod: &Resident<'_>, machine: &Machine<'_>) -> bool {
    pod.volumes.iter().all(|demand| {
        demand
            .terms
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|term| term_holds(term, machine)))
    })
}

fn volumes_attach(pod: &Resident<'_>, machine: &Machine<'_>) -> bool {
    machine.attach_limits.iter().all(|(driver, limit)| {
        let mut volumes: BTreeSet<&str> = machine.attached.get(driver).cloned().unwrap_or_default();
        let before = volumes.len();
        let own = pod
            .volumes
            .iter()
            .filter(|demand| demand.driver.as_deref() == Some(driver));
        volumes.extend(own.map(|demand| &*demand.volume));
        volumes.len() == before || volumes.len() as i64 <= *limit
    })
}

fn hard(shape: &PodShape) -> impl Iterator<Item = &TopologySpread> {
    shape
        .spread
        .iter()
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
}

fn spreads_hold(cluster: &Cluster<'_>, pod: &Resident<'_>, machine: &Machine<'_>) -> bool {
    hard(pod.shape).all(|spread| {
        let selected = |labels: &Labels| {
            spread
                .selector
                .as_ref()
                .is_some_and(|selector| selector.matches(labels))
        };
        let counts = counts(cluster, pod, spread);
        let Some(domain) = machine.labels.get(&spread.topology_key) else {
            return false;
        };
        let here = counts.get(&**domain).copied().unwrap_or(0);
        let enough_domains = counts.len() as i64 >= spread.min_domains.unwrap_or(1);
        let emptiest = if enough_domains {
            counts.values().min().copied().unwrap_or(0)
        } else {
            0
        };
        here + i64::from(selected(pod.labels)) - emptiest <= spread.max_skew
    })
}

fn counts<'a>(
    cluster: &'a Cluster<'_>,
    pod: &Resident<'_>,
    spread: &TopologySpread,
) -> BTreeMap<&'a str, i64> {
    let mut counts = BTreeMap::new();
    for machine in &cluster.machines {
        let has_all_keys = hard(pod.shape).all(|each| machine.labels.contains_key(&each.topology_key));
        let by_affinity = spread.node_affinity_policy == NodeInclusion::Ignore || selects(pod.shape, machine);
        let by_taints = spread.node_taints_policy == NodeInclusion::Ignore || tolerates(pod.shape, machine);
        if !(has_all_keys && by_affinity && by_taints) {
            continue;
        }
        let counted = machine.residents.iter().filter(|other| {
            !other.is_ending
                && other.namespace == pod.namespace
                && spread
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(other.labels))
        });
        *counts.entry(&*machine.labels[&spread.topology_key]).or_insert(0) += counted.count() as i64;
    }
    counts
}

fn means(cluster: &Cluster<'_>, term: &PodAffinityTerm, other: &Resident<'_>) -> bool {
    let none = Labels::new();
    let by_label = term.namespace_selector.as_ref().is_some_and(|selector| {
        let labels = cluster.problem.namespaces.get(other.namespace);
        selector.matches(labels.map_or(&none, |labels| labels))
    });
    let selected = term
        .selector
        .as_ref()
        .is_some_and(|selector| selector.matches(other.labels));
    selected && (by_label || term.namespaces.contains(other.namespace))
}

fn affinity_holds(cluster: &Cluster<'_>, pod: &Resident<'_>, machine: &Machine<'_>) -> bool {
    let terms = &pod.shape.affinity;
    let means_all = |other: &Resident<'_>| terms.iter().all(|term| means(cluster, term, other));
    let mates: Vec<&Machine<'_>> = cluster
        .machines
        .iter()
        .filter(|other| other.residents.iter().any(means_all))
        .collect();
    let has_keys = terms
        .iter()
        .all(|term| machine.labels.contains_key(&term.topology_key));
    let shares = |term: &PodAffinityTerm, other: &Machine<'_>| {
        let key = &term.topology_key;
        other.labels.contains_key(key) && other.labels.get(key) == machine.labels.get(key)
    };
    let met = terms
        .iter()
        .all(|term| mates.iter().any(|other| shares(term, other)));
    let is_anywhere = mates.iter().any(|other| {
        terms
            .iter()
            .any(|term| other.labels.contains_key(&term.topology_key))
    });
    has_keys && (met || (!is_anywhere && means_all(pod)))
}

fn anti_affinity_holds(cluster: &Cluster<'_>, pod: &Resident<'_>, machine: &Machine<'_>) -> bool {
    cluster.machines.iter().all(|other| {
        let shares = |term: &PodAffinityTerm| {
            let key = &term.topology_key;
            machine.labels.contains_key(key) && machine.labels.get(key) == other.labels.get(key)
        };
        other.residents.iter().all(|resident| {
            let mut own = pod.shape.anti_affinity.iter();
            let mut theirs = resident.shape.anti_affinity.iter();
            !own.any(|term| shares(term) && means(cluster, term, resident))
                && !theirs.any(|term| shares(term) && means(cluster, term, pod))
        })
    })
}

/// What is wrong with a solution's certificate; empty means that its bound is proved.
///
/// Every offer that counts for some pods is filled in all possible ways, and none
/// may be worth more than it costs. For small problems only.
pub(crate) fn certificate_faults(problem: &Problem, solution: &Solution) -> Vec<String> {
    let [certificate] = &solution.certificates[..] else {
        return vec!["no certificate, or several".to_owned()];
    };
    let mut faults = Vec::new();
    if Some(certificate.lower_bound) != solution.lower_bound || certificate.lower_bound > solution.cost() {
        faults.push(format!(
            "the bound {} is not the certificate's, or above the cost {}",
            certificate.lower_bound,
            solution.cost()
        ));
    }
    let left: BTreeSet<&ObjectKey> = solution.unplaced.iter().map(|unplaced| &unplaced.pod).collect();
    let mut seen = BTreeSet::new();
    for pod in certificate.classes.iter().flat_map(|class| &class.pods) {
        if !seen.insert(pod) || left.contains(pod) {
            faults.push(format!("{pod} is valued twice, or left over"));
        }
    }
    let scale = i128::from(certificate.scale);
    let values: Vec<(i128, Vec<&PendingPod>)> = certificate
        .classes
        .iter()
        .map(|class| {
            let pods = class.pods.iter().map(|pod| pending(problem, pod)).collect();
            (i128::from(class.value), pods)
        })
        .collect();
    let worth: i128 = values
        .iter()
        .map(|(value, pods)| value * pods.len() as i128)
        .sum();
    let there: i128 = problem
        .nodes
        .iter()
        .map(|node| most_worth(problem, &existing_machine(node), &values, false))
        .sum();
    if worth - there < i128::from(certificate.lower_bound.micro_usd()) * scale
        && certificate.lower_bound.0 > 0
    {
        faults.push(format!(
            "{worth} less {there} do not make {}",
            certificate.lower_bound
        ));
    }
    let counting: Vec<BTreeSet<(usize, usize)>> = certificate
        .classes
        .iter()
        .map(|class| offers_that_count(problem, pending(problem, &class.pods[0]), class.is_anywhere))
        .collect();
    for (pool_index, pool) in problem.pools.iter().enumerate() {
        for (index, offer) in pool.offers.iter().enumerate() {
            let counted = values.iter().zip(&counting);
            let here: Vec<(i128, Vec<&PendingPod>)> = counted
                .filter(|(_, offers)| offers.contains(&(pool_index, index)))
                .map(|(class, _)| class.clone())
                .collect();
            let most = most_worth(problem, &bought(problem, pool, offer, 0), &here, true);
            if most > i128::from(offer.offering.price.micro_usd()) * scale {
                faults.push(format!(
                    "{} can be worth {most}, more than it costs",
                    offer.market()
                ));
            }
        }
    }
    faults
}

/// The offers that count for a pod, as the certificate's documentation has it.
pub(crate) fn offers_that_count(
    problem: &Problem,
    pod: &PendingPod,
    is_anywhere: bool,
) -> BTreeSet<(usize, usize)> {
    let serves = |pool: &BuyablePool, offer: &Offer| {
        pool.closed.is_none()
            && offer.offering.price.micro_usd() > 0
            && pod.served_by.contains(&pool.key)
            && holds(problem, &bought(problem, pool, offer, 0), &[pod], true)
            && !is_kept_out(problem, &bought(problem, pool, offer, 0), pod)
    };
    let mut serving: Vec<(i32, usize, usize, CapacityType)> = Vec::new();
    for (pool_index, pool) in problem.pools.iter().enumerate() {
        for (index, offer) in pool.offers.iter().enumerate() {
            if serves(pool, offer) {
                serving.push((pool.weight, pool_index, index, offer.offering.capacity_type));
            }
        }
    }
    let heaviest = serving.iter().map(|(weight, ..)| *weight).max();
    let has_spot: BTreeSet<usize> = serving
        .iter()
        .filter(|(.., capacity)| *capacity == CapacityType::Spot)
        .map(|(_, pool, ..)| *pool)
        .collect();
    serving
        .iter()
        .filter(|(weight, pool, _, capacity)| {
            let is_first = Some(*weight) == heaviest;
            is_anywhere || (is_first && (*capacity == CapacityType::Spot || !has_spot.contains(pool)))
        })
        .map(|(_, pool, index, _)| (*pool, *index))
        .collect()
}

/// Whether the anti-affinity of a pod already placed keeps a pod out of a new node's domains.
fn is_kept_out(problem: &Problem, machine: &Machine<'_>, pod: &PendingPod) -> bool {
    let cluster = existing(problem);
    cluster.machines.iter().any(|other| {
        let shares = |term: &PodAffinityTerm| {
            let key = &term.topology_key;
            machine.labels.contains_key(key) && machine.labels.get(key) == other.labels.get(key)
        };
        other.residents.iter().any(|resident| {
            let mut terms = resident.shape.anti_affinity.iter();
            terms.any(|term| shares(term) && means(&cluster, term, &newcomer(pod)))
        })
    })
}

/// The most that pods on this node can be worth, all ways tried.
fn most_worth(
    problem: &Problem,
    machine: &Machine<'_>,
    classes: &[(i128, Vec<&PendingPod>)],
    is_new: bool,
) -> i128 {
    fn add<'a>(
        problem: &Problem,
        machine: &Machine<'_>,
        classes: &[(i128, Vec<&'a PendingPod>)],
        taken: &mut Vec<&'a PendingPod>,
        is_new: bool,
    ) -> i128 {
        let Some(((value, pods), rest)) = classes.split_first() else {
            return 0;
        };
        let before = taken.len();
        let mut most = add(problem, machine, rest, taken, is_new);
        for (count, pod) in pods.iter().enumerate() {
            taken.push(pod);
            if *value == 0 || !holds(problem, machine, taken, is_new) {
                break;
            }
            let own = value * (count as i128 + 1);
            most = most.max(own + add(problem, machine, rest, taken, is_new));
        }
        taken.truncate(before);
        most
    }
    if !machine.accepts_pods {
        return 0;
    }
    add(problem, machine, classes, &mut Vec::new(), is_new)
}

/// Whether one node may hold all of these together, other nodes left out of it.
fn holds(problem: &Problem, machine: &Machine<'_>, pods: &[&PendingPod], is_new: bool) -> bool {
    let mut cluster = Cluster {
        problem,
        machines: vec![machine.clone()],
    };
    let every_pod_fits = pods.iter().all(|pod| {
        let newcomer = newcomer(pod);
        let place = &cluster.machines[0];
        let requests = Resources {
            pods: pod.pod.shape.requests.pods.max(1),
            ..pod.pod.shape.requests.clone()
        };
        let fits = selects(&pod.pod.shape, place)
            && tolerates(&pod.pod.shape, place)
            && requests.fits(&place.free)
            && ports_are_free(&newcomer, place)
            && volumes_reach(&newcomer, place)
            && volumes_attach(&newcomer, place)
            && anti_affinity_holds(&cluster, &newcomer, place);
        bind(&mut cluster.machines[0], newcomer);
        fits
    });
    let place = &cluster.machines[0];
    let by_host = |spread: &&TopologySpread| &*spread.topology_key == label::HOSTNAME;
    every_pod_fits
        && (!is_new
            || pods.iter().all(|pod| {
                hard(&pod.pod.shape).filter(by_host).all(|spread| {
                    let counts = counts(&cluster, &newcomer(pod), spread);
                    counts.values().all(|count| *count <= spread.max_skew)
                })
            }))
        && place.accepts_pods
}
