//! Record and replay: the same plan from the file alone.

use serde_json::Value;

use crate::plugin::{CATALOGUE, Folder, OCEAN, documents, pod, run};

#[test]
fn a_recorded_snapshot_replays_to_the_same_plan() {
    let folder = Folder::new();
    // Under share caps the second node would follow EC2's answer to the first.
    let uncapped = "  strategy: {maxShare: {market: 100, type: 100, zone: 100}}\n  pools:";
    let ocean = OCEAN.replace("  pools:", uncapped);
    let (ocean, catalogue) = (folder.file("o.yaml", &ocean), folder.file("c.json", CATALOGUE));
    let cluster = documents(&[
        pod("a", "1", "1Gi"),
        pod("b", "1", "1Gi"),
        pod("huge", "100", "1Gi"),
    ]);
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    let cluster = folder.file("d.yaml", &format!("{cluster}{secret}"));
    let record = folder.file("snapshot.json", "");
    let arguments = [
        "simulate",
        "--ocean",
        &ocean,
        "--cluster",
        &cluster,
        "--catalogue",
        &catalogue,
    ];
    let simulated = run(&[&arguments[..], &["--record", &record, "-ojson"]].concat(), "");
    assert_eq!(simulated.code, 2, "{}", simulated.err);
    let recorded = std::fs::read_to_string(&record).unwrap();
    assert!(!recorded.contains("hunter2"), "Secrets are not even read");
    for name in [&ocean, &cluster, &catalogue] {
        std::fs::remove_file(name).unwrap();
    }
    let replayed = run(&["replay", &record, "-ojson"], "");
    assert_eq!(replayed.code, 2, "the huge pod stays pending: {}", replayed.err);
    let plan: Value = serde_json::from_str(&replayed.out).unwrap();
    let bought: Vec<&Value> = plan["commands"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|planned| planned["command"].get("Purchase"))
        .collect();
    let nodes: usize = bought
        .iter()
        .map(|purchase| purchase["nodes"].as_array().unwrap().len())
        .sum();
    assert_eq!(nodes, simulated.json()["newNodes"].as_array().unwrap().len());
    assert_eq!(plan["statuses"]["shop"]["pendingPods"], 3);
    assert_eq!(
        run(&["replay", "-", "-ojson"], &recorded).out,
        replayed.out,
        "bit for bit"
    );
    let text = run(&["replay", &record], "").out;
    for part in ["Purchase", "more spot nodes of shop/general", "next look at"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_is_no_record_is_refused() {
    for (text, part) in [
        ("", "no recorded snapshot"),
        ("{\"kind\": \"Pod\", \"version\": 1}", "is a Pod of version 1"),
    ] {
        let run = run(&["replay", "-"], text);
        assert_eq!(run.code, 1);
        assert!(
            run.err.contains("standard input") && run.err.contains(part),
            "{}",
            run.err
        );
    }
}
