//! Pods that wait, as the apiserver would hand them out: Karpenter's mixes, the openb trace, plain shapes.

use serde_json::{Value, json};

use super::random::Random;

/// Which zone a node is in.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
/// Which node a node is.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

/// CPU pods of a real cluster; its first lines say whose.
const OPENB: &str = include_str!("../../bench-data/openb_cpu_pods.csv");

/// What a pod asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// CPU.
    pub(super) cpu_millis: i64,
    /// Memory.
    pub(super) memory_mib: i64,
}

impl Size {
    /// A container's `resources`.
    pub(super) fn requests(self) -> Value {
        json!({"requests": {
            "cpu": format!("{}m", self.cpu_millis),
            "memory": format!("{}Mi", self.memory_mib),
        }})
    }
}

/// A pod of that size without any constraint.
pub(super) fn pod(name: &str, size: Size) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "default", "name": name, "labels": {}},
        "spec": {"containers": [{"name": "main", "resources": size.requests()}]},
        "status": {"phase": "Pending"},
    })
}

fn named(prefix: &str, sizes: impl IntoIterator<Item = Size>) -> Vec<Value> {
    let sizes = sizes.into_iter().enumerate();
    sizes
        .map(|(index, size)| pod(&format!("{prefix}-{index}"), size))
        .collect()
}

/// A size of Karpenter's benchmark.
pub(super) fn karpenter_size(random: &mut Random) -> Size {
    Size {
        cpu_millis: *random.of(&[100, 250, 500, 1000, 1500]),
        memory_mib: *random.of(&[100, 256, 512, 1024, 2048, 4096]),
    }
}

/// Karpenter's generic pods: thirty sizes, no constraints.
pub(super) fn generic(count: usize, seed: u64) -> Vec<Value> {
    let mut random = Random(seed);
    named("generic", (0..count).map(|_| karpenter_size(&mut random)))
}

/// The constraint that a fifth of Karpenter's mix has.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Generic,
    Spread(&'static str),
    ZoneAffinity,
    HostAntiAffinity,
}

/// Karpenter's benchmark mix (`scheduling_benchmark_test.go`): a fifth each generic, spread over zones, spread over
/// hosts, drawn to its like in one zone, and kept from its like on one host; what five does not divide is generic.
pub(super) fn karpenter_mix(count: usize) -> Vec<Value> {
    let mut random = Random(42);
    let kinds = [
        Kind::Generic,
        Kind::Spread(ZONE),
        Kind::Spread(HOSTNAME),
        Kind::ZoneAffinity,
        Kind::HostAntiAffinity,
    ];
    let mut pods = Vec::with_capacity(count);
    for kind in kinds {
        for _ in 0..count / kinds.len() {
            pods.push(of_kind(kind, pods.len(), &mut random));
        }
    }
    while pods.len() < count {
        pods.push(of_kind(Kind::Generic, pods.len(), &mut random));
    }
    pods
}

fn of_kind(kind: Kind, number: usize, random: &mut Random) -> Value {
    let letter = |random: &mut Random| *random.of(&["a", "b", "c", "d", "e", "f", "g"]);
    let mut pod = pod(&format!("mix-{number}"), karpenter_size(random));
    let own = letter(random);
    let (labels, constraint) = match kind {
        Kind::Generic => (json!({"my-label": own}), None),
        Kind::Spread(key) => {
            let spread = json!([{
                "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"my-label": letter(random)}},
            }]);
            (
                json!({"my-label": own}),
                Some(("topologySpreadConstraints", spread)),
            )
        }
        Kind::ZoneAffinity => {
            let labels = json!({"my-affininity": own});
            let affinity = json!({"podAffinity": required(ZONE, &labels)});
            (labels, Some(("affinity", affinity)))
        }
        Kind::HostAntiAffinity => {
            let labels = json!({"app": "nginx"});
            let affinity = json!({"podAntiAffinity": required(HOSTNAME, &labels)});
            (labels, Some(("affinity", affinity)))
        }
    };
    pod["metadata"]["labels"] = labels;
    if let Some((field, constraint)) = constraint {
        pod["spec"][field] = constraint;
    }
    pod
}

fn required(key: &str, labels: &Value) -> Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": key, "labelSelector": {"matchLabels": labels}},
    ]})
}

/// The trace's pods that some node takes.
pub(super) fn openb(fits: impl Fn(Size) -> bool) -> Vec<Value> {
    let mut sizes = Vec::new();
    for (size, count) in openb_sizes() {
        if fits(size) {
            sizes.extend(std::iter::repeat_n(size, count));
        }
    }
    named("openb", sizes)
}

/// `count` pods drawn from the trace.
pub(super) fn openb_sample(count: usize, seed: u64, fits: impl Fn(Size) -> bool) -> Vec<Value> {
    let mut random = Random(seed);
    let all: Vec<Size> = openb_sizes()
        .filter(|(size, _)| fits(*size))
        .flat_map(|(size, count)| std::iter::repeat_n(size, count))
        .collect();
    named("openb", (0..count).map(|_| *random.of(&all)))
}

fn openb_sizes() -> impl Iterator<Item = (Size, usize)> {
    let lines = OPENB
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines.map(|line| {
        let mut fields = line.split(',').map(|field| field.parse::<i64>().unwrap_or(0));
        let mut next = || fields.next().unwrap_or(0);
        let size = Size {
            cpu_millis: next(),
            memory_mib: next(),
        };
        (size, usize::try_from(next()).unwrap_or(0))
    })
}

/// So many pods of so many sizes, up to 4 CPUs and 10 GiB.
pub(super) fn shaped(count: usize, shapes: usize) -> Vec<Value> {
    let mut random = Random(3);
    let sizes: Vec<Size> = (0..shapes)
        .map(|_| Size {
            cpu_millis: (1 + random.below(80)) * 50,
            memory_mib: (1 + random.below(160)) * 64,
        })
        .collect();
    named("shaped", sizes.into_iter().cycle().take(count))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_mix_is_the_same_twice_and_five_fifths() {
        let mix = karpenter_mix(103);
        assert_eq!(mix, karpenter_mix(103));
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in &mix {
            let spec = &pod["spec"];
            let kind = match (
                &spec["topologySpreadConstraints"][0]["topologyKey"],
                &spec["affinity"],
            ) {
                (Value::String(key), _) => key.as_str(),
                (_, affinity) if affinity["podAffinity"].is_object() => "together",
                (_, affinity) if affinity["podAntiAffinity"].is_object() => "apart",
                _ => "generic",
            };
            *kinds.entry(kind).or_default() += 1;
        }
        assert_eq!(
            kinds,
            BTreeMap::from([
                ("generic", 23),
                (ZONE, 20),
                (HOSTNAME, 20),
                ("together", 20),
                ("apart", 20)
            ])
        );
    }

    #[test]
    fn pods_drawn_to_their_like_are_their_like() {
        // With another's letter no pod could be the first, and none would be placed.
        for pod in karpenter_mix(500) {
            let term =
                &pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
            if let Some(term) = term.get(0) {
                assert_eq!(term["labelSelector"]["matchLabels"], pod["metadata"]["labels"]);
            }
        }
    }

    #[test]
    fn the_trace_is_read_whole() {
        assert_eq!(openb(|_| true).len(), 1088);
        let small = |size: Size| size.cpu_millis <= 8000;
        assert!((1..1088).contains(&openb(small).len()));
        assert_eq!(openb_sample(50, 1, small), openb_sample(50, 1, small));
    }

    #[test]
    fn shapes_are_as_many_as_asked_for() {
        let requests = |pod: &Value| pod["spec"]["containers"][0]["resources"].to_string();
        let shapes: std::collections::BTreeSet<String> = shaped(300, 30).iter().map(requests).collect();
        assert_eq!(shapes.len(), 30);
    }
}
