//! The desk where reports are written: a task of its own, so that a slow apiserver never holds up a look.
//!
//! Of statuses and memory only the latest count; events are all kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spotocean_api::ocean_status::SpotOceanStatus;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::id::OceanName;
use spotocean_planner::plan::EventToPublish;
use spotocean_planner::snapshot::Memory;
use tokio::sync::mpsc;

use super::Reporter;
use super::event::Publisher;
use crate::act::kubernetes::Writer;
use crate::memory::Keeper;

/// How often statuses that had to wait are looked at again.
const AGAIN_EVERY: Duration = Duration::from_secs(1);

/// What one look has to say.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The oceans as the look saw them.
    pub oceans: Vec<Arc<SpotOcean>>,
    /// Their statuses after it.
    pub statuses: BTreeMap<OceanName, SpotOceanStatus>,
    /// Events.
    pub events: Vec<EventToPublish>,
    /// What to remember.
    pub memory: Memory,
}

/// Where pages are handed in.
pub struct Pages(mpsc::UnboundedSender<Page>);

impl Pages {
    /// Hands in a page. Looks are rare against writes, and each page read replaces all before it.
    pub fn send(&self, page: Page) {
        // The desk ends only with the term.
        let _ = self.0.send(page);
    }
}

/// The desk.
pub struct Desk {
    pages: mpsc::UnboundedReceiver<Page>,
    reporter: Reporter,
    publisher: Publisher,
    keeper: Keeper,
    writer: Writer,
}

impl Desk {
    /// A desk, and where its pages are handed in.
    pub fn new(writer: Writer, instance: &str, keeper: Keeper) -> (Self, Pages) {
        let (sender, pages) = mpsc::unbounded_channel();
        let desk = Self {
            pages,
            reporter: Reporter::new(writer.clone()),
            publisher: Publisher::new(writer.client.clone(), instance.to_owned()),
            keeper,
            writer,
        };
        (desk, Pages(sender))
    }

    /// Writes until no more pages can come; then what had to wait is written at once.
    pub async fn run(mut self) {
        let mut latest: Option<Page> = None;
        loop {
            match tokio::time::timeout(AGAIN_EVERY, self.pages.recv()).await {
                Ok(Some(page)) => latest = Some(self.newest(page)),
                Ok(None) => break,
                Err(_) => {}
            }
            if let Some(page) = &mut latest {
                self.refresh(page);
                self.reporter.write(&page.oceans, &page.statuses).await;
                self.publisher.publish(std::mem::take(&mut page.events)).await;
                if self.keeper.is_due(&page.memory, Instant::now()) {
                    self.keeper.write(&page.memory).await;
                }
            }
        }
        if let Some(page) = &latest {
            self.keeper.write(&page.memory).await;
        }
    }

    /// The newest page handed in, with the events of all.
    fn newest(&mut self, mut page: Page) -> Page {
        while let Ok(mut next) = self.pages.try_recv() {
            next.events.splice(0..0, std::mem::take(&mut page.events));
            page = next;
        }
        page
    }

    /// Oceans as they are now: our own last write is no reason for another one.
    fn refresh(&self, page: &mut Page) {
        self.writer.store.with(|objects| {
            page.oceans = objects
                .oceans
                .iter()
                .filter_map(|(_, row)| row.object().cloned())
                .collect();
        });
    }
}
