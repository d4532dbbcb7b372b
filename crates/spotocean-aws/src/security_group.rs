//! Security groups that match selector terms.

use std::collections::BTreeMap;

use aws_sdk_ec2::operation::describe_security_groups::builders::DescribeSecurityGroupsInputBuilder;
use aws_sdk_ec2::types::SecurityGroup as Described;
use spotocean_core::id::SecurityGroupId;
use spotocean_core::port::{CloudError, SecurityGroup, SelectorTerm};

use crate::client::AwsCloud;
use crate::page::{self, Page};
use crate::selector::{self, Candidate, FilterNames};
use crate::tag;
use crate::throttle::Action;

const DESCRIBE: Action = Action::read("DescribeSecurityGroups");
const PAGE_SIZE: i32 = 1000;
const NAMES: FilterNames = FilterNames {
    id: "group-id",
    name: "group-name",
};

/// Security groups that match any term, sorted by id.
pub(crate) async fn matching(
    cloud: &AwsCloud,
    terms: &[SelectorTerm],
) -> Result<Vec<SecurityGroup>, CloudError> {
    let mut found: BTreeMap<SecurityGroupId, SecurityGroup> = BTreeMap::new();
    for term in terms {
        let request = DescribeSecurityGroupsInputBuilder::default()
            .set_filters(Some(selector::filters(DESCRIBE.name, term, NAMES)?))
            .max_results(PAGE_SIZE);
        let described = describe(cloud, &request).await?;
        let matching = described.iter().filter(|group| is_match(term, group));
        found.extend(matching.filter_map(read).map(|group| (group.id.clone(), group)));
    }
    Ok(found.into_values().collect())
}

async fn describe(
    cloud: &AwsCloud,
    request: &DescribeSecurityGroupsInputBuilder,
) -> Result<Vec<Described>, CloudError> {
    page::every(|token| async move {
        let request = request.clone().set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.security_groups.unwrap_or_default(),
            next: answer.next_token,
        })
    })
    .await
}

fn is_match(term: &SelectorTerm, group: &Described) -> bool {
    let candidate = Candidate {
        id: group.group_id().unwrap_or_default(),
        name: group.group_name().unwrap_or_default(),
        tags: &tag::read(group.tags()),
    };
    selector::matches(term, candidate)
}

fn read(group: &Described) -> Option<SecurityGroup> {
    Some(SecurityGroup {
        id: group.group_id()?.into(),
        name: group.group_name().unwrap_or_default().into(),
        vpc: group.vpc_id().unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_and_matched_by_its_name() {
        let group = Described::builder()
            .group_id("sg-1")
            .group_name("nodes")
            .vpc_id("vpc-1")
            .build();
        let expected = SecurityGroup {
            id: "sg-1".into(),
            name: "nodes".into(),
            vpc: "vpc-1".into(),
        };
        assert_eq!(read(&group), Some(expected));
        let named = |name: &str| SelectorTerm {
            name: Some(name.into()),
            ..SelectorTerm::default()
        };
        assert!(is_match(&named("nodes"), &group));
        assert!(!is_match(&named("default"), &group));
    }
}
