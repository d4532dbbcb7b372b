//! MIME multipart user data (RFC 2046 as cloud-init and nodeadm read it): the parts with their types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Media type, without parameters.
    pub media_type: String,
    /// Content.
    pub body: String,
}

/// The parts of a multipart message; none when the text is no such message.
pub fn parts(text: &str) -> Option<Vec<Part>> {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n")?;
    let content_type = header(head, "content-type")?;
    if !content_type.to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let boundary = content_type
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("boundary="))?
        .trim_matches('"')
        .to_owned();
    let delimiter = format!("--{boundary}");
    let mut found = Vec::new();
    for chunk in format!("\n{body}").split(&format!("\n{delimiter}")).skip(1) {
        if chunk.starts_with("--") {
            break;
        }
        found.push(part(chunk.trim_start_matches(['\n', ' '].as_slice()), chunk));
    }
    Some(found)
}

fn part(chunk: &str, raw: &str) -> Part {
    // A part without headers begins with an empty line.
    let (head, body) = if raw.starts_with("\n\n") {
        ("", chunk)
    } else {
        chunk.split_once("\n\n").unwrap_or((chunk, ""))
    };
    let media_type = header(head, "content-type")
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .unwrap_or_else(|| "text/plain".to_owned());
    let is_base64 =
        header(head, "content-transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("base64"));
    let body = if is_base64 {
        let squeezed: String = body.chars().filter(|letter| !letter.is_whitespace()).collect();
        let bytes = STANDARD.decode(squeezed).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        body.to_owned()
    };
    Part { media_type, body }
}

/// A header's value, with folded lines joined.
fn header(head: &str, name: &str) -> Option<String> {
    let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
    unfolded.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"X\"\n\n--X\nContent-Type: application/node.eks.aws\n\nkind: NodeConfig\n--X\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\nContent-Transfer-Encoding: base64\n\nZWNobyBo\naQo=\n--X--\n";

    #[test]
    fn parts_have_type_and_body() {
        let found = parts(MESSAGE).expect("multipart");
        assert_eq!(
            found[0],
            Part {
                media_type: "application/node.eks.aws".into(),
                body: "kind: NodeConfig".into()
            }
        );
        assert_eq!(
            found[1],
            Part {
                media_type: "text/x-shellscript".into(),
                body: "echo hi\n".into()
            }
        );
        assert_eq!(found.len(), 2);
        assert_eq!(parts(&MESSAGE.replace('\n', "\r\n")), Some(found));
    }

    #[test]
    fn other_text_is_no_message() {
        assert_eq!(
            parts("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\n\nx: y\n"),
            None
        );
    }
}
