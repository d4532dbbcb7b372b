//! Waiting for a fact by looking again until a deadline. The only way tests and
//! demo wait: nothing here sleeps for a guessed time and then hopes.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Looks until `probe` answers `Ok`, at most `deadline` long.
///
/// `what` completes the sentence "it never held that …"; the error of the last
/// look is what was seen instead, and is part of the failure.
pub async fn eventually<T, Probe, Look>(deadline: Duration, what: &str, mut probe: Probe) -> Result<T>
where
    Probe: FnMut() -> Look,
    Look: Future<Output = Result<T>>,
{
    let started = Instant::now();
    let mut last_seen = String::from("nothing: the first look did not come back");
    loop {
        let remaining = deadline.saturating_sub(started.elapsed());
        match tokio::time::timeout(remaining, probe()).await {
            Ok(Ok(held)) => return Ok(held),
            Ok(Err(otherwise)) => last_seen = format!("{otherwise:#}"),
            Err(_) => return Err(unmet(deadline, what, &last_seen)),
        }
        if started.elapsed() >= deadline {
            return Err(unmet(deadline, what, &last_seen));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Looks until the deadline and fails at the first look that does not hold:
/// for what must stay as it is.
pub async fn throughout<Probe, Look>(duration: Duration, what: &str, mut probe: Probe) -> Result<()>
where
    Probe: FnMut() -> Look,
    Look: Future<Output = Result<()>>,
{
    let started = Instant::now();
    while started.elapsed() < duration {
        probe().await.map_err(|broken| {
            anyhow!(
                "after {:.1} s it no longer held that {what}: {broken:#}",
                started.elapsed().as_secs_f64()
            )
        })?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

fn unmet(deadline: Duration, what: &str, last_seen: &str) -> anyhow::Error {
    anyhow!(
        "in {} s it never held that {what}; last seen: {last_seen}",
        deadline.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fact_that_comes_true_is_returned() {
        let mut looks = 0;
        let seen = eventually(Duration::from_secs(5), "three looks were made", || {
            looks += 1;
            let look = looks;
            async move {
                if look == 3 {
                    Ok(look)
                } else {
                    Err(anyhow!("look {look}"))
                }
            }
        })
        .await;
        assert_eq!(seen.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_fact_that_never_comes_true_is_reported_with_what_was_seen() {
        let failure = eventually(Duration::from_millis(250), "the sun is green", || async {
            Err::<(), _>(anyhow!("a yellow sun"))
        })
        .await
        .unwrap_err()
        .to_string();
        assert!(
            failure.contains("the sun is green") && failure.contains("a yellow sun"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn what_must_stay_fails_at_the_first_look_that_does_not_hold() {
        let failure = throughout(Duration::from_secs(5), "it is quiet", || async {
            Err(anyhow!("a bang"))
        })
        .await
        .unwrap_err()
        .to_string();
        assert!(
            failure.contains("it is quiet") && failure.contains("a bang"),
            "{failure}"
        );
    }
}
