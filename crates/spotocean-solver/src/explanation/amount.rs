//! Amounts of resources as people write them.

use spotocean_core::kubelet::{GIB, MIB};

/// `amount` of a resource, in core units, with two decimals where they matter.
pub(super) fn text(name: &str, amount: i64) -> String {
    match name {
        "cpu" => decimal(amount, 1000, ""),
        "memory" | "ephemeral-storage" if amount.unsigned_abs() >= GIB.unsigned_abs() => {
            decimal(amount, GIB, "Gi")
        }
        "memory" | "ephemeral-storage" => decimal(amount, MIB, "Mi"),
        _ => amount.to_string(),
    }
}

fn decimal(amount: i64, unit: i64, suffix: &str) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let hundredths = i128::from(amount).abs() * 100 / i128::from(unit);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    if rest == 0 {
        format!("{sign}{whole}{suffix}")
    } else if rest % 10 == 0 {
        format!("{sign}{whole}.{}{suffix}", rest / 10)
    } else {
        format!("{sign}{whole}.{rest:02}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let rows = [
            ("cpu", 18_000, "18"),
            ("cpu", 15_890, "15.89"),
            ("cpu", 100, "0.1"),
            ("memory", 3 * GIB / 2, "1.5Gi"),
            ("memory", 256 * MIB, "256Mi"),
            ("nvidia.com/gpu", 4, "4"),
            ("pods", 110, "110"),
            ("memory", i64::MIN, "-8589934592Gi"),
        ];
        for (name, amount, expected) in rows {
            assert_eq!(text(name, amount), expected);
        }
    }
}
