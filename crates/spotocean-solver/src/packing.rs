//! A purchase as a packing problem: rows of equal pods into bins with prices.
//!
//! Pods that no bin of this level can tell apart form a [`Row`] with a count,
//! whatever class they are of; offers that differ in nothing but price are one
//! [`Bin`]. What one node forbids beyond resources becomes more of the same: a
//! class that may be on a node only so often has a cap, classes that exclude one
//! another in both directions share a dimension of which a node has that many
//! units, volumes of one driver share the driver's attach limit. What cannot be
//! said so (anti-affinity of one class against another, ports, shared volumes)
//! makes a row *delicate*: the packing leaves it out, and [`crate::realise`]
//! looks at each node. So a packing only ever relaxes the problem.
//! Size: rows × dimensions and bins × dimensions, independent of pods.

use std::collections::{BTreeMap, BTreeSet};

use crate::assign::Item;
use crate::model::Model;
use crate::params::{AMOUNT_MAX, EXCLUSIONS_MAX};

/// Plenty of a dimension that a bin does not limit.
const UNLIMITED: i64 = AMOUNT_MAX;

/// Pods that no bin tells apart.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The items they come from.
    pub(crate) items: Vec<usize>,
    /// How many.
    pub(crate) count: i64,
    /// The most that one node may hold of any one of its items.
    pub(crate) most: i64,
    /// Whether a node must be looked at with all its pods.
    pub(crate) is_delicate: bool,
}

/// A node that may be bought any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Bin {
    /// The offer (or node that is there) behind it.
    pub(crate) offer: usize,
    /// Micro-dollars per hour.
    pub(crate) price: i64,
    /// Which rows it admits: a position in [`Packing::menus`].
    pub(crate) menu: usize,
}

/// What a bin's price is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Measure {
    /// What plans weigh purchases by: price and risk, or what is taken of limits.
    Weight,
    /// The price alone, which bounds are about.
    Price,
}

/// A set of rows.
pub(crate) type Menu = Vec<u64>;

/// The problem.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packing {
    /// Dimensions of sizes.
    pub(crate) dims: usize,
    /// Rows.
    pub(crate) rows: Vec<Row>,
    /// Sizes, row after row.
    pub(crate) sizes: Vec<i64>,
    /// Bins.
    pub(crate) bins: Vec<Bin>,
    /// What is free, bin after bin.
    pub(crate) frees: Vec<i64>,
    /// Distinct menus.
    pub(crate) menus: Vec<Menu>,
}

/// Whether a menu has a row.
pub(crate) fn admits(menu: &[u64], row: usize) -> bool {
    menu[row / 64] >> (row % 64) & 1 == 1
}

impl Packing {
    /// One row's size.
    pub(crate) fn size(&self, row: usize) -> &[i64] {
        &self.sizes[row * self.dims..(row + 1) * self.dims]
    }

    /// What one bin has.
    pub(crate) fn free(&self, bin: usize) -> &[i64] {
        &self.frees[bin * self.dims..(bin + 1) * self.dims]
    }

    /// The menu of a bin.
    pub(crate) fn menu(&self, bin: usize) -> &[u64] {
        &self.menus[self.bins[bin].menu]
    }

    /// The rows with some dimensions only, and no bins.
    pub(crate) fn projected(&self, dims: &[usize]) -> Self {
        let sizes = self.sizes.chunks_exact(self.dims.max(1));
        Self {
            dims: dims.len(),
            rows: self.rows.clone(),
            sizes: sizes.flat_map(|size| dims.iter().map(|dim| size[*dim])).collect(),
            menus: self.menus.clone(),
            ..Self::default()
        }
    }

    /// Leaves out what no row asks for.
    fn drop_idle_dimensions(&mut self) {
        let dims = self.dims;
        let is_used = |dim: &usize| self.sizes.chunks_exact(dims).any(|size| size[*dim] > 0);
        let used: Vec<usize> = (0..dims).filter(is_used).collect();
        let kept = |vector: &[i64]| -> Vec<i64> {
            let chunks = vector.chunks_exact(dims.max(1));
            chunks
                .flat_map(|chunk| used.iter().map(|dim| chunk[*dim]))
                .collect()
        };
        self.sizes = kept(&self.sizes);
        self.frees = kept(&self.frees);
        self.dims = used.len();
    }

    /// The most pods of a row that one node of a bin can hold, at most `most`.
    pub(crate) fn copies(&self, row: usize, bin: usize, most: i64) -> i64 {
        if !admits(self.menu(bin), row) {
            return 0;
        }
        let most = most.min(self.most(row));
        crate::dimension::copies(self.size(row), self.free(bin), most)
    }

    /// What pods are worth together.
    pub(crate) fn worth(&self, picks: &[(usize, i64)], values: &[i64]) -> i128 {
        let each = picks.iter();
        each.map(|(row, count)| i128::from(values[*row]) * i128::from(*count))
            .sum()
    }

    /// Whether a bin has room for so many pods.
    pub(crate) fn holds(&self, bin: usize, picks: &[(usize, i64)]) -> bool {
        crate::dimension::fits(&self.need(picks), self.free(bin))
    }

    /// What pods ask for together.
    pub(crate) fn need(&self, picks: &[(usize, i64)]) -> Vec<i64> {
        let mut need = vec![0; self.dims];
        for (row, count) in picks {
            crate::dimension::subtract(&mut need, self.size(*row), -count);
        }
        need
    }

    /// The most pods of a row that one node may hold, whatever its size. Each of
    /// a row's items has its own cap.
    pub(crate) fn most(&self, row: usize) -> i64 {
        let row = &self.rows[row];
        let items = i64::try_from(row.items.len()).unwrap_or(i64::MAX);
        row.most.saturating_mul(items).min(row.count)
    }
}

/// What pods of one class are to a node, beyond resources.
#[derive(Clone, Debug, Default)]
struct Traits {
    most: i64,
    exclusions: Vec<usize>,
    is_delicate: bool,
}

/// Host rules turned into dimensions: by class its traits, and how much a node has of each exclusion.
struct Exclusions {
    traits: BTreeMap<usize, Traits>,
    units: Vec<i64>,
    /// The same for a node that is there, where a spread is no cap.
    units_there: Vec<i64>,
}

fn exclusions(model: &Model<'_>, items: &[Item]) -> Exclusions {
    let classes: BTreeSet<usize> = items.iter().map(|item| item.class).collect();
    let mut found = Exclusions {
        traits: classes
            .iter()
            .map(|class| (*class, own_traits(model, *class)))
            .collect(),
        units: Vec::new(),
        units_there: Vec::new(),
    };
    for group in &model.topology.rules {
        let counted: Vec<usize> = classes
            .iter()
            .copied()
            .filter(|class| group.members[*class])
            .collect();
        let holds = |class: &usize| group.holders[*class];
        let involved: BTreeSet<usize> = classes
            .iter()
            .copied()
            .filter(holds)
            .chain(counted.clone())
            .collect();
        let is_mutual = counted.len() == involved.len() && counted.iter().all(holds);
        if is_mutual && counted.len() > 1 && found.units.len() < EXCLUSIONS_MAX {
            for class in &counted {
                if let Some(traits) = found.traits.get_mut(class) {
                    traits.exclusions.push(found.units.len());
                }
            }
            found.units.push(group.most);
            found
                .units_there
                .push(if group.is_spread { UNLIMITED } else { group.most });
        } else if !is_mutual || counted.len() > 1 {
            for class in &involved {
                if let Some(traits) = found.traits.get_mut(class) {
                    traits.is_delicate = true;
                }
            }
        }
    }
    found
}

/// Caps that a class sets to itself.
fn own_traits(model: &Model<'_>, class: usize) -> Traits {
    let described = &model.classes[class];
    let has_ports = !described.shape().host_ports.is_empty();
    Traits {
        most: most_of(model, class, true),
        exclusions: Vec::new(),
        is_delicate: has_ports || described.attachments.iter().any(|each| each.shared.is_some()),
    }
}

/// The most of a class that a node may hold by the class's own rules.
fn most_of(model: &Model<'_>, class: usize, with_spreads: bool) -> i64 {
    let rules = model.topology.rules_held[class].iter();
    let own = rules
        .map(|rule| &model.topology.rules[*rule])
        .filter(|rule| rule.members[class] && (with_spreads || !rule.is_spread))
        .map(|rule| rule.most);
    let has_ports = !model.classes[class].shape().host_ports.is_empty();
    own.chain(has_ports.then_some(1)).min().unwrap_or(i64::MAX)
}

/// What makes items one row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    size: Vec<i64>,
    most: i64,
    /// Items with a cap merge only where they are equally many: of two a node
    /// may hold each once, but not after one has run out.
    capped: Option<i64>,
    cells: Vec<u64>,
}

/// Drivers of volumes that some offer limits.
fn drivers<'m>(model: &'m Model<'_>, items: &[Item]) -> Vec<&'m str> {
    let wanted: BTreeSet<&str> = items
        .iter()
        .flat_map(|item| &model.classes[item.class].attachments)
        .filter_map(|attachment| attachment.driver)
        .collect();
    let limited = |driver: &&str| {
        let mut offers = model.market.offers.iter();
        offers.any(|offer| offer.spec.attach_limits.contains_key(*driver))
    };
    wanted.into_iter().filter(limited).collect()
}

/// Compiles what is left of `items`, which the cells admit as listed.
pub(crate) fn packing(
    model: &Model<'_>,
    items: &[Item],
    items_of_cell: &[Vec<usize>],
    measure: Measure,
) -> Packing {
    let exclusions = exclusions(model, items);
    let drivers = drivers(model, items);
    let cells_of_item = cells_of_items(items, items_of_cell);
    let mut by_key: BTreeMap<RowKey, Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let cells = &cells_of_item[index];
        if item.left <= 0 || cells.iter().all(|word| *word == 0) {
            continue;
        }
        let traits = &exclusions.traits[&item.class];
        let key = RowKey {
            size: size(model, item.class, &drivers, &exclusions),
            most: traits.most,
            capped: (traits.most < i64::MAX).then_some(item.left),
            cells: cells.clone(),
        };
        by_key.entry(key).or_default().push(index);
    }
    let is_delicate = |item: &usize| exclusions.traits[&items[*item].class].is_delicate;
    let mut packing = Packing::default();
    let mut row_cells = Vec::new();
    for (key, members) in by_key {
        packing.sizes.extend(&key.size);
        packing.dims = key.size.len();
        packing.rows.push(Row {
            count: members.iter().map(|item| items[*item].left).sum(),
            is_delicate: members.iter().any(is_delicate),
            items: members,
            most: key.most,
        });
        row_cells.push(key.cells);
    }
    let offers = model.market.offers.iter();
    let prices: Vec<i64> = offers
        .map(|offer| match measure {
            Measure::Weight => offer.weight,
            Measure::Price => offer.price,
        })
        .collect();
    add_bins(model, &mut packing, (&row_cells, &prices), &drivers, &exclusions);
    packing.drop_idle_dimensions();
    packing
}

fn cells_of_items(items: &[Item], items_of_cell: &[Vec<usize>]) -> Vec<Vec<u64>> {
    let mut cells = vec![vec![0_u64; items_of_cell.len().div_ceil(64)]; items.len()];
    for (cell, admitted) in items_of_cell.iter().enumerate() {
        for item in admitted {
            cells[*item][cell / 64] |= 1 << (cell % 64);
        }
    }
    cells
}

fn size(model: &Model<'_>, class: usize, drivers: &[&str], exclusions: &Exclusions) -> Vec<i64> {
    let own_volumes = |driver: &&str| {
        let attachments = model.classes[class].attachments.iter();
        let own = attachments.filter(|each| each.driver == Some(driver) && each.shared.is_none());
        i64::try_from(own.count()).unwrap_or(i64::MAX)
    };
    let traits = &exclusions.traits[&class];
    let excluded = (0..exclusions.units.len()).map(|unit| i64::from(traits.exclusions.contains(&unit)));
    let resources = model.requests[class].iter().copied();
    resources
        .chain(drivers.iter().map(own_volumes))
        .chain(excluded)
        .collect()
}

fn add_bins(
    model: &Model<'_>,
    packing: &mut Packing,
    (row_cells, prices): (&[Vec<u64>], &[i64]),
    drivers: &[&str],
    exclusions: &Exclusions,
) {
    let mut menus: BTreeMap<Menu, usize> = BTreeMap::new();
    let mut candidates: Vec<(i64, usize, usize)> = Vec::new();
    for (cell, home) in model.market.cells.iter().enumerate() {
        let mut menu = vec![0_u64; row_cells.len().div_ceil(64)];
        for row in (0..row_cells.len()).filter(|row| admits(&row_cells[*row], cell)) {
            menu[row / 64] |= 1 << (row % 64);
        }
        if menu.iter().all(|word| *word == 0) {
            continue;
        }
        let next = menus.len();
        let menu = *menus.entry(menu).or_insert(next);
        let shelf = home.shelf.iter();
        candidates.extend(shelf.map(|offer| (prices[*offer], *offer, menu)));
    }
    packing.menus = vec![Menu::new(); menus.len()];
    for (menu, position) in menus {
        packing.menus[position] = menu;
    }
    candidates.sort_unstable();
    let mut kept: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (price, offer, menu) in candidates {
        let free = free(model, offer, drivers, exclusions);
        let kept = kept.entry(menu).or_default();
        let is_dominated = kept
            .iter()
            .any(|bin| packing.free(*bin).iter().zip(&free).all(|(a, b)| a >= b));
        if !is_dominated {
            kept.push(packing.bins.len());
            packing.frees.extend(free);
            packing.bins.push(Bin { offer, price, menu });
        }
    }
}

fn free(model: &Model<'_>, offer: usize, drivers: &[&str], exclusions: &Exclusions) -> Vec<i64> {
    let offer = &model.market.offers[offer];
    let limit = |driver: &&str| {
        offer
            .spec
            .attach_limits
            .get(*driver)
            .copied()
            .unwrap_or(UNLIMITED)
    };
    let resources = offer.free.iter().copied();
    resources
        .chain(drivers.iter().map(limit))
        .chain(exclusions.units.iter().copied())
        .map(|free| free.clamp(0, UNLIMITED))
        .collect()
}

/// Nodes that are there, as bins without a price for the rows of another packing.
/// What is on them already is taken off resources only, so that they hold no less here than they do.
pub(crate) fn on_sites(model: &Model<'_>, rows: &Packing, items: &[Item]) -> Packing {
    let exclusions = exclusions(model, items);
    let drivers = drivers(model, items);
    let mut sites = Packing {
        dims: exclusions.units.len() + drivers.len() + model.dimensions.count(),
        rows: rows.rows.clone(),
        ..Packing::default()
    };
    for row in &rows.rows {
        let class = items[row.items[0]].class;
        sites.sizes.extend(size(model, class, &drivers, &exclusions));
    }
    for row in &mut sites.rows {
        let caps = row
            .items
            .iter()
            .map(|item| most_of(model, items[*item].class, false));
        row.most = caps.max().unwrap_or(i64::MAX);
    }
    for (site, place) in model.sites.sites.iter().enumerate() {
        let mut menu = vec![0_u64; rows.rows.len().div_ceil(64)];
        for (row, described) in rows.rows.iter().enumerate() {
            let mut classes = described.items.iter().map(|item| items[*item].class);
            if classes.any(|class| model.site_may_admit(class, site)) {
                menu[row / 64] |= 1 << (row % 64);
            }
        }
        let limits = &place.node.attach_limits;
        let limit = |driver: &&str| limits.get(*driver).copied().unwrap_or(UNLIMITED);
        let free = place.free.iter().copied();
        let free = free
            .chain(drivers.iter().map(limit))
            .chain(exclusions.units_there.iter().copied());
        let free: Vec<i64> = free.map(|free| free.clamp(0, UNLIMITED)).collect();
        let holds = |row: usize| admits(&menu, row) && crate::dimension::fits(sites.size(row), &free);
        if (0..rows.rows.len()).any(holds) {
            sites.bins.push(Bin {
                offer: site,
                price: 0,
                menu: sites.menus.len(),
            });
            sites.menus.push(menu);
            sites.frees.extend(free);
        }
    }
    sites
}
