//! EC2's `Filter.N`: names, values, `*` and `?`. What a name means for a resource is the resource's business.

use std::collections::BTreeMap;

use crate::wire::error::ApiError;
use crate::wire::query::Params;

/// Whether `text` matches a pattern with `*` (any run) and `?` (any one character).
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut against) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        if against < pattern.len() && pattern[against] == '*' {
            retry = Some((against, at));
            against += 1;
        } else if against < pattern.len() && (pattern[against] == '?' || pattern[against] == text[at]) {
            at += 1;
            against += 1;
        } else if let Some((star, consumed)) = retry {
            retry = Some((star, consumed + 1));
            against = star + 1;
            at = consumed + 1;
        } else {
            return false;
        }
    }
    pattern[against..].iter().all(|rest| *rest == '*')
}

/// The filters of one request: all must hold, each by any of its values.
#[derive(Debug, Clone, Default)]
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads `Filter.1.Name`, `Filter.1.Value.1` and so on; EC2 takes at most 200 values in all.
    pub fn parse(params: &Params) -> Result<Filters, ApiError> {
        let mut filters = Vec::new();
        for each in params.list("Filter") {
            let name = each
                .text("Name")
                .ok_or_else(|| ApiError::missing("Filter.Name"))?;
            let values = each.texts("Value");
            if values.is_empty() {
                return Err(ApiError::invalid_value(format!(
                    "The filter '{name}' needs at least one value"
                )));
            }
            filters.push((name.to_owned(), values));
        }
        if filters.iter().map(|(_, values)| values.len()).sum::<usize>() > 200 {
            return Err(ApiError::new(
                400,
                "FilterLimitExceeded",
                "The maximum number of filter values specified on a single call is 200",
            ));
        }
        Ok(Filters(filters))
    }

    /// Whether the request has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses names that the resource does not know. `tag:*` and `tag-key` are known to all that have tags.
    pub fn check(&self, known: &[&str]) -> Result<(), ApiError> {
        for (name, _) in &self.0 {
            let tag = name.starts_with("tag:") || name == "tag-key" || name == "tag-value";
            let is_known = known.contains(&name.as_str()) || (tag && known.contains(&"tag"));
            if !is_known {
                return Err(ApiError::invalid_value(format!("The filter '{name}' is invalid")));
            }
        }
        Ok(())
    }

    /// Whether a resource passes: `values_of` says what it has under a name (none: matches nothing).
    pub fn accept(
        &self,
        tags: Option<&BTreeMap<String, String>>,
        values_of: impl Fn(&str) -> Vec<String>,
    ) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let values = tags
                .and_then(|tags| tag_values(tags, name))
                .unwrap_or_else(|| values_of(name));
            values
                .iter()
                .any(|value| patterns.iter().any(|pattern| wildcard(pattern, value)))
        })
    }
}

fn tag_values(tags: &BTreeMap<String, String>, filter: &str) -> Option<Vec<String>> {
    if let Some(key) = filter.strip_prefix("tag:") {
        return Some(tags.get(key).cloned().into_iter().collect());
    }
    match filter {
        "tag-key" => Some(tags.keys().cloned().collect()),
        "tag-value" => Some(tags.values().cloned().collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("m5.*", "m5.large", true),
            ("m5.*", "m5a.large", false),
            ("*", "", true),
            ("?5.large", "m5.large", true),
            ("*large", "m5.xlarge", true),
            ("m5.large", "m5.large", true),
            ("m5", "m5.large", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn filters_and_together_and_values_or_together() {
        let params = Params::parse(
            "Filter.1.Name=tag:a&Filter.1.Value.1=x&Filter.1.Value.2=y*&Filter.2.Name=zone&Filter.2.Value.1=z",
        );
        let filters = Filters::parse(&params).expect("well formed");
        let accept = |value: &str, zone: &str| {
            let tags = BTreeMap::from([("a".to_owned(), value.to_owned())]);
            filters.accept(Some(&tags), |_| vec![zone.to_owned()])
        };
        assert!(accept("x", "z") && accept("yes", "z"));
        assert!(!accept("no", "z") && !accept("x", "other"));
        assert!(filters.check(&["zone", "tag"]).is_ok());
        assert!(filters.check(&["tag"]).is_err());
    }
}
