//! Tags and the filters that find them. A filter only narrows what EC2 sends:
//! what counts is decided here again on the tags that came back, because a
//! filter that a server ignores would select everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

/// Tags by key.
pub(crate) type Tags = BTreeMap<Arc<str>, Arc<str>>;

/// The value that stands for any.
const ANY: &str = "*";

/// Tags as EC2 takes them.
pub(crate) fn list(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(&**key).value(&**value).build())
        .collect()
}

/// The tags of what a call creates.
pub(crate) fn specification(resource: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(list(tags)))
        .build()
}

/// Tags as EC2 gives them.
pub(crate) fn read(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.into(), tag.value().unwrap_or_default().into())))
        .collect()
}

/// One filter.
pub(crate) fn filter(name: impl Into<String>, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Filters that let through at least what has these tags.
///
/// EC2 reads `*`, `?` and `\` in a filter's value as wildcards and escapes; a
/// value with any of them is filtered by key alone and compared on arrival.
pub(crate) fn filters(tags: &Tags) -> Vec<Filter> {
    tags.iter()
        .map(|(key, value)| {
            if value.contains(['*', '?', '\\']) {
                filter("tag-key", &**key)
            } else {
                filter(format!("tag:{key}"), &**value)
            }
        })
        .collect()
}

/// Whether `found` carries all `wanted` tags, `*` standing for any value.
pub(crate) fn all_match(wanted: &Tags, found: &Tags) -> bool {
    wanted.iter().all(|(key, value)| {
        found
            .get(key)
            .is_some_and(|found| &**value == ANY || found == value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn filters_name_the_value_unless_ec2_would_read_it_as_a_pattern() {
        let rows = [
            ("dev", "tag:team", "dev"),
            ("*", "tag-key", "team"),
            ("a*b", "tag-key", "team"),
            (r"a\b", "tag-key", "team"),
        ];
        for (value, name, filtered) in rows {
            let built = filters(&tags(&[("team", value)]));
            assert_eq!(built, [filter(name, filtered)], "{value}");
        }
    }

    #[test]
    fn all_wanted_tags_must_be_there() {
        let found = tags(&[("team", "dev"), ("name", "")]);
        let rows = [
            (&[("team", "dev")][..], true),
            (&[("team", "*"), ("name", "*")], true),
            (&[("team", "dev"), ("stage", "*")], false),
            (&[("team", "Dev")], false),
            (&[], true),
        ];
        for (wanted, expected) in rows {
            assert_eq!(all_match(&tags(wanted), &found), expected, "{wanted:?}");
        }
    }

    #[test]
    fn tags_survive_the_way_there_and_back() {
        let given = tags(&[("team", "dev"), ("empty", "")]);
        assert_eq!(read(&list(&given)), given);
    }
}
