//! The machine images that exist: EKS-optimised AL2023 and Bottlerocket in several dated releases,
//! a plain AL2023 and one of the account's own; and the SSM parameters that name the published ones.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::clock::{Clock, Moment};
use crate::random;
use crate::state::network::tags;
use crate::state::{ACCOUNT, Tags};

const EKS_OWNER: &str = "602401143452";
const BOTTLEROCKET_OWNER: &str = "092701018921";
const AMAZON_OWNER: &str = "137112412989";
const VERSIONS: [&str; 4] = ["1.33", "1.34", "1.35", "1.36"];
/// Ages of the releases, newest first: a soak of a day finds one that is ripe and one that is not.
const RELEASE_AGES_HOURS: [i64; 4] = [10, 24 * 8, 24 * 22, 24 * 50];

/// How an image turns user data into a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Amazon Linux 2023 with nodeadm.
    Al2023,
    /// Bottlerocket: TOML settings.
    Bottlerocket,
    /// No kubelet on it.
    Plain,
}

/// A machine image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Architecture, as EC2 names it.
    pub architecture: String,
    /// Owning account.
    pub owner: String,
    /// `amazon`, for Amazon's own.
    pub owner_alias: Option<String>,
    /// When it was published, RFC 3339.
    pub creation_date: String,
    /// From when on it counts as deprecated, RFC 3339.
    pub deprecation_date: String,
    /// How it boots.
    pub family: Family,
    /// `standard`, `nvidia` or `neuron`.
    pub variant: String,
    /// Kubernetes version of its kubelet, where it has one.
    pub kubernetes_version: Option<String>,
    /// Root device.
    pub root_device: String,
    /// Volumes: device and size in GiB.
    pub volumes: Vec<(String, u64)>,
    /// Tags.
    pub tags: Tags,
}

struct Publisher<'a> {
    seed: u64,
    region: &'a str,
    images: BTreeMap<String, Image>,
    parameters: BTreeMap<String, String>,
}

/// A release's date and its ordinal (0: newest).
struct Release {
    at: Timestamp,
    ordinal: usize,
}

/// All published images and the parameters that lead to them.
pub fn published(
    seed: u64,
    clock: &Clock,
    region: &str,
) -> (BTreeMap<String, Image>, BTreeMap<String, String>) {
    let now = clock.timestamp(Moment(clock.now().0));
    let mut publisher = Publisher {
        seed,
        region,
        images: BTreeMap::new(),
        parameters: BTreeMap::new(),
    };
    for (ordinal, hours) in RELEASE_AGES_HOURS.into_iter().enumerate().rev() {
        let at = now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(now);
        publisher.publish(&Release { at, ordinal });
    }
    publisher.publish_others(now);
    (publisher.images, publisher.parameters)
}

impl Publisher<'_> {
    fn publish(&mut self, release: &Release) {
        for version in VERSIONS {
            for architecture in ["x86_64", "arm64"] {
                for variant in ["standard", "nvidia", "neuron"] {
                    // Neuron images exist for x86_64 only (aws.md 3).
                    if variant != "neuron" || architecture == "x86_64" {
                        self.al2023(release, version, architecture, variant);
                    }
                }
                for variant in ["standard", "nvidia"] {
                    self.bottlerocket(release, version, architecture, variant);
                }
            }
        }
    }

    fn al2023(&mut self, release: &Release, version: &str, architecture: &str, variant: &str) {
        let date = release.at.strftime("%Y%m%d").to_string();
        let name = format!("amazon-eks-node-al2023-{architecture}-{variant}-{version}-v{date}");
        let description = format!(
            "EKS-optimized Kubernetes node based on Amazon Linux 2023, (k8s: {version}.0, containerd: 2.1.*)"
        );
        let id = self.image(&name, architecture, release.at, |image| {
            image.owner = EKS_OWNER.to_owned();
            image.owner_alias = Some("amazon".to_owned());
            image.description = description;
            image.family = Family::Al2023;
            image.variant = variant.to_owned();
            image.kubernetes_version = Some(version.to_owned());
            image.volumes = vec![("/dev/xvda".to_owned(), 20)];
        });
        let base =
            format!("/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{architecture}/{variant}");
        let release_version = format!("{version}.0-{date}");
        for leaf in ["recommended", &name] {
            // Releases come oldest first: the last to write `recommended` is the newest.
            let value = json!({"schema_version": "3", "image_id": id, "image_name": name, "release_version": release_version});
            self.parameters
                .insert(format!("{base}/{leaf}"), value.to_string());
            self.parameters
                .insert(format!("{base}/{leaf}/image_id"), id.clone());
            self.parameters
                .insert(format!("{base}/{leaf}/image_name"), name.clone());
            self.parameters
                .insert(format!("{base}/{leaf}/release_version"), release_version.clone());
        }
    }

    fn bottlerocket(&mut self, release: &Release, version: &str, architecture: &str, variant: &str) {
        let number = format!("1.{}.0", 60 - release.ordinal);
        let commit = random::hex(self.seed, &["commit", &number], 8);
        let suffix = if variant == "nvidia" { "-nvidia" } else { "" };
        let name = format!("bottlerocket-aws-k8s-{version}{suffix}-{architecture}-v{number}-{commit}");
        let id = self.image(&name, architecture, release.at, |image| {
            image.owner = BOTTLEROCKET_OWNER.to_owned();
            image.owner_alias = Some("amazon".to_owned());
            image.description = image.name.clone();
            image.family = Family::Bottlerocket;
            image.variant = variant.to_owned();
            image.kubernetes_version = Some(version.to_owned());
            image.volumes = vec![("/dev/xvda".to_owned(), 4), ("/dev/xvdb".to_owned(), 20)];
        });
        let base = format!("/aws/service/bottlerocket/aws-k8s-{version}{suffix}/{architecture}");
        for leaf in ["latest", &number, &format!("{number}-{commit}")] {
            self.parameters
                .insert(format!("{base}/{leaf}/image_id"), id.clone());
            self.parameters.insert(
                format!("{base}/{leaf}/image_version"),
                format!("{number}-{commit}"),
            );
        }
    }

    fn publish_others(&mut self, now: Timestamp) {
        let at = now
            .checked_sub(SignedDuration::from_hours(24 * 30))
            .unwrap_or(now);
        for architecture in ["x86_64", "arm64"] {
            let name = format!("al2023-ami-2023.8.20260101.0-kernel-6.1-{architecture}");
            self.image(&name, architecture, at, |image| {
                image.owner = AMAZON_OWNER.to_owned();
                image.owner_alias = Some("amazon".to_owned());
                image.volumes = vec![("/dev/xvda".to_owned(), 8)];
            });
            let name = format!("company-node-{architecture}");
            self.image(&name, architecture, at, |image| {
                image.family = Family::Al2023;
                image.kubernetes_version = Some("1.36".to_owned());
                image.volumes = vec![("/dev/xvda".to_owned(), 30)];
                image.tags = tags(&[("Name", "company-node"), ("team", "platform")]);
            });
        }
    }

    fn image(
        &mut self,
        name: &str,
        architecture: &str,
        at: Timestamp,
        finish: impl FnOnce(&mut Image),
    ) -> String {
        let id = format!("ami-0{}", random::hex(self.seed, &["ami", self.region, name], 16));
        let wire = |timestamp: Timestamp| timestamp.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        let deprecation = at.checked_add(SignedDuration::from_hours(24 * 730)).unwrap_or(at);
        let mut image = Image {
            id: id.clone(),
            name: name.to_owned(),
            description: String::new(),
            architecture: architecture.to_owned(),
            owner: ACCOUNT.to_owned(),
            owner_alias: None,
            creation_date: wire(at),
            deprecation_date: wire(deprecation),
            family: Family::Plain,
            variant: "standard".to_owned(),
            kubernetes_version: None,
            root_device: "/dev/xvda".to_owned(),
            volumes: Vec::new(),
            tags: Tags::new(),
        };
        finish(&mut image);
        self.images.insert(id.clone(), image);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recommended_names_the_newest_release() {
        let clock = Clock::start(1.0);
        let (images, parameters) = published(1, &clock, "us-east-1");
        for (path, newest_of) in [
            (
                "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/arm64/standard/recommended/image_id",
                "amazon-eks-node-al2023-arm64-standard-1.36-",
            ),
            (
                "/aws/service/bottlerocket/aws-k8s-1.36/x86_64/latest/image_id",
                "bottlerocket-aws-k8s-1.36-x86_64-",
            ),
        ] {
            let found = &images[&parameters[path]];
            let newest = images
                .values()
                .filter(|image| image.name.starts_with(newest_of))
                .map(|image| &image.creation_date)
                .max();
            assert_eq!(Some(&found.creation_date), newest, "{path}");
        }
    }
}
