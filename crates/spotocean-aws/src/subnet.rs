//! Subnets that match selector terms, with their free addresses as of now.

use std::collections::BTreeMap;

use aws_sdk_ec2::operation::describe_subnets::builders::DescribeSubnetsInputBuilder;
use aws_sdk_ec2::types::Subnet as Described;
use spotocean_core::id::SubnetId;
use spotocean_core::port::{CloudError, SelectorTerm, Subnet};

use crate::client::AwsCloud;
use crate::page::{self, Page};
use crate::selector::{self, Candidate, FilterNames};
use crate::tag;
use crate::throttle::Action;

const DESCRIBE: Action = Action::read("DescribeSubnets");
const PAGE_SIZE: i32 = 1000;
const NAMES: FilterNames = FilterNames {
    id: "subnet-id",
    name: "tag:Name",
};

/// Subnets that match any term, sorted by id.
pub(crate) async fn matching(cloud: &AwsCloud, terms: &[SelectorTerm]) -> Result<Vec<Subnet>, CloudError> {
    let mut found: BTreeMap<SubnetId, Subnet> = BTreeMap::new();
    for term in terms {
        let request = DescribeSubnetsInputBuilder::default()
            .set_filters(Some(selector::filters(DESCRIBE.name, term, NAMES)?))
            .max_results(PAGE_SIZE);
        let described = describe(cloud, &request).await?;
        let matching = described.iter().filter(|subnet| is_match(term, subnet));
        found.extend(
            matching
                .filter_map(read)
                .map(|subnet| (subnet.id.clone(), subnet)),
        );
    }
    Ok(found.into_values().collect())
}

async fn describe(
    cloud: &AwsCloud,
    request: &DescribeSubnetsInputBuilder,
) -> Result<Vec<Described>, CloudError> {
    page::every(|token| async move {
        let request = request.clone().set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.subnets.unwrap_or_default(),
            next: answer.next_token,
        })
    })
    .await
}

/// A subnet has no name of its own: EC2's console shows the tag `Name`.
fn is_match(term: &SelectorTerm, subnet: &Described) -> bool {
    let tags = tag::read(subnet.tags());
    let candidate = Candidate {
        id: subnet.subnet_id().unwrap_or_default(),
        name: tags.get("Name").map(AsRef::as_ref).unwrap_or_default(),
        tags: &tags,
    };
    selector::matches(term, candidate)
}

fn read(subnet: &Described) -> Option<Subnet> {
    Some(Subnet {
        id: subnet.subnet_id()?.into(),
        zone: subnet.availability_zone()?.into(),
        zone_id: subnet.availability_zone_id().unwrap_or_default().into(),
        free_addresses: i64::from(subnet.available_ip_address_count().unwrap_or_default()),
        vpc: subnet.vpc_id().unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::Tag;

    use super::*;

    fn described() -> Described {
        Described::builder()
            .subnet_id("subnet-1")
            .availability_zone("us-east-1a")
            .availability_zone_id("use1-az6")
            .available_ip_address_count(251)
            .vpc_id("vpc-1")
            .tags(Tag::builder().key("Name").value("private-a").build())
            .build()
    }

    #[test]
    fn a_subnet_is_read() {
        let expected = Subnet {
            id: "subnet-1".into(),
            zone: "us-east-1a".into(),
            zone_id: "use1-az6".into(),
            free_addresses: 251,
            vpc: "vpc-1".into(),
        };
        assert_eq!(read(&described()), Some(expected));
        assert_eq!(
            read(&Described::builder().build()),
            None,
            "a subnet without an id is none"
        );
    }

    #[test]
    fn what_a_filter_let_through_is_checked_again() {
        let rows = [
            (Some("subnet-1"), None, true),
            (Some("subnet-2"), None, false),
            (None, Some("private-*"), true),
        ];
        for (id, name, expected) in rows {
            let term = SelectorTerm {
                id: id.map(Into::into),
                name: name.map(Into::into),
                ..SelectorTerm::default()
            };
            assert_eq!(is_match(&term, &described()), expected, "{term:?}");
        }
    }
}
