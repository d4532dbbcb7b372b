//! One kind of watched objects, with our own writes laid over what the watch has shown so far.
//!
//! Decides which of two views of an object is newer. Knows nothing of Kubernetes clients or of what the
//! objects mean. Three facts carry it:
//! - resource versions of one resource may be compared as integers (KEP-5504; true of every etcd-backed apiserver);
//! - an object's uid never comes back once it is gone;
//! - a list that was *asked for* after a write had been answered shows that write (consistent reads).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Departures remembered: a write's answer may arrive after the watch has shown the end of its object.
const DEPARTED_MAX: usize = 2_000;

/// One object as last seen or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its resource version as a number; 0 where it could not be read as one.
    pub version: u64,
    /// What planning needs of it.
    pub value: V,
}

/// What the watch's news of one object came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<V> {
    /// Something newer is known.
    Ignored,
    /// The object is new.
    New,
    /// It took the place of this view.
    Replaced(V),
}

/// A write of ours that the watch has not shown yet.
#[derive(Clone, Copy, Debug)]
struct Written {
    version: u64,
    /// Orders it against the starts of lists.
    sequence: u64,
}

/// The latest departures.
#[derive(Debug, Default)]
struct Departed {
    uids: BTreeSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Departed {
    fn add(&mut self, uid: &str) {
        let uid: Arc<str> = uid.into();
        if !self.uids.insert(uid.clone()) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > DEPARTED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }
}

/// A list under way.
#[derive(Debug)]
struct Staged<K, V> {
    sequence: u64,
    entries: BTreeMap<K, Entry<V>>,
}

/// All objects of one kind.
#[derive(Debug)]
pub struct Table<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    staged: Option<Staged<K, V>>,
    written: BTreeMap<K, Written>,
    /// Uids that we know to be gone, though the watch may still show them.
    erased: BTreeMap<Arc<str>, u64>,
    /// Uids whose end the watch has shown, the latest ones.
    departed: Departed,
    /// Objects that we are about to create: planning must see them before the apiserver does.
    intended: BTreeMap<K, V>,
    sequence: u64,
    is_listed: bool,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            staged: None,
            written: BTreeMap::new(),
            erased: BTreeMap::new(),
            departed: Departed::default(),
            intended: BTreeMap::new(),
            sequence: 0,
            is_listed: false,
        }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> Table<K, V> {
    /// Whether a list has been seen to its end.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One object.
    pub fn entry(&self, key: &K) -> Option<&Entry<V>> {
        self.entries.get(key)
    }

    /// Every object by key, and those about to be created.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let intended = self
            .intended
            .iter()
            .filter(|(key, _)| !self.entries.contains_key(key));
        let mut all: Vec<(&K, &V)> = self
            .entries
            .iter()
            .map(|(key, entry)| (key, &entry.value))
            .chain(intended)
            .collect();
        // Two sorted runs: the standard sort merges them in linear time.
        all.sort_by_key(|(key, _)| *key);
        all.into_iter()
    }

    /// Every object in the order of its key, and those about to be created.
    pub fn values(&self) -> Vec<V> {
        self.iter().map(|(_, value)| value.clone()).collect()
    }

    /// A list is asked for; its objects follow.
    pub fn begin(&mut self) {
        self.sequence += 1;
        self.staged = Some(Staged {
            sequence: self.sequence,
            entries: BTreeMap::new(),
        });
    }

    /// One object of the list under way.
    pub fn stage(&mut self, key: K, entry: Entry<V>) {
        if let Some(staged) = &mut self.staged {
            staged.entries.insert(key, entry);
        }
    }

    /// The list is complete: what it does not show is gone, unless we wrote it after the list was asked for.
    pub fn finish(&mut self) -> bool {
        let Some(Staged {
            sequence,
            entries: mut listed,
        }) = self.staged.take()
        else {
            return false;
        };
        listed.retain(|_, entry| !self.erased.contains_key(&entry.uid));
        self.erased.retain(|_, erased_at| *erased_at > sequence);
        self.written.retain(|key, written| {
            let seen = listed.get(key).map_or(0, |entry| entry.version);
            if seen >= written.version || written.sequence < sequence {
                return false;
            }
            if let Some(ours) = self.entries.get(key) {
                listed.insert(key.clone(), ours.clone());
            }
            true
        });
        let is_changed = !self.is_listed || !same(&self.entries, &listed);
        self.entries = listed;
        self.is_listed = true;
        is_changed
    }

    /// The watch shows an object.
    pub fn observe(&mut self, key: K, entry: Entry<V>) -> Seen<V> {
        if self.erased.contains_key(&entry.uid) {
            return Seen::Ignored;
        }
        let written = self.written.get(&key).map_or(0, |written| written.version);
        if let Some(current) = self.entries.get(&key) {
            let is_late = current.uid == entry.uid && current.version > entry.version;
            // An earlier object of the same name, seen late.
            let is_earlier = current.uid != entry.uid && written > entry.version;
            if is_late || is_earlier {
                return Seen::Ignored;
            }
        }
        if entry.version >= written {
            self.written.remove(&key);
        }
        let uid = entry.uid.clone();
        match self.entries.insert(key, entry) {
            Some(before) if before.uid == uid => Seen::Replaced(before.value),
            _ => Seen::New,
        }
    }

    /// The watch shows that an object is gone.
    pub fn forget(&mut self, key: &K, uid: &str) -> bool {
        self.erased.remove(uid);
        self.departed.add(uid);
        let is_ours = self.entries.get(key).is_some_and(|entry| &*entry.uid == uid);
        if is_ours {
            self.entries.remove(key);
            self.written.remove(key);
        }
        is_ours
    }

    /// The apiserver answered a write of ours with this object.
    pub fn write(&mut self, key: K, entry: Entry<V>) {
        self.intended.remove(&key);
        if self.departed.uids.contains(&entry.uid) {
            return;
        }
        if let Some(current) = self.entries.get(&key)
            && current.uid == entry.uid
            && current.version >= entry.version
        {
            return;
        }
        self.sequence += 1;
        let written = Written {
            version: entry.version,
            sequence: self.sequence,
        };
        self.written.insert(key.clone(), written);
        self.entries.insert(key, entry);
    }

    /// The apiserver answered that an object is gone.
    pub fn erase(&mut self, key: &K, uid: &str) {
        if !self.departed.uids.contains(uid) {
            self.forget(key, uid);
            self.sequence += 1;
            self.erased.insert(uid.into(), self.sequence);
        }
    }

    /// Changes an object in place until the watch shows it anew.
    pub fn amend(&mut self, key: &K, uid: &str, change: impl FnOnce(&mut V)) {
        if let Some(entry) = self.entries.get_mut(key)
            && &*entry.uid == uid
        {
            change(&mut entry.value);
        }
    }

    /// An object is about to be created.
    pub fn intend(&mut self, key: K, value: V) {
        self.intended.insert(key, value);
    }

    /// Nothing is about to be created any more.
    pub fn withdraw_all(&mut self) {
        self.intended.clear();
    }

    /// An object will not be created after all, or its creation has been answered.
    pub fn withdraw(&mut self, key: &K) {
        self.intended.remove(key);
    }
}

fn same<K: Ord, V: PartialEq>(left: &BTreeMap<K, Entry<V>>, right: &BTreeMap<K, Entry<V>>) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|((a, x), (b, y))| a == b && x.uid == y.uid && x.value == y.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uid: &str, version: u64, value: &'static str) -> Entry<&'static str> {
        Entry {
            uid: uid.into(),
            version,
            value,
        }
    }

    fn listed(rows: &[(&'static str, &str, u64, &'static str)]) -> Table<&'static str, &'static str> {
        let mut table = Table::default();
        relist(&mut table, rows);
        table
    }

    fn relist(
        table: &mut Table<&'static str, &'static str>,
        rows: &[(&'static str, &str, u64, &'static str)],
    ) {
        table.begin();
        fill(table, rows);
    }

    fn fill(table: &mut Table<&'static str, &'static str>, rows: &[(&'static str, &str, u64, &'static str)]) {
        for (key, uid, version, value) in rows {
            table.stage(key, entry(uid, *version, value));
        }
        table.finish();
    }

    fn check(table: &Table<&'static str, &'static str>, expected: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> = table.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_list_counts_only_once_it_is_complete() {
        let mut table = Table::default();
        table.begin();
        table.stage("a", entry("1", 5, "x"));
        assert!(!table.is_listed());
        check(&table, &[]);
        assert!(table.finish());
        assert!(table.is_listed());
        check(&table, &[("a", "x")]);
    }

    #[test]
    fn an_older_view_never_replaces_our_write() {
        let mut table = listed(&[("a", "1", 5, "old")]);
        table.write("a", entry("1", 9, "ours"));
        assert_eq!(table.observe("a", entry("1", 7, "late")), Seen::Ignored);
        check(&table, &[("a", "ours")]);
        assert_eq!(table.observe("a", entry("1", 9, "ours")), Seen::Replaced("ours"));
        assert_eq!(
            table.observe("a", entry("1", 11, "newer")),
            Seen::Replaced("ours")
        );
        check(&table, &[("a", "newer")]);
    }

    #[test]
    fn what_we_erased_does_not_come_back_from_a_late_watch() {
        let mut table = listed(&[("a", "1", 5, "x")]);
        table.erase(&"a", "1");
        assert_eq!(table.observe("a", entry("1", 6, "late")), Seen::Ignored);
        check(&table, &[]);
        assert_eq!(
            table.observe("a", entry("2", 8, "another")),
            Seen::New,
            "of the same name"
        );
        assert!(!table.forget(&"a", "1"), "the deletion of the first one arrives");
        check(&table, &[("a", "another")]);
    }

    #[test]
    fn an_earlier_object_of_the_same_name_does_not_hide_the_one_we_made() {
        let mut table = listed(&[]);
        table.write("a", entry("2", 9, "ours"));
        assert_eq!(table.observe("a", entry("1", 4, "earlier")), Seen::Ignored);
        assert!(!table.forget(&"a", "1"));
        check(&table, &[("a", "ours")]);
    }

    #[test]
    fn a_list_asked_for_before_our_write_does_not_undo_it() {
        let mut table = listed(&[("gone", "0", 1, "x")]);
        table.begin();
        table.write("a", entry("1", 9, "ours"));
        table.erase(&"gone", "0");
        fill(&mut table, &[("gone", "0", 1, "x")]);
        check(&table, &[("a", "ours")]);
    }

    #[test]
    fn a_list_asked_for_after_our_write_is_the_truth() {
        let mut table = listed(&[]);
        table.write("a", entry("1", 9, "ours"));
        relist(&mut table, &[("b", "2", 3, "y")]);
        check(&table, &[("b", "y")]);
    }

    #[test]
    fn the_late_answer_to_a_write_does_not_bring_back_what_has_ended() {
        let mut table = listed(&[("a", "1", 5, "x")]);
        assert!(table.forget(&"a", "1"));
        table.write("a", entry("1", 7, "ours"));
        check(&table, &[]);
        table.erase(&"a", "1");
        assert_eq!(table.observe("a", entry("2", 9, "next")), Seen::New);
    }

    #[test]
    fn intended_objects_are_seen_until_they_exist_or_are_given_up() {
        let mut table = listed(&[("b", "2", 3, "y")]);
        table.intend("a", "wanted");
        table.intend("c", "wanted");
        check(&table, &[("a", "wanted"), ("b", "y"), ("c", "wanted")]);
        table.write("a", entry("1", 9, "made"));
        table.withdraw(&"c");
        check(&table, &[("a", "made"), ("b", "y")]);
    }
}
