//! What the planner is meant to reach, each aim judged by the figures of this run and no others.

use super::cases::{ESTATE, Kind, Side};
use super::report::{Row, gaps, mean, mebibytes, percent, seconds, thousands, worst};
use super::world::Caps;

/// From this many pods on the bound is near enough to judge a plan by.
const MANY_PODS: usize = 500;
const OURS: Side = Side::Ours(Caps::Off);
const CAPPED: Side = Side::Ours(Caps::Default);

/// One aim.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Aim {
    /// What it is about.
    what: &'static str,
    /// What is aimed at.
    aim: &'static str,
    /// What this run found.
    found: String,
    /// Whether that will do; `None` where the run has no figure for it.
    is_met: Option<bool>,
}

/// All of them.
pub(super) fn aims(rows: &[Row]) -> Vec<Aim> {
    vec![
        gap_of_many(rows),
        gap_of_few(rows),
        cost_of(rows, "small-pod mixes, no caps", "≤ 0.80×", OURS, 0.80, |row| {
            row.kind == Kind::SmallPods
        }),
        cost_of(
            rows,
            "openb CPU pods up to 192 vCPU, no caps",
            "≤ 0.88×",
            OURS,
            0.88,
            |row| row.kind == Kind::Openb { vcpus_max: 192 },
        ),
        cost_of(rows, "every workload, no caps", "≤ 1.00×", OURS, 1.0, |_| true),
        cost_of(
            rows,
            "small-pod mixes, our default caps",
            "≤ 0.90×",
            CAPPED,
            0.90,
            |row| row.kind == Kind::SmallPods,
        ),
        cost_of(
            rows,
            "every workload, our default caps",
            "≤ 1.05×",
            CAPPED,
            1.05,
            |_| true,
        ),
        speed_of_mix(rows),
        time_of(rows, "10,000 pods on all types", "≤ 100 ms", 10_000, 0.1),
        time_of(rows, "100,000 pods on all types", "≤ 1 s", 100_000, 1.0),
        memory_of_size(rows),
        time_of_consolidation(rows),
        linear_in_classes(rows),
        flat_in_pods(rows),
    ]
}

/// As a table.
pub(super) fn table(aims: &[Aim]) -> String {
    let mut text = String::from("| what | aim | found | |\n|---|---|---|---|\n");
    for aim in aims {
        let verdict = match aim.is_met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        text.push_str(&format!(
            "| {} | {} | {} | {verdict} |\n",
            aim.what, aim.aim, aim.found
        ));
    }
    text
}

fn judged(what: &'static str, aim: &'static str, found: Option<(String, bool)>) -> Aim {
    let (found, is_met) = found.map_or((String::from("-"), None), |(found, is_met)| (found, Some(is_met)));
    Aim {
        what,
        aim,
        found,
        is_met,
    }
}

fn gap_of_many(rows: &[Row]) -> Aim {
    let gaps = gaps(rows, |row| {
        row.pods >= MANY_PODS && !matches!(row.kind, Kind::Curve { .. } | Kind::Memory)
    });
    let found = (!gaps.is_empty()).then(|| {
        let (mean, worst) = (mean(&gaps), worst(&gaps));
        let text = format!("mean {}, worst {}", percent(mean), percent(worst));
        (text, mean <= 0.005 && worst <= 0.015)
    });
    judged(
        "gap to the bound, 500 pods and more",
        "mean ≤ 0.5 %, worst ≤ 1.5 %",
        found,
    )
}

/// The gap to the bound is never less than the gap to the optimum: below the aim is met, above it nothing is proven.
fn gap_of_few(rows: &[Row]) -> Aim {
    let gaps = gaps(rows, |row| row.kind == Kind::Few);
    let found = (!gaps.is_empty()).then(|| {
        let mean = mean(&gaps);
        (format!("at most {} in the mean", percent(mean)), mean <= 0.01)
    });
    judged("gap to the optimum, fewer than 100 pods", "mean ≤ 1 %", found)
}

fn cost_of(
    rows: &[Row],
    what: &'static str,
    aim: &'static str,
    side: Side,
    most: f64,
    wanted: impl Fn(&Row) -> bool,
) -> Aim {
    let ratios: Vec<f64> = rows
        .iter()
        .filter(|row| wanted(row))
        .filter_map(|row| row.cost_ratio(side))
        .collect();
    let found = (!ratios.is_empty()).then(|| {
        let worst = worst(&ratios);
        (format!("worst of {}: {worst:.3}×", ratios.len()), worst <= most)
    });
    judged(what, aim, found)
}

fn speed_of_mix(rows: &[Row]) -> Aim {
    let largest = rows
        .iter()
        .find(|row| row.kind == Kind::Mix && row.pods == 20_000);
    let found = largest
        .and_then(|row| row.speed_up(OURS))
        .map(|faster| (format!("{}×", thousands(faster as usize)), faster >= 500.0));
    judged("speed against Karpenter, 20,000 pods of its mix", "≥ 500×", found)
}

fn size(rows: &[Row], pods: usize) -> Option<&super::run::Measured> {
    rows.iter()
        .find(|row| row.kind == Kind::Size && row.pods == pods)?
        .of(OURS)
}

fn time_of(rows: &[Row], what: &'static str, aim: &'static str, pods: usize, most: f64) -> Aim {
    let found =
        size(rows, pods).map(|answer| (format!("{} s", seconds(answer.seconds)), answer.seconds <= most));
    judged(what, aim, found)
}

fn memory_of_size(rows: &[Row]) -> Aim {
    let peak = size(rows, 100_000).and_then(|answer| answer.peak_bytes);
    let found = peak.map(|peak| {
        (
            format!("{} MiB, the dump read", mebibytes(peak)),
            peak < 300 << 20,
        )
    });
    judged("memory with 100,000 pods", "< 300 MiB", found)
}

fn time_of_consolidation(rows: &[Row]) -> Aim {
    let (nodes, pods) = ESTATE;
    let wanted = |row: &&Row| {
        row.standing
            .is_some_and(|there| (there.nodes, there.pods) == (nodes, pods))
    };
    let answer = rows
        .iter()
        .find(wanted)
        .and_then(|row| row.of(Side::Consolidated));
    let found = answer.map(|answer| (format!("{} s", seconds(answer.seconds)), answer.seconds <= 2.0));
    judged(
        "whole-cluster consolidation, 2,000 nodes, 40,000 pods",
        "≤ 2 s",
        found,
    )
}

/// By what power of `x` time grows from the first point to the last.
fn growth(points: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    (last.0 > first.0 && first.1 > 0.0).then(|| (last.1 / first.1).ln() / (last.0 / first.0).ln())
}

/// Points of the curve: pods of each class fixed, or classes fixed.
pub(super) fn points(rows: &[Row], pick: impl Fn(usize, usize) -> Option<usize>) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| match row.kind {
            Kind::Curve { classes, per_class } => {
                Some((pick(classes, per_class)? as f64, row.of(OURS)?.seconds))
            }
            _ => None,
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.dedup_by(|a, b| a.0 == b.0);
    points
}

/// Of the curve: seconds by classes.
pub(super) fn by_classes(rows: &[Row]) -> Vec<(f64, f64)> {
    points(rows, |classes, per_class| {
        (per_class == super::cases::CURVE_FIXED).then_some(classes)
    })
}

/// Of the curve: seconds by pods of each class.
pub(super) fn by_pods_per_class(rows: &[Row]) -> Vec<(f64, f64)> {
    points(rows, |classes, per_class| {
        (classes == super::cases::CURVE_FIXED).then_some(per_class)
    })
}

fn linear_in_classes(rows: &[Row]) -> Aim {
    let found = growth(&by_classes(rows)).map(|power| (format!("classes^{power:.2}"), power <= 1.25));
    judged("time as classes grow", "near-linear (power ≤ 1.25)", found)
}

fn flat_in_pods(rows: &[Row]) -> Aim {
    let found = growth(&by_pods_per_class(rows)).map(|power| (format!("pods^{power:.2}"), power <= 0.25));
    judged("time as pods per class grow", "flat (power ≤ 0.25)", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::{answer, consolidated, row};

    fn verdict(rows: &[Row], what: &str) -> Option<bool> {
        let aims = aims(rows);
        aims.iter()
            .find(|aim| aim.what.starts_with(what))
            .expect(what)
            .is_met
    }

    fn curve(classes: usize, per_class: usize, seconds: f64) -> Row {
        let kind = Kind::Curve { classes, per_class };
        row(
            kind,
            classes * per_class,
            answer(1.0, None, seconds),
            answer(1.0, None, 1.0),
        )
    }

    #[test]
    fn without_figures_nothing_is_met() {
        assert!(aims(&[]).iter().all(|aim| aim.is_met.is_none()));
    }

    #[test]
    fn each_aim_is_met_on_one_side_of_its_limit_only() {
        let mix = |seconds| {
            row(
                Kind::Mix,
                20_000,
                answer(8.0, Some(7.99), seconds),
                answer(10.0, None, 50.0),
            )
        };
        assert_eq!(verdict(&[mix(0.1)], "speed"), Some(true));
        assert_eq!(verdict(&[mix(0.11)], "speed"), Some(false));
        let small = |cost| {
            row(
                Kind::SmallPods,
                3000,
                answer(cost, Some(7.97), 1.0),
                answer(10.0, None, 1.0),
            )
        };
        assert_eq!(verdict(&[small(8.0)], "small-pod mixes, no caps"), Some(true));
        assert_eq!(verdict(&[small(8.1)], "small-pod mixes, no caps"), Some(false));
        assert_eq!(verdict(&[small(8.0)], "gap to the bound"), Some(true));
        assert_eq!(verdict(&[small(8.1)], "gap to the bound"), Some(false));
        assert_eq!(verdict(&[small(10.1)], "every workload, no caps"), Some(false));
        assert_eq!(verdict(&[small(8.0)], "every workload, our default caps"), None);
        let size = |seconds| {
            row(
                Kind::Size,
                100_000,
                answer(1.0, None, seconds),
                answer(1.0, None, 1.0),
            )
        };
        assert_eq!(verdict(&[size(1.0)], "100,000 pods"), Some(true));
        assert_eq!(verdict(&[size(1.1)], "100,000 pods"), Some(false));
        assert_eq!(verdict(&[size(1.1)], "10,000 pods"), None);
        assert_eq!(verdict(&[size(1.0)], "memory"), Some(true));
        assert_eq!(verdict(&[consolidated(400.0, 2.0)], "whole-cluster"), Some(true));
        assert_eq!(verdict(&[consolidated(400.0, 2.1)], "whole-cluster"), Some(false));
    }

    #[test]
    fn growth_is_the_slope_from_first_to_last() {
        let rows = [curve(300, 30, 0.4), curve(30, 30, 0.04), curve(30, 300, 0.04)];
        assert_eq!(by_classes(&rows), [(30.0, 0.04), (300.0, 0.4)]);
        assert_eq!(by_pods_per_class(&rows), [(30.0, 0.04), (300.0, 0.04)]);
        assert_eq!(verdict(&rows, "time as classes"), Some(true));
        assert_eq!(verdict(&rows, "time as pods"), Some(true));
        let steep = [curve(30, 30, 0.04), curve(300, 30, 4.0)];
        assert_eq!(verdict(&steep, "time as classes"), Some(false));
    }

    #[test]
    fn a_miss_is_told_as_one() {
        let row = row(
            Kind::SmallPods,
            3000,
            answer(9.0, None, 1.0),
            answer(10.0, None, 1.0),
        );
        assert!(table(&aims(&[row])).contains("| ≤ 0.80× | worst of 1: 0.900× | **missed** |"));
    }
}
