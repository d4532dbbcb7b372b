//! The benchmark: our planner and Karpenter's real scheduler on the same pods, types and prices, in one run.
//!
//! Decides in which order things run, how often, and where the results go; `bench/` knows the workloads, the sides
//! and the figures.

mod aims;
mod cases;
mod catalogue;
mod chart;
mod estate;
mod pods;
mod random;
mod report;
mod run;
mod world;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use spotocean_e2e::{repository, toolchain};

use crate::suite;
use cases::{Case, Kind, Side};
use chart::{Panel, Series};
use report::Row;
use run::{Measured, Programs, ocean_file, run as run_side};
use world::{Caps, World};

/// Where the results go.
const TABLE: &str = "docs/benchmarks.md";
const CHART: &str = "docs/benchmarks.svg";
/// What was measured, beside the question.
const ANSWERS: &str = "answers.json";
/// How often each side answers, in turns; the fastest counts, because what other programs take of the machine is no
/// property of either side.
const REPEATS: usize = 5;
/// No further repeat of a workload that has taken this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Debug, Clone, Default)]
pub(crate) struct BenchPlan {
    /// Leave out what takes Karpenter minutes.
    pub(crate) is_quick: bool,
    /// Leave Karpenter out.
    pub(crate) is_alone: bool,
    /// Only workloads whose name contains this.
    pub(crate) only: Option<String>,
    /// Take what an earlier run has measured as it stands.
    pub(crate) resumes: bool,
}

impl BenchPlan {
    /// A run that leaves something out is printed only.
    fn is_whole(&self) -> bool {
        !self.is_alone && self.only.is_none()
    }

    fn takes(&self, case: &Case) -> bool {
        let is_named = self.only.as_ref().is_none_or(|only| case.name.contains(only));
        is_named && !(self.is_quick && case.is_long)
    }
}

/// Runs all workloads, prints the figures, and writes them to `docs/`.
pub(crate) fn run(plan: &BenchPlan) -> Result<()> {
    let folder = scratch()?;
    let mut programs = None;
    let mut rows = Vec::new();
    let cases = cases::all();
    for (number, case) in cases.iter().enumerate().filter(|(_, case)| plan.takes(case)) {
        let folder = folder.join(format!("{number:02}-{}", file_name(&case.name)));
        let row = match kept(case, &folder) {
            Some(row) if plan.resumes => row,
            _ => {
                let built = programs.take().map_or_else(|| build(plan), Ok)?;
                let row = measure(case, &built, &folder)?;
                programs = Some(built);
                row
            }
        };
        eprintln!("{}", progress(&row));
        rows.push(row);
    }
    let text = page(plan, &rows);
    println!("\n{text}");
    if plan.is_whole() {
        write(TABLE, &text)?;
        write(CHART, &chart::svg(&panels(&rows)))?;
        println!("{TABLE} and {CHART} are written");
    }
    Ok(())
}

fn build(plan: &BenchPlan) -> Result<Programs> {
    Ok(Programs {
        kubectl_ocean: kubectl_ocean()?,
        karpenter: (!plan.is_alone).then(toolchain::karpenter).transpose()?,
    })
}

/// Builds the plugin as users get it, and only what it needs.
fn kubectl_ocean() -> Result<PathBuf> {
    let output = suite::cargo()
        .args(["build", "--release", "-p", "kubectl-ocean"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo build --release -p kubectl-ocean failed");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.context("cargo built no program")
}

/// The folder beside this program where the questions stay, to ask one again by hand.
fn scratch() -> Result<PathBuf> {
    let own = std::env::current_exe().context("the running program cannot name its own path")?;
    let target = own.ancestors().nth(2).context("programs lie in target/debug")?;
    Ok(target.join("bench"))
}

/// Asks every side in turns.
fn measure(case: &Case, programs: &Programs, folder: &Path) -> Result<Row> {
    let world = (case.world)()?;
    let (pods, standing) = (world.pending(), world.standing);
    lay_out(&world, folder)?;
    drop(world);
    let sides: Vec<Side> = case
        .sides
        .iter()
        .copied()
        .filter(|side| *side != Side::Karpenter || programs.karpenter.is_some())
        .collect();
    let mut runs: BTreeMap<Side, Vec<Measured>> = BTreeMap::new();
    let started = Instant::now();
    for _ in 0..REPEATS {
        for side in &sides {
            let measured = run_side(programs, *side, folder)?;
            runs.entry(*side).or_default().push(measured);
        }
        if started.elapsed() > PATIENCE {
            break;
        }
    }
    let fastest = runs
        .into_iter()
        .filter_map(|(side, runs)| Some((side, report::fastest(&runs)?)));
    let row = Row {
        name: case.name.clone(),
        kind: case.kind,
        pods,
        standing,
        answers: fastest.collect(),
    };
    let answers: Vec<(&Side, &Measured)> = row.answers.iter().collect();
    write_json(
        &folder.join(ANSWERS),
        &json!({"pods": row.pods, "standing": row.standing, "answers": answers}),
    )?;
    Ok(row)
}

/// What an earlier run has measured, where every side that is wanted has answered.
fn kept(case: &Case, folder: &Path) -> Option<Row> {
    let text = std::fs::read_to_string(folder.join(ANSWERS)).ok()?;
    let mut read: Value = serde_json::from_str(&text).ok()?;
    let answers: Vec<(Side, Measured)> = serde_json::from_value(read["answers"].take()).ok()?;
    let row = Row {
        name: case.name.clone(),
        kind: case.kind,
        pods: usize::try_from(read["pods"].as_u64()?).ok()?,
        standing: serde_json::from_value(read["standing"].take()).ok()?,
        answers: answers.into_iter().collect(),
    };
    case.sides
        .iter()
        .all(|side| row.of(*side).is_some())
        .then_some(row)
}

fn progress(row: &Row) -> String {
    let answers = row.answers.iter().map(|(side, answer)| {
        format!(
            "{} {:.3} $/h in {} s",
            report::side_name(*side),
            answer.hourly_cost,
            report::seconds(answer.seconds)
        )
    });
    format!(
        "{}, {} pods: {}",
        row.name,
        row.standing.map_or(row.pods, |there| there.pods),
        answers.collect::<Vec<_>>().join("; ")
    )
}

/// A name that is a folder's on any system.
fn file_name(name: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    name.chars().map(plain).collect()
}

/// Writes the question where both sides read it.
fn lay_out(world: &World, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for caps in [Caps::Off, Caps::Default] {
        write_json(&folder.join(ocean_file(caps)), &world.ocean(caps))?;
    }
    write_json(&folder.join("catalogue.json"), &world.catalogue.0)?;
    let cluster = json!({"apiVersion": "v1", "kind": "List", "items": &world.objects});
    write_json(&folder.join("cluster.json"), &cluster)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    serde_json::to_writer(BufWriter::new(file), value)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn write(file: &str, text: &str) -> Result<()> {
    std::fs::write(repository::path(file), text).with_context(|| format!("{file} cannot be written"))
}

/// The page in `docs/`.
fn page(plan: &BenchPlan, rows: &[Row]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let extent = if plan.is_quick {
        "This was a quick run (`--quick`), which leaves out what takes Karpenter minutes.\n"
    } else {
        ""
    };
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench` on {cores} cores; do not edit.\n\
         {extent}\
         SpotOcean's planner (`kubectl ocean simulate`) and Karpenter's scheduler (its Go module, v1.14.0) answer the \
         same question in the same run, each in a process of its own, in turns: the same pods, instance types, prices \
         and allocatable.\n\
         Each of Karpenter's nodes is priced at the cheapest offering still open to it, the best that EC2 could pick.\n\
         Seconds are those of deciding alone, without reading and setting up, on both sides; the fastest of {REPEATS} runs, \
         of fewer where Karpenter takes more than seconds.\n\
         Peak memory is the whole process's, reading included.\n\
         Without caps SpotOcean runs with `maxShare` 100 and `minimumFlexibility` 1; Karpenter has no such caps.\n\
         `bound` is what no plan costs less than, and `gap` the distance to it; Karpenter's is to SpotOcean's bound.\n\
         Times of other machines and other loads differ; ratios between the sides of one run are what counts.\n\n\
         ## Side by side\n\n{}\n",
        report::table(rows)
    );
    let aims = aims::table(&aims::aims(rows));
    text.push_str(&format!("## Aims\n\n{aims}\n"));
    text.extend(report::consolidation(rows).map(|table| {
        format!(
            "## Whole clusters\n\n\
             `kubectl ocean simulate --consolidate` on nodes that were full once, with a part of their pods gone since.\n\
             Karpenter's consolidation goes node by node on a live cluster and has no such question.\n\n{table}\n"
        )
    }));
    text.extend(report::few(rows).map(|few| format!("## Few pods\n\n{few}\n")));
    text.extend(report::memory(rows).map(|memory| format!("## What measured memory is worth\n\n{memory}\n")));
    text.push_str(&format!(
        "## How cost grows\n\n\
         ![Seconds against pods for both sides, and against classes and pods per class for SpotOcean](benchmarks.svg)\n\n{}",
        report::curve_table(rows)
    ));
    text
}

fn panels(rows: &[Row]) -> Vec<Panel> {
    let mix = |side| {
        let mixes = rows.iter().filter(|row| row.kind == Kind::Mix);
        mixes
            .filter_map(|row| Some((row.pods as f64, row.of(side)?.seconds)))
            .collect()
    };
    vec![
        Panel {
            title: "Karpenter's mix, 400 types",
            across: "pods",
            up: "seconds",
            series: vec![
                Series {
                    name: "SpotOcean",
                    points: mix(Side::Ours(Caps::Off)),
                },
                Series {
                    name: "Karpenter",
                    points: mix(Side::Karpenter),
                },
            ],
        },
        Panel {
            title: "SpotOcean, us-east-1",
            across: "classes, or pods of each class",
            up: "seconds",
            series: vec![
                Series {
                    name: "classes of 30 pods",
                    points: aims::by_classes(rows),
                },
                Series {
                    name: "pods in 30 classes",
                    points: aims::by_pods_per_class(rows),
                },
            ],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_of_both_sides_and_every_aim() {
        let rows = [report::tests::row(
            Kind::Mix,
            20_000,
            report::tests::answer(8.0, None, 0.02),
            report::tests::answer(10.0, None, 30.0),
        )];
        let text = page(&BenchPlan::default(), &rows);
        assert!(text.contains("| w | 20,000 | Karpenter |"), "{text}");
        assert!(text.contains("| 1,500× | met |"), "{text}");
        assert!(!text.contains("quick run"));
        let panels = panels(&rows);
        assert_eq!(panels[0].series[1].points, [(20_000.0, 30.0)]);
    }

    #[test]
    fn what_was_measured_is_taken_up_again_if_it_is_whole() {
        let folder = std::env::temp_dir().join(format!("spotocean-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let cases = cases::all();
        let case = cases.first().unwrap();
        assert!(kept(case, &folder).is_none());
        let answer = report::tests::answer(8.0, Some(7.0), 0.5);
        for sides in [&case.sides[..1], case.sides] {
            let answers: Vec<(Side, Measured)> = sides.iter().map(|side| (*side, answer)).collect();
            write_json(&folder.join(ANSWERS), &json!({"pods": 7, "answers": answers})).unwrap();
            let row = kept(case, &folder);
            assert_eq!(row.is_some(), sides.len() == case.sides.len());
            if let Some(row) = row {
                assert_eq!((row.pods, row.of(Side::Karpenter)), (7, Some(&answer)));
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
