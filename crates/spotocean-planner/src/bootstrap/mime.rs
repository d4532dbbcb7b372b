//! MIME multipart documents (RFC 2046): written, and taken apart without touching the parts.

use super::BootstrapError;
use crate::digest::hexadecimal;

/// One part: its header lines and its body, as they stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part(String);

impl Part {
    /// A part of a content type.
    pub(super) fn new(content_type: &str, body: &str) -> Self {
        Self(format!("Content-Type: {content_type}\n\n{}", body.trim_end()))
    }
}

/// A document of these parts. The boundary follows from the content, so that no part can hold it by chance.
pub(super) fn document(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.0.as_str()).collect();
    let boundary = format!("spotocean-{}", hexadecimal(&texts, 16));
    let mut document =
        format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n");
    for text in texts {
        document.push_str(&format!("--{boundary}\n{text}\n"));
    }
    document.push_str(&format!("--{boundary}--\n"));
    document
}

/// Whether a text is a MIME document.
pub(super) fn is_document(text: &str) -> bool {
    let start: String = text
        .trim_start()
        .chars()
        .take(32)
        .collect::<String>()
        .to_ascii_lowercase();
    start.starts_with("mime-version:") || start.starts_with("content-type: multipart/")
}

/// The parts of a document.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, BootstrapError> {
    let lines: Vec<&str> = text.trim_start().lines().collect();
    let head = lines
        .iter()
        .position(|line| line.is_empty())
        .ok_or(BootstrapError::Mime("a blank line must end its header; add one"))?;
    let boundary = boundary(&lines[..head]).ok_or(BootstrapError::Mime(
        "its header names no boundary; add Content-Type: multipart/mixed; boundary=\"…\"",
    ))?;
    let (open, close) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in &lines[head..] {
        match line.trim_end() {
            line if line == close => return finish(parts),
            line if line == open => parts.push(Vec::new()),
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.push(line);
                }
            }
        }
    }
    Err(BootstrapError::Mime(
        "its last boundary is missing; end it with --boundary--",
    ))
}

fn finish(parts: Vec<Vec<&str>>) -> Result<Vec<Part>, BootstrapError> {
    if parts.is_empty() {
        return Err(BootstrapError::Mime("it has no parts; remove it, or add one"));
    }
    Ok(parts
        .into_iter()
        .map(|lines| Part(lines.join("\n").trim_end().to_owned()))
        .collect())
}

/// The boundary parameter of the header; a header line may go on in the next one (RFC 5322 folding).
fn boundary(header: &[&str]) -> Option<String> {
    let joined = header.join(" ");
    let start = joined.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = &joined[start..];
    let boundary = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([';', ' ']).next()?,
    };
    (!boundary.is_empty()).then(|| boundary.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_apart_as_it_was_put_together() {
        let parts_in = [
            Part::new("text/x-shellscript", "#!/bin/sh\necho --hello\n\necho end\n"),
            Part::new("application/node.eks.aws", "a: 1"),
        ];
        assert_eq!(parts(&document(&parts_in)).unwrap(), parts_in);
    }

    #[test]
    fn broken_documents_are_refused_with_the_fix() {
        let rows = [
            ("MIME-Version: 1.0", "blank line"),
            ("MIME-Version: 1.0\n\nbody", "boundary"),
            (
                "Content-Type: multipart/mixed; boundary=b\n\n--b\nx",
                "last boundary",
            ),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b--\n", "no parts"),
        ];
        for (text, expected) in rows {
            let error = parts(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn folded_headers_and_carriage_returns_are_read() {
        let text =
            "Content-Type: multipart/mixed;\r\n boundary=\"//\"\r\n\r\n--//\r\nA: b\r\n\r\nx\r\n--//--\r\n";
        assert_eq!(parts(text).unwrap(), [Part("A: b\n\nx".into())]);
    }
}
