//! The guide's files give the guide's answers.

use std::path::Path;

use serde_json::Value;

use crate::plugin::{Folder, run};

/// Fenced blocks of a page by their language, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let parts = text.split(&fence).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_rehearsal_of_the_guide_runs() {
    let page = "guides/rehearse.md";
    let (manifests, answers) = (blocks(page, "yaml"), blocks(page, "json"));
    let folder = Folder::new();
    let (ocean, cluster) = (
        folder.file("ocean.yaml", &manifests[0]),
        folder.file("objects.yaml", &manifests[1]),
    );
    let run = run(
        &["simulate", "--ocean", &ocean, "--cluster", &cluster, "-o", "json"],
        "",
    );
    assert_eq!(run.code, 2, "{}", run.err);
    let (expected, found): (Value, Value) = (serde_json::from_str(&answers[0]).unwrap(), run.json());
    let count = |answer: &Value| answer["newNodes"].as_array().unwrap().len();
    let cost = |answer: &Value| answer["hourlyCost"].as_f64().unwrap();
    assert_eq!(found["existing"], expected["existing"]);
    assert_eq!(found["unschedulable"], expected["unschedulable"]);
    assert!(
        count(&found) <= count(&expected) && cost(&found) <= cost(&expected),
        "{}",
        run.out
    );
    let fields = |answer: &Value| {
        answer["newNodes"][0]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(&found), fields(&expected));
    let text = blocks(page, "text").remove(0);
    let explained = crate::plugin::run(
        &[
            "explain",
            "pod",
            "shop/report-1",
            "--ocean",
            &ocean,
            "--cluster",
            &cluster,
        ],
        "",
    );
    for line in text.lines() {
        assert!(
            explained.out.contains(line),
            "{line:?} is not in: {}",
            explained.out
        );
    }
}
