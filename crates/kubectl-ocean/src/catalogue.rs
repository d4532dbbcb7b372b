//! What is on sale, from a file in the form of `data/ec2_catalogue.json` or from the figures built in.
//!
//! Decides what counts as a price: stated ones first (`spot` as a number, or by zone id), else the Spot
//! Instance Advisor's mean saving off the on-demand price; without either there is no spot market. Zones are
//! known by id; the names that nodes carry are the account's own and come from elsewhere.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use spotocean_core::catalogue::Catalogue;
use spotocean_core::id::{InstanceTypeName, Zone, ZoneId};
use spotocean_core::instance_type::InstanceType;
use spotocean_core::kubelet::MIB;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::resources::Resources;

use entry::{Entry, Spot};

/// 1,254 instance types; `meta.sources` in it names where each figure is from, and of which date.
const TYPES: &str = include_str!("../data/ec2_catalogue.json");
/// Interruption buckets and mean savings by type; `meta.what` in it names source and date.
const ADVISOR: &str = include_str!("../data/spot_advisor.json");
/// The memory that Linux was measured to see; `source` and `asOf` are in it.
const MEMORY: &str = include_str!("../data/instance_memory.json");

/// A catalogue that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub(crate) struct CatalogueError {
    file: Arc<str>,
    message: String,
}

#[derive(Deserialize)]
struct TypesFile {
    #[serde(default)]
    meta: Meta,
    types: Vec<Entry>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    regions: BTreeMap<String, Region>,
}

#[derive(Deserialize)]
struct Region {
    zones: BTreeMap<ZoneId, Zone>,
}

#[derive(Deserialize)]
struct AdvisorFile {
    regions: BTreeMap<String, BTreeMap<String, (u32, u32)>>,
}

#[derive(Deserialize)]
struct MemoryFile {
    mebibytes: BTreeMap<InstanceTypeName, i64>,
}

/// One type on sale.
struct Article {
    described: InstanceType,
    zones: BTreeSet<ZoneId>,
    on_demand: Option<PricePerHour>,
    spot: BTreeMap<ZoneId, PricePerHour>,
    stated: Option<Resources>,
    /// The advisor's interruption bucket; figures of a file of one's own stand as they are.
    bucket: Option<u8>,
}

/// Everything on sale in one region, zones by id.
pub(crate) struct Goods {
    region: Arc<str>,
    /// The region's zones, with the name that the catalogue's own account has for each.
    pub(crate) zones: BTreeMap<ZoneId, Option<Zone>>,
    /// What is odd about it, one sentence each.
    pub(crate) notes: Vec<String>,
    articles: Vec<Article>,
}

impl Goods {
    /// The figures built in.
    ///
    /// # Errors
    /// When the region is not among them.
    pub(crate) fn built_in(region: &str) -> Result<Self, CatalogueError> {
        let mut goods = Self::read("the built-in catalogue", TYPES, region)?;
        let advised = savings(region);
        for article in &mut goods.articles {
            let advised = advised.get(article.described.name.as_str());
            article.bucket = advised.and_then(|(bucket, _)| u8::try_from(*bucket).ok());
        }
        Ok(goods)
    }

    /// A catalogue's text.
    ///
    /// # Errors
    /// A sentence about the first thing that cannot be used.
    pub(crate) fn read(file: &str, text: &str, region: &str) -> Result<Self, CatalogueError> {
        let refuse = |message: String| CatalogueError {
            file: file.into(),
            message,
        };
        let read: Result<TypesFile, _> =
            serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text));
        let read = read.map_err(|error| {
            let path = error.path().to_string();
            refuse(format!("field {path}: {}", error.into_inner()))
        })?;
        let zones = zones(&read, region).map_err(refuse)?;
        let savings = savings(region);
        let mut articles = Vec::new();
        let mut names = BTreeSet::new();
        for (number, entry) in read.types.iter().enumerate() {
            let title = format!("types[{number}] ({})", entry.name);
            if !names.insert(&entry.name) {
                return Err(refuse(format!(
                    "{title}: this type is listed twice: keep one of the two"
                )));
            }
            let article = article(entry, &zones, &savings);
            articles.extend(article.map_err(|message| refuse(format!("{title}: {message}")))?);
        }
        let mut notes = Vec::new();
        if articles.is_empty() {
            notes.push(format!(
                "{file}: no type in it is offered in region {region}, so that nothing can be bought: list types with \
                 zones of that region in az"
            ));
        }
        Ok(Self {
            region: region.into(),
            zones,
            notes,
            articles,
        })
    }

    /// The planner's catalogue, with `names` for the zones.
    pub(crate) fn catalogue(&self, names: &BTreeMap<ZoneId, Zone>) -> Catalogue {
        let mut catalogue = Catalogue {
            region: self.region.clone(),
            ..Catalogue::default()
        };
        let name = |id: &ZoneId| names.get(id).cloned().unwrap_or_else(|| Zone(id.0.clone()));
        for id in self.zones.keys() {
            catalogue.zone_ids.insert(name(id), id.clone());
        }
        for article in &self.articles {
            let own = &article.described.name;
            catalogue
                .types
                .insert(own.clone(), Arc::new(article.described.clone()));
            catalogue
                .zones
                .insert(own.clone(), article.zones.iter().map(name).collect());
            if let Some(price) = article.on_demand {
                catalogue.on_demand_prices.insert(own.clone(), price);
            }
            for (id, price) in &article.spot {
                let market = Market {
                    instance_type: own.clone(),
                    zone: name(id),
                };
                catalogue.spot_prices.insert(market, *price);
            }
            if let Some(bucket) = article.bucket {
                catalogue.interruption_buckets.insert(own.clone(), bucket);
            }
            if let Some(stated) = &article.stated {
                catalogue.stated_allocatable.insert(own.clone(), stated.clone());
            }
        }
        catalogue
    }
}

/// Memory that Linux was measured to see, in bytes; the operator counts with the same figures.
pub(crate) fn measured_memory_bytes() -> BTreeMap<InstanceTypeName, i64> {
    let read: MemoryFile = serde_json::from_str(MEMORY).expect("the built-in table is whole");
    let bytes = |(name, mebibytes): (InstanceTypeName, i64)| (name, mebibytes * MIB);
    read.mebibytes.into_iter().map(bytes).collect()
}

fn savings(region: &str) -> BTreeMap<String, (u32, u32)> {
    let mut read: AdvisorFile = serde_json::from_str(ADVISOR).expect("the built-in table is whole");
    read.regions.remove(region).unwrap_or_default()
}

/// The region's zones. A catalogue without `meta.regions` speaks of one region, whatever its name.
fn zones(file: &TypesFile, region: &str) -> Result<BTreeMap<ZoneId, Option<Zone>>, String> {
    let regions = &file.meta.regions;
    if let Some(found) = regions.get(region) {
        let zones = found.zones.iter();
        return Ok(zones.map(|(id, name)| (id.clone(), Some(name.clone()))).collect());
    }
    if !regions.is_empty() {
        let known: Vec<&str> = regions.keys().map(String::as_str).collect();
        return Err(format!(
            "it describes {}, and region {region} was asked for: name one of those with --region",
            known.join(", ")
        ));
    }
    let mut zones = BTreeMap::new();
    let mut prefixes = BTreeSet::new();
    for entry in &file.types {
        for (prefix, numbers) in entry.az.iter().flatten() {
            prefixes.insert(prefix.as_str());
            let ids = numbers
                .iter()
                .map(|number| ZoneId::from(format!("{prefix}-az{number}")));
            zones.extend(ids.map(|id| (id, None)));
        }
    }
    if prefixes.len() > 1 {
        let prefixes: Vec<&str> = prefixes.into_iter().collect();
        return Err(format!(
            "its types are offered under {}, and field meta.regions does not say which of them is region {region}: add it",
            prefixes.join(", ")
        ));
    }
    Ok(zones)
}

/// A type as an article; `None` where Linux nodes cannot run on it or the region does not have it.
fn article(
    entry: &Entry,
    zones: &BTreeMap<ZoneId, Option<Zone>>,
    savings: &BTreeMap<String, (u32, u32)>,
) -> Result<Option<Article>, String> {
    let (on_demand, spot) = (entry.on_demand()?, entry.spot()?);
    let stated = entry.stated_allocatable()?;
    let Some(mut described) = entry.described()? else {
        return Ok(None);
    };
    let offered: BTreeSet<ZoneId> = zones
        .keys()
        .filter(|id| entry.is_offered_in(id))
        .cloned()
        .collect();
    if offered.is_empty() {
        return Ok(None);
    }
    let everywhere = |price: PricePerHour| offered.iter().map(|id| (id.clone(), price)).collect();
    let spot = match spot {
        Spot::None => {
            described.supports_spot = false;
            BTreeMap::new()
        }
        Spot::Price(price) => everywhere(price),
        Spot::ByZone(prices) => prices,
        Spot::Unstated => {
            let saving = savings.get(&entry.name).zip(on_demand);
            let price = |((_, percent), price): (&(u32, u32), PricePerHour)| {
                let share = i64::from(100_u32.saturating_sub(*percent));
                PricePerHour(price.micro_usd().saturating_mul(share) / 100)
            };
            saving.map(price).map(everywhere).unwrap_or_default()
        }
    };
    Ok(Some(Article {
        described,
        zones: offered,
        on_demand,
        spot,
        stated,
        bucket: None,
    }))
}
