//! The query protocols' output: a tree of elements, written with its text escaped.

use std::fmt::{Display, Write};

/// An element: text, or children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<String>) -> Element {
        Element {
            name: name.into(),
            text: String::new(),
            children: Vec::new(),
        }
    }

    /// An element with text.
    pub fn text(name: impl Into<String>, text: impl Display) -> Element {
        Element {
            text: text.to_string(),
            ..Element::new(name)
        }
    }

    /// An element with children.
    pub fn list(name: impl Into<String>, children: impl IntoIterator<Item = Element>) -> Element {
        Element {
            children: children.into_iter().collect(),
            ..Element::new(name)
        }
    }

    /// Adds a child.
    #[must_use]
    pub fn with(mut self, child: Element) -> Element {
        self.children.push(child);
        self
    }

    /// Adds a child with text.
    #[must_use]
    pub fn field(self, name: &str, text: impl Display) -> Element {
        self.with(Element::text(name, text))
    }

    /// Adds a child with text, where there is one.
    #[must_use]
    pub fn maybe(self, name: &str, text: Option<impl Display>) -> Element {
        match text {
            Some(text) => self.field(name, text),
            None => self,
        }
    }

    /// Adds children.
    #[must_use]
    pub fn extended(mut self, children: impl IntoIterator<Item = Element>) -> Element {
        self.children.extend(children);
        self
    }

    /// Adds a child, unless it is empty.
    #[must_use]
    pub fn with_filled(self, child: Element) -> Element {
        if child.text.is_empty() && child.children.is_empty() {
            self
        } else {
            self.with(child)
        }
    }

    /// The same list without its members; none for a text.
    #[must_use]
    pub fn hollow(&self) -> Option<Element> {
        self.text.is_empty().then(|| Element::new(self.name.clone()))
    }

    /// Writes a document whose root has the namespace `xmlns`.
    pub fn document(&self, xmlns: Option<&str>) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let attribute = xmlns.map(|name| format!(" xmlns=\"{name}\"")).unwrap_or_default();
        self.write(&mut out, &attribute);
        out
    }

    fn write(&self, out: &mut String, attribute: &str) {
        let name = &self.name;
        // Writing to a String cannot fail.
        let _ = write!(out, "<{name}{attribute}>{}", escaped(&self.text));
        for child in &self.children {
            child.write(out, "");
        }
        let _ = write!(out, "</{name}>");
    }
}

/// `<item>text</item>`, EC2's list member.
pub fn item(text: impl Display) -> Element {
    Element::text("item", text)
}

/// `<tagSet>` of a resource.
pub fn tag_set<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Element {
    Element::list(
        "tagSet",
        tags.into_iter()
            .map(|(key, value)| Element::new("item").field("key", key).field("value", value)),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_escaped_and_namespaced() {
        let element = Element::new("R")
            .field("a", "x<&\">")
            .with(Element::list("set", [item(1)]));
        assert_eq!(
            element.document(Some("urn:x")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R xmlns=\"urn:x\"><a>x&lt;&amp;&quot;&gt;</a><set><item>1</item></set></R>"
        );
    }
}
