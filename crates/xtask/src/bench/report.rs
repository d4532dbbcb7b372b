//! The table: one line per workload and side, with ratios between the sides of the same line's run.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::cases::{Kind, Side};
use super::run::Measured;
use super::world::{Caps, Standing};

/// A workload and its answers.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The workload.
    pub(super) name: String,
    /// What it is for.
    pub(super) kind: Kind,
    /// Pods that waited.
    pub(super) pods: usize,
    /// Nodes of ours that were there.
    pub(super) standing: Option<Standing>,
    /// The answer of each side, the fastest of its runs.
    pub(super) answers: BTreeMap<Side, Measured>,
}

impl Row {
    /// One side's answer.
    pub(super) fn of(&self, side: Side) -> Option<&Measured> {
        self.answers.get(&side)
    }

    /// What nothing costs less than, caps apart.
    pub(super) fn bound(&self) -> Option<f64> {
        self.of(Side::Ours(Caps::Off))?.lower_bound
    }

    /// How far a side is above its bound: its own where it has one, else the bound without caps.
    pub(super) fn gap(&self, side: Side) -> Option<f64> {
        let answer = self.of(side)?;
        let bound = answer.lower_bound.or_else(|| self.bound())?;
        ratio(answer.hourly_cost, bound).map(|ratio| ratio - 1.0)
    }

    /// What a side costs of what Karpenter costs. Plans that leave different pods over cannot be compared.
    pub(super) fn cost_ratio(&self, side: Side) -> Option<f64> {
        let (own, other) = (self.of(side)?, self.of(Side::Karpenter)?);
        let comparable = side != Side::Karpenter && own.left == other.left;
        comparable.then(|| ratio(own.hourly_cost, other.hourly_cost))?
    }

    /// How many times faster than Karpenter a side is.
    pub(super) fn speed_up(&self, side: Side) -> Option<f64> {
        let (own, other) = (self.of(side)?, self.of(Side::Karpenter)?);
        (side != Side::Karpenter).then(|| ratio(other.seconds, own.seconds))?
    }
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

/// The run that was disturbed least.
pub(super) fn fastest(runs: &[Measured]) -> Option<Measured> {
    let by_time = |a: &&Measured, b: &&Measured| a.seconds.total_cmp(&b.seconds);
    runs.iter().min_by(by_time).copied()
}

/// Lines for the workloads that are told one by one.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| workload | pods | side | nodes | $/h | bound | gap | seconds | peak MiB | cost ÷ Karpenter's | × faster |\n\
         |---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let told = rows.iter().filter(|row| {
        !matches!(
            row.kind,
            Kind::Few | Kind::Curve { .. } | Kind::Memory | Kind::Estate
        )
    });
    for row in told {
        for (side, answer) in &row.answers {
            text.push_str(&line(row, *side, answer));
        }
    }
    text
}

fn line(row: &Row, side: Side, answer: &Measured) -> String {
    let left = match answer.left {
        0 => String::new(),
        left => format!(" ({left} left over)"),
    };
    format!(
        "| {} | {}{left} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        row.name,
        thousands(row.pods),
        side_name(side),
        thousands(answer.nodes),
        money(answer.hourly_cost),
        or_dash(answer.lower_bound, money),
        or_dash(row.gap(side), percent),
        seconds(answer.seconds),
        or_dash(answer.peak_bytes, mebibytes),
        or_dash(row.cost_ratio(side), |ratio| format!("{ratio:.3}")),
        or_dash(row.speed_up(side), |ratio| thousands(ratio.round() as usize)),
    )
}

/// What consolidation of whole clusters comes to.
pub(super) fn consolidation(rows: &[Row]) -> Option<String> {
    let mut text = String::from(
        "| cluster | pods | nodes before | nodes after | $/h before | $/h after | bound | gap | seconds | peak MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let head = text.len();
    for row in rows {
        if let (Some(before), Some(answer)) = (row.standing, row.of(Side::Consolidated)) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                thousands(before.pods),
                thousands(before.nodes),
                thousands((before.nodes + answer.nodes).saturating_sub(answer.removed)),
                money(before.hourly_cost),
                money(answer.hourly_cost),
                or_dash(answer.lower_bound, money),
                or_dash(row.gap(Side::Consolidated), percent),
                seconds(answer.seconds),
                or_dash(answer.peak_bytes, mebibytes),
            );
        }
    }
    (text.len() > head).then_some(text)
}

/// The workloads of fewer than a hundred pods, in one line.
pub(super) fn few(rows: &[Row]) -> Option<String> {
    let gaps = gaps(rows, |row| row.kind == Kind::Few);
    let proven = gaps.iter().filter(|gap| **gap < PROVEN).count();
    (!gaps.is_empty()).then(|| {
        format!(
            "{} workloads of 5 to 95 pods: the gap to the bound is {} in the mean and {} at worst; {proven} are proven \
             optimal by it. The bound is not the optimum, so these are upper limits.\n",
            gaps.len(),
            percent(mean(&gaps)),
            percent(worst(&gaps)),
        )
    })
}

/// A gap below a millionth is rounding.
pub(super) const PROVEN: f64 = 1e-6;

/// Gaps of our plans without caps.
pub(super) fn gaps(rows: &[Row], wanted: impl Fn(&Row) -> bool) -> Vec<f64> {
    let rows = rows.iter().filter(|row| wanted(row));
    rows.filter_map(|row| row.gap(Side::Ours(Caps::Off))).collect()
}

/// The mean; zero of none.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len().max(1) as f64)
}

/// The largest; zero of none.
pub(super) fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// What the measured memory table is worth.
pub(super) fn memory(rows: &[Row]) -> Option<String> {
    let cost = |row: &Row| {
        row.of(Side::Ours(Caps::Off))
            .map(|answer| (answer.hourly_cost, answer.nodes))
    };
    let mut costs = rows.iter().filter(|row| row.kind == Kind::Memory).map(cost);
    let ((estimated, many), (measured, fewer)) = (costs.next()??, costs.next()??);
    Some(format!(
        "openb CPU pods, up to 192 vCPU, with the VPC CNI: {} USD an hour on {many} nodes if 7.5 % of memory is taken \
         for lost, {} on {fewer} with the memory that Linux was measured to see: {} less.\n",
        money(estimated),
        money(measured),
        percent(1.0 - ratio(measured, estimated)?),
    ))
}

/// The points of the curve.
pub(super) fn curve_table(rows: &[Row]) -> String {
    let mut text = String::from("| classes | pods of each | pods | seconds |\n|---:|---:|---:|---:|\n");
    for row in rows {
        if let (Kind::Curve { classes, per_class }, Some(answer)) = (row.kind, row.of(Side::Ours(Caps::Off)))
        {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                thousands(classes),
                thousands(per_class),
                thousands(row.pods),
                seconds(answer.seconds)
            );
        }
    }
    text
}

/// What a side is called.
pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Ours(Caps::Off) => "SpotOcean",
        Side::Ours(Caps::Default) => "SpotOcean, default caps",
        Side::Consolidated => "SpotOcean, consolidating",
        Side::Karpenter => "Karpenter",
    }
}

fn or_dash<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn money(usd: f64) -> String {
    format!("{usd:.3}")
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Seconds with as many digits as mean something.
pub(super) fn seconds(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.1}")
    }
}

/// Bytes in MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    thousands(usize::try_from(bytes >> 20).unwrap_or(usize::MAX))
}

/// A number with commas.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An answer of that cost and time.
    pub(in crate::bench) fn answer(hourly_cost: f64, lower_bound: Option<f64>, seconds: f64) -> Measured {
        Measured {
            nodes: 1200,
            removed: 0,
            left: 0,
            hourly_cost,
            lower_bound,
            seconds,
            peak_bytes: Some(3 << 20),
        }
    }

    /// A workload that both sides answered.
    pub(in crate::bench) fn row(kind: Kind, pods: usize, ours: Measured, karpenter: Measured) -> Row {
        Row {
            name: "w".into(),
            kind,
            pods,
            standing: None,
            answers: BTreeMap::from([(Side::Ours(Caps::Off), ours), (Side::Karpenter, karpenter)]),
        }
    }

    /// 2,000 nodes and 40,000 pods, consolidated.
    pub(in crate::bench) fn consolidated(hourly_cost: f64, seconds: f64) -> Row {
        let answer = Measured {
            removed: 1700,
            ..answer(hourly_cost, Some(390.0), seconds)
        };
        Row {
            name: "w".into(),
            kind: Kind::Estate,
            pods: 0,
            standing: Some(Standing {
                nodes: 2000,
                hourly_cost: 700.0,
                pods: 40_000,
            }),
            answers: BTreeMap::from([(Side::Consolidated, answer)]),
        }
    }

    #[test]
    fn a_consolidation_tells_of_before_and_after() {
        let rows = [consolidated(400.0, 1.5)];
        assert!(consolidation(&rows).unwrap().ends_with(
            "| w | 40,000 | 2,000 | 1,500 | 700.000 | 400.000 | 390.000 | 2.56 % | 1.5000 | 3 |\n"
        ));
        assert_eq!(table(&rows).lines().count(), 2);
        assert_eq!(consolidation(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_workload() {
        let row = row(
            Kind::Mix,
            20_000,
            answer(8.0, Some(7.5), 0.02),
            answer(10.0, None, 30.0),
        );
        assert_eq!(
            table(std::slice::from_ref(&row))
                .lines()
                .skip(2)
                .collect::<Vec<_>>(),
            [
                "| w | 20,000 | SpotOcean | 1,200 | 8.000 | 7.500 | 6.67 % | 0.0200 | 3 | 0.800 | 1,500 |",
                "| w | 20,000 | Karpenter | 1,200 | 10.000 | - | 33.33 % | 30.0 | 3 | - | - |",
            ]
        );
    }

    #[test]
    fn plans_for_different_pods_are_not_compared() {
        let mut row = row(Kind::Mix, 9, answer(8.0, None, 0.1), answer(10.0, None, 0.2));
        row.answers.get_mut(&Side::Karpenter).unwrap().left = 1;
        assert_eq!(row.cost_ratio(Side::Ours(Caps::Off)), None);
        assert_eq!(row.speed_up(Side::Ours(Caps::Off)), Some(2.0));
        assert!(table(&[row]).contains("9 (1 left over)"));
    }

    #[test]
    fn the_run_disturbed_least_counts() {
        let runs = [3.0, 1.0, 2.0].map(|seconds| answer(10.0 * seconds, None, seconds));
        assert_eq!(fastest(&runs).unwrap().hourly_cost, 10.0);
        assert_eq!(fastest(&[]), None);
    }

    #[test]
    fn memory_is_the_second_against_the_first() {
        let of = |cost| row(Kind::Memory, 1, answer(cost, None, 1.0), answer(1.0, None, 1.0));
        assert!(
            memory(&[of(200.0), of(196.0)])
                .unwrap()
                .ends_with("2.00 % less.\n")
        );
        assert_eq!(memory(&[of(200.0)]), None);
    }
}
