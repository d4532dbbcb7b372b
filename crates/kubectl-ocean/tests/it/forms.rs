//! One cluster, however its dump is written, is one plan.

use serde_json::Value;

use crate::plugin::{Folder, OCEAN, documents, pod, run, simulate};

fn pods() -> Vec<String> {
    (0..12)
        .map(|number| {
            pod(
                &format!("p{number}"),
                &format!("{}m", 300 + 100 * (number % 4)),
                "1Gi",
            )
        })
        .collect()
}

/// As `kubectl get -o yaml` prints a list; `margin` is what stands before each dash.
fn list(pods: &[String], margin: &str) -> String {
    let item = |pod: &String| {
        let mut lines = pod.lines();
        let first = format!("{margin}- {}\n", lines.next().unwrap());
        first
            + &lines
                .map(|line| format!("{margin}  {line}\n"))
                .collect::<String>()
    };
    let items: String = pods.iter().map(item).collect();
    format!("apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n")
}

fn as_json(pods: &[String]) -> String {
    let items: Vec<Value> = pods.iter().map(|pod| serde_yaml_value(pod)).collect();
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// The pods of these tests are flow style inside block style; the plugin's own reader is under test, so they are
/// turned into JSON by hand.
fn serde_yaml_value(pod: &str) -> Value {
    let field = |before: &str, after: &str| {
        let rest = pod.split(before).nth(1).unwrap();
        rest.split(after).next().unwrap().to_owned()
    };
    serde_json::json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": field("{name: ", ","), "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": field("{cpu: ", ","), "memory": "1Gi"}}}]},
        "status": {"phase": "Pending"}})
}

#[test]
fn every_form_of_a_dump_gives_the_same_plan() {
    let pods = pods();
    let expected = simulate(OCEAN, &documents(&pods)).json();
    assert_eq!(expected["unschedulable"], serde_json::json!([]));
    let bare_items: String = as_json(&pods).replace(r#""apiVersion":"v1","kind":"Pod","#, "");
    let kind_once = list(&pods, "").replace("- apiVersion: v1\n  kind: Pod\n  metadata", "- metadata");
    let anchored = list(&pods, "").replacen("status: {phase: Pending}", "status: &s {phase: Pending}", 1);
    let anchored = anchored.replace("status: {phase: Pending}", "status: *s");
    let forms = [
        ("list", list(&pods, "")),
        ("indented list", list(&pods, "  ")),
        ("leading marker", format!("---\n{}", documents(&pods))),
        ("windows lines", list(&pods, "").replace('\n', "\r\n")),
        ("comments", format!("# a dump\n---\n# of pods\n{}", list(&pods, ""))),
        ("JSON", as_json(&pods)),
        ("JSON of two lists", format!("{}\n{}", as_json(&pods[..5]), as_json(&pods[5..]))),
        ("JSON as YAML", format!("# JSON\n{}", as_json(&pods))),
        ("a list that names the kind once", kind_once.replace("kind: List", "kind: PodList")),
        ("the same in JSON", bare_items.replace(r#""kind":"List""#, r#""kind":"PodList""#)),
        ("anchors", anchored),
        (
            "objects of no use between them",
            list(&pods, "").replacen(
                "items:\n",
                "items:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n  data: {not: [what, is, needed]}\n- apiVersion: example.com/v1\n  kind: Node\n  spec: 7\n",
                1,
            ),
        ),
        ("the same pods twice", format!("{}---\n{}", list(&pods, ""), documents(&pods))),
    ];
    for (form, text) in forms {
        let found = simulate(OCEAN, &text);
        assert_eq!(found.err, "", "{form}");
        assert_eq!(found.json(), expected, "{form}");
    }
}

#[test]
fn the_order_of_a_dump_carries_no_meaning() {
    let mut shuffled = pods();
    let expected = simulate(OCEAN, &documents(&shuffled)).json();
    for turn in [1, 5, 7] {
        shuffled.rotate_left(turn);
        shuffled.swap(0, turn);
        assert_eq!(simulate(OCEAN, &documents(&shuffled)).json(), expected);
    }
}

#[test]
fn yaml_and_table_say_what_json_says() {
    let folder = Folder::new();
    let (ocean, cluster) = (
        folder.file("o.yaml", OCEAN),
        folder.file("c.yaml", &documents(&pods())),
    );
    let with = |output: &str| {
        run(
            &["simulate", "--ocean", &ocean, "--cluster", &cluster, "-o", output],
            "",
        )
    };
    let json = with("json").json();
    let node = &json["newNodes"][0];
    let (yaml, table) = (with("yaml").out, with("table").out);
    for word in ["instanceType", "zone", "capacityType"] {
        let word = node[word].as_str().unwrap();
        assert!(
            yaml.contains(word) && table.contains(word),
            "{word}:\n{yaml}{table}"
        );
    }
    assert!(
        table.contains("POOL") && table.contains("0 pods stay pending"),
        "{table}"
    );
}
