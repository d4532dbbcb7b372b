//! EKS over REST: the cluster, and access entries.

use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::state::eks::AccessEntry;
use crate::state::{ACCOUNT, World};
use crate::wire::error::ApiError;

/// A request by method, path segments (decoded) and query.
#[derive(Debug, Clone)]
pub struct RestRequest<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Segments of the path.
    pub segments: Vec<String>,
    /// Body; null when empty.
    pub body: Value,
}

/// The action a request means.
pub fn action(method: &str, segments: &[String]) -> Option<&'static str> {
    let shape: Vec<&str> = segments.iter().map(String::as_str).collect();
    Some(match (method, shape.as_slice()) {
        ("GET", ["clusters"]) => "ListClusters",
        ("GET", ["clusters", _]) => "DescribeCluster",
        ("GET", ["clusters", _, "access-entries"]) => "ListAccessEntries",
        ("POST", ["clusters", _, "access-entries"]) => "CreateAccessEntry",
        ("GET", ["clusters", _, "access-entries", _]) => "DescribeAccessEntry",
        ("POST", ["clusters", _, "access-entries", _]) => "UpdateAccessEntry",
        ("DELETE", ["clusters", _, "access-entries", _]) => "DeleteAccessEntry",
        ("GET", ["clusters", _, "node-groups"]) => "ListNodegroups",
        _ => return None,
    })
}

/// Carries out an EKS action.
pub fn eks(world: &mut World, action: &str, request: &RestRequest<'_>) -> Result<Value, ApiError> {
    if action == "ListClusters" {
        return Ok(json!({"clusters": [world.eks.name]}));
    }
    let cluster = request.segments.get(1).map_or("", String::as_str);
    if cluster != world.eks.name {
        return Err(ApiError::new(
            404,
            "ResourceNotFoundException",
            format!("No cluster found for name: {cluster}."),
        ));
    }
    if action.ends_with("AccessEntry") || action.ends_with("AccessEntries") {
        refuse_without_entries(world)?;
    }
    let principal = request.segments.get(3).map_or("", String::as_str).to_owned();
    match action {
        "DescribeCluster" => Ok(json!({"cluster": described(world)})),
        "ListNodegroups" => Ok(json!({"nodegroups": []})),
        "ListAccessEntries" => {
            Ok(json!({"accessEntries": world.eks.access_entries.keys().collect::<Vec<_>>()}))
        }
        "CreateAccessEntry" => create(world, &request.body),
        "DescribeAccessEntry" => {
            Ok(json!({"accessEntry": described_entry(world, entry(world, &principal)?)}))
        }
        "UpdateAccessEntry" => update(world, &principal, &request.body),
        "DeleteAccessEntry" => {
            entry(world, &principal)?;
            world.eks.access_entries.remove(&principal);
            Ok(json!({}))
        }
        _ => Err(ApiError::unknown_action(action)),
    }
}

fn refuse_without_entries(world: &World) -> Result<(), ApiError> {
    if world.eks.has_access_entries() {
        return Ok(());
    }
    Err(ApiError::client(
        "InvalidRequestException",
        "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
    ))
}

fn entry<'a>(world: &'a World, principal: &str) -> Result<&'a AccessEntry, ApiError> {
    world.eks.access_entries.get(principal).ok_or_else(|| {
        ApiError::new(
            404,
            "ResourceNotFoundException",
            format!("The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'. Found: {principal}"),
        )
    })
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

fn create(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let principal = body["principalArn"]
        .as_str()
        .ok_or_else(|| invalid("principalArn is required"))?
        .to_owned();
    let kind = body["type"].as_str().unwrap_or("STANDARD").to_owned();
    let known = [
        "STANDARD",
        "EC2_LINUX",
        "EC2_WINDOWS",
        "FARGATE_LINUX",
        "EC2",
        "HYBRID_LINUX",
        "HYPERPOD_LINUX",
    ];
    if !known.contains(&kind.as_str()) {
        return Err(invalid(format!("The type '{kind}' is not one of {known:?}")));
    }
    let groups: Vec<String> = texts(&body["kubernetesGroups"]);
    if kind != "STANDARD" && (!groups.is_empty() || body["username"].is_string()) {
        return Err(invalid(format!(
            "Kubernetes groups and username cannot be set for entries of type {kind}."
        )));
    }
    if world.eks.access_entries.contains_key(&principal) {
        return Err(ApiError::new(
            409,
            "ResourceInUseException",
            "The specified access entry resource is already in use on this cluster.",
        ));
    }
    if let Some(name) = principal
        .split_once(":role/")
        .and_then(|(_, path)| path.rsplit('/').next())
        && !world.iam.roles.contains_key(name)
    {
        return Err(invalid(format!(
            "The specified principalArn is invalid: invalid principal. {principal}"
        )));
    }
    let now = world.now();
    let is_node = kind == "EC2_LINUX";
    let entry = AccessEntry {
        principal_arn: principal.clone(),
        username: match (is_node, body["username"].as_str()) {
            (true, _) => "system:node:{{EC2PrivateDNSName}}".to_owned(),
            (false, given) => given.unwrap_or(&principal).to_owned(),
        },
        groups: if is_node {
            vec!["system:nodes".to_owned()]
        } else {
            groups
        },
        kind,
        tags: body["tags"]
            .as_object()
            .map(|tags| {
                tags.iter()
                    .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                    .collect()
            })
            .unwrap_or_default(),
        created: now,
        modified: now,
    };
    let answer = json!({"accessEntry": described_entry(world, &entry)});
    world.eks.access_entries.insert(principal, entry);
    Ok(answer)
}

fn update(world: &mut World, principal: &str, body: &Value) -> Result<Value, ApiError> {
    entry(world, principal)?;
    let now = world.now();
    if let Some(entry) = world.eks.access_entries.get_mut(principal) {
        if entry.kind != "STANDARD" {
            return Err(invalid(format!(
                "Access entries of type {} cannot be changed.",
                entry.kind
            )));
        }
        if body["kubernetesGroups"].is_array() {
            entry.groups = texts(&body["kubernetesGroups"]);
        }
        if let Some(username) = body["username"].as_str() {
            entry.username = username.to_owned();
        }
        entry.modified = now;
    }
    Ok(json!({"accessEntry": described_entry(world, entry(world, principal)?)}))
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .map(|list| {
            list.iter()
                .filter_map(|each| each.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default()
}

fn seconds(world: &World, moment: Moment) -> f64 {
    world.clock.timestamp(moment).as_millisecond() as f64 / 1000.0
}

fn described_entry(world: &World, entry: &AccessEntry) -> Value {
    let name = entry.principal_arn.rsplit('/').next().unwrap_or_default();
    let region = &world.options.region;
    let cluster = &world.eks.name;
    json!({
        "clusterName": cluster,
        "principalArn": entry.principal_arn,
        "kubernetesGroups": entry.groups,
        "accessEntryArn": format!("arn:aws:eks:{region}:{ACCOUNT}:access-entry/{cluster}/role/{ACCOUNT}/{name}/0"),
        "createdAt": seconds(world, entry.created),
        "modifiedAt": seconds(world, entry.modified),
        "tags": entry.tags,
        "username": entry.username,
        "type": entry.kind,
    })
}

fn described(world: &World) -> Value {
    let eks = &world.eks;
    let region = &world.options.region;
    let no_tags = Map::new();
    json!({
        "name": eks.name,
        "arn": format!("arn:aws:eks:{region}:{ACCOUNT}:cluster/{}", eks.name),
        "createdAt": seconds(world, Moment(-86_400_000)),
        "version": eks.version,
        "endpoint": eks.facts.endpoint,
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/eks-cluster-{}", eks.name),
        "resourcesVpcConfig": {
            "subnetIds": eks.subnet_ids,
            "securityGroupIds": [],
            "clusterSecurityGroupId": eks.security_group_id,
            "vpcId": eks.vpc_id,
            "endpointPublicAccess": true,
            "endpointPrivateAccess": true,
            "publicAccessCidrs": ["0.0.0.0/0"],
        },
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": eks.service_cidr, "ipFamily": "ipv4"},
        "identity": {"oidc": {"issuer": format!("https://oidc.eks.{region}.amazonaws.com/id/SIMULATED")}},
        "status": eks.status,
        "certificateAuthority": {"data": eks.facts.certificate_authority},
        "platformVersion": "eks.1",
        "tags": no_tags,
        "health": {"issues": []},
        "accessConfig": {"authenticationMode": eks.authentication_mode},
        "upgradePolicy": {"supportType": "STANDARD"},
    })
}
