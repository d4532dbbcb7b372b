//! Names and tokens that follow from content: the same content, the same text.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The first `length` hexadecimal digits (at most 64) of the SHA-256 of `content` as JSON.
#[must_use]
pub fn hexadecimal(content: &impl Serialize, length: usize) -> String {
    let bytes = serde_json::to_vec(content).expect("contents are plain data with text keys");
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from_digit(u32::from(nibble), 16).expect("a nibble is a hexadecimal digit"))
        .take(length)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::hexadecimal;

    #[test]
    fn content_decides() {
        assert_eq!(hexadecimal(&"a", 8), hexadecimal(&"a", 8));
        assert_ne!(hexadecimal(&"a", 8), hexadecimal(&"b", 8));
        assert_eq!(hexadecimal(&"a", 64).len(), 64);
    }
}
