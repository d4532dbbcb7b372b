//! Rules about the text of single files. Knows neither git nor cargo.

/// Lines of a Rust file without its tests, and with them.
const CODE_LINES: usize = 500;
const ALL_LINES: usize = 800;

/// Crates whose answers depend on their arguments alone.
pub(super) const PURE_CRATES: [&str; 4] = [
    "spotocean-api",
    "spotocean-core",
    "spotocean-solver",
    "spotocean-planner",
];

/// What would let the world into a pure crate, and why it may not.
const IMPURE_WORDS: [(&str, &str); 10] = [
    ("SystemTime", "reads a clock: take `now` from the snapshot"),
    ("Instant::now", "reads a clock: count work instead"),
    ("Timestamp::now", "reads a clock: take `now` from the snapshot"),
    ("Zoned::now", "reads a clock: take `now` from the snapshot"),
    ("std::env", "reads the environment: take it as an argument"),
    ("std::fs", "touches files: take their content as an argument"),
    ("HashMap", "has no order: use BTreeMap"),
    ("HashSet", "has no order: use BTreeSet"),
    ("println!", "prints: answer with a value"),
    ("dbg!", "prints: answer with a value"),
];

/// Names that say nothing about what a file decides.
const EMPTY_NAMES: [&str; 5] = ["mod.rs", "utils.rs", "common.rs", "helpers.rs", "misc.rs"];

/// Every complaint about the file at `path` (from the top of the repository).
pub(super) fn complaints(path: &str, content: &str) -> Vec<String> {
    let mut found = stray_paths(path, content);
    if path.ends_with(".rs") {
        found.extend(header(path, content));
        found.extend(size(path, content));
        found.extend(name(path));
        found.extend(impurities(path, content));
    }
    found
}

fn header(path: &str, content: &str) -> Option<String> {
    (!content.starts_with("//! "))
        .then(|| format!("{path}: opens without `//!`: say what it decides and what it does not know"))
}

fn size(path: &str, content: &str) -> Option<String> {
    let (code, all) = (
        without_tests(path, content).lines().count(),
        content.lines().count(),
    );
    let (lines, limit) = if code > CODE_LINES {
        (code, CODE_LINES)
    } else {
        (all, ALL_LINES)
    };
    (lines > limit)
        .then(|| format!("{path}: {lines} lines, at most {limit}: it holds more than one idea, split it"))
}

fn name(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    EMPTY_NAMES
        .contains(&name)
        .then(|| format!("{path}: {name} does not say what it is about: name it after its noun"))
}

fn impurities(path: &str, content: &str) -> Vec<String> {
    let pure = PURE_CRATES
        .iter()
        .any(|name| path.starts_with(&format!("crates/{name}/src/")));
    if !pure {
        return Vec::new();
    }
    let code = without_tests(path, content);
    let lines = code
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|(index, line)| {
            let words = IMPURE_WORDS.iter().filter(move |(word, _)| line.contains(word));
            words.map(move |(word, why)| format!("{path}:{}: {word} {why}", index + 1))
        })
        .collect()
}

/// The part of a file before its unit tests; nothing of a file that is tests only.
fn without_tests<'a>(path: &str, content: &'a str) -> &'a str {
    let only_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
    if only_tests {
        return "";
    }
    content
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(content)
}

fn stray_paths(path: &str, content: &str) -> Vec<String> {
    // Spelt in two halves, so that this file does not complain about itself.
    let folders = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let lines = content.lines().enumerate();
    lines
        .filter(|(_, line)| folders.iter().any(|folder| begins_a_path(line, folder)))
        .map(|(index, line)| format!("{path}:{}: a path of one machine: {}", index + 1, line.trim()))
        .collect()
}

/// Whether `folder` stands in the line at the start of a path, not inside a longer one or an address.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"/.-_$}~>".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, content: &str, expected: &[&str]) {
        let found = complaints(path, content);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (complaint, part) in found.iter().zip(expected) {
            assert!(complaint.contains(part), "{complaint} has no {part}");
        }
    }

    #[test]
    fn each_rule_has_a_file_that_breaks_it() {
        let long = format!("//! x\n{}", "fn f() {}\n".repeat(501));
        let long_tests = format!(
            "//! x\n\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "// y\n".repeat(800)
        );
        check("crates/a/src/a.rs", "fn f() {}\n", &["opens without"]);
        check("crates/a/src/a.rs", &long, &["502 lines, at most 500"]);
        check("crates/a/src/a.rs", &long_tests, &["805 lines, at most 800"]);
        check("crates/a/src/utils.rs", "//! x\n", &["does not say"]);
        check(
            "crates/spotocean-core/src/a.rs",
            "//! x\nuse std::env;\n",
            &["a.rs:2: std::env"],
        );
        check(
            "crates/spotocean-core/src/a.rs",
            "//! x\nlet m: HashMap<u8, u8>;\n",
            &["BTreeMap"],
        );
        check(
            "docs/a.md",
            concat!("see /ro", "ot/x\n"),
            &["a path of one machine"],
        );
    }

    #[test]
    fn what_is_allowed_passes() {
        check(
            "crates/spotocean-core/src/a.rs",
            "//! x\n// std::env is not used\n",
            &[],
        );
        check(
            "crates/spotocean-core/src/a.rs",
            "//! x\n\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n",
            &[],
        );
        check(
            "crates/spotocean-operator/src/a.rs",
            "//! x\nuse std::env;\n",
            &[],
        );
        check(
            "docs/a.md",
            concat!("https://host/ho", "me/x and $HOME/wo", "rk/y\n"),
            &[],
        );
    }
}
