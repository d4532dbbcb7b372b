//! The node role's row in `aws-auth`: merged into what stands there, or refused.
//!
//! A broken `aws-auth` locks every node and person out of the cluster, so the
//! text that others wrote is left as it is, byte for byte where possible: our
//! row is appended, the result is read back, and unless it holds the old rows
//! and ours nothing is written.

use serde_yaml::{Mapping, Value};
use thiserror::Error;

/// Groups of a node (EKS user guide, "Add IAM principals to your Kubernetes cluster").
const GROUPS: [&str; 2] = ["system:bootstrappers", "system:nodes"];
const USERNAME: &str = "system:node:{{EC2PrivateDNSName}}";

/// What a merge comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Merge {
    /// The role has its row.
    Present,
    /// The text to write in its place.
    Changed(String),
}

/// Why `aws-auth` is left alone.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    /// It is not YAML.
    #[error(
        "mapRoles in kube-system/aws-auth is not readable as YAML ({0}): correct it by hand, it is left as it is"
    )]
    Unreadable(String),
    /// It is YAML of another form.
    #[error(
        "mapRoles in kube-system/aws-auth is not a list of rows with a rolearn: correct it by hand, it is left as it is"
    )]
    NotRows,
    /// The role's row does not let nodes in.
    #[error(
        "the row of {role_arn} in kube-system/aws-auth lacks the group {group}: add it there, or remove the row"
    )]
    OtherGroups {
        /// The role.
        role_arn: String,
        /// The first group that is missing.
        group: &'static str,
    },
    /// The role's ARN is none.
    #[error("{0} is not the ARN of an IAM role: correct template.role")]
    NotARole(String),
}

/// Merges the row of a node role into `mapRoles`. The same again changes nothing.
///
/// # Errors
/// See [`Refusal`].
pub fn merge(map_roles: &str, role_arn: &str) -> Result<Merge, Refusal> {
    let role_arn = without_path(role_arn).ok_or_else(|| Refusal::NotARole(role_arn.to_owned()))?;
    let rows = rows(map_roles)?;
    if let Some(row) = rows
        .iter()
        .find(|row| arn_of(row).is_some_and(|arn| arn == role_arn))
    {
        return match GROUPS.into_iter().find(|group| !has_group(row, group)) {
            None => Ok(Merge::Present),
            Some(group) => Err(Refusal::OtherGroups { role_arn, group }),
        };
    }
    let wanted: Vec<Value> = rows.iter().cloned().chain([row(&role_arn)]).collect();
    let appended = append(map_roles, &role_arn);
    let is_right = serde_yaml::from_str::<Vec<Value>>(&appended).is_ok_and(|read| read == wanted);
    if is_right {
        return Ok(Merge::Changed(appended));
    }
    serde_yaml::to_string(&wanted)
        .map(Merge::Changed)
        .map_err(|error| Refusal::Unreadable(error.to_string()))
}

fn rows(map_roles: &str) -> Result<Vec<Value>, Refusal> {
    let value: Value =
        serde_yaml::from_str(map_roles).map_err(|error| Refusal::Unreadable(error.to_string()))?;
    let rows = match value {
        Value::Null => Vec::new(),
        Value::Sequence(rows) => rows,
        _ => return Err(Refusal::NotRows),
    };
    if rows.iter().any(|row| arn_of(row).is_none()) {
        return Err(Refusal::NotRows);
    }
    Ok(rows)
}

fn arn_of(row: &Value) -> Option<&str> {
    row.get("rolearn")?.as_str()
}

fn has_group(row: &Value, group: &str) -> bool {
    row.get("groups")
        .and_then(Value::as_sequence)
        .is_some_and(|groups| groups.iter().any(|own| own.as_str() == Some(group)))
}

fn row(role_arn: &str) -> Value {
    let groups = GROUPS.into_iter().map(Value::from).collect::<Vec<_>>();
    let pairs = [
        ("rolearn", Value::from(role_arn)),
        ("username", Value::from(USERNAME)),
        ("groups", Value::from(groups)),
    ];
    Value::Mapping(
        pairs
            .into_iter()
            .map(|(key, value)| (Value::from(key), value))
            .collect::<Mapping>(),
    )
}

/// The text with our row after its last line, at the indent of its first row.
fn append(map_roles: &str, role_arn: &str) -> String {
    let indent = map_roles
        .lines()
        .find(|line| line.trim_start().starts_with("- "))
        .map_or(0, |line| line.len() - line.trim_start().len());
    let space = " ".repeat(indent);
    let kept = match map_roles.trim() {
        "" | "[]" => String::new(),
        _ => format!("{}\n", map_roles.trim_end()),
    };
    let [bootstrappers, nodes] = GROUPS;
    format!(
        "{kept}{space}- rolearn: {role_arn}\n{space}  username: {USERNAME}\n{space}  groups:\n{space}  - {bootstrappers}\n{space}  - {nodes}\n"
    )
}

/// The ARN as the authenticator compares it: it sees a session's ARN, which has no path
/// (aws-iam-authenticator, "rolearn").
#[must_use]
pub fn without_path(role_arn: &str) -> Option<String> {
    let (head, name) = role_arn.split_once(":role/")?;
    let name = name.rsplit('/').next()?;
    (head.starts_with("arn:") && !name.is_empty()).then(|| format!("{head}:role/{name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/team/nodes";
    const PLAIN: &str = "arn:aws:iam::123456789012:role/nodes";

    fn changed(text: &str) -> String {
        match merge(text, ROLE).unwrap() {
            Merge::Changed(text) => text,
            Merge::Present => panic!("nothing changed in {text}"),
        }
    }

    #[test]
    fn the_row_is_appended_and_the_rest_stays() {
        let before = "# who may join\n- rolearn: arn:aws:iam::1:role/admin  # the boss\n  username: admin\n  groups: [system:masters]\n";
        let after = changed(before);
        assert!(after.starts_with(before.trim_end()), "{after}");
        insta::assert_snapshot!(after, @r"
        # who may join
        - rolearn: arn:aws:iam::1:role/admin  # the boss
          username: admin
          groups: [system:masters]
        - rolearn: arn:aws:iam::123456789012:role/nodes
          username: system:node:{{EC2PrivateDNSName}}
          groups:
          - system:bootstrappers
          - system:nodes
        ");
        assert_eq!(
            merge(&after, ROLE),
            Ok(Merge::Present),
            "the same again changes nothing"
        );
    }

    #[test]
    fn other_forms_keep_their_rows_too() {
        for before in [
            "",
            "[]\n",
            "  - rolearn: arn:aws:iam::1:role/a\n    groups: [g]\n",
            "[{rolearn: 'arn:aws:iam::1:role/a', groups: [g]}]",
            "- {rolearn: 'arn:aws:iam::1:role/a'}\n\n\n",
            "---\n- rolearn: arn:aws:iam::1:role/a\n...\n",
        ] {
            let after: Vec<Value> = serde_yaml::from_str(&changed(before)).unwrap();
            let old = rows(before).unwrap();
            assert_eq!(after[..old.len()], old, "{before}");
            assert_eq!(after[old.len()..], [row(PLAIN)], "{before}");
        }
    }

    #[test]
    fn what_cannot_be_changed_safely_is_refused() {
        let other = format!("- rolearn: {PLAIN}\n  groups: [system:nodes]\n");
        let rows = [
            ("- rolearn: [", ROLE, "not readable"),
            ("a: b", ROLE, "not a list"),
            ("- username: x", ROLE, "not a list"),
            (other.as_str(), ROLE, "system:bootstrappers"),
            ("", "nodes", "not the ARN"),
        ];
        for (text, role, expected) in rows {
            let refusal = merge(text, role).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn paths_are_left_out() {
        let rows = [
            (ROLE, Some(PLAIN)),
            (PLAIN, Some(PLAIN)),
            ("arn:aws-cn:iam::1:role/a/b/c", Some("arn:aws-cn:iam::1:role/c")),
            ("arn:aws:iam::1:user/x", None),
            ("arn:aws:iam::1:role/", None),
        ];
        for (arn, expected) in rows {
            assert_eq!(without_path(arn).as_deref(), expected, "{arn}");
        }
    }

    proptest! {
        #[test]
        fn no_row_is_ever_lost(
            names in prop::collection::vec("[a-zA-Z0-9._-]{1,20}", 0..6),
            groups in prop::collection::vec("[a-z:{}'\"# -]{1,20}", 0..3),
        ) {
            let before: Vec<Value> = names
                .iter()
                .map(|name| {
                    let mut row = Mapping::new();
                    row.insert("rolearn".into(), format!("arn:aws:iam::1:role/{name}").into());
                    row.insert("groups".into(), groups.iter().cloned().map(Value::from).collect::<Vec<_>>().into());
                    Value::Mapping(row)
                })
                .collect();
            let text = serde_yaml::to_string(&before).unwrap();
            let after: Vec<Value> = serde_yaml::from_str(&changed(&text)).unwrap();
            prop_assert_eq!(&after[..before.len()], &before[..]);
            prop_assert_eq!(after.len(), before.len() + 1);
        }

        #[test]
        fn any_text_is_merged_or_refused(text in ".{0,80}") {
            if let Ok(Merge::Changed(after)) = merge(&text, ROLE) {
                prop_assert_eq!(merge(&after, ROLE), Ok(Merge::Present));
            }
        }
    }
}
