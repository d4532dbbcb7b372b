//! Pods as manifests write them, and what planning reads in them.

use super::*;
use serde_json::{Value, json};
use spotocean_core::requirement::Operator;
use spotocean_core::topology::NodeInclusion;

fn with_spec(spec: Value) -> Pod {
    let labels = json!({"app": "web", "hash": "h1"});
    let mut object = json!({"metadata": {"name": "p", "namespace": "shop", "labels": labels}});
    object["spec"] = spec;
    from(object)
}

fn from(object: Value) -> Pod {
    let object: ApiPod = serde_json::from_value(object).unwrap();
    pod(&object, &mut Interner::default())
}

fn spec(mut parts: Value) -> Value {
    parts["containers"] = parts
        .get("containers")
        .cloned()
        .unwrap_or(json!([{"name": "main"}]));
    parts
}

#[test]
fn what_is_not_modelled_is_kept_as_a_reason() {
    let rows = [
        (json!({}), vec![]),
        (json!({"os": {"name": "windows"}}), vec![Unmodelled::Windows]),
        (
            json!({"nodeSelector": {"beta.kubernetes.io/os": "windows"}}),
            vec![Unmodelled::Windows],
        ),
        (
            json!({"resourceClaims": [{"name": "gpu"}]}),
            vec![Unmodelled::ResourceClaims],
        ),
        (
            json!({"schedulingGroup": {"podGroupName": "g"}}),
            vec![Unmodelled::Gang],
        ),
        (
            json!({"schedulerName": "volcano"}),
            vec![Unmodelled::OtherScheduler("volcano".into())],
        ),
        (json!({"schedulerName": "default-scheduler"}), vec![]),
    ];
    for (parts, expected) in rows {
        let text = parts.to_string();
        assert_eq!(with_spec(spec(parts)).shape.unmodelled, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_refuses_the_pod() {
    let rows = [
        json!({"tolerations": [{"key": "a", "operator": "Gt", "value": "3"}]}),
        json!({"containers": [{"name": "a", "resources": {"requests": {"memory": "much"}}}]}),
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Like"}]}]}}}}),
    ];
    for parts in rows {
        let text = parts.to_string();
        let shape = with_spec(spec(parts)).shape;
        assert!(
            matches!(shape.unmodelled[..], [Unmodelled::Unreadable(_)]),
            "{text}"
        );
    }
}

#[test]
fn a_share_of_spot_is_a_whole_percentage() {
    let annotated = |text: &str| {
        from(json!({
            "metadata": {"name": "p", "annotations": {"spotocean.dev/spot-percentage": text}},
            "spec": spec(json!({})),
        }))
    };
    for (text, expected) in [("0", Some(0)), ("100", Some(100))] {
        let pod = annotated(text);
        assert_eq!((pod.spot_percentage, &*pod.shape.unmodelled), (expected, &[][..]));
    }
    for text in ["", "101", "-1", "50%", "half"] {
        let pod = annotated(text);
        let [Unmodelled::Unreadable(what)] = &pod.shape.unmodelled[..] else {
            panic!("{text} is refused");
        };
        assert_eq!(
            **what,
            format!(
                "its annotation spotocean.dev/spot-percentage is {text:?}: write a whole number from 0 to 100"
            )
        );
    }
}

#[test]
fn node_affinity_keeps_alternatives_and_drops_empty_terms() {
    let affinity = json!({"nodeAffinity": {
    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "failure-domain.beta.kubernetes.io/zone", "operator": "In", "values": ["a", "b"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
        {}
    ]},
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 5, "preference": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}},
        {"weight": 9, "preference": {}}
    ]}});
    let shape = with_spec(spec(json!({"affinity": affinity}))).shape;
    let terms = shape.node_terms.as_ref().unwrap();
    assert_eq!(terms.len(), 2);
    assert_eq!(terms[0].expressions[0].key.as_ref(), label::ZONE);
    assert_eq!(terms[1].fields[0].values, vec![Arc::from("n1")]);
    assert_eq!(shape.preferred_node_terms.len(), 1);
    assert_eq!(with_spec(spec(json!({}))).shape.node_terms, None);
}

#[test]
fn affinity_terms_look_into_the_own_namespace_by_default() {
    let term = |extra: Value| {
        let mut term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}});
        for (key, value) in extra.as_object().unwrap() {
            term[key] = value.clone();
        }
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    let rows = [
        (json!({}), vec!["shop"], false),
        (json!({"namespaces": ["a", "b"]}), vec!["a", "b"], false),
        (json!({"namespaceSelector": {}}), vec![], true),
        (
            json!({"namespaces": ["a"], "namespaceSelector": {}}),
            vec!["a"],
            true,
        ),
    ];
    for (extra, namespaces, has_selector) in rows {
        let shape = with_spec(spec(term(extra))).shape;
        let found = &shape.anti_affinity[0];
        let names: Vec<_> = found.namespaces.iter().map(Namespace::as_str).collect();
        assert_eq!(
            (names, found.namespace_selector.is_some()),
            (namespaces, has_selector)
        );
    }
}

#[test]
fn label_keys_are_merged_once() {
    let parts = json!({
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["hash", "absent"],
            "labelSelector": {"matchLabels": {"app": "web"}}}],
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "kubernetes.io/hostname", "mismatchLabelKeys": ["hash"],
            "labelSelector": {"matchExpressions": [{"key": "hash", "operator": "NotIn", "values": ["h1"]}]}}]}}});
    let shape = with_spec(spec(parts)).shape;
    let spread = &shape.spread[0];
    let merged = &spread.selector.as_ref().unwrap().match_expressions;
    assert_eq!((merged.len(), merged[0].operator), (1, Operator::In));
    assert_eq!(
        (spread.node_affinity_policy, spread.node_taints_policy),
        (NodeInclusion::Honor, NodeInclusion::Ignore)
    );
    assert_eq!(
        shape.affinity[0]
            .selector
            .as_ref()
            .unwrap()
            .match_expressions
            .len(),
        1
    );
}

#[test]
fn host_ports_include_host_networking_and_sidecars() {
    let port = json!([{"containerPort": 80}]);
    let bound = json!([{"containerPort": 80, "hostPort": 8080, "protocol": "UDP", "hostIP": "10.0.0.1"}]);
    let rows = [
        (json!({"containers": [{"name": "a", "ports": port}]}), vec![]),
        (
            json!({"containers": [{"name": "a", "ports": bound}]}),
            vec![(8080, "UDP", "10.0.0.1")],
        ),
        (
            json!({"hostNetwork": true, "containers": [{"name": "a", "ports": port}]}),
            vec![(80, "TCP", "")],
        ),
        (
            json!({"initContainers": [{"name": "s", "restartPolicy": "Always", "ports": bound}, {"name": "i", "ports": bound}]}),
            vec![(8080, "UDP", "10.0.0.1")],
        ),
    ];
    for (parts, expected) in rows {
        let shape = with_spec(spec(parts)).shape;
        let ports: Vec<_> = shape
            .host_ports
            .iter()
            .map(|port| (port.port, port.protocol.as_ref(), port.host_ip.as_ref()))
            .collect();
        assert_eq!(ports, expected);
    }
}

#[test]
fn claims_of_ephemeral_volumes_have_generated_names() {
    let parts = json!({"volumes": [
        {"name": "data", "persistentVolumeClaim": {"claimName": "disk"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
        {"name": "again", "persistentVolumeClaim": {"claimName": "disk"}},
        {"name": "config", "configMap": {"name": "c"}}
    ]});
    assert_eq!(
        with_spec(spec(parts)).claims,
        vec![Arc::from("disk"), Arc::from("p-scratch")]
    );
}

#[test]
fn protections_of_peers_are_honoured() {
    let created = "2026-01-01T00:00:00Z";
    let in_half_an_hour: Timestamp = "2026-01-01T00:30:00Z".parse().unwrap();
    let rows = [
        (json!({}), None),
        (
            json!({"annotations": {"spotocean.dev/do-not-disrupt": "true"}}),
            Some(DoNotDisrupt::Always),
        ),
        (
            json!({"annotations": {"karpenter.sh/do-not-disrupt": "30m"}}),
            Some(DoNotDisrupt::Until(in_half_an_hour)),
        ),
        (
            json!({"annotations": {"spotocean.dev/do-not-disrupt": "false"}}),
            None,
        ),
        (
            json!({"annotations": {"spotocean.dev/do-not-disrupt": "half an hour"}}),
            Some(DoNotDisrupt::Always),
        ),
        (
            json!({"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}),
            Some(DoNotDisrupt::Always),
        ),
        (
            json!({"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}),
            None,
        ),
        (
            json!({"labels": {"spotinst.io/restrict-scale-down": "true"}}),
            Some(DoNotDisrupt::Always),
        ),
    ];
    for (mut metadata, expected) in rows {
        metadata["creationTimestamp"] = json!(created);
        let text = metadata.to_string();
        assert_eq!(
            from(json!({"metadata": metadata})).do_not_disrupt,
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_pod_waits_for_capacity_only_after_the_scheduler_gave_up() {
    let scheduled = |reason: &str| {
        json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions":
            [{"type": "PodScheduled", "status": "False", "reason": reason}]}})
    };
    let rows = [
        (scheduled("Unschedulable"), true),
        (scheduled("SchedulingGated"), false),
        (
            json!({"metadata": {"name": "p"}, "status": {"phase": "Pending"}}),
            false,
        ),
    ];
    for (object, expected) in rows {
        assert_eq!(from(object).waits_for_capacity(), expected);
    }
}

#[test]
fn ownership_mirror_and_phase_are_read() {
    let object = json!({"metadata": {"name": "p", "uid": "u", "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1"},
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "2", "controller": true}]},
        "spec": {"containers": [], "nodeName": "n1", "priority": 7, "terminationGracePeriodSeconds": 5},
        "status": {"phase": "Failed", "nominatedNodeName": "n2"}});
    let pod = from(object);
    assert!(pod.is_daemon() && pod.is_mirror && !pod.holds_resources());
    assert_eq!(
        (pod.node, pod.nominated_node),
        (Some("n1".into()), Some("n2".into()))
    );
    assert_eq!((pod.priority, pod.termination_grace_seconds), (7, 5));
}

#[test]
fn pods_of_one_template_share_their_shape_and_labels() {
    let mut interner = Interner::default();
    let object = |name: &str| -> ApiPod {
        serde_json::from_value(
            json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec(json!({}))}),
        )
        .unwrap()
    };
    let (first, second) = (pod(&object("a"), &mut interner), pod(&object("b"), &mut interner));
    assert!(Arc::ptr_eq(&first.shape, &second.shape));
    assert!(Arc::ptr_eq(&first.labels, &second.labels));
}
