//! The access entry that lets nodes of a role join an EKS cluster.
//!
//! An entry that exists is never changed: one of the right type does its work
//! whoever made it, one of another type is somebody's decision and is reported.

use std::sync::Arc;

use aws_sdk_eks::operation::create_access_entry::builders::CreateAccessEntryInputBuilder;
use aws_sdk_eks::operation::describe_access_entry::builders::DescribeAccessEntryInputBuilder;
use spotocean_core::port::{AccessEntryOutcome, CloudError, CloudErrorKind};

use crate::client::AwsCloud;
use crate::tag::Tags;
use crate::throttle::Action;

const DESCRIBE: Action = Action::other("DescribeAccessEntry");
const CREATE: Action = Action::other("CreateAccessEntry");
/// The type of entries for self-managed Linux nodes.
const NODE_TYPE: &str = "EC2_LINUX";

/// Admits the role unless an entry for it exists.
pub(crate) async fn ensure(
    cloud: &AwsCloud,
    cluster: &str,
    role_arn: &str,
    tags: &Tags,
) -> Result<AccessEntryOutcome, CloudError> {
    match entry_type(cloud, cluster, role_arn).await {
        Err(error) if error.kind == CloudErrorKind::NotFound => {}
        known => return known.map(|found| outcome(&found)),
    }
    let request = create_input(cluster, role_arn, tags).send_with(&cloud.eks);
    match cloud.call(CREATE, request).await {
        Ok(_) => Ok(AccessEntryOutcome::Created),
        // Made by another replica or a person between the two calls.
        Err(error) if error.kind == CloudErrorKind::AlreadyExists => {
            Ok(outcome(&entry_type(cloud, cluster, role_arn).await?))
        }
        Err(error) => Err(error),
    }
}

async fn entry_type(cloud: &AwsCloud, cluster: &str, role_arn: &str) -> Result<Arc<str>, CloudError> {
    let request = DescribeAccessEntryInputBuilder::default()
        .cluster_name(cluster)
        .principal_arn(role_arn)
        .send_with(&cloud.eks);
    let answer = cloud.call(DESCRIBE, request).await?;
    let found = answer.access_entry().and_then(|entry| entry.r#type());
    Ok(found.unwrap_or_default().into())
}

fn create_input(cluster: &str, role_arn: &str, tags: &Tags) -> CreateAccessEntryInputBuilder {
    let tags = tags
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    CreateAccessEntryInputBuilder::default()
        .cluster_name(cluster)
        .principal_arn(role_arn)
        .r#type(NODE_TYPE)
        .set_tags(Some(tags))
}

fn outcome(found: &str) -> AccessEntryOutcome {
    if found == NODE_TYPE {
        AccessEntryOutcome::Present
    } else {
        AccessEntryOutcome::WrongType
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_entry_lets_nodes_join() {
        let rows = [
            ("EC2_LINUX", AccessEntryOutcome::Present),
            ("STANDARD", AccessEntryOutcome::WrongType),
            ("EC2_WINDOWS", AccessEntryOutcome::WrongType),
            ("EC2", AccessEntryOutcome::WrongType),
            ("", AccessEntryOutcome::WrongType),
        ];
        for (found, expected) in rows {
            assert_eq!(outcome(found), expected, "{found:?}");
        }
    }
}
