//! Keeps an answer to each question of the oceans fresh, and forgets the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use spotocean_core::port::Cloud;
use spotocean_planner::world::World;
use tokio::sync::watch;
use tracing::debug;

use super::question::{Question, Reply};
use crate::batch::News;
use crate::context::Context;

/// Questions asked at once.
const ASKED_MAX: usize = 6;
/// The first pause after a bad answer; it doubles.
const RETRY_MIN: Duration = Duration::from_secs(5);
/// The longest pause after a bad answer: a user who has put things right should not wait much longer.
const RETRY_MAX: Duration = Duration::from_secs(120);
/// The pause where nothing was asked.
const NOT_ASKED_PAUSE: Duration = Duration::from_secs(1);

/// When each question is to be asked again.
#[derive(Debug, Default)]
pub struct Agenda {
    items: BTreeMap<Question, Item>,
}

#[derive(Debug)]
struct Item {
    due: Instant,
    failures: u32,
    is_asked: bool,
}

impl Agenda {
    /// From now on exactly these are asked. Returns those that no longer are.
    pub fn replace(&mut self, questions: &BTreeSet<Question>, now: Instant) -> Vec<Question> {
        for question in questions {
            self.items.entry(question.clone()).or_insert(Item {
                due: now,
                failures: 0,
                is_asked: false,
            });
        }
        let gone: Vec<Question> = self
            .items
            .keys()
            .filter(|known| !questions.contains(known))
            .cloned()
            .collect();
        self.items.retain(|known, _| questions.contains(known));
        gone
    }

    /// Takes up to `count` questions that are due.
    pub fn take(&mut self, count: usize, now: Instant) -> Vec<Question> {
        let due = self
            .items
            .iter_mut()
            .filter(|(_, item)| !item.is_asked && item.due <= now);
        due.take(count)
            .map(|(question, item)| {
                item.is_asked = true;
                question.clone()
            })
            .collect()
    }

    /// When the next question is due.
    pub fn next(&self) -> Option<Instant> {
        let waiting = self.items.values().filter(|item| !item.is_asked);
        waiting.map(|item| item.due).min()
    }

    /// A question was answered (`Some(is_good)`) or not asked. Returns whether anybody still wants to know.
    pub fn answered(&mut self, question: &Question, is_good: Option<bool>, now: Instant) -> bool {
        let Some(item) = self.items.get_mut(question) else {
            return false;
        };
        item.is_asked = false;
        let pause = match is_good {
            Some(true) => {
                item.failures = 0;
                question.holds_for()
            }
            Some(false) => {
                item.failures = item.failures.saturating_add(1);
                let doubled = RETRY_MIN.saturating_mul(1 << (item.failures - 1).min(10));
                doubled.min(RETRY_MAX)
            }
            None => NOT_ASKED_PAUSE,
        };
        item.due = now + pause;
        true
    }
}

/// Keeps the world fresh for as long as it is polled.
pub async fn keep<C: Cloud>(
    context: Arc<Context<C>>,
    cluster_uid: Arc<str>,
    mut questions: watch::Receiver<Arc<BTreeSet<Question>>>,
) {
    let mut agenda = Agenda::default();
    let mut asked: FuturesUnordered<BoxFuture<'_, (Question, Reply)>> = FuturesUnordered::new();
    loop {
        let free = ASKED_MAX.saturating_sub(asked.len());
        for question in agenda.take(free, Instant::now()) {
            debug!(?question, "asking");
            asked.push(Box::pin(ask(&context, &cluster_uid, question)));
        }
        let next = agenda.next().filter(|_| asked.len() < ASKED_MAX);
        tokio::select! {
            changed = questions.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = questions.borrow_and_update().clone();
                let gone = agenda.replace(&wanted, Instant::now());
                change(&context, |world| gone.iter().for_each(|question| question.forget(world)));
            }
            Some((question, reply)) = asked.next() => take(&context, &mut agenda, &question, reply),
            () = sleep_until(next) => {}
        }
    }
}

async fn ask<C: Cloud>(
    context: &Context<C>,
    cluster_uid: &Arc<str>,
    question: Question,
) -> (Question, Reply) {
    let reply = question.clone().ask(context, cluster_uid).await;
    (question, reply)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn take<C>(context: &Context<C>, agenda: &mut Agenda, question: &Question, reply: Reply) {
    match reply {
        Reply::NotAsked => {
            agenda.answered(question, None, Instant::now());
        }
        Reply::Answer { insert, is_good } => {
            if agenda.answered(question, Some(is_good), Instant::now()) {
                change(context, insert);
                context.wake.ring(News::Change);
            }
        }
    }
}

fn change<C>(context: &Context<C>, work: impl FnOnce(&mut World)) {
    context.view.with(|seen| work(Arc::make_mut(&mut seen.world)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_renewed_at_their_pace_and_errors_with_growing_pauses() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let question = Question::Subnets(Vec::new());
        let mut agenda = Agenda::default();
        assert!(
            agenda
                .replace(&BTreeSet::from([question.clone()]), start)
                .is_empty()
        );
        assert_eq!(agenda.take(5, start), std::slice::from_ref(&question));
        assert!(agenda.take(5, start).is_empty(), "it is being asked");
        assert_eq!(agenda.next(), None);
        for (is_good, pause) in [
            (Some(false), 5),
            (Some(false), 10),
            (Some(true), 60),
            (Some(false), 5),
            (None, 1),
        ] {
            assert!(agenda.answered(&question, is_good, start));
            assert_eq!(agenda.next(), Some(start + seconds(pause)), "{is_good:?}");
        }
        for _ in 0..20 {
            agenda.answered(&question, Some(false), start);
        }
        assert_eq!(agenda.next(), Some(start + RETRY_MAX));
    }

    #[test]
    fn an_answer_to_a_question_that_nobody_asks_any_more_is_dropped() {
        let start = Instant::now();
        let question = Question::Cluster("c".into());
        let mut agenda = Agenda::default();
        agenda.replace(&BTreeSet::from([question.clone()]), start);
        agenda.take(1, start);
        assert_eq!(
            agenda.replace(&BTreeSet::new(), start),
            std::slice::from_ref(&question)
        );
        assert!(!agenda.answered(&question, Some(true), start));
    }
}
