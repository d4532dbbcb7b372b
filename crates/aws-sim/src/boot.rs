//! What becomes of an instance that boots: its own user data read as its image would, then every door
//! between it and the cluster. It decides who joins and why not; it does not talk to the cluster.

pub mod bottlerocket;
pub mod mime;
pub mod nodeadm;
pub mod settings;

use k8s_openapi::api::core::v1::Node;

use crate::node;
use crate::state::World;
use crate::state::image::Family;
use crate::state::instance::Instance;

use self::settings::NodeSettings;

/// What stands between an instance and the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing will change that: the kubelet never starts or never finds the cluster.
    ForGood(String),
    /// The kubelet keeps trying, and gets in when the door opens.
    ForNow(String),
}

impl Refusal {
    /// What the console shows.
    pub fn line(&self) -> &str {
        match self {
            Refusal::ForGood(line) | Refusal::ForNow(line) => line,
        }
    }
}

/// A kubelet that may register.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The Node it registers.
    pub node: Node,
    /// The role it comes with, if only the `aws-auth` ConfigMap can still let it in.
    pub needs_aws_auth_for: Option<String>,
}

/// Judges an instance that boots.
pub fn admit(world: &World, instance: &Instance) -> Result<Admission, Refusal> {
    let settings = settings_of(world, instance)?;
    check_cluster(world, &settings)?;
    check_network(world, instance)?;
    let needs_aws_auth_for = check_role(world, instance)?;
    let node = node::registered(world, instance, &settings).map_err(Refusal::ForGood)?;
    Ok(Admission {
        node,
        needs_aws_auth_for,
    })
}

/// The settings the image makes of the user data.
pub fn settings_of(world: &World, instance: &Instance) -> Result<NodeSettings, Refusal> {
    let family = world
        .images
        .get(&instance.image_id)
        .map_or(Family::Plain, |image| image.family);
    let read = match family {
        Family::Al2023 => nodeadm::read(&instance.user_data),
        Family::Bottlerocket => bottlerocket::read(&instance.user_data),
        Family::Plain => Err("no kubelet on this image: nothing joins a cluster from here".to_owned()),
    };
    let settings = read.map_err(Refusal::ForGood)?;
    settings.check_labels().map_err(Refusal::ForGood)?;
    Ok(settings)
}

/// A kubelet told of another cluster, or not trusting this one, never arrives here.
fn check_cluster(world: &World, settings: &NodeSettings) -> Result<(), Refusal> {
    let eks = &world.eks;
    let refused = |line: String| Err(Refusal::ForGood(line));
    if settings.cluster_name != eks.name {
        return refused(format!(
            "kubelet: Unauthorized: the token is for cluster '{}', the apiserver belongs to '{}'",
            settings.cluster_name, eks.name
        ));
    }
    if settings.api_server.trim_end_matches('/') != eks.facts.endpoint.trim_end_matches('/') {
        return refused(format!(
            "kubelet: unable to register node: Post \"{}/api/v1/nodes\": dial tcp: i/o timeout (the cluster's endpoint is {})",
            settings.api_server, eks.facts.endpoint
        ));
    }
    if squeezed(&settings.certificate_authority) != squeezed(&eks.facts.certificate_authority) {
        return refused(
            "kubelet: unable to register node: tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned(),
        );
    }
    match &settings.service_cidr {
        Some(cidr) if *cidr != eks.service_cidr => refused(format!(
            "kubelet: cluster DNS of service CIDR {cidr} cannot be reached: the cluster's is {}",
            eks.service_cidr
        )),
        _ => Ok(()),
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

fn check_network(world: &World, instance: &Instance) -> Result<(), Refusal> {
    let reaches = instance
        .security_group_ids
        .iter()
        .filter_map(|id| world.network.security_groups.get(id))
        .any(|group| group.reaches_cluster);
    if reaches {
        return Ok(());
    }
    Err(Refusal::ForNow(format!(
        "kubelet: unable to register node: dial tcp: i/o timeout: security groups {} are not let in by the cluster",
        instance.security_group_ids.join(", ")
    )))
}

/// The role must be admitted by an access entry, or by `aws-auth` where the cluster reads it.
fn check_role(world: &World, instance: &Instance) -> Result<Option<String>, Refusal> {
    let Some(profile) = &instance.instance_profile else {
        return Err(Refusal::ForGood(
            "kubelet: Unauthorized: the instance has no instance profile".to_owned(),
        ));
    };
    let role = world
        .iam
        .profiles
        .get(profile)
        .and_then(|profile| profile.role.as_ref())
        .and_then(|role| world.iam.roles.get(role));
    let Some(role) = role else {
        return Err(Refusal::ForNow(format!(
            "kubelet: Unauthorized: instance profile {profile} carries no role"
        )));
    };
    let arn = role.arn();
    let entry = world
        .eks
        .access_entries
        .get(&arn)
        .filter(|_| world.eks.has_access_entries());
    match entry {
        Some(entry) if entry.kind == "EC2_LINUX" => Ok(None),
        Some(entry) => Err(Refusal::ForNow(format!(
            "kubelet: Unauthorized: the access entry of {arn} is of type {}, nodes need EC2_LINUX",
            entry.kind
        ))),
        None if world.eks.reads_aws_auth() => Ok(Some(arn)),
        None => Err(Refusal::ForNow(format!(
            "kubelet: Unauthorized: role {arn} has no access entry"
        ))),
    }
}
