//! The most that nodes can hold in value, by dynamic programming over their room.
//!
//! Requests are mostly round: multiples of 50 millicores, of 64 MiB. In units of
//! their greatest common divisors the room of a node has few states, and the
//! bounded knapsack over them is exact (Kellerer, Pferschy and Pisinger, Knapsack
//! Problems, 2004, sections 7.2 and 9.3.2). Where there are too many states, units
//! are doubled, the finest first: with requests rounded down, no pattern is lost
//! and the value bounds; with requests rounded up, every pattern found is one. One
//! table tells the value of every smaller room too, so bins that admit the same
//! rows share it. Values are whole numbers below 2^53 in floating point, so they
//! are exact. Cost: states × rows, times the logarithm of copies where rows run out.

use crate::dimension;
use crate::fill::Picks;
use crate::packing::{Packing, admits};
use crate::params::GRID_STATES_MAX;

/// Values up to which all that a table holds is exact in floating point (2^53): rounded
/// down, a request may be taken three times as often as it fits.
const EXACT: i128 = 1 << 51;

/// What requests become in units that do not divide them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rounding {
    /// More than they are: what is found fits.
    Up,
    /// Less than they are: what fits is found.
    Down,
}

/// What is asked.
pub(crate) struct Question<'a, 'q> {
    /// Sizes and caps.
    pub(crate) packing: &'a Packing,
    /// The menu of the bins.
    pub(crate) menu: usize,
    /// What a pod of each row is worth.
    pub(crate) values: &'q [i64],
    /// How many there are of each row.
    pub(crate) counts: &'q [i64],
    /// Room of the largest node.
    pub(crate) free: &'q [i64],
}

/// A row that may be taken.
#[derive(Clone, Debug)]
struct Item<'a> {
    row: usize,
    size: &'a [i64],
    value: i64,
    /// The most that fit, and that are there.
    cap: i64,
    /// Whether more are there than fit.
    is_plenty: bool,
}

/// So many of an item at once, once or not at all.
struct Bundle {
    item: usize,
    count: i64,
    /// By state, whether it is taken there.
    taken: Vec<u64>,
}

/// By state of room, the most that it can be worth.
pub(crate) struct Table<'a> {
    items: Vec<Item<'a>>,
    grid: Grid,
    rounding: Rounding,
    most: Vec<f64>,
    /// The same with only those items that run out.
    scarce: Vec<f64>,
    bundles: Vec<Bundle>,
    /// Elementary operations that it took.
    pub(crate) work: u64,
}

/// The states of a node's room.
#[derive(Clone)]
struct Grid {
    /// Dimensions, the one with most cells last.
    dims: Vec<usize>,
    units: Vec<i64>,
    cells: Vec<usize>,
    strides: Vec<usize>,
}

impl<'a> Table<'a> {
    /// The table with the finest units that take no more than `work`; `None` where values are too large for it.
    pub(crate) fn of(question: &Question<'a, '_>, rounding: Rounding, work: u64) -> Option<Self> {
        let items = items(question);
        let sum: i128 = items
            .iter()
            .map(|item| i128::from(item.value) * i128::from(item.cap))
            .sum();
        if sum >= EXACT {
            return None;
        }
        let passes: u64 = items.iter().map(passes).sum();
        let mut grid = Grid::finest(&items, question.free);
        let is_large =
            |grid: &Grid| grid.states() > GRID_STATES_MAX || grid.states().saturating_mul(passes + 1) > work;
        while is_large(&grid) && grid.cells.last().is_some_and(|cells| *cells > 2) {
            grid = grid.coarser(question.free);
        }
        let states = usize::try_from(grid.states()).ok()?;
        let mut table = Self {
            items,
            grid,
            rounding,
            most: vec![0.0; states],
            scarce: Vec::new(),
            bundles: Vec::new(),
            work: 0,
        };
        table.fill();
        Some(table)
    }

    /// The most that a node with this room can be worth. A node shaped otherwise than the largest may
    /// have less, where dimensions count that cannot run out there.
    pub(crate) fn worth(&self, free: &[i64]) -> i128 {
        self.most[self.grid.cell(&self.grid.room(free))] as i128
    }

    fn fill(&mut self) {
        let scarce = (0..self.items.len()).filter(|item| !self.items[*item].is_plenty);
        for item in scarce.collect::<Vec<_>>() {
            let mut left = self.items[item].cap;
            let mut count = 1;
            while left > 0 {
                count = count.min(left);
                self.take_once(item, count);
                left -= count;
                count *= 2;
            }
        }
        self.scarce.clone_from(&self.most);
        for item in 0..self.items.len() {
            if self.items[item].is_plenty {
                self.take_often(item);
            }
        }
    }

    fn size(&self, item: usize, count: i64) -> Vec<usize> {
        let dims = self.grid.dims.iter().zip(&self.grid.units);
        dims.map(|(dim, unit)| {
            let size = self.items[item].size[*dim].saturating_mul(count);
            let size = match self.rounding {
                Rounding::Up => size.saturating_add(unit - 1) / unit,
                Rounding::Down => size / unit,
            };
            usize::try_from(size).unwrap_or(usize::MAX)
        })
        .collect()
    }

    /// Any number of an item.
    fn take_often(&mut self, item: usize) {
        let Some(inner) = self.grid.cells.len().checked_sub(1) else {
            return;
        };
        let size = self.size(item, 1);
        let (value, width) = (self.items[item].value as f64, self.grid.cells[inner]);
        for line in self.grid.lines(&size) {
            let from = size[inner];
            let back = self.grid.cell(&size) - from;
            self.work += (width - from) as u64;
            if back == 0 && from == 0 {
                // What takes no room of the grid is there as often as it is there.
                let all = value * self.items[item].cap as f64;
                self.most[line..line + width]
                    .iter_mut()
                    .for_each(|cell| *cell += all);
            } else if back == 0 {
                for cell in line + from..line + width {
                    self.most[cell] = self.most[cell].max(self.most[cell - from] + value);
                }
            } else {
                let (head, tail) = self.most.split_at_mut(line);
                let sources = &head[line - back..line - back + width - from];
                for (to, source) in tail[from..width].iter_mut().zip(sources) {
                    *to = to.max(source + value);
                }
            }
        }
    }

    /// `count` of an item together, once.
    fn take_once(&mut self, item: usize, count: i64) {
        let Some(inner) = self.grid.cells.len().checked_sub(1) else {
            return;
        };
        let size = self.size(item, count);
        let mut lines = self.grid.lines(&size);
        lines.reverse();
        let value = (self.items[item].value * count) as f64;
        let mut taken = vec![0_u64; self.most.len().div_ceil(64)];
        for line in lines {
            let back = self.grid.cell(&size);
            self.work += 2 * (self.grid.cells[inner] - size[inner]) as u64;
            for cell in (line + size[inner]..line + self.grid.cells[inner]).rev() {
                let with = self.most[cell - back] + value;
                if with > self.most[cell] {
                    self.most[cell] = with;
                    taken[cell / 64] |= 1 << (cell % 64);
                }
            }
        }
        self.bundles.push(Bundle { item, count, taken });
    }

    /// What a node with this room is filled with. It fits where requests are rounded up and the room
    /// is the largest; else that is to be checked.
    pub(crate) fn pattern(&self, free: &[i64]) -> Picks {
        let mut counts = vec![0_i64; self.items.len()];
        let mut room = self.grid.room(free);
        let sizes: Vec<Vec<usize>> = (0..self.items.len()).map(|item| self.size(item, 1)).collect();
        loop {
            let cell = self.grid.cell(&room);
            if self.most[cell] <= self.scarce[cell] {
                break;
            }
            let last = (0..self.items.len()).find(|item| {
                let (item, size) = (&self.items[*item], &sizes[*item]);
                let takes_room = size.iter().any(|size| *size > 0);
                item.is_plenty
                    && takes_room
                    && size.iter().zip(&room).all(|(size, room)| size <= room)
                    && self.most[cell - self.grid.cell(size)] + item.value as f64 >= self.most[cell]
            });
            let Some(last) = last else { break };
            counts[last] += 1;
            room.iter_mut()
                .zip(&sizes[last])
                .for_each(|(room, size)| *room -= size);
        }
        for bundle in self.bundles.iter().rev() {
            let cell = self.grid.cell(&room);
            if bundle.taken[cell / 64] >> (cell % 64) & 1 == 1 {
                counts[bundle.item] += bundle.count;
                let size = self.size(bundle.item, bundle.count);
                room.iter_mut().zip(&size).for_each(|(room, size)| *room -= size);
            }
        }
        let picked = self.items.iter().zip(counts).filter(|(_, count)| *count > 0);
        let mut picks: Picks = picked.map(|(item, count)| (item.row, count)).collect();
        picks.sort_unstable();
        picks
    }
}

/// Rows of the menu that are worth something, but for those that another one beats of which there is plenty.
fn items<'a>(question: &Question<'a, '_>) -> Vec<Item<'a>> {
    let packing = question.packing;
    let menu = &packing.menus[question.menu];
    let rows = (0..packing.rows.len()).filter(|row| question.values[*row] > 0 && admits(menu, *row));
    let mut items: Vec<Item<'a>> = rows
        .map(|row| {
            let fit = dimension::copies(packing.size(row), question.free, i64::MAX);
            let there = question.counts[row].min(packing.most(row));
            Item {
                row,
                size: packing.size(row),
                value: question.values[row],
                cap: there.min(fit),
                is_plenty: there >= fit,
            }
        })
        .filter(|item| item.cap > 0)
        .collect();
    let beats = |a: &Item<'_>, b: &Item<'_>| {
        a.is_plenty
            && a.value >= b.value
            && a.size.iter().zip(b.size).all(|(a, b)| a <= b)
            && (a.value > b.value || a.size != b.size || a.row < b.row)
    };
    let is_beaten: Vec<bool> = items
        .iter()
        .map(|item| items.iter().any(|other| beats(other, item)))
        .collect();
    let mut beaten = is_beaten.into_iter();
    items.retain(|_| !beaten.next().unwrap_or(false));
    items
}

/// Times the table is gone through for an item, in steps of the simple case.
fn passes(item: &Item<'_>) -> u64 {
    if item.is_plenty {
        1
    } else {
        2 * (1 + u64::from(item.cap.ilog2()))
    }
}

impl Grid {
    /// In units that divide every request, of dimensions that can run out before others do.
    fn finest(items: &[Item<'_>], free: &[i64]) -> Self {
        let unit = |dim: usize| items.iter().map(|item| item.size[dim]).fold(0, gcd).max(1);
        Self::with(binding(items, free).into_iter().map(|dim| (dim, unit(dim))), free)
    }

    fn with(units: impl Iterator<Item = (usize, i64)>, free: &[i64]) -> Self {
        let cells = |(dim, unit): &(usize, i64)| usize::try_from(free[*dim] / unit + 1).unwrap_or(usize::MAX);
        let mut units: Vec<(usize, i64)> = units.collect();
        units.sort_by_key(|each| (cells(each), each.0));
        let cells: Vec<usize> = units.iter().map(cells).collect();
        let product = |cells: &[usize]| {
            cells
                .iter()
                .fold(1_usize, |product, cells| product.saturating_mul(*cells))
        };
        Self {
            strides: (0..cells.len()).map(|dim| product(&cells[dim + 1..])).collect(),
            dims: units.iter().map(|(dim, _)| *dim).collect(),
            units: units.into_iter().map(|(_, unit)| unit).collect(),
            cells,
        }
    }

    /// The dimension with most cells in double units.
    fn coarser(&self, free: &[i64]) -> Self {
        let last = self.dims.len() - 1;
        let doubled = |(index, (dim, unit)): (usize, (&usize, &i64))| {
            (
                *dim,
                if index == last {
                    unit.saturating_mul(2)
                } else {
                    *unit
                },
            )
        };
        Self::with(self.dims.iter().zip(&self.units).enumerate().map(doubled), free)
    }

    fn states(&self) -> u64 {
        let cells = self
            .cells
            .iter()
            .map(|cells| u64::try_from(*cells).unwrap_or(u64::MAX));
        cells.fold(1, u64::saturating_mul)
    }

    /// The state of a node's room.
    fn room(&self, free: &[i64]) -> Vec<usize> {
        let dims = self.dims.iter().zip(&self.units).zip(&self.cells);
        dims.map(|((dim, unit), cells)| usize::try_from(free[*dim] / unit).unwrap_or(0).min(cells - 1))
            .collect()
    }

    fn cell(&self, room: &[usize]) -> usize {
        room.iter()
            .zip(&self.strides)
            .map(|(room, stride)| room * stride)
            .sum()
    }

    /// Where lines of the last dimension begin that have room for `size` in all others, ascending.
    fn lines(&self, size: &[usize]) -> Vec<usize> {
        if size.iter().zip(&self.cells).any(|(size, cells)| size >= cells) {
            return Vec::new();
        }
        let mut starts = vec![0];
        let outer = size.iter().zip(&self.cells).zip(&self.strides);
        for ((size, cells), stride) in outer.take(self.cells.len().saturating_sub(1)) {
            starts = starts
                .iter()
                .flat_map(|start| (*size..*cells).map(move |cell| start + cell * stride))
                .collect();
        }
        starts
    }
}

/// Dimensions that can run out before others do.
fn binding(items: &[Item<'_>], free: &[i64]) -> Vec<usize> {
    let is_used = |dim: &usize| items.iter().any(|item| item.size[*dim] > 0);
    let used: Vec<usize> = (0..free.len()).filter(is_used).collect();
    let mut kept = used.clone();
    for dim in used {
        let is_implied_by = |other: &usize| {
            let there = (i128::from(free[dim]), i128::from(free[*other]));
            let is_implied = |item: &Item<'_>| {
                i128::from(item.size[dim]) * there.1 <= there.0 * i128::from(item.size[*other])
            };
            *other != dim && items.iter().all(is_implied)
        };
        if kept.iter().any(is_implied_by) {
            kept.retain(|other| *other != dim);
        }
    }
    kept
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Bin, Row};

    /// Small pseudo-random numbers, the same each time.
    struct Sequence(u64);

    impl Sequence {
        fn below(&mut self, most: i64) -> i64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from(self.0 >> 40).unwrap() % most
        }
    }

    /// One bin of this room, and rows of these sizes and counts.
    fn packing(free: &[i64], rows: &[(Vec<i64>, i64)]) -> Packing {
        Packing {
            dims: free.len(),
            rows: rows
                .iter()
                .enumerate()
                .map(|(index, (_, count))| Row {
                    items: vec![index],
                    count: *count,
                    most: i64::MAX,
                    is_delicate: false,
                })
                .collect(),
            sizes: rows.iter().flat_map(|(size, _)| size.clone()).collect(),
            bins: vec![Bin {
                offer: 0,
                price: 1,
                menu: 0,
            }],
            frees: free.to_vec(),
            menus: vec![vec![(1 << rows.len()) - 1]],
        }
    }

    /// The most by trying everything.
    fn exhaustive(rows: &[(Vec<i64>, i64)], values: &[i64], free: &[i64]) -> i64 {
        let Some(((size, count), rest)) = rows.split_first() else {
            return 0;
        };
        let most = dimension::copies(size, free, *count);
        let with = |copies: i64| {
            let mut left = free.to_vec();
            dimension::subtract(&mut left, size, copies);
            copies * values[0] + exhaustive(rest, &values[1..], &left)
        };
        (0..=most).map(with).max().unwrap_or(0)
    }

    fn table<'a>(
        packing: &'a Packing,
        values: &[i64],
        counts: &[i64],
        rounding: Rounding,
        work: u64,
    ) -> Table<'a> {
        let question = Question {
            packing,
            menu: 0,
            values,
            counts,
            free: packing.free(0),
        };
        Table::of(&question, rounding, work).unwrap()
    }

    #[test]
    fn tables_are_exact_where_units_divide_and_bounds_where_they_do_not() {
        let mut sequence = Sequence(7);
        for case in 0..300 {
            let dims = 1 + case % 3;
            let free: Vec<i64> = (0..dims).map(|_| 4 + sequence.below(20)).collect();
            let rows: Vec<(Vec<i64>, i64)> = (0..4)
                .map(|_| {
                    let size = (0..dims).map(|_| 1 + sequence.below(9)).collect();
                    (size, 1 + sequence.below(5))
                })
                .collect();
            let values: Vec<i64> = (0..4).map(|_| sequence.below(50)).collect();
            let counts: Vec<i64> = rows.iter().map(|(_, count)| *count).collect();
            let packing = packing(&free, &rows);
            let most = i128::from(exhaustive(&rows, &values, &free));
            for rounding in [Rounding::Up, Rounding::Down] {
                let exact = table(&packing, &values, &counts, rounding, u64::MAX);
                let picks = exact.pattern(&free);
                assert_eq!(exact.worth(&free), most, "{case}");
                assert_eq!(packing.worth(&picks, &values), most, "{case}: {picks:?}");
            }
            let under = table(&packing, &values, &counts, Rounding::Up, 40);
            let picks = under.pattern(&free);
            assert!(under.worth(&free) <= most, "{case}");
            assert_eq!(
                packing.worth(&picks, &values),
                under.worth(&free),
                "{case}: {picks:?}"
            );
            let smaller: Vec<i64> = free.iter().map(|free| free - sequence.below(4)).collect();
            for (free, work) in [(&free, 40), (&smaller, 40), (&smaller, u64::MAX)] {
                let most = i128::from(exhaustive(&rows, &values, free));
                let over = table(&packing, &values, &counts, Rounding::Down, work);
                assert!(over.worth(free) >= most, "{case}: {} < {most}", over.worth(free));
            }
        }
    }

    #[test]
    fn a_dimension_that_cannot_run_out_first_takes_no_states() {
        let rows = [(vec![50, 1], 1_000), (vec![100, 1], 1_000)];
        let packing = packing(&[1_000, 20], &rows);
        let of_cpu = table(&packing, &[3, 5], &[1_000, 1_000], Rounding::Down, u64::MAX);
        assert_eq!(of_cpu.most.len(), 21);
        assert_eq!(of_cpu.worth(&[1_000, 20]), 60);
    }

    #[test]
    fn room_of_any_size_is_answered_within_the_work_allowed() {
        let rows = [(vec![1, 1], 5), (vec![1 << 40, 3], i64::MAX / 8)];
        let packing = packing(&[1 << 50, 1 << 50], &rows);
        let values = [1 << 30, 1 << 20];
        let table = table(&packing, &values, &[5, 9], Rounding::Down, 10_000);
        assert!(table.work <= 20_000, "{}", table.work);
        assert_eq!(table.worth(packing.free(0)), (5 << 30) + (9 << 20));
    }
}
