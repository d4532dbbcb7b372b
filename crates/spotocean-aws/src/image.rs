//! Images: Amazon's by public SSM parameter, the user's own by selector; in
//! both cases the newest per architecture.
//!
//! Standard variants only: images with an accelerator's driver are chosen by selector.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ec2::operation::describe_images::builders::DescribeImagesInputBuilder;
use aws_sdk_ec2::types::{EbsBlockDevice, Image as Described, ImageState};
use aws_sdk_ssm::operation::get_parameter::builders::GetParameterInputBuilder;
use spotocean_core::instance_type::Architecture;
use spotocean_core::port::{CloudError, CloudErrorKind, Image, ImageQuery, SelectorTerm};

use crate::client::AwsCloud;
use crate::error::{invalid, unreadable};
use crate::page::{self, Page};
use crate::selector::{self, Candidate, FilterNames};
use crate::tag;
use crate::throttle::Action;

const DESCRIBE: Action = Action::read("DescribeImages");
const GET_PARAMETER: Action = Action::other("GetParameter");
const PAGE_SIZE: i32 = 1000;
const NAMES: FilterNames = FilterNames {
    id: "image-id",
    name: "name",
};
/// Whose images a term without an owner means: a stranger's public image of the right name must not be launched.
const DEFAULT_OWNERS: [&str; 2] = ["self", "amazon"];
const ARCHITECTURES: [Architecture; 2] = [Architecture::Amd64, Architecture::Arm64];

/// The image per architecture, newest where several match; sorted by architecture.
pub(crate) async fn newest(cloud: &AwsCloud, query: &ImageQuery) -> Result<Vec<Image>, CloudError> {
    let images = match query {
        ImageQuery::Selector(terms) => selected(cloud, terms).await?,
        ImageQuery::Al2023 { .. } | ImageQuery::Bottlerocket { .. } => published(cloud, query).await?,
    };
    Ok(newest_per_architecture(images))
}

/// Amazon's image per architecture, where the query's SSM parameter exists.
async fn published(cloud: &AwsCloud, query: &ImageQuery) -> Result<Vec<Image>, CloudError> {
    let mut images = Vec::new();
    let mut missing = None;
    for path in ARCHITECTURES
        .iter()
        .filter_map(|architecture| parameter(query, *architecture))
    {
        match parameter_value(cloud, &path).await {
            Ok(id) => images.extend(described(cloud, &term_of(id)).await?),
            Err(error) if error.kind == CloudErrorKind::NotFound => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if images.is_empty() => Err(error),
        _ => Ok(images),
    }
}

async fn selected(cloud: &AwsCloud, terms: &[SelectorTerm]) -> Result<Vec<Image>, CloudError> {
    let mut images = Vec::new();
    for term in terms {
        let term = match &term.ssm_parameter {
            Some(path) => SelectorTerm {
                id: Some(parameter_value(cloud, path).await?),
                ..term.clone()
            },
            None => term.clone(),
        };
        images.extend(described(cloud, &term).await?);
    }
    Ok(images)
}

fn term_of(id: Arc<str>) -> SelectorTerm {
    SelectorTerm {
        id: Some(id),
        ..SelectorTerm::default()
    }
}

/// The public parameter that holds the image's id (EKS: "Retrieve recommended AMI IDs";
/// Bottlerocket: its README, "Finding an AMI").
fn parameter(query: &ImageQuery, architecture: Architecture) -> Option<String> {
    let machine = match architecture {
        Architecture::Amd64 => "x86_64",
        Architecture::Arm64 => "arm64",
    };
    match query {
        ImageQuery::Al2023 {
            kubernetes_version,
            version,
        } => {
            let release = match &**version {
                "latest" => "recommended".to_owned(),
                pin => format!("amazon-eks-node-al2023-{machine}-standard-{kubernetes_version}-{pin}"),
            };
            Some(format!(
                "/aws/service/eks/optimized-ami/{kubernetes_version}/amazon-linux-2023/{machine}/standard/{release}/image_id"
            ))
        }
        ImageQuery::Bottlerocket {
            kubernetes_version,
            version,
        } => {
            let release = version.strip_prefix('v').unwrap_or(version);
            Some(format!(
                "/aws/service/bottlerocket/aws-k8s-{kubernetes_version}/{machine}/{release}/image_id"
            ))
        }
        ImageQuery::Selector(_) => None,
    }
}

async fn parameter_value(cloud: &AwsCloud, path: &str) -> Result<Arc<str>, CloudError> {
    let request = GetParameterInputBuilder::default()
        .name(path)
        .send_with(&cloud.ssm);
    let answer = cloud
        .call(GET_PARAMETER, request)
        .await
        .map_err(|error| about_parameter(error, path))?;
    answer
        .parameter()
        .and_then(|parameter| parameter.value())
        .map(Into::into)
        .ok_or_else(|| unreadable(GET_PARAMETER.name, format!("the parameter {path} has no value")))
}

/// SSM's ParameterNotFound comes without a message.
fn about_parameter(error: CloudError, path: &str) -> CloudError {
    if error.kind != CloudErrorKind::NotFound {
        return error;
    }
    CloudError {
        message: format!(
            "there is no SSM parameter {path}; is the image version offered for this Kubernetes version?"
        )
        .into(),
        ..error
    }
}

async fn described(cloud: &AwsCloud, term: &SelectorTerm) -> Result<Vec<Image>, CloudError> {
    let request = &images_input(term)?;
    let images = page::every(|token| async move {
        let request = request.clone().set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.images.unwrap_or_default(),
            next: answer.next_token,
        })
    });
    Ok(images
        .await?
        .iter()
        .filter(|image| is_match(term, image))
        .filter_map(read)
        .collect())
}

fn images_input(term: &SelectorTerm) -> Result<DescribeImagesInputBuilder, CloudError> {
    if term.owner.is_some() && term.id.is_none() && term.name.is_none() && term.tags.is_empty() {
        return Err(invalid(
            DESCRIBE.name,
            "EmptySelector",
            "an image selector that names only an owner would match all of its images; add a name, tags or an id",
        ));
    }
    let filters = selector::filters(DESCRIBE.name, term, NAMES)?;
    let request = DescribeImagesInputBuilder::default()
        .set_filters(Some(filters))
        // Whoever pins an id means it, also after the image was deprecated.
        .include_deprecated(term.id.is_some())
        .max_results(PAGE_SIZE);
    Ok(match &term.owner {
        Some(owner) => request.owners(&**owner),
        None if term.id.is_some() => request,
        None => request.set_owners(Some(DEFAULT_OWNERS.map(str::to_owned).into())),
    })
}

fn is_match(term: &SelectorTerm, image: &Described) -> bool {
    let candidate = Candidate {
        id: image.image_id().unwrap_or_default(),
        name: image.name().unwrap_or_default(),
        tags: &tag::read(image.tags()),
    };
    let is_owned = term.owner.as_deref().is_none_or(|owner| {
        owner == "self" || image.owner_id() == Some(owner) || image.image_owner_alias() == Some(owner)
    });
    let is_available = image.state().is_none_or(|state| *state == ImageState::Available);
    is_owned && is_available && selector::matches(term, candidate)
}

fn read(image: &Described) -> Option<Image> {
    let root_device = image.root_device_name().unwrap_or_default();
    let root_volume = image
        .block_device_mappings()
        .iter()
        .find(|device| device.device_name() == Some(root_device));
    Some(Image {
        id: image.image_id()?.into(),
        name: image.name().unwrap_or_default().into(),
        architecture: Architecture::parse(image.architecture()?.as_str())?,
        created_at: image.creation_date()?.parse().ok()?,
        root_volume_gib: root_volume
            .and_then(|device| device.ebs())
            .and_then(EbsBlockDevice::volume_size),
        root_device: root_device.into(),
    })
}

/// Of two images of the same age the one with the greater id counts, so that the answer does not depend on EC2's order.
fn newest_per_architecture(images: Vec<Image>) -> Vec<Image> {
    let mut newest: BTreeMap<Architecture, Image> = BTreeMap::new();
    for image in images {
        let age = |image: &Image| (image.created_at, image.id.clone());
        let is_newer = newest
            .get(&image.architecture)
            .is_none_or(|known| age(known) < age(&image));
        if is_newer {
            newest.insert(image.architecture, image);
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests;
