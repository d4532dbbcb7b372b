//! Chance without state: a number that depends on the seed and on what it is drawn for, so that one
//! more draw anywhere changes nothing elsewhere.

/// A well-mixed number for `words` under `seed` (FNV-1a, finished by splitmix64).
pub fn hash(seed: u64, words: &[&str]) -> u64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in words {
        for byte in word.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // A separator, so that ("ab","c") and ("a","bc") differ.
        state = (state ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(state)
}

fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number from 0 up to, not including, `bound`; 0 when `bound` is 0.
pub fn below(seed: u64, words: &[&str], bound: u64) -> u64 {
    if bound == 0 { 0 } else { hash(seed, words) % bound }
}

/// A number in `[0, 1)`.
pub fn unit(seed: u64, words: &[&str]) -> f64 {
    (hash(seed, words) >> 11) as f64 / (1u64 << 53) as f64
}

/// `digits` (up to 17) hexadecimal digits, for identifiers such as `i-0123456789abcdef0`.
pub fn hex(seed: u64, words: &[&str], digits: usize) -> String {
    let first = hash(seed, words);
    let second = mix(first);
    let mut text = format!("{first:016x}{second:016x}");
    text.truncate(digits);
    text
}

/// A UUID (version 4 in form).
pub fn uuid(seed: u64, words: &[&str]) -> String {
    let text = hex(seed, words, 32);
    format!(
        "{}-{}-4{}-a{}-{}",
        &text[..8],
        &text[8..12],
        &text[13..16],
        &text[17..20],
        &text[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_on_every_word() {
        assert_eq!(hash(1, &["a", "b"]), hash(1, &["a", "b"]));
        assert_ne!(hash(1, &["a", "b"]), hash(2, &["a", "b"]));
        assert_ne!(hash(1, &["ab", "c"]), hash(1, &["a", "bc"]));
    }

    #[test]
    fn identifiers_have_their_form() {
        assert_eq!(hex(1, &["i"], 17).len(), 17);
        assert_eq!(uuid(1, &["x"]).len(), 36);
    }
}
