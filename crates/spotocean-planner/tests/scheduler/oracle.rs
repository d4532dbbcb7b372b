//! The real kube-scheduler: cases in, bindings out. The program is built by `cargo xtask test`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names the program; else the cache of `cargo xtask test` is looked into.
const PROGRAM_VARIABLE: &str = "SPOTOCEAN_SCHEDULER_ORACLE";

/// A cluster, pods that wait, and what happens next.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Case {
    /// Its name in the answer.
    pub(crate) id: String,
    /// Nodes, bound pods, namespaces, volumes, claims, classes.
    pub(crate) objects: Vec<Value>,
    /// DaemonSets.
    pub(crate) daemon_sets: Vec<Value>,
    /// Nodes that get daemons.
    pub(crate) daemon_nodes: Vec<String>,
    /// Pods that wait, in the order of their creation.
    pub(crate) pending: Vec<Value>,
    /// Node by `namespace/name` of a waiting pod.
    pub(crate) nominate: BTreeMap<String, String>,
    /// The only node that a waiting pod may go to, by `namespace/name`.
    pub(crate) pin: BTreeMap<String, String>,
    /// What comes after the first settling.
    pub(crate) steps: Vec<Step>,
}

/// What comes later.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    /// Nodes and CSINodes that appear.
    pub(crate) objects: Vec<Value>,
    /// Nodes that lose the taint `untaint_key`.
    pub(crate) untaint: Vec<String>,
    /// The taint's key.
    pub(crate) untaint_key: String,
    /// Nominations made now.
    pub(crate) nominate: BTreeMap<String, String>,
}

/// What became of the pods that waited.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// The case.
    pub(crate) id: String,
    /// Node by `namespace/name`.
    pub(crate) bound: BTreeMap<String, String>,
    /// The scheduler's words by `namespace/name`.
    pub(crate) unschedulable: BTreeMap<String, String>,
    /// Bound pods that preemption took.
    pub(crate) preempted: Vec<String>,
    /// Why there is no answer.
    pub(crate) error: String,
}

/// The program, running.
pub(crate) struct Oracle {
    process: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let program = program();
        let mut process = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        Self {
            input: BufWriter::new(process.stdin.take().expect("its input is piped")),
            output: BufReader::new(process.stdout.take().expect("its output is piped")),
            process,
        }
    }

    /// Asks the scheduler about each case; answers come in the cases' order.
    pub(crate) fn ask(&mut self, cases: &[Case]) -> Vec<Answer> {
        let Self { input, output, .. } = self;
        let mut answers: BTreeMap<String, Answer> = std::thread::scope(|scope| {
            scope.spawn(move || {
                for case in cases {
                    serde_json::to_writer(&mut *input, case).expect("a case is JSON");
                    input.write_all(b"\n").expect("the oracle reads its cases");
                }
                input.flush().expect("the oracle reads its cases");
            });
            let lines = output.lines().take(cases.len());
            let lines = lines.map(|line| line.expect("the oracle's output is text"));
            let answers = lines.map(|line| serde_json::from_str(&line).expect("an answer is JSON"));
            answers
                .map(|answer: Answer| (answer.id.clone(), answer))
                .collect()
        });
        let answer = |case: &Case| {
            let answer = answers.remove(&case.id);
            answer.unwrap_or_else(|| panic!("the oracle did not answer {}", case.id))
        };
        cases.iter().map(answer).collect()
    }

    /// Lets it end.
    pub(crate) fn end(self) {
        let Self {
            mut process, input, ..
        } = self;
        drop(input);
        let status = process.wait().expect("the oracle can be awaited");
        assert!(status.success(), "the oracle failed: {status}");
    }
}

/// Asks the scheduler about each case; answers come in the cases' order.
pub(crate) fn ask(cases: &[Case]) -> Vec<Answer> {
    let mut oracle = Oracle::start();
    let answers = oracle.ask(cases);
    oracle.end();
    answers
}

fn program() -> PathBuf {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return named.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let own = || {
        std::env::var_os("XDG_CACHE_HOME")
            .map_or_else(home, PathBuf::from)
            .join("spotocean")
    };
    let cache = std::env::var_os("SPOTOCEAN_CACHE").map_or_else(own, PathBuf::from);
    let folders = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let built = folders
        .map(|folder| folder.path().join("scheduler-oracle"))
        .filter_map(|program| Some((program.metadata().ok()?.modified().ok()?, program)));
    let newest = built.max().map(|(_, program)| program);
    newest.unwrap_or_else(|| {
        panic!("the scheduler oracle is not built: run `cargo xtask test`, which builds it, or name it in {PROGRAM_VARIABLE}")
    })
}
