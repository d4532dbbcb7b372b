//! Linear programs of the form: cover every row's demand at least cost.
//!
//! min c·x subject to A x ≥ demand, x ≥ 0, with c ≥ 0 and a lone column for each
//! row, so that a feasible basis is known from the start. Method: revised
//! simplex with an explicit inverse; columns are sparse and arrive while solving.
//! [`Master::minimise`] is the primal method (new columns leave the basis
//! feasible), [`Master::recover`] the dual one (a new demand leaves it optimal).
//! Who enters is chosen by Devex weights (Harris 1973), which need a third of the
//! pivots that the largest reduced cost does.
//! Cost: rows² a pivot. Floating point: what comes out are hints (which columns,
//! which prices), never proof; [`crate::bound`] proves.
//! Source: Dantzig 1963; Chvátal, Linear Programming, 1983, chapters 7 and 10.

use crate::params::{LP_TOLERANCE, PERTURBATION, PIVOT_MIN, REFACTOR_PIVOTS};

/// One way to cover rows.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Row and how much of it is covered, rows ascending.
    pub(crate) entries: Vec<(usize, f64)>,
    /// What one unit costs.
    pub(crate) cost: f64,
}

impl Column {
    fn dot(&self, vector: &[f64]) -> f64 {
        self.entries.iter().map(|(row, much)| vector[*row] * much).sum()
    }
}

/// The program with its current basis. Variables: columns, then one surplus a row
/// (what it is covered beyond its demand), counted from the end.
#[derive(Clone, Debug)]
pub(crate) struct Master {
    rows: usize,
    /// All columns, in order of arrival.
    pub(crate) columns: Vec<Column>,
    demand: Vec<f64>,
    basis: Vec<Variable>,
    /// Reduced cost and Devex weight by column.
    state: Vec<State>,
    surplus: Vec<State>,
    /// Inverse of the basis matrix, column after column.
    inverse: Vec<f64>,
    levels: Vec<f64>,
    /// Dual prices by row.
    pub(crate) prices: Vec<f64>,
    pivots_since_refactor: usize,
    /// Pivots so far.
    pub(crate) pivots: u64,
    /// Elementary operations so far.
    pub(crate) work: u64,
}

/// A variable of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Variable {
    /// A column.
    Column(usize),
    /// What a row is covered beyond its demand.
    Surplus(usize),
}

#[derive(Clone, Copy, Debug)]
struct State {
    is_basic: bool,
    reduced: f64,
    weight: f64,
}

impl State {
    const BASIC: Self = Self {
        is_basic: true,
        reduced: 0.0,
        weight: 1.0,
    };
    const OUT: Self = Self {
        is_basic: false,
        reduced: 0.0,
        weight: 1.0,
    };
}

impl Master {
    /// A program whose first column for each row covers that row alone.
    pub(crate) fn new(demand: &[f64], lone: Vec<Column>) -> Self {
        let rows = demand.len();
        let mut master = Self {
            rows,
            state: vec![State::BASIC; lone.len()],
            columns: lone,
            demand: perturbed(demand),
            basis: (0..rows).map(Variable::Column).collect(),
            surplus: vec![State::OUT; rows],
            inverse: Vec::new(),
            levels: Vec::new(),
            prices: Vec::new(),
            pivots_since_refactor: 0,
            pivots: 0,
            work: 0,
        };
        master.refactor();
        master
    }

    /// Adds a column, not yet in use.
    pub(crate) fn add(&mut self, column: Column) {
        let reduced = column.cost - column.dot(&self.prices);
        self.columns.push(column);
        self.state.push(State {
            reduced,
            ..State::OUT
        });
    }

    /// How much of each column in use: column and amount.
    pub(crate) fn amounts(&self) -> Vec<(usize, f64)> {
        let used = self.basis.iter().zip(&self.levels);
        let mut amounts: Vec<(usize, f64)> = used
            .filter_map(|(basic, level)| match basic {
                Variable::Column(column) if *level > LP_TOLERANCE => Some((*column, *level)),
                _ => None,
            })
            .collect();
        amounts.sort_by_key(|(column, _)| *column);
        amounts
    }

    /// Primal simplex until no column improves, or `pivots` are used up.
    pub(crate) fn minimise(&mut self, pivots: usize) {
        for _ in 0..pivots {
            let Some(entering) = self.entering() else {
                return;
            };
            let direction = self.direction(entering);
            let Some(leaving) = self.leaving(&direction) else {
                return;
            };
            self.pivot(leaving, entering, &direction);
        }
    }

    /// Takes a new demand and repairs the basis by dual simplex; says whether it could.
    pub(crate) fn recover(&mut self, demand: &[f64], pivots: usize) -> bool {
        self.demand = perturbed(demand);
        self.recompute();
        for _ in 0..pivots {
            let Some(leaving) = self.most_negative() else {
                return true;
            };
            let Some(entering) = self.entering_for(leaving) else {
                return false;
            };
            let direction = self.direction(entering);
            if direction[leaving].abs() < PIVOT_MIN {
                return false;
            }
            self.pivot(leaving, entering, &direction);
        }
        self.most_negative().is_none()
    }

    /// The non-basic variable whose cost falls most per weighted length.
    fn entering(&mut self) -> Option<Variable> {
        let mut best: Option<(f64, Variable)> = None;
        let mut consider = |variable: Variable, state: &State, scale: f64| {
            if state.is_basic || state.reduced >= -LP_TOLERANCE * scale {
                return;
            }
            let score = state.reduced * state.reduced / state.weight;
            if best.is_none_or(|(known, _)| score > known) {
                best = Some((score, variable));
            }
        };
        for (index, (state, column)) in self.state.iter().zip(&self.columns).enumerate() {
            consider(Variable::Column(index), state, column.cost.max(1.0));
        }
        for (row, state) in self.surplus.iter().enumerate() {
            consider(Variable::Surplus(row), state, 1.0);
        }
        self.work += self.columns.len() as u64 + self.rows as u64;
        best.map(|(_, variable)| variable)
    }

    /// The inverse times a variable's column.
    fn direction(&mut self, variable: Variable) -> Vec<f64> {
        let rows = self.rows;
        match variable {
            Variable::Surplus(row) => {
                let line = &self.inverse[row * rows..(row + 1) * rows];
                line.iter().map(|each| -each).collect()
            }
            Variable::Column(column) => {
                let mut direction = vec![0.0; rows];
                for (row, much) in &self.columns[column].entries {
                    let line = &self.inverse[row * rows..(row + 1) * rows];
                    let pairs = direction.iter_mut().zip(line);
                    pairs.for_each(|(to, from)| *to += from * much);
                }
                self.work += (self.columns[column].entries.len() * rows / 2) as u64;
                direction
            }
        }
    }

    /// The ratio test; among ties the largest pivot.
    fn leaving(&self, direction: &[f64]) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for (row, step) in direction
            .iter()
            .enumerate()
            .filter(|(_, step)| **step > PIVOT_MIN)
        {
            let ratio = self.levels[row].max(0.0) / step;
            let is_better = best.is_none_or(|(least, known)| {
                ratio < least - LP_TOLERANCE || (ratio <= least + LP_TOLERANCE && *step > direction[known])
            });
            if is_better {
                best = Some((ratio, row));
            }
        }
        best.map(|(_, row)| row)
    }

    fn most_negative(&self) -> Option<usize> {
        let levels = self.levels.iter().enumerate();
        let worst = levels.min_by(|a, b| a.1.total_cmp(b.1))?;
        (*worst.1 < -LP_TOLERANCE).then_some(worst.0)
    }

    /// One line of the inverse.
    fn line(&self, position: usize) -> Vec<f64> {
        let columns = self.inverse.chunks_exact(self.rows);
        columns.map(|column| column[position]).collect()
    }

    /// The dual ratio test for a leaving row; among ties the largest pivot, or the method could stall.
    fn entering_for(&mut self, leaving: usize) -> Option<Variable> {
        let line = self.line(leaving);
        let mut best: Option<(f64, f64, Variable)> = None;
        let mut consider = |variable: Variable, state: &State, step: f64| {
            if state.is_basic || step > -PIVOT_MIN {
                return;
            }
            let ratio = state.reduced.max(0.0) / -step;
            let is_better = best.is_none_or(|(least, known, _)| {
                let tie = LP_TOLERANCE * (1.0 + least);
                ratio < least - tie || (ratio <= least + tie && step < known)
            });
            if is_better {
                best = Some((ratio, step, variable));
            }
        };
        for (index, (state, column)) in self.state.iter().zip(&self.columns).enumerate() {
            consider(Variable::Column(index), state, column.dot(&line));
        }
        for (row, state) in self.surplus.iter().enumerate() {
            consider(Variable::Surplus(row), state, -line[row]);
        }
        self.work += 6 * self.columns.len() as u64;
        best.map(|(_, _, variable)| variable)
    }

    fn pivot(&mut self, leaving: usize, entering: Variable, direction: &[f64]) {
        let rows = self.rows;
        let scale = 1.0 / direction[leaving];
        let step = self.levels[leaving] * scale;
        let reduced = self.state_of(entering).reduced;
        let line = self.line(leaving);
        self.reweigh(&line, scale, entering, leaving);
        for (column, along) in self.inverse.chunks_exact_mut(rows).zip(&line) {
            if *along == 0.0 {
                continue;
            }
            let much = along * scale;
            let pairs = column.iter_mut().zip(direction);
            pairs.for_each(|(to, from)| *to -= from * much);
            column[leaving] = much;
            self.work += rows as u64 / 3;
        }
        for (level, along) in self.levels.iter_mut().zip(direction) {
            *level -= along * step;
        }
        for (price, along) in self.prices.iter_mut().zip(&line) {
            *price += reduced * along * scale;
        }
        self.levels[leaving] = step;
        self.basis[leaving] = entering;
        self.work += 10 * rows as u64;
        self.pivots += 1;
        self.pivots_since_refactor += 1;
        if self.pivots_since_refactor >= REFACTOR_PIVOTS.max(rows) {
            self.refactor();
        }
    }

    fn state_of(&mut self, variable: Variable) -> &mut State {
        match variable {
            Variable::Column(column) => &mut self.state[column],
            Variable::Surplus(row) => &mut self.surplus[row],
        }
    }

    /// Reduced costs and Devex weights after a pivot.
    fn reweigh(&mut self, line: &[f64], scale: f64, entering: Variable, leaving: usize) {
        let State { reduced, weight, .. } = *self.state_of(entering);
        let update = |state: &mut State, along: f64| {
            if !state.is_basic && along != 0.0 {
                state.reduced -= reduced * along;
                state.weight = state.weight.max(along * along * weight);
            }
        };
        for (state, column) in self.state.iter_mut().zip(&self.columns) {
            update(state, column.dot(line) * scale);
        }
        for (state, along) in self.surplus.iter_mut().zip(line) {
            update(state, -along * scale);
        }
        self.work += 4 * self.columns.len() as u64;
        *self.state_of(entering) = State::BASIC;
        *self.state_of(self.basis[leaving]) = State {
            is_basic: false,
            reduced: -reduced * scale,
            weight: (weight * scale * scale).max(1.0),
        };
    }

    /// Inverts the basis anew: errors of many updates do not pile up.
    fn refactor(&mut self) {
        let rows = self.rows;
        let mut matrix = vec![0.0; rows * rows];
        for (position, basic) in self.basis.iter().enumerate() {
            match basic {
                Variable::Surplus(row) => matrix[row * rows + position] = -1.0,
                Variable::Column(column) => {
                    for (row, much) in &self.columns[*column].entries {
                        matrix[row * rows + position] = *much;
                    }
                }
            }
        }
        if let Some(inverse) = inverted(matrix, rows) {
            self.inverse = vec![0.0; rows * rows];
            for (position, line) in inverse.chunks_exact(rows.max(1)).enumerate() {
                for (row, each) in line.iter().enumerate() {
                    self.inverse[row * rows + position] = *each;
                }
            }
        }
        self.work += (rows * rows * rows / 3) as u64;
        self.pivots_since_refactor = 0;
        self.recompute();
    }

    /// Levels, prices and reduced costs from the inverse: after costs were changed, too.
    pub(crate) fn recompute(&mut self) {
        let rows = self.rows;
        self.levels = vec![0.0; rows];
        let costs: Vec<f64> = self
            .basis
            .iter()
            .map(|basic| match basic {
                Variable::Column(column) => self.columns[*column].cost,
                Variable::Surplus(_) => 0.0,
            })
            .collect();
        self.prices = vec![0.0; rows];
        for (row, column) in self.inverse.chunks_exact(rows.max(1)).enumerate() {
            let demand = self.demand[row];
            let pairs = self.levels.iter_mut().zip(column);
            pairs.for_each(|(level, each)| *level += each * demand);
            self.prices[row] = column.iter().zip(&costs).map(|(a, b)| a * b).sum();
        }
        for (state, column) in self.state.iter_mut().zip(&self.columns) {
            if !state.is_basic {
                state.reduced = column.cost - column.dot(&self.prices);
            }
        }
        for (state, price) in self.surplus.iter_mut().zip(&self.prices) {
            if !state.is_basic {
                state.reduced = *price;
            }
        }
    }
}

/// Demand moved a little, differently for each row, so that ties are rare.
fn perturbed(demand: &[f64]) -> Vec<f64> {
    let moved = demand.iter().enumerate().map(|(row, much)| {
        let noise = (row as f64 * 0.618_033_988_75).fract();
        much + PERTURBATION * (1.0 + noise)
    });
    moved.collect()
}

/// Gauss-Jordan elimination with partial pivoting; `None` when singular.
fn inverted(mut matrix: Vec<f64>, rows: usize) -> Option<Vec<f64>> {
    let mut inverse = vec![0.0; rows * rows];
    (0..rows).for_each(|row| inverse[row * rows + row] = 1.0);
    for column in 0..rows {
        let largest = (column..rows)
            .max_by(|a, b| {
                let (a, b) = (matrix[a * rows + column].abs(), matrix[b * rows + column].abs());
                a.total_cmp(&b)
            })
            .filter(|row| matrix[row * rows + column].abs() > 1e-12)?;
        if largest != column {
            for at in 0..rows {
                matrix.swap(column * rows + at, largest * rows + at);
                inverse.swap(column * rows + at, largest * rows + at);
            }
        }
        let scale = 1.0 / matrix[column * rows + column];
        for at in 0..rows {
            matrix[column * rows + at] *= scale;
            inverse[column * rows + at] *= scale;
        }
        let own: Vec<f64> = matrix[column * rows..(column + 1) * rows].to_vec();
        let own_inverse: Vec<f64> = inverse[column * rows..(column + 1) * rows].to_vec();
        for row in (0..rows).filter(|row| *row != column) {
            let much = matrix[row * rows + column];
            if much == 0.0 {
                continue;
            }
            let target = matrix[row * rows..(row + 1) * rows].iter_mut();
            target.zip(&own).for_each(|(to, from)| *to -= much * from);
            let target = inverse[row * rows..(row + 1) * rows].iter_mut();
            target.zip(&own_inverse).for_each(|(to, from)| *to -= much * from);
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cost: f64, entries: &[(usize, f64)]) -> Column {
        Column {
            entries: entries.to_vec(),
            cost,
        }
    }

    fn cost(master: &Master) -> f64 {
        let amounts = master.amounts();
        amounts
            .iter()
            .map(|(index, much)| master.columns[*index].cost * much)
            .sum()
    }

    #[test]
    fn a_cheaper_mixture_replaces_lone_columns() {
        let lone = vec![column(4.0, &[(0, 2.0)]), column(3.0, &[(1, 1.0)])];
        let mut master = Master::new(&[10.0, 5.0], lone);
        assert!((cost(&master) - 35.0).abs() < 1e-3);
        master.add(column(4.0, &[(0, 1.0), (1, 1.0)]));
        master.minimise(100);
        // Five mixtures cover row 1 and half of row 0.
        assert!((cost(&master) - 30.0).abs() < 1e-3, "{}", cost(&master));
        let worth = 10.0 * master.prices[0] + 5.0 * master.prices[1];
        assert!((worth - 30.0).abs() < 1e-3, "duality: {worth}");
    }

    #[test]
    fn a_new_demand_is_met_from_the_old_basis() {
        let lone = vec![column(4.0, &[(0, 2.0)]), column(3.0, &[(1, 1.0)])];
        let mut master = Master::new(&[10.0, 5.0], lone);
        master.add(column(4.0, &[(0, 1.0), (1, 1.0)]));
        master.minimise(100);
        assert!(master.recover(&[1.0, 5.0], 100));
        // One mixture, and four of row 1 alone.
        assert!((cost(&master) - 16.0).abs() < 1e-3, "{}", cost(&master));
    }
}
