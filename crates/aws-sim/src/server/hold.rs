//! Calls that wait until they are told to go on. Which calls, the fault rules say.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The calls that wait, by their order of arrival.
#[derive(Debug, Default)]
pub struct Holds {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    calls: BTreeMap<u64, (String, oneshot::Sender<()>)>,
}

impl Holds {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names under which calls wait.
    pub fn names(&self) -> Vec<String> {
        self.waiting()
            .calls
            .values()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Lets the calls held under this name go (all, when unset); answers with how many.
    pub fn release(&self, name: Option<&str>) -> usize {
        let mut waiting = self.waiting();
        let (released, kept) = std::mem::take(&mut waiting.calls)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, (found, _))| name.is_none_or(|name| name == found));
        waiting.calls = kept;
        let count = released.len();
        for (_, sender) in released.into_values() {
            // A waiter that has gone away needs no telling.
            let _told_or_gone = sender.send(());
        }
        count
    }

    /// Waits under a name until released.
    pub async fn wait(&self, name: &str) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            waiting.last += 1;
            let number = waiting.last;
            waiting.calls.insert(number, (name.to_owned(), sender));
        }
        // A dropped sender means that the simulator ends.
        let _ = receiver.await;
    }
}
