//! Absence, deletion, freezing, collection: what is removed on which evidence.

use super::*;

#[test]
fn absence_counts_only_when_it_lasts_and_nothing_contradicts_it() {
    let unlisted = || {
        world()
            .ocean_node(ocean_node("n1", "shop", Phase::Initialized))
            .node(node("n1", "shop"))
    };
    let mut ready = unlisted().build();
    for _ in 0..20 {
        pass_time(&mut ready, 60);
        play(&mut ready, 1);
    }
    assert_eq!(ready.ocean_nodes.len(), 1, "a Ready Node contradicts the list");
    let mut silent = unlisted().with(|s| change_node(s, "n1", not_ready)).build();
    for _ in 0..5 {
        pass_time(&mut silent, 55);
        play(&mut silent, 1);
    }
    assert_eq!(
        status_of(&silent, "n1").phase,
        Phase::Initialized,
        "five minutes of empty answers prove nothing"
    );
    pass_time(&mut silent, 600);
    play(&mut silent, 6);
    assert!(is_given_back(&silent, "n1"));
}

#[test]
fn many_instances_missing_at_once_are_not_believed() {
    let mut world = world();
    for name in ["a", "b", "c", "d"] {
        world = world.ocean_node(ocean_node(name, "shop", Phase::Launched));
    }
    let mut snapshot = world
        .with(|s| {
            change_ocean(s, |ocean| {
                ocean.spec.disruption.registration_timeout.seconds = 7200;
            });
        })
        .build();
    play(&mut snapshot, 1);
    pass_time(&mut snapshot, 900);
    play(&mut snapshot, 1);
    assert!(
        snapshot
            .ocean_nodes
            .iter()
            .all(|own| own.metadata.deletion_timestamp.is_none())
    );
    assert!(is_collection_stopped(&snapshot));
}

#[test]
fn a_deleted_ocean_gives_everything_back_and_goes_last() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .member("n2", "shop", Phase::Launched)
        .pod(running("web", "n1"))
        .with(|s| change_ocean(s, |ocean| ocean.metadata.deletion_timestamp = Some(Time(now()))))
        .build();
    let story = play(&mut snapshot, 10);
    assert!(
        is_given_back(&snapshot, "n1") && is_given_back(&snapshot, "n2"),
        "{story:?}"
    );
    let last: Vec<_> = story.into_iter().rfind(|pass| !pass.is_empty()).unwrap();
    assert_eq!(last, ["SetOceanFinalizer"]);
    assert!(snapshot.oceans.is_empty());
}

#[test]
fn an_orphaned_ocean_leaves_its_nodes_running() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .pod(running("web", "n1"))
        .with(|s| {
            change_ocean(s, |ocean| {
                ocean.spec.deletion_policy = DeletionPolicy::Orphan;
                ocean.metadata.deletion_timestamp = Some(Time(now()));
            });
        })
        .build();
    let story = play(&mut snapshot, 6);
    assert_eq!(
        story[0].last(),
        Some(&"Orphan"),
        "untagged before the objects go: {story:?}"
    );
    assert!(
        story
            .iter()
            .flatten()
            .all(|kind| !matches!(*kind, "Terminate" | "DeleteNode" | "EvictPod"))
    );
    assert!(snapshot.ocean_nodes.is_empty() && snapshot.oceans.is_empty());
    assert_eq!((snapshot.nodes.len(), snapshot.pods.len()), (1, 1));
}

#[test]
fn nodes_of_a_removed_pool_go() {
    let mut snapshot = snapshot()
        .ocean(ocean("shop", &["other"]))
        .member("n1", "shop", Phase::Initialized)
        .pod(running("web", "n1"))
        .build();
    play(&mut snapshot, 8);
    assert!(is_given_back(&snapshot, "n1"));
}

#[test]
fn a_node_deleted_by_someone_takes_its_instance_along() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .with(|s| s.nodes.clear())
        .build();
    play(&mut snapshot, 2);
    assert_eq!(
        status_of(&snapshot, "n1").phase,
        Phase::Initialized,
        "a kubelet that restarts registers anew"
    );
    pass_time(&mut snapshot, 60);
    play(&mut snapshot, 6);
    assert!(is_given_back(&snapshot, "n1"));
}

#[test]
fn a_frozen_ocean_is_left_alone() {
    let rows: [(&str, SnapshotChange<'_>); 3] = [
        ("paused", &|s| {
            change_ocean(s, |ocean| {
                ocean.metadata.annotations = Some([(PAUSE.to_owned(), "true".to_owned())].into());
            });
        }),
        ("observed", &|s| {
            change_ocean(s, |ocean| ocean.spec.mode = Mode::Observe);
        }),
        ("unreadable", &|s| {
            s.oceans.clear();
            s.unreadable_oceans.insert("shop".into());
        }),
    ];
    for (title, freeze) in rows {
        let snapshot = requested()
            .member("n2", "shop", Phase::Launched)
            .instance(instance("stray", "shop", InstanceState::Running))
            .with(|s| {
                s.memory.unexplained_instances.insert("i-stray".into(), ago(600));
                freeze(s);
            })
            .build();
        assert_eq!(kinds(&snapshot), Vec::<&str>::new(), "{title}");
    }
}

#[test]
fn the_way_out_releases_and_touches_nothing() {
    let snapshot = requested()
        .with(|s| {
            change_own(s, "n1", |own| {
                own.metadata.annotations = Some([(FORCE_RELEASE.to_owned(), "true".to_owned())].into());
            });
        })
        .build();
    assert_eq!(kinds(&snapshot), ["ReleaseOceanNode"]);
}

#[test]
fn the_finalizer_comes_first() {
    let snapshot = world()
        .with(|s| change_ocean(s, |ocean| ocean.metadata.finalizers = None))
        .build();
    assert_eq!(kinds(&snapshot), ["SetOceanFinalizer"]);
}

#[test]
fn an_unexplained_instance_in_service_is_adopted() {
    let mut snapshot = world()
        .instance(instance("n1", "shop", InstanceState::Running))
        .node(node("n1", "shop"))
        .pod(running("web", "n1"))
        .with(|s| {
            s.memory.unexplained_instances.insert("i-n1".into(), ago(6000));
        })
        .build();
    let story = play(&mut snapshot, 3);
    assert_eq!(story[0], ["CreateOceanNode"]);
    assert_eq!(snapshot.ocean_nodes.len(), 1);
    assert_eq!(status_of(&snapshot, "shop-main-i-n1").phase, Phase::Initialized);
    assert_eq!(kinds(&snapshot), Vec::<&str>::new());
}

#[test]
fn an_unexplained_instance_is_terminated_after_two_reads() {
    let stray = || world().instance(instance("x", "shop", InstanceState::Running));
    let mut snapshot = stray().build();
    assert_eq!(play(&mut snapshot, 1), [Vec::<&str>::new()]);
    pass_time(&mut snapshot, 30);
    assert_eq!(
        play(&mut snapshot, 1),
        [Vec::<&str>::new()],
        "not a minute apart yet"
    );
    pass_time(&mut snapshot, 60);
    let reason = find(&plan(&snapshot).commands, |command| match command {
        Command::Terminate { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, Some(TerminationReason::Unexplained));
}

#[test]
fn collection_stops_when_too_much_is_unexplained() {
    let mut many = world();
    for name in ["a", "b", "c", "d"] {
        many = many.instance(instance(name, "shop", InstanceState::Running));
    }
    let mut snapshot = many.build();
    play(&mut snapshot, 1);
    pass_time(&mut snapshot, 120);
    assert_eq!(kinds(&snapshot), Vec::<&str>::new());
    assert!(is_collection_stopped(&snapshot));
}

#[test]
fn only_old_unused_templates_are_deleted() {
    let snapshot = world()
        .with(|s| {
            s.launch_templates = Arc::new([("old".into(), ago(7200)), ("young".into(), ago(60))].into());
        })
        .build();
    let deleted = find(&plan(&snapshot).commands, |command| match command {
        Command::DeleteLaunchTemplate { name } => Some(name.to_string()),
        _ => None,
    });
    assert_eq!(deleted.as_deref(), Some("old"));
    assert_eq!(kinds(&snapshot).len(), 1);
}

#[test]
fn nodes_teach_what_memory_they_see() {
    let mut snapshot = world().member("n1", "shop", Phase::Initialized).build();
    change_node(&mut snapshot, "n1", |node| {
        node.capacity.memory_bytes = 8_000_000_000;
    });
    let learned = plan(&snapshot).memory.learned_memory_bytes;
    assert_eq!(learned["m5.large"]["ami-1"], 8_000_000_000);
}

#[test]
fn a_marked_node_that_stays_is_unmarked() {
    let mut snapshot = world()
        .member("n1", "shop", Phase::Initialized)
        .pod(running("web", "n1"))
        .with(|s| {
            change_node(s, "n1", |node| {
                node.taints.push(taint(DISRUPTED_TAINT, TaintEffect::NoSchedule));
            });
        })
        .build();
    play(&mut snapshot, 1);
    assert!(snapshot.nodes[0].taints.is_empty());
}
