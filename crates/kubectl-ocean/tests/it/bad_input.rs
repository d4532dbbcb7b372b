//! What is wrong with an input is said in one sentence: file, place, field, what was needed.

use crate::plugin::{CATALOGUE, Folder, OCEAN, documents, pod, run, simulate};

#[test]
fn a_cluster_that_cannot_be_used_is_refused_with_its_place() {
    let second = |text: &str| documents(&[pod("a", "1", "1Gi"), text.to_owned()]);
    let rows: [(String, &[&str]); 9] = [
        (
            second("apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {containers: 7}\n"),
            &[
                "cluster.yaml, document 2",
                "(Pod b)",
                "field spec.containers",
                "invalid type: integer `7`",
            ],
        ),
        (
            second("apiVersion: v1\nkind: Pod\nmetadata: {generateName: b-}\nspec: {containers: []}\n"),
            &["document 2", "field metadata.name", "a name is needed"],
        ),
        (
            second("apiVersion: v1\nmetadata: {name: b}\n"),
            &["document 2", "has no kind"],
        ),
        (second("just text\n"), &["document 2", "no Kubernetes object"]),
        (
            second("kind: Pod\nmetadata: [\n"),
            &["document 2", "line ", "not YAML"],
        ),
        (
            "kind: List\nitems:\n- kind: Pod\n  metadata: {name: a}\n- kind: Node\n  metadata: {name: n}\n  spec: {taints: {}}\n"
                .to_owned(),
            &["document 1, item 2, line 5 (Node n)", "field spec.taints"],
        ),
        (
            documents(&[pod("a", "1", "1Gi"), pod("a", "2", "1Gi")]),
            &["document 2", "(Pod shop/a)", "they differ"],
        ),
        ("{\"kind\": \"Pod\", ".to_owned(), &["document 1", "not JSON"]),
        (
            r#"{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": 3}}]}"#.to_owned(),
            &["document 1, item 1 (Pod)", "field metadata.name"],
        ),
    ];
    for (cluster, parts) in rows {
        let run = simulate(OCEAN, &cluster);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{cluster}");
        for part in parts {
            assert!(run.err.contains(part), "{part:?} is not in: {}", run.err);
        }
    }
}

#[test]
fn an_ocean_that_cannot_be_used_is_refused() {
    let rows = [
        (OCEAN.replace("SpotOcean", "Ocean"), "it holds no SpotOcean"),
        (
            OCEAN.replace("{name: shop}\nspec", "{}\nspec"),
            "a name is needed",
        ),
        (
            OCEAN.replace("[{name: general}]", "[]"),
            "at least one pool is needed",
        ),
        (
            OCEAN.replace("  cluster: {name: shop}\n", ""),
            "missing field `cluster`",
        ),
        (
            OCEAN.replace("{name: general}", "{name: general, weight: heavy}"),
            "field spec.pools[0].weight",
        ),
        (format!("{OCEAN}---{OCEAN}"), "another ocean has the same name"),
    ];
    for (ocean, part) in rows {
        let run = simulate(&ocean, &pod("a", "1", "1Gi"));
        assert_eq!(run.code, 1, "{ocean}");
        assert!(
            run.err.contains(part) && run.err.contains("ocean.yaml"),
            "{part:?} is not in: {}",
            run.err
        );
    }
}

#[test]
fn a_field_that_is_not_known_is_told_and_has_no_effect() {
    let run = simulate(
        &OCEAN.replace("  pools:", "  stategy: {}\n  pools:"),
        &pod("a", "1", "1Gi"),
    );
    assert_eq!(run.code, 0);
    assert!(run.err.contains("spec.stategy"), "{}", run.err);
}

#[test]
fn a_catalogue_that_cannot_be_used_is_refused() {
    let rows = [
        ("{}", "missing field `types`"),
        (
            &CATALOGUE.replace("\"vcpu\": 2", "\"vcpu\": \"two\""),
            "field types[0].vcpu",
        ),
        (
            &CATALOGUE.replace("\"vcpu\": 2", "\"vcpu\": 0"),
            "types[0] (m5.large): field vcpu is 0",
        ),
        (
            &CATALOGUE.replace("\"usd\": 0.1,", "\"usd\": -0.1,"),
            "field usd is -0.1",
        ),
        (
            &CATALOGUE.replace("0.05}", "\"cheap\"}"),
            "field spot is \"cheap\"",
        ),
        (&CATALOGUE.replace("m5.xlarge", "m5.large"), "listed twice"),
        (
            &CATALOGUE.replace("us-east-1\": {\"az", "eu-west-1\": {\"az"),
            "it describes eu-west-1",
        ),
    ];
    for (catalogue, part) in rows {
        let folder = Folder::new();
        let run = run(
            &[
                "simulate",
                "--ocean",
                &folder.file("o.yaml", OCEAN),
                "--cluster",
                &folder.file("c.yaml", &pod("a", "1", "1Gi")),
                "--catalogue",
                &folder.file("catalogue.json", catalogue),
            ],
            "",
        );
        assert_eq!(run.code, 1, "{catalogue}");
        assert!(
            run.err.contains(part) && run.err.contains("catalogue.json"),
            "{part:?} is not in: {}",
            run.err
        );
    }
}

#[test]
fn an_empty_catalogue_leaves_every_pod_with_a_reason() {
    let folder = Folder::new();
    let run = run(
        &[
            "simulate",
            "--ocean",
            &folder.file("o.yaml", OCEAN),
            "--cluster",
            &folder.file("c.yaml", &pod("a", "1", "1Gi")),
            "--catalogue",
            &folder.file("catalogue.json", r#"{"types": []}"#),
            "-ojson",
        ],
        "",
    );
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(
        run.err.contains("no type in it is offered in region us-east-1"),
        "{}",
        run.err
    );
    assert_eq!(
        run.json()["unschedulable"][0]["reasons"][0]["reason"],
        "PoolClosed"
    );
}

#[test]
fn an_odd_amount_is_a_reason_of_its_pod_and_not_the_end_of_the_run() {
    let rows = [
        ("lots", "lots"),
        ("-1", "-1"),
        (".inf", "inf"),
        ("1e300", "too large"),
        ("99999999999999999999", "too large"),
        ("99999999999999999999999999999999999999999999", "too large"),
        ("100Ei", "too large"),
        ("8E", "largest type"),
    ];
    for (amount, part) in rows {
        for resource in ["cpu", "memory"] {
            let odd =
                pod("odd", "1", "1Gi").replace("{cpu: 1, memory: 1Gi}", &format!("{{{resource}: {amount}}}"));
            let run = simulate(OCEAN, &documents(&[odd, pod("a", "1", "1Gi")]));
            assert_eq!(run.code, 2, "{resource} {amount}: {}", run.err);
            let left = &run.json()["unschedulable"];
            assert_eq!(
                (left.as_array().unwrap().len(), &left[0]["pod"]),
                (1, &"shop/odd".into())
            );
            let message = left[0]["reasons"][0]["message"].as_str().unwrap();
            // 8E of CPU is beyond milli-CPU already.
            let is_told = message.contains(part) || message.contains("too large");
            assert!(is_told, "{resource} {amount}: {message}");
        }
    }
}

#[test]
fn slips_on_the_command_line_are_bad_input() {
    let folder = Folder::new();
    let file = folder.file("o.yaml", OCEAN);
    let missing = format!("{file}.not-there");
    let rows: [(&[&str], i32, &str); 5] = [
        (&["--help"], 0, ""),
        (&["simulate"], 1, "--ocean"),
        (
            &["simulate", "--ocean", &file, "--cluster", &missing],
            1,
            "not-there cannot be read",
        ),
        (&["simulate", "--ocean", "-", "--cluster", "-"], 1, "named twice"),
        (
            &[
                "simulate",
                "--ocean",
                &file,
                "--cluster",
                &file,
                "--region",
                "mars-1",
            ],
            1,
            "it describes us-east-1, us-west-2, and region mars-1 was asked for",
        ),
    ];
    for (arguments, code, part) in rows {
        let run = run(arguments, "");
        assert_eq!(run.code, code, "{arguments:?}");
        assert!(run.err.contains(part), "{part:?} is not in: {}", run.err);
    }
}
