//! Launch templates: created with a name for ever, versioned, described, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::filter::Filters;
use crate::operations::{Answer, listed, paging, refuse_dry_run, tag};
use crate::state::launch_template::{LaunchTemplate, Version};
use crate::state::{SpentToken, Tags, World};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Element, item, tag_set};

const TEMPLATES_MAX: usize = 5000;
const VERSIONS_PER_DELETE_MAX: usize = 200;

/// CreateLaunchTemplate. The data is not judged, but user data must be base64.
pub fn create(world: &mut World, params: &Params) -> Answer {
    let name = params.required("LaunchTemplateName")?.to_owned();
    let data = params
        .at("LaunchTemplateData")
        .cloned()
        .ok_or_else(|| ApiError::missing("LaunchTemplateData"))?;
    check_name(&name)?;
    check_user_data(&data)?;
    let tags = template_tags(params)?;
    refuse_dry_run(params)?;
    let key = token_key(params)?;
    let fingerprint = format!("{name}\n{:?}", data.leaves());
    if let Some(spent) = key.as_ref().and_then(|key| world.tokens.get(key)) {
        return spent.replay(&fingerprint);
    }
    if world
        .launch_templates
        .values()
        .any(|template| template.name == name)
    {
        return Err(ApiError::client(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    if world.launch_templates.len() >= TEMPLATES_MAX {
        return Err(ApiError::client(
            "LaunchTemplateLimitExceeded",
            "The limit of launch templates has been reached.",
        ));
    }
    let now = world.now();
    let version = Version {
        data,
        description: params.text("VersionDescription").map(str::to_owned),
        created: now,
    };
    let template = LaunchTemplate {
        id: world.new_id("lt"),
        name,
        created: now,
        default_version: 1,
        latest_version: 1,
        versions: [(1, version)].into(),
        tags,
    };
    let answer = vec![described("launchTemplate", world, &template)];
    world.launch_templates.insert(template.id.clone(), template);
    if let Some(key) = key {
        world.tokens.insert(
            key,
            SpentToken {
                request: fingerprint,
                answer: answer.clone(),
            },
        );
    }
    Ok(answer)
}

fn token_key(params: &Params) -> Result<Option<(String, String)>, ApiError> {
    let token = params.text("ClientToken").map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.len() > 128) {
        return Err(ApiError::invalid_value(
            "ClientToken must be at most 128 characters.",
        ));
    }
    Ok(token.map(|token| ("CreateLaunchTemplate".to_owned(), token)))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "().-/_".contains(letter);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ApiError::client(
        "InvalidLaunchTemplateName.MalformedException",
        format!(
            "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: - ( ) . / _. Found: '{name}'"
        ),
    ))
}

fn check_user_data(data: &Params) -> Result<(), ApiError> {
    let text = data.text("UserData").unwrap_or_default();
    STANDARD
        .decode(text.trim())
        .map_err(|_| {
            ApiError::client(
                "InvalidUserData.Malformed",
                "Invalid BASE64 encoding of user data",
            )
        })
        .and_then(|bytes| {
            if bytes.len() > crate::operations::launch::USER_DATA_BYTES_MAX {
                Err(ApiError::client(
                    "InvalidUserData.Malformed",
                    "User data is limited to 16384 bytes",
                ))
            } else {
                Ok(())
            }
        })
}

fn template_tags(params: &Params) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for specification in params.list("TagSpecification") {
        let kind = specification.required("ResourceType")?;
        if kind != "launch-template" {
            return Err(ApiError::invalid_value(format!(
                "'{kind}' is not a valid taggable resource type for this operation: use launch-template."
            )));
        }
        tags.extend(tag::parse(&specification.list("Tag"))?);
    }
    tag::check_count(&tags)?;
    Ok(tags)
}

/// The template a request means, by `LaunchTemplateId` or `LaunchTemplateName`.
pub fn named<'a>(world: &'a World, params: &Params) -> Result<&'a LaunchTemplate, ApiError> {
    match (params.text("LaunchTemplateId"), params.text("LaunchTemplateName")) {
        (Some(id), None) => world.launch_templates.get(id).ok_or_else(|| id_not_found(id)),
        (None, Some(name)) => world
            .launch_templates
            .values()
            .find(|template| template.name == name)
            .ok_or_else(|| name_not_found(name)),
        (Some(_), Some(_)) => Err(ApiError::invalid_combination(
            "You must specify either launch template ID or launch template name, but not both.",
        )),
        (None, None) => Err(ApiError::client(
            "MissingParameter",
            "Either 'launchTemplateId' or 'launchTemplateName' must be provided.",
        )),
    }
}

fn id_not_found(id: &str) -> ApiError {
    if !id.starts_with("lt-") {
        return ApiError::client(
            "InvalidLaunchTemplateId.Malformed",
            format!("Invalid launch template ID '{id}'."),
        );
    }
    ApiError::client(
        "InvalidLaunchTemplateId.NotFound",
        format!("The specified launch template, with template ID {id}, does not exist."),
    )
}

fn name_not_found(name: &str) -> ApiError {
    ApiError::client(
        "InvalidLaunchTemplateName.NotFoundException",
        format!("The specified launch template, with template name {name}, does not exist."),
    )
}

/// DescribeLaunchTemplates.
pub fn describe(world: &mut World, params: &Params) -> Answer {
    let ids = params.texts("LaunchTemplateId");
    let names = params.texts("LaunchTemplateName");
    let filters = Filters::parse(params)?;
    filters.check(&["create-time", "launch-template-name", "tag"])?;
    if let Some(missing) = ids.iter().find(|id| !world.launch_templates.contains_key(*id)) {
        return Err(id_not_found(missing));
    }
    let has = |name: &String| {
        world
            .launch_templates
            .values()
            .any(|template| template.name == *name)
    };
    if names.iter().any(|name| !has(name)) {
        return Err(ApiError::client(
            "InvalidLaunchTemplateName.NotFoundException",
            "At least one of the launch templates specified in the request does not exist.",
        ));
    }
    let keyed: Vec<_> = world
        .launch_templates
        .values()
        .filter(|template| ids.is_empty() || ids.contains(&template.id))
        .filter(|template| names.is_empty() || names.contains(&template.name))
        .filter(|template| {
            filters.accept(Some(&template.tags), |filter| match filter {
                "launch-template-name" => vec![template.name.clone()],
                _ => vec![world.timestamp(template.created)],
            })
        })
        .map(|template| (template.id.clone(), described("item", world, template)))
        .collect();
    // Without MaxResults a page holds 200.
    let (page, next) = paging(params, (1, 200))?.or_size(200).page(keyed);
    Ok(listed("launchTemplates", page, next))
}

fn described(name: &str, world: &World, template: &LaunchTemplate) -> Element {
    Element::new(name)
        .field("launchTemplateId", &template.id)
        .field("launchTemplateName", &template.name)
        .field("createTime", world.timestamp(template.created))
        .field(
            "createdBy",
            format!("arn:aws:iam::{}:root", crate::state::ACCOUNT),
        )
        .field("defaultVersionNumber", template.default_version)
        .field("latestVersionNumber", template.latest_version)
        .with(tag_set(&template.tags))
}

/// DeleteLaunchTemplate.
pub fn delete(world: &mut World, params: &Params) -> Answer {
    let id = named(world, params)?.id.clone();
    refuse_dry_run(params)?;
    let template = world
        .launch_templates
        .remove(&id)
        .ok_or_else(|| id_not_found(&id))?;
    Ok(vec![described("launchTemplate", world, &template)])
}

/// CreateLaunchTemplateVersion: the source version's data with the given data laid over it.
pub fn create_version(world: &mut World, params: &Params) -> Answer {
    let template = named(world, params)?;
    let sent = params
        .at("LaunchTemplateData")
        .cloned()
        .ok_or_else(|| ApiError::missing("LaunchTemplateData"))?;
    check_user_data(&sent)?;
    let data = match params.text("SourceVersion") {
        Some(source) => template.resolve(source)?.1.data.merged_with(&sent),
        None => sent,
    };
    let id = template.id.clone();
    refuse_dry_run(params)?;
    let created = world.now();
    let version = Version {
        data,
        description: params.text("VersionDescription").map(str::to_owned),
        created,
    };
    let number = {
        let template = world
            .launch_templates
            .get_mut(&id)
            .ok_or_else(|| id_not_found(&id))?;
        template.latest_version += 1;
        template.versions.insert(template.latest_version, version);
        template.latest_version
    };
    let template = world.launch_templates.get(&id).ok_or_else(|| id_not_found(&id))?;
    Ok(vec![described_version(
        "launchTemplateVersion",
        world,
        template,
        number,
    )])
}

/// ModifyLaunchTemplate: chooses the default version.
pub fn modify(world: &mut World, params: &Params) -> Answer {
    let template = named(world, params)?;
    let (number, _) = template.resolve(
        params
            .required("SetDefaultVersion")
            .or_else(|_| params.required("DefaultVersion"))?,
    )?;
    let id = template.id.clone();
    refuse_dry_run(params)?;
    if let Some(template) = world.launch_templates.get_mut(&id) {
        template.default_version = number;
    }
    let template = world.launch_templates.get(&id).ok_or_else(|| id_not_found(&id))?;
    Ok(vec![described("launchTemplate", world, template)])
}

/// DescribeLaunchTemplateVersions of one template.
pub fn describe_versions(world: &mut World, params: &Params) -> Answer {
    let template = named(world, params)?;
    let mut numbers = Vec::new();
    for version in params.texts("LaunchTemplateVersion") {
        numbers.push(template.resolve(&version)?.0);
    }
    let bound = |name: &str, default: u64| -> Result<u64, ApiError> {
        Ok(params.integer(name)?.map_or(default, i64::unsigned_abs))
    };
    let range = bound("MinVersion", 0)?..=bound("MaxVersion", u64::MAX)?;
    let keyed: Vec<_> = template
        .versions
        .keys()
        .filter(|number| numbers.is_empty() || numbers.contains(number))
        .filter(|number| range.contains(number))
        .map(|number| {
            (
                format!("{number:020}"),
                described_version("item", world, template, *number),
            )
        })
        .collect();
    let (page, next) = paging(params, (1, 200))?.or_size(200).page(keyed);
    Ok(listed("launchTemplateVersionSet", page, next))
}

/// DeleteLaunchTemplateVersions: the default version stays.
pub fn delete_versions(world: &mut World, params: &Params) -> Answer {
    let template = named(world, params)?;
    let (id, name) = (template.id.clone(), template.name.clone());
    let wanted = params.texts("LaunchTemplateVersion");
    if wanted.is_empty() || wanted.len() > VERSIONS_PER_DELETE_MAX {
        return Err(ApiError::invalid_value(format!(
            "Between 1 and {VERSIONS_PER_DELETE_MAX} versions can be deleted per call."
        )));
    }
    refuse_dry_run(params)?;
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for version in wanted {
        let entry = Element::new("item")
            .field("launchTemplateId", &id)
            .field("launchTemplateName", &name)
            .field("versionNumber", &version);
        let template = world
            .launch_templates
            .get_mut(&id)
            .ok_or_else(|| id_not_found(&id))?;
        let number = version.parse::<u64>().ok();
        let refusal = match number {
            Some(number) if number == template.default_version => Some("unexpectedError"),
            Some(number) => template
                .versions
                .remove(&number)
                .is_none()
                .then_some("launchTemplateVersionDoesNotExist"),
            None => Some("launchTemplateVersionDoesNotExist"),
        };
        match refusal {
            None => deleted.push(entry),
            Some(code) => {
                let error = Element::new("responseError")
                    .field("code", code)
                    .field("message", "The version cannot be deleted.");
                kept.push(entry.with(error));
            }
        }
    }
    Ok(vec![
        Element::list("successfullyDeletedLaunchTemplateVersionSet", deleted),
        Element::list("unsuccessfullyDeletedLaunchTemplateVersionSet", kept),
    ])
}

fn described_version(name: &str, world: &World, template: &LaunchTemplate, number: u64) -> Element {
    let element = Element::new(name)
        .field("launchTemplateId", &template.id)
        .field("launchTemplateName", &template.name)
        .field("versionNumber", number)
        .field("defaultVersion", number == template.default_version);
    let Some(version) = template.versions.get(&number) else {
        return element;
    };
    element
        .maybe("versionDescription", version.description.as_ref())
        .field("createTime", world.timestamp(version.created))
        .with(described_data(&version.data))
}

fn described_data(data: &Params) -> Element {
    let text = |path: &str| data.text(path).map(str::to_owned);
    let profile = Element::new("iamInstanceProfile")
        .maybe("arn", text("IamInstanceProfile.Arn"))
        .maybe("name", text("IamInstanceProfile.Name"));
    let metadata = Element::new("metadataOptions")
        .maybe("httpTokens", text("MetadataOptions.HttpTokens"))
        .maybe(
            "httpPutResponseHopLimit",
            text("MetadataOptions.HttpPutResponseHopLimit"),
        )
        .maybe("httpEndpoint", text("MetadataOptions.HttpEndpoint"))
        .maybe("httpProtocolIpv6", text("MetadataOptions.HttpProtocolIpv6"))
        .maybe(
            "instanceMetadataTags",
            text("MetadataOptions.InstanceMetadataTags"),
        );
    Element::new("launchTemplateData")
        .maybe("ebsOptimized", text("EbsOptimized"))
        .with_filled(profile)
        .with(Element::list(
            "blockDeviceMappingSet",
            data.list("BlockDeviceMapping").into_iter().map(described_device),
        ))
        .with(Element::list(
            "networkInterfaceSet",
            data.list("NetworkInterface").into_iter().map(described_interface),
        ))
        .maybe("imageId", text("ImageId"))
        .maybe("instanceType", text("InstanceType"))
        .maybe("keyName", text("KeyName"))
        .with_filled(Element::new("monitoring").maybe("enabled", text("Monitoring.Enabled")))
        .maybe("userData", text("UserData"))
        .with(Element::list(
            "tagSpecificationSet",
            data.list("TagSpecification").into_iter().map(described_tags),
        ))
        .with(Element::list(
            "securityGroupIdSet",
            data.texts("SecurityGroupId").iter().map(item),
        ))
        .with_filled(metadata)
}

fn described_device(device: &Params) -> Element {
    let text = |path: &str| device.text(path).map(str::to_owned);
    let ebs = Element::new("ebs")
        .maybe("encrypted", text("Ebs.Encrypted"))
        .maybe("deleteOnTermination", text("Ebs.DeleteOnTermination"))
        .maybe("iops", text("Ebs.Iops"))
        .maybe("kmsKeyId", text("Ebs.KmsKeyId"))
        .maybe("snapshotId", text("Ebs.SnapshotId"))
        .maybe("volumeSize", text("Ebs.VolumeSize"))
        .maybe("volumeType", text("Ebs.VolumeType"))
        .maybe("throughput", text("Ebs.Throughput"));
    Element::new("item")
        .maybe("deviceName", text("DeviceName"))
        .with_filled(ebs)
}

fn described_interface(interface: &Params) -> Element {
    let text = |path: &str| interface.text(path).map(str::to_owned);
    let groups = interface.texts("SecurityGroupId");
    Element::new("item")
        .maybe("associatePublicIpAddress", text("AssociatePublicIpAddress"))
        .maybe("deleteOnTermination", text("DeleteOnTermination"))
        .maybe("deviceIndex", text("DeviceIndex"))
        .with(Element::list(
            "groupSet",
            groups.iter().map(|group| Element::text("groupId", group)),
        ))
        .maybe("subnetId", text("SubnetId"))
}

fn described_tags(specification: &Params) -> Element {
    let tags = specification.list("Tag").into_iter().map(|tag| {
        Element::new("item")
            .maybe("key", tag.text("Key"))
            .field("value", tag.text("Value").unwrap_or_default())
    });
    Element::new("item")
        .maybe("resourceType", specification.text("ResourceType"))
        .with(Element::list("tagSet", tags))
}
