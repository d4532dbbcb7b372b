//! Selector terms: what they ask EC2 for, and whether a resource matches one.

use std::sync::Arc;

use aws_sdk_ec2::types::Filter;
use spotocean_core::port::{CloudError, SelectorTerm};

use crate::error::invalid;
use crate::tag::{self, Tags};

/// What EC2 calls a resource's id and name in filters.
#[derive(Clone, Copy)]
pub(crate) struct FilterNames {
    /// The filter for the id.
    pub(crate) id: &'static str,
    /// The filter for the name.
    pub(crate) name: &'static str,
}

/// A resource, as far as a term can speak about it.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its tags.
    pub(crate) tags: &'a Tags,
}

/// The filters of one term. An id is a filter too: named as an id, one that does not exist would fail the whole call.
///
/// # Errors
/// When the term is empty: it would match everything in the account.
pub(crate) fn filters(
    action: &str,
    term: &SelectorTerm,
    names: FilterNames,
) -> Result<Vec<Filter>, CloudError> {
    let mut filters = tag::filters(&term.tags);
    filters.extend(term.id.as_ref().map(|id| tag::filter(names.id, &**id)));
    filters.extend(term.name.as_ref().map(|name| tag::filter(names.name, &**name)));
    if filters.is_empty() {
        return Err(invalid(
            action,
            "EmptySelector",
            "a selector term names neither an id nor a name nor a tag and would match everything; name one of them",
        ));
    }
    Ok(filters)
}

/// Whether all parts of the term hold.
pub(crate) fn matches(term: &SelectorTerm, candidate: Candidate<'_>) -> bool {
    let holds =
        |wanted: &Option<Arc<str>>, found: &str| wanted.as_ref().is_none_or(|wanted| glob(wanted, found));
    term.id.as_ref().is_none_or(|id| &**id == candidate.id)
        && holds(&term.name, candidate.name)
        && tag::all_match(&term.tags, candidate.tags)
}

/// Whether `text` matches `pattern`, where `*` stands for any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("al2023-*-x86_64", "al2023-ami-2023.1-x86_64", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn every_part_of_a_term_must_hold() {
        let tags: Tags = [("team".into(), "dev".into())].into();
        let candidate = Candidate {
            id: "sg-1",
            name: "nodes",
            tags: &tags,
        };
        let term = |id: Option<&str>, name: Option<&str>, team: Option<&str>| SelectorTerm {
            id: id.map(Into::into),
            name: name.map(Into::into),
            tags: team
                .map(|team| ("team".into(), team.into()))
                .into_iter()
                .collect(),
            ..SelectorTerm::default()
        };
        let rows = [
            (term(Some("sg-1"), None, None), true),
            (term(Some("sg-1"), Some("other"), None), false),
            (term(None, Some("no*"), Some("*")), true),
            (term(None, Some("nodes"), Some("ops")), false),
        ];
        for (term, expected) in rows {
            assert_eq!(matches(&term, candidate), expected, "{term:?}");
        }
    }

    #[test]
    fn an_empty_term_is_refused_before_it_is_sent() {
        let names = FilterNames {
            id: "group-id",
            name: "group-name",
        };
        let refused = filters("DescribeSecurityGroups", &SelectorTerm::default(), names)
            .expect_err("it would match everything");
        assert_eq!(&*refused.code, "EmptySelector");
    }
}
