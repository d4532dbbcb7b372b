//! The body of the conformance test: everything the port can ask and do, in the
//! order of a node's life, written down as facts by name. Judges none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::Instance;
use spotocean_core::instance_type::InstanceType;
use spotocean_core::launch::{FleetAnswer, FleetRequest, LaunchTemplate};
use spotocean_core::offering::Market;
use spotocean_core::port::{Cloud, CloudError, CloudEventKind, ImageQuery, SelectorTerm};

use crate::arm::Arm;
use crate::ground::{Ground, fleet, profile, tags};

/// Facts by name.
pub(crate) type Facts = BTreeMap<&'static str, String>;

/// The whole body.
pub(crate) async fn facts(arm: &Arm) -> Facts {
    let mut facts = Facts::new();
    catalogue(arm, &mut facts).await;
    prices(arm, &mut facts).await;
    network(arm, &mut facts).await;
    images(arm, &mut facts).await;
    cluster(arm, &mut facts).await;
    profiles(arm, &mut facts).await;
    let ground = Ground::of(arm).await;
    templates(arm, &ground, &mut facts).await;
    let ids = fleets(arm, &ground, &mut facts).await;
    instances(arm, &ids, &mut facts).await;
    instance_tags(arm, &ids, &mut facts).await;
    endings(arm, &ids, &mut facts).await;
    queue(arm, &mut facts).await;
    facts
}

fn outcome<T>(result: Result<T, CloudError>, told: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => told(value),
        Err(error) => format!("{:?} {}", error.kind, error.code),
    }
}

fn done(result: Result<(), CloudError>) -> String {
    outcome(result, |()| "done".to_owned())
}

fn words<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(" ")
}

fn unknown_instance() -> InstanceId {
    "i-0fedcba9876543210".into()
}

async fn catalogue(arm: &Arm, facts: &mut Facts) {
    let zones = arm.cloud.zones().await;
    let zone_ids = zones.clone().unwrap_or_default();
    facts.insert(
        "zones",
        outcome(zones, |zones| {
            words(zones.iter().map(|(zone, id)| format!("{zone}={id}")))
        }),
    );
    let types = arm.cloud.instance_types().await.unwrap_or_default();
    facts.insert("types are plenty", (types.len() > 1000).to_string());
    for name in ["m5.large", "m7gd.2xlarge", "g4dn.xlarge", "c4.large"] {
        let found = types.iter().find(|found| found.name.as_str() == name);
        facts.insert(name, found.map_or_else(|| "missing".to_owned(), type_in_words));
    }
    let offered = arm.cloud.offered().await;
    let sold_in = outcome(offered, |markets| {
        let mut ids: Vec<_> = markets
            .iter()
            .filter(|market| market.instance_type.as_str() == "a1.large")
            .filter_map(|market| zone_ids.get(&market.zone))
            .collect();
        ids.sort();
        words(ids)
    });
    facts.insert("zones of a1.large", sold_in);
}

fn type_in_words(found: &InstanceType) -> String {
    let mut text = format!(
        "{} {} vCPU {} MiB {}x{} addresses {} Gbps {}",
        found.architecture.as_str(),
        found.vcpus,
        found.memory_mib,
        found.network_interfaces,
        found.ipv4_per_interface,
        found.network_gbps,
        found.hypervisor
    );
    if found.supports_spot {
        text.push_str(" spot");
    }
    if found.local_nvme_gb > 0 {
        text.push_str(&format!(
            " {} GB on {}",
            found.local_nvme_gb, found.local_nvme_disks
        ));
    }
    for accelerator in &found.accelerators {
        text.push_str(&format!(" {}={}", accelerator.resource, accelerator.count));
    }
    text
}

async fn prices(arm: &Arm, facts: &mut Facts) {
    let market = Market {
        instance_type: "m5.large".into(),
        zone: "us-east-1a".into(),
    };
    let spot = outcome(arm.cloud.spot_prices().await, |prices| {
        let price = prices.get(&market).map_or(0, |price| price.micro_usd());
        (9_600..=96_000).contains(&price).to_string()
    });
    facts.insert(
        "spot price of m5.large is between a tenth and the whole of on-demand",
        spot,
    );
    let on_demand = outcome(arm.cloud.on_demand_prices().await, |prices| {
        words(prices.get("m5.large"))
    });
    facts.insert("on-demand price of m5.large", on_demand);
}

async fn network(arm: &Arm, facts: &mut Facts) {
    let by_tag = outcome(arm.cloud.subnets(&arm.subnets).await, |subnets| {
        let zones: BTreeSet<_> = subnets.iter().map(|subnet| &subnet.zone).collect();
        let all_free = subnets.iter().all(|subnet| subnet.free_addresses > 0);
        let with = if all_free {
            "all with addresses"
        } else {
            "some without addresses"
        };
        format!("{} in {} zones, {with}", subnets.len(), zones.len())
    });
    facts.insert("subnets by tag, one per zone", by_tag);
    let count = |found: usize| found.to_string();
    let unknown = SelectorTerm {
        id: Some("subnet-0123456789abcdef0".into()),
        ..SelectorTerm::default()
    };
    facts.insert(
        "subnet by an unknown id",
        outcome(arm.cloud.subnets(&[unknown]).await, |found| count(found.len())),
    );
    let groups = arm.cloud.security_groups(&arm.security_groups).await;
    facts.insert(
        "security group by tag",
        outcome(groups, |found| count(found.len())),
    );
    let unknown = SelectorTerm {
        name: Some("nobody-named-a-group-so".into()),
        ..SelectorTerm::default()
    };
    let groups = arm.cloud.security_groups(&[unknown]).await;
    facts.insert(
        "security group by an unknown name",
        outcome(groups, |found| count(found.len())),
    );
}

async fn images(arm: &Arm, facts: &mut Facts) {
    let eks = |kubernetes_version: &str| ImageQuery::Al2023 {
        kubernetes_version: kubernetes_version.into(),
        version: "latest".into(),
    };
    let bottlerocket = ImageQuery::Bottlerocket {
        kubernetes_version: "1.36".into(),
        version: "latest".into(),
    };
    let rows = [
        ("images by name", ImageQuery::Selector(arm.images.clone())),
        ("AL2023 image for EKS", eks("1.36")),
        ("Bottlerocket image for EKS", bottlerocket),
        ("image for an unknown Kubernetes version", eks("1.1")),
    ];
    for (fact, query) in rows {
        let found = outcome(arm.cloud.images(&query).await, |images| {
            words(
                images
                    .iter()
                    .map(|image| format!("{} {}", image.architecture.as_str(), image.root_device)),
            )
        });
        facts.insert(fact, found);
    }
}

async fn cluster(arm: &Arm, facts: &mut Facts) {
    let cluster = outcome(arm.cloud.cluster(&arm.cluster).await, |found| {
        words([&found.name, &found.version, &found.authentication_mode])
    });
    facts.insert("cluster", cluster);
    let missing = arm.cloud.cluster("nobody-named-a-cluster-so").await;
    facts.insert(
        "cluster that is not there",
        outcome(missing, |found| found.name.to_string()),
    );
    let arn = arm.cloud.role_arn(&arm.role).await;
    facts.insert("role", outcome(arn.clone(), |arn| arn.to_string()));
    let missing = arm.cloud.role_arn("nobody-named-a-role-so").await;
    facts.insert("role that is not there", outcome(missing, |arn| arn.to_string()));
    let arn = arn.unwrap_or_default();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let ours = tags(&[("spotocean.dev/cluster-uid", "uid-1")]);
        let entry = arm.cloud.ensure_access_entry(&arm.cluster, &arn, &ours).await;
        outcomes.push(outcome(entry, |entry| format!("{entry:?}")));
    }
    facts.insert("access entry made twice", outcomes.join(" "));
}

async fn profiles(arm: &Arm, facts: &mut Facts) {
    let ours = profile(arm, "conformance", &arm.role, "uid-1");
    let holds = |role: Option<Arc<str>>| role.map_or_else(|| "none".to_owned(), |role| role.to_string());
    let before = arm.cloud.instance_profile_role(&ours.name).await;
    facts.insert("profile before it is made", outcome(before, holds));
    let twice = [
        done(arm.cloud.ensure_instance_profile(&ours).await),
        done(arm.cloud.ensure_instance_profile(&ours).await),
    ];
    facts.insert("profile made twice", twice.join(" "));
    let after = arm.cloud.instance_profile_role(&ours.name).await;
    facts.insert("profile holds", outcome(after, holds));
    let theirs = profile(arm, "conformance", &arm.role, "uid-2");
    facts.insert(
        "profile of another cluster",
        done(arm.cloud.ensure_instance_profile(&theirs).await),
    );
    let no_role = profile(arm, "no-role", "nobody-named-a-role-so", "uid-1");
    let refused = arm.cloud.ensure_instance_profile(&no_role).await;
    facts.insert("profile for a role that is not there", done(refused));
    let twice = [
        done(arm.cloud.delete_instance_profile(&ours.name).await),
        done(arm.cloud.delete_instance_profile(&ours.name).await),
    ];
    facts.insert("profile deleted twice", twice.join(" "));
}

async fn templates(arm: &Arm, ground: &Ground, facts: &mut Facts) {
    let spot = ground.template("conformance", CapacityType::Spot);
    let twice = [
        done(arm.cloud.ensure_launch_template(&spot).await),
        done(arm.cloud.ensure_launch_template(&spot).await),
    ];
    facts.insert("template made twice", twice.join(" "));
    let found = arm.cloud.launch_templates(&spot.tags).await;
    facts.insert(
        "template found by tag",
        outcome(found, |found| found.len().to_string()),
    );
    let others = arm
        .cloud
        .launch_templates(&tags(&[("spotocean.dev/ocean-uid", "uid-2")]))
        .await;
    facts.insert(
        "template of another tag",
        outcome(others, |found| found.len().to_string()),
    );
    let twice = [
        done(arm.cloud.delete_launch_template(&spot.name).await),
        done(arm.cloud.delete_launch_template(&spot.name).await),
    ];
    facts.insert("template deleted twice", twice.join(" "));
    let many = tags(&[("many", "yes")]);
    for index in 0..20 {
        let one = LaunchTemplate {
            tags: many.clone(),
            ..ground.template(&format!("conformance-{index}"), CapacityType::OnDemand)
        };
        arm.cloud
            .ensure_launch_template(&one)
            .await
            .expect("each is made");
    }
    let found = arm.cloud.launch_templates(&many).await;
    facts.insert(
        "twenty templates are twenty",
        outcome(found, |found| found.len().to_string()),
    );
}

fn fleet_in_words(answer: &FleetAnswer) -> String {
    let instances: BTreeSet<String> = answer
        .instances
        .iter()
        .map(|found| format!("{} {} {}", found.capacity_type, found.instance_type, found.zone))
        .collect();
    let errors: Vec<_> = answer.errors.iter().map(|error| &*error.code).collect();
    let errors = if errors.is_empty() {
        "no errors".to_owned()
    } else {
        errors.join(" ")
    };
    words([answer.instances.len().to_string(), words(instances)])
        .trim_end()
        .to_owned()
        + ", "
        + &errors
}

async fn fleets(arm: &Arm, ground: &Ground, facts: &mut Facts) -> Vec<InstanceId> {
    for capacity_type in [CapacityType::Spot, CapacityType::OnDemand] {
        let template = ground.template(&format!("fleet-{capacity_type}"), capacity_type);
        arm.cloud
            .ensure_launch_template(&template)
            .await
            .expect("the template is made");
    }
    let request = fleet(ground, "launch-1", CapacityType::Spot, 2);
    let answer = arm.cloud.create_fleet(&request).await;
    facts.insert("fleet", outcome(answer.clone(), |answer| fleet_in_words(&answer)));
    let bought = answer.map(|answer| answer.instances).unwrap_or_default();
    let again = outcome(arm.cloud.create_fleet(&request).await, |again| {
        if again.instances == bought {
            "the same".to_owned()
        } else {
            "another fleet".to_owned()
        }
    });
    facts.insert("fleet asked again with its token", again);
    let other = FleetRequest {
        target_capacity: 1,
        ..request.clone()
    };
    let words_of = |answer: FleetAnswer| fleet_in_words(&answer);
    facts.insert(
        "fleet with its token and another size",
        outcome(arm.cloud.create_fleet(&other).await, words_of),
    );
    let mut no_template = fleet(ground, "launch-2", CapacityType::Spot, 1);
    no_template.configs[0].launch_template = "nobody-named-a-template-so".into();
    facts.insert(
        "fleet without a template",
        outcome(arm.cloud.create_fleet(&no_template).await, words_of),
    );
    let on_demand = fleet(ground, "launch-3", CapacityType::OnDemand, 1);
    facts.insert(
        "fleet on demand",
        outcome(arm.cloud.create_fleet(&on_demand).await, words_of),
    );
    let mut not_sold = fleet(ground, "launch-4", CapacityType::Spot, 1);
    // a1.large is sold in three zones, and us-east-1b (use1-az1) is none of them.
    let subnets = arm.cloud.subnets(&arm.subnets).await.expect("there are subnets");
    let elsewhere = subnets
        .iter()
        .find(|subnet| subnet.zone.as_str() == "us-east-1b")
        .expect("one per zone");
    let pool = &mut not_sold.configs[0].overrides[0];
    pool.instance_type = "a1.large".into();
    pool.subnet = elsewhere.id.clone();
    pool.zone = elsewhere.zone.clone();
    facts.insert(
        "fleet of a type not sold in the zone",
        outcome(arm.cloud.create_fleet(&not_sold).await, words_of),
    );
    bought.into_iter().map(|found| found.id).collect()
}

async fn instances(arm: &Arm, ids: &[InstanceId], facts: &mut Facts) {
    let launch = tags(&[("spotocean.dev/launch", "launch-1")]);
    let listed = arm.cloud.instances_by_id(ids).await;
    let found = listed.clone().unwrap_or_default();
    let by_tag = outcome(arm.cloud.instances(&launch).await, |found| {
        let kinds: BTreeSet<String> = found
            .iter()
            .filter(|found| ids.contains(&found.id))
            .map(|found| format!("{} {} {}", found.capacity_type, found.instance_type, found.zone))
            .collect();
        words([
            found
                .iter()
                .filter(|found| ids.contains(&found.id))
                .count()
                .to_string(),
            words(kinds),
        ])
    });
    facts.insert("instances by tag", by_tag);
    let with = |extra: InstanceId| ids.iter().cloned().chain([extra]).collect::<Vec<_>>();
    let count = |found: Vec<Instance>| found.len().to_string();
    let unknown = arm.cloud.instances_by_id(&with(unknown_instance())).await;
    facts.insert("instances by id, one unknown", outcome(unknown, count));
    let malformed = arm.cloud.instances_by_id(&with("i-nonsense".into())).await;
    facts.insert("a malformed id is left out", outcome(malformed, count));
    let tagged = found.iter().all(|found| {
        found.tag("spotocean.dev/launch") == Some("launch-1")
            && found.tag("spotocean.dev/ocean-uid") == Some("uid-1")
    });
    facts.insert(
        "instances carry the template's and the fleet's tags",
        tagged.to_string(),
    );
    let alive = found.iter().all(|found| !found.state.is_ending());
    facts.insert("instances are pending or running", alive.to_string());
    let named = found
        .iter()
        .all(|found| found.private_dns_name.starts_with("ip-"));
    facts.insert("instances have a private name", named.to_string());
}

async fn instance_tags(arm: &Arm, ids: &[InstanceId], facts: &mut Facts) {
    let mut seen = Vec::new();
    let extra = tags(&[("extra", "yes")]);
    arm.cloud
        .tag_instances(ids, &extra)
        .await
        .expect("instances are tagged");
    for _ in 0..2 {
        let found = arm.cloud.instances_by_id(ids).await.unwrap_or_default();
        let values: BTreeSet<_> = found
            .iter()
            .map(|found| found.tag("extra").unwrap_or("none"))
            .collect();
        seen.push(words(values));
        arm.cloud
            .untag_instances(ids, &["extra".into()])
            .await
            .expect("instances are untagged");
    }
    facts.insert("a tag set and removed", seen.join(" "));
    let unknown = arm.cloud.tag_instances(&[unknown_instance()], &extra).await;
    facts.insert("tags on an unknown instance", done(unknown));
}

async fn endings(arm: &Arm, ids: &[InstanceId], facts: &mut Facts) {
    let first = ids.first().cloned().unwrap_or_else(unknown_instance);
    let console = arm.cloud.console_output(&first).await;
    facts.insert("console output", done(console.map(drop)));
    let unknown = arm.cloud.console_output(&unknown_instance()).await;
    facts.insert("console output of an unknown instance", done(unknown.map(drop)));
    let with_unknown: Vec<_> = ids.iter().cloned().chain([unknown_instance()]).collect();
    facts.insert(
        "terminated, one unknown",
        done(arm.cloud.terminate(&with_unknown).await),
    );
    let ending = outcome(arm.cloud.instances_by_id(ids).await, |found| {
        let are_ending = found.len() == ids.len() && found.iter().all(|found| found.state.is_ending());
        if are_ending { "all ending" } else { "some alive" }.to_owned()
    });
    facts.insert("instances after that", ending);
    facts.insert("terminated again", done(arm.cloud.terminate(ids).await));
}

async fn queue(arm: &Arm, facts: &mut Facts) {
    let missing = arm.cloud.receive_messages("nobody-named-a-queue-so").await;
    facts.insert(
        "queue that is not there",
        outcome(missing, |messages| messages.len().to_string()),
    );
    let warning = r#"{"version":"0","id":"12345678-1234-1234-1234-123456789012",
        "detail-type":"EC2 Spot Instance Interruption Warning","source":"aws.ec2","account":"123456789012",
        "time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":[],
        "detail":{"instance-id":"i-0123456789abcdef0","instance-action":"terminate"}}"#;
    let url = arm
        .sqs
        .get_queue_url()
        .queue_name(&*arm.cluster)
        .send()
        .await
        .expect("the queue is there");
    let sent = arm
        .sqs
        .send_message()
        .set_queue_url(url.queue_url)
        .message_body(warning)
        .send()
        .await;
    sent.expect("a message is sent");
    // Other events (instances changing state) may come first.
    let mut receipt = None;
    while receipt.is_none() {
        let messages = arm
            .cloud
            .receive_messages(&arm.cluster)
            .await
            .expect("the queue is read");
        let found = messages.iter().find_map(|message| {
            let event = message
                .event
                .as_ref()
                .filter(|event| event.kind == CloudEventKind::SpotInterruption)?;
            Some((
                message.receipt.clone(),
                format!("{:?} {}", event.kind, words(&event.instances)),
            ))
        });
        receipt = found.map(|(receipt, told)| {
            facts.insert("a warning from the queue", told);
            receipt
        });
    }
    let deleted = arm.cloud.delete_messages(&arm.cluster, receipt.as_slice()).await;
    facts.insert("the warning deleted", done(deleted));
    let bad = arm
        .cloud
        .delete_messages(&arm.cluster, &["no-receipt".into()])
        .await;
    facts.insert("deleted with a receipt that is none", done(bad));
}
