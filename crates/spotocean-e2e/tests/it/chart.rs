//! The charts, rendered and applied to the real apiserver under the restricted
//! Pod Security standard.

use anyhow::{Result, ensure};
use spotocean_e2e::chart;
use spotocean_e2e::stack::{OPERATOR_NAMESPACE, Shape, Stack, StackPlan};

const VALUES: [&str; 2] = ["clusterName=demo", "interruptionQueue=demo"];

#[tokio::test]
async fn the_rendered_charts_are_taken_under_restricted_pod_security() -> Result<()> {
    let stack = Stack::start(&StackPlan::new(Shape::Cluster)).await?;
    let kubectl = stack.kubectl();
    kubectl.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {OPERATOR_NAMESPACE}, \
         labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
    ))?;
    kubectl.run_with(
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &chart::render(chart::KINDS, &[])?,
    )?;
    kubectl.apply(&chart::render(chart::OPERATOR, &VALUES)?)?;
    // Pod Security judges pods, not Deployments: a pod of the template has to be taken as well.
    let pod = pod_of_deployment(&kubectl.run(&[
        "--namespace",
        OPERATOR_NAMESPACE,
        "get",
        "deployment",
        "spotocean",
        "--output=jsonpath={.spec.template}",
    ])?)?;
    let verdict = kubectl.ask(
        &[
            "--namespace",
            OPERATOR_NAMESPACE,
            "create",
            "--dry-run=server",
            "-f",
            "-",
        ],
        &pod,
    )?;
    ensure!(
        verdict.success,
        "a pod of the Deployment was refused: {}",
        verdict.error
    );
    Ok(())
}

#[test]
fn values_that_cannot_work_are_refused_by_name() -> Result<()> {
    let rows: [(&[&str], &str); 4] = [
        (&[], "clusterName"),
        (&["clusterName=demo", "replicas=0"], "replicas"),
        (&["clusterName=demo", "image.digest=latest"], "digest"),
        (&["clusterName=demo", "replica=2"], "replica"),
    ];
    for (settings, named) in rows {
        let refused = chart::render(chart::OPERATOR, settings);
        let reason = refused
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        ensure!(
            reason.contains(named),
            "{settings:?} was answered with: {reason:?}"
        );
    }
    Ok(())
}

#[test]
fn the_operator_stays_off_the_nodes_it_manages() -> Result<()> {
    let rendered = chart::render(chart::OPERATOR, &VALUES)?;
    let deployment = objects(&rendered)?
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap_or_default();
    let spec = &deployment["spec"]["template"]["spec"];
    let terms = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    ensure!(
        terms[0]["matchExpressions"][0]["key"] == "spotocean.dev/pool"
            && terms[0]["matchExpressions"][0]["operator"] == "DoesNotExist",
        "node affinity is {terms:?}"
    );
    ensure!(
        deployment["spec"]["replicas"] == 2,
        "two replicas, so that one can wait with the lease"
    );
    Ok(())
}

#[test]
fn nothing_is_permitted_by_wildcard() -> Result<()> {
    for object in objects(&chart::render(chart::OPERATOR, &VALUES)?)? {
        let text = serde_json::to_string(&object["rules"])?;
        ensure!(
            !text.contains("\"*\"") && !text.contains("secrets"),
            "{}: {text}",
            object["kind"]
        );
    }
    Ok(())
}

#[test]
fn removing_the_kinds_chart_keeps_the_kinds() -> Result<()> {
    let kinds = objects(&chart::render(chart::KINDS, &[])?)?;
    ensure!(kinds.len() == 3, "{} kinds are in the chart", kinds.len());
    for kind in kinds {
        let policy = &kind["metadata"]["annotations"]["helm.sh/resource-policy"];
        ensure!(policy == "keep", "{}: {policy:?}", kind["metadata"]["name"]);
    }
    Ok(())
}

fn objects(rendered: &str) -> Result<Vec<serde_json::Value>> {
    serde_yaml::Deserializer::from_str(rendered)
        .map(|document| Ok(serde::Deserialize::deserialize(document)?))
        .filter(|object: &Result<serde_json::Value>| !matches!(object, Ok(serde_json::Value::Null)))
        .collect()
}

fn pod_of_deployment(template: &str) -> Result<String> {
    let mut pod: serde_json::Value = serde_json::from_str(template)?;
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "judged".into();
    Ok(pod.to_string())
}
