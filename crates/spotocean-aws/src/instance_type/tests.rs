//! Types of every kind, as EC2 describes them.

use aws_sdk_ec2::types::builders::InstanceTypeInfoBuilder;
use aws_sdk_ec2::types::{
    ArchitectureType, DiskInfo, EbsInfo, GpuDeviceInfo, InstanceTypeHypervisor, MemoryInfo, NetworkCardInfo,
    NeuronDeviceCoreInfo, NeuronDeviceInfo, ProcessorInfo, VCpuInfo,
};

use super::*;

fn card(index: i32, interfaces: i32, gbps: f64) -> NetworkCardInfo {
    NetworkCardInfo::builder()
        .network_card_index(index)
        .maximum_network_interfaces(interfaces)
        .peak_bandwidth_in_gbps(gbps)
        .build()
}

fn described(name: &str, architectures: &[&str]) -> InstanceTypeInfoBuilder {
    InstanceTypeInfo::builder()
        .instance_type(name.into())
        .processor_info(
            ProcessorInfo::builder()
                .set_supported_architectures(Some(
                    architectures
                        .iter()
                        .map(|name| ArchitectureType::from(*name))
                        .collect(),
                ))
                .build(),
        )
        .v_cpu_info(VCpuInfo::builder().default_v_cpus(2).build())
        .memory_info(MemoryInfo::builder().size_in_mib(8192).build())
        .hypervisor(InstanceTypeHypervisor::Nitro)
        .supported_usage_classes(UsageClassType::Spot)
        .network_info(
            NetworkInfo::builder()
                .maximum_network_interfaces(3)
                .ipv4_addresses_per_interface(10)
                .network_cards(card(0, 3, 12.5))
                .build(),
        )
}

#[test]
fn a_plain_type_is_read() {
    let expected = InstanceType {
        name: "m7g.large".into(),
        architecture: Architecture::Arm64,
        vcpus: 2,
        memory_mib: 8192,
        network_interfaces: 3,
        ipv4_per_interface: 10,
        network_gbps: 12,
        local_nvme_gb: 0,
        local_nvme_disks: 0,
        accelerators: Vec::new(),
        hypervisor: "nitro".into(),
        is_bare_metal: false,
        is_burstable: false,
        supports_spot: true,
        attachment_slots: 28,
    };
    assert_eq!(read(&described("m7g.large", &["arm64"]).build()), Some(expected));
}

#[test]
fn types_that_no_linux_node_runs_on_are_left_out() {
    let rows = [
        (described("c3.large", &["i386", "x86_64"]), true),
        (described("mac2.metal", &["arm64_mac"]), false),
        (described("t1.micro", &["i386"]), false),
        (
            described("m1.small", &["x86_64"])
                .supported_virtualization_types(VirtualizationType::Paravirtual),
            false,
        ),
    ];
    for (info, is_read) in rows {
        let info = info.build();
        assert_eq!(read(&info).is_some(), is_read, "{:?}", info.instance_type());
    }
}

#[test]
fn interfaces_are_those_of_the_default_card_and_bandwidth_is_of_all() {
    let network = NetworkInfo::builder()
        .maximum_network_interfaces(64)
        .default_network_card_index(1)
        .network_cards(card(0, 60, 100.0))
        .network_cards(card(1, 4, 100.0))
        .build();
    assert_eq!(
        (default_card_interfaces(&network), peak_gbps(&network)),
        (Some(4), 200)
    );
    let old = NetworkInfo::builder()
        .maximum_network_interfaces(2)
        .network_performance("Up to 10 Gigabit")
        .build();
    assert_eq!((default_card_interfaces(&old), peak_gbps(&old)), (Some(2), 10));
}

#[test]
fn only_nvme_disks_are_local_nvme() {
    let storage = |support: EphemeralNvmeSupport| {
        InstanceStorageInfo::builder()
            .total_size_in_gb(1900)
            .disks(DiskInfo::builder().count(2).build())
            .nvme_support(support)
            .build()
    };
    assert_eq!(local_nvme(&storage(EphemeralNvmeSupport::Required)), (1900, 2));
    assert_eq!(local_nvme(&storage(EphemeralNvmeSupport::Unsupported)), (0, 0));
}

#[test]
fn accelerators_are_named_by_the_resource_of_their_plugin() {
    let gpu = |maker: &str, name: &str, count| {
        GpuInfo::builder()
            .gpus(
                GpuDeviceInfo::builder()
                    .manufacturer(maker)
                    .name(name)
                    .count(count)
                    .build(),
            )
            .build()
    };
    let rows = [
        (gpu("NVIDIA", "T4", 1), vec![("nvidia.com/gpu", "t4", 1)]),
        (gpu("NVIDIA", "L4", 0), vec![("nvidia.com/gpu", "l4", 0)]),
        (
            gpu("AMD", "Radeon Pro V520", 2),
            vec![("amd.com/gpu", "radeon-pro-v520", 2)],
        ),
        (gpu("Nobody", "X", 1), vec![]),
    ];
    for (info, expected) in rows {
        let read = gpus(&info);
        let read: Vec<_> = read
            .iter()
            .map(|found| (&*found.resource, &*found.name, found.count))
            .collect();
        assert_eq!(read, expected);
    }
    let neuron = NeuronInfo::builder()
        .neuron_devices(
            NeuronDeviceInfo::builder()
                .name("Trainium")
                .count(16)
                .core_info(NeuronDeviceCoreInfo::builder().count(2).build())
                .build(),
        )
        .build();
    let read: Vec<_> = neurons(&neuron)
        .into_iter()
        .map(|found| (found.resource.to_string(), found.count))
        .collect();
    assert_eq!(
        read,
        [
            ("aws.amazon.com/neuron".to_owned(), 16),
            ("aws.amazon.com/neuroncore".to_owned(), 32)
        ]
    );
}

#[test]
fn attachments_left_after_interfaces_and_disks_are_what_volumes_may_take() {
    let ebs = |limit: AttachmentLimitType, volumes| {
        EbsInfo::builder()
            .attachment_limit_type(limit)
            .maximum_ebs_attachments(volumes)
            .build()
    };
    let xen = described("c4.large", &["x86_64"]).hypervisor(InstanceTypeHypervisor::Xen);
    let plain = || described("m5.large", &["x86_64"]);
    let rows = [
        ("Nitro without a figure", plain(), 28),
        (
            "shared",
            plain().ebs_info(ebs(AttachmentLimitType::Shared, 28)),
            28,
        ),
        (
            "shared, fewer",
            plain().ebs_info(ebs(AttachmentLimitType::Shared, 19)),
            19,
        ),
        (
            "dedicated",
            plain().ebs_info(ebs(AttachmentLimitType::Dedicated, 32)),
            32 + 3 + 1,
        ),
        ("Xen", xen, 40 + 3 + 1),
    ];
    for (what, info, expected) in rows {
        assert_eq!(attachment_slots(&info.build(), 3, 1), expected, "{what}");
    }
}
