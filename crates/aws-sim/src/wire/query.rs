//! The query protocols' input: a form body whose dotted names make a tree (`Filter.1.Value.2=x`).

use std::collections::BTreeMap;

use crate::wire::error::ApiError;

/// One node of the parameter tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    value: Option<String>,
    fields: BTreeMap<String, Params>,
}

impl Params {
    /// Reads an `application/x-www-form-urlencoded` body.
    pub fn parse(body: &str) -> Params {
        let mut root = Params::default();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut node = &mut root;
            for part in decode(name).split('.') {
                node = node.fields.entry(part.to_owned()).or_default();
            }
            node.value = Some(decode(value));
        }
        root
    }

    /// The subtree under a dotted path.
    pub fn at(&self, path: &str) -> Option<&Params> {
        path.split('.').try_fold(self, |node, part| node.fields.get(part))
    }

    /// The text under a dotted path; an empty text counts as absent, as in EC2.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.value.as_deref().filter(|value| !value.is_empty())
    }

    /// The text, or `MissingParameter`.
    pub fn required(&self, path: &str) -> Result<&str, ApiError> {
        self.text(path).ok_or_else(|| ApiError::missing(path))
    }

    /// The members of a list in their order, both `Name.1` and `Name.member.1`.
    pub fn list(&self, path: &str) -> Vec<&Params> {
        let Some(node) = self.at(path) else {
            return Vec::new();
        };
        let node = node.fields.get("member").unwrap_or(node);
        let mut numbered: Vec<(u32, &Params)> = node
            .fields
            .iter()
            .filter_map(|(name, child)| Some((name.parse().ok()?, child)))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, child)| child).collect()
    }

    /// The texts of a list in their order.
    pub fn texts(&self, path: &str) -> Vec<String> {
        self.list(path)
            .into_iter()
            .filter_map(|each| each.value.clone())
            .collect()
    }

    /// A whole number, where given.
    pub fn integer(&self, path: &str) -> Result<Option<i64>, ApiError> {
        self.parsed(path, "integer")
    }

    /// A number, where given.
    pub fn number(&self, path: &str) -> Result<Option<f64>, ApiError> {
        self.parsed(path, "number")
    }

    /// A flag; absent is false.
    pub fn flag(&self, path: &str) -> Result<bool, ApiError> {
        Ok(self.parsed(path, "boolean")?.unwrap_or(false))
    }

    fn parsed<T: std::str::FromStr>(&self, path: &str, kind: &str) -> Result<Option<T>, ApiError> {
        self.text(path)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::invalid_value(format!("Invalid value '{text}' for {path}. Expected: {kind}"))
                })
            })
            .transpose()
    }

    /// The same tree with only these of its top-level names.
    #[must_use]
    pub fn restricted_to(&self, names: &[&str]) -> Params {
        let fields = self
            .fields
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        Params {
            value: None,
            fields: fields
                .map(|(name, child)| (name.clone(), child.clone()))
                .collect(),
        }
    }

    /// Every leaf with its dotted name, in name order.
    pub fn leaves(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect<'a>(&'a self, prefix: &str, found: &mut Vec<(String, &'a str)>) {
        if let Some(value) = &self.value {
            found.push((prefix.to_owned(), value));
        }
        for (name, child) in &self.fields {
            let path = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            child.collect(&path, found);
        }
    }

    /// Lays `other` over this tree: what it names replaces, what it does not name stays. Lists replace whole.
    #[must_use]
    pub fn merged_with(&self, other: &Params) -> Params {
        let mut merged = self.clone();
        for (name, child) in &other.fields {
            let existing = merged.fields.remove(name);
            let is_list = child.fields.keys().any(|key| key.parse::<u32>().is_ok());
            let next = match existing {
                Some(existing) if !is_list && child.value.is_none() => existing.merged_with(child),
                _ => child.clone(),
            };
            merged.fields.insert(name.clone(), next);
        }
        merged
    }
}

/// Undoes percent-encoding and `+`.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[index], escaped) {
            (_, Some(byte)) => {
                decoded.push(byte);
                index += 2;
            }
            (b'+', None) => decoded.push(b' '),
            (byte, None) => decoded.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_make_a_tree() {
        let params = Params::parse("Action=X&A.2=two&A.1=one&A.10=ten&B.C=1%2B1+is%202&Tags.member.1.Key=k");
        assert_eq!(params.texts("A"), ["one", "two", "ten"]);
        assert_eq!(params.text("B.C"), Some("1+1 is 2"));
        assert_eq!(params.list("Tags")[0].text("Key"), Some("k"));
        assert_eq!(params.required("Z"), Err(ApiError::missing("Z")));
    }

    #[test]
    fn merging_replaces_what_is_named() {
        let base = Params::parse("A=1&B.C=2&B.D=3&L.1=x&L.2=y");
        let over = Params::parse("B.C=9&L.1=z");
        assert_eq!(base.merged_with(&over), Params::parse("A=1&B.C=9&B.D=3&L.1=z"));
    }

    #[test]
    fn numbers_and_flags_are_checked() {
        let params = Params::parse("N=12&F=true&Bad=x");
        assert_eq!(params.integer("N"), Ok(Some(12)));
        assert_eq!(params.flag("F"), Ok(true));
        assert!(params.integer("Bad").is_err());
    }
}
