//! An SQS standard queue: at least once, unordered in principle, a new receipt handle per receive.
//! Pure: real milliseconds are passed in, because visibility is agreed with clients who live in real time.

use std::collections::BTreeMap;

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Id.
    pub id: String,
    /// Body.
    pub body: String,
    /// When it was sent, real milliseconds.
    pub sent_ms: i64,
    /// When it was first received, real milliseconds.
    pub first_received_ms: Option<i64>,
    /// When it can be received, real milliseconds.
    pub visible_ms: i64,
    /// How often it was received.
    pub receives: u64,
}

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Name.
    pub name: String,
    /// How long messages are kept, in real seconds.
    pub retention_seconds: i64,
    /// How long a received message stays hidden by default, in real seconds.
    pub visibility_seconds: i64,
    messages: BTreeMap<u64, Message>,
    last: u64,
}

impl Queue {
    /// An empty queue with the settings Karpenter ships (retention 300 s).
    pub fn new(name: &str) -> Queue {
        Queue {
            name: name.to_owned(),
            retention_seconds: 300,
            visibility_seconds: 30,
            messages: BTreeMap::new(),
            last: 0,
        }
    }

    /// Puts a message in.
    pub fn send(&mut self, id: String, body: String, delay_seconds: i64, now_ms: i64) {
        self.last += 1;
        let message = Message {
            id,
            body,
            sent_ms: now_ms,
            first_received_ms: None,
            visible_ms: now_ms + delay_seconds * 1000,
            receives: 0,
        };
        self.messages.insert(self.last, message);
    }

    /// Receives up to `most` messages with their new receipt handles, hiding them for a while.
    pub fn receive(&mut self, most: usize, hide_seconds: Option<i64>, now_ms: i64) -> Vec<(String, Message)> {
        self.expire(now_ms);
        let hide_ms = hide_seconds.unwrap_or(self.visibility_seconds) * 1000;
        let name = self.name.clone();
        self.messages
            .iter_mut()
            .filter(|(_, message)| message.visible_ms <= now_ms)
            .take(most)
            .map(|(number, message)| {
                message.visible_ms = now_ms + hide_ms;
                message.receives += 1;
                message.first_received_ms.get_or_insert(now_ms);
                (format!("{name}/{number}/{}", message.receives), message.clone())
            })
            .collect()
    }

    /// Deletes by receipt handle; false when it is no handle of this queue. A handle whose message is gone is fine.
    pub fn delete(&mut self, handle: &str) -> bool {
        let Some(number) = self.number(handle) else {
            return false;
        };
        self.messages.remove(&number);
        true
    }

    /// Hides a received message for another while; false when it is no handle of this queue.
    pub fn change_visibility(&mut self, handle: &str, seconds: i64, now_ms: i64) -> bool {
        let Some(number) = self.number(handle) else {
            return false;
        };
        if let Some(message) = self.messages.get_mut(&number) {
            message.visible_ms = now_ms + seconds * 1000;
        }
        true
    }

    /// Deletes everything.
    pub fn purge(&mut self) {
        self.messages.clear();
    }

    /// Visible and hidden messages.
    pub fn lengths(&mut self, now_ms: i64) -> (usize, usize) {
        self.expire(now_ms);
        let visible = self
            .messages
            .values()
            .filter(|message| message.visible_ms <= now_ms)
            .count();
        (visible, self.messages.len() - visible)
    }

    fn number(&self, handle: &str) -> Option<u64> {
        let rest = handle.strip_prefix(&self.name)?.strip_prefix('/')?;
        let number = rest.split('/').next()?.parse().ok()?;
        (number <= self.last).then_some(number)
    }

    fn expire(&mut self, now_ms: i64) {
        let retention_ms = self.retention_seconds * 1000;
        self.messages
            .retain(|_, message| now_ms - message.sent_ms < retention_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        let mut queue = Queue::new("q");
        for number in 1..=3 {
            queue.send(format!("m{number}"), "body".into(), 0, 0);
        }
        queue
    }

    #[test]
    fn received_messages_hide_and_reappear_with_a_new_handle() {
        let mut queue = queue();
        let first = queue.receive(10, Some(20), 0);
        assert_eq!(first.len(), 3);
        assert!(queue.receive(10, Some(20), 19_999).is_empty());
        let again = queue.receive(2, Some(20), 20_000);
        assert_eq!(again.len(), 2);
        assert_ne!(first[0].0, again[0].0);
    }

    #[test]
    fn deleted_and_expired_messages_are_gone() {
        let mut queue = queue();
        let first = queue.receive(1, None, 0);
        assert!(queue.delete(&first[0].0));
        assert!(queue.delete(&first[0].0), "deleting twice is fine");
        assert!(!queue.delete("nonsense"));
        assert_eq!(queue.lengths(0), (2, 0));
        assert_eq!(queue.lengths(300_000), (0, 0));
    }
}
