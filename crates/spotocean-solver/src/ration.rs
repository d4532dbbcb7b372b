//! Which pods limits are spent on, where they do not suffice for all.
//!
//! A plan for all pods that limits cut off in the middle serves few: it buys what
//! is cheap, not what takes little of what is short. So nodes are planned by what
//! they take of the limits that bind ([`crate::scarcity`]); the program's values
//! then say what each pod takes of them, and pods are asked for until the limits
//! are spent: higher priority first, among equals those that take least, which
//! serves the most. What is left over is put where room is left. Where all can be
//! served so, cost counts as much as it may.
//! Work: a few plans with a part of the usual allowance each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::assign;
use crate::audit;
use crate::companion;
use crate::model::Model;
use crate::pack;
use crate::params::{RATION_ENOUGH, RATION_TRIES, RATION_WORK};
use crate::plan::{Facts, Plan};
use crate::scarcity::{Scarce, Scarcity, TIES};
use crate::solve;

/// How good a plan is: pods served by priority, the highest first, then how little it costs.
type Merit = (Vec<i64>, Reverse<i64>);

/// Whether limits keep a pod waiting: an offer that would serve it is beyond what is left of them.
pub(crate) fn is_short(model: &Model<'_>, plan: &Plan<'_>) -> bool {
    let is_spent = |cell: usize| {
        let home = &model.market.cells[cell];
        let limits = &plan.limits[home.pool];
        let mut shelf = home.shelf.iter();
        shelf.any(|offer| limits.breached_by(&model.market.offers[*offer]).is_some())
    };
    let cells = 0..model.market.cells.len();
    let spent: Vec<usize> = cells.filter(|cell| is_spent(*cell)).collect();
    let mut classes = (0..model.classes.len()).filter(|class| plan.waiting[*class] > 0);
    classes.any(|class| spent.iter().any(|cell| model.serves[class][*cell]))
}

/// Spends limits on as many pods as they serve, the important ones first; `short` is a plan that they cut off.
pub(crate) fn ration<'p>(model: &Model<'p>, short: Plan<'p>) -> Plan<'p> {
    let mut scarcity = Scarcity::of(model, &short);
    let binds = scarcity.binds();
    let mut ration = Ration::of(model, short);
    if binds {
        let mut scarce = scarcity.weighed(model, TIES);
        let all = Plan::empty(model).waiting;
        let mut first = planned(&scarce, &all);
        if scarcity.widen(&first) {
            scarce = scarcity.weighed(model, TIES);
            first = planned(&scarce, &all);
        }
        if first.waiting.iter().all(|left| *left == 0) {
            ration.consider(first);
            ration.balance(&scarcity, &all);
        } else {
            let asking = Asking::of(model, &first);
            ration.consider(first);
            ration.select(&scarcity, &scarce, &asking);
        }
    }
    let mut plan = ration.best;
    // Values of pods are about limits here, bounds about prices.
    plan.duals.clear();
    plan
}

/// One plan for so many pods of each class, with a part of the allowance; the others wait.
fn planned<'p>(scarce: &Scarce<'p>, wanted: &[i64]) -> Plan<'p> {
    let mut plan = Plan::empty(&scarce.model);
    plan.work = RATION_WORK;
    plan.is_frugal = true;
    let all = std::mem::replace(&mut plan.waiting, wanted.to_vec());
    solve::round(&scarce.model, &Facts::default(), &mut plan);
    for ((waiting, all), wanted) in plan.waiting.iter_mut().zip(all).zip(wanted) {
        *waiting += all - wanted;
    }
    plan
}

/// The best plan so far.
struct Ration<'m, 'p> {
    model: &'m Model<'p>,
    best: Plan<'p>,
    merit: Merit,
}

impl<'m, 'p> Ration<'m, 'p> {
    fn of(model: &'m Model<'p>, mut plan: Plan<'p>) -> Self {
        audit::audit(model, &mut plan);
        Self {
            model,
            merit: merit(model, &plan),
            best: plan,
        }
    }

    fn consider(&mut self, mut plan: Plan<'p>) {
        audit::audit(self.model, &mut plan);
        let merit = merit(self.model, &plan);
        if merit > self.merit {
            (self.best, self.merit) = (plan, merit);
        }
    }

    /// All pods can be served: lets cost count more, as long as they still are.
    fn balance(&mut self, scarcity: &Scarcity, all: &[i64]) {
        let mut cost = 1.0;
        for step in [8.0, 3.0] {
            let plan = planned(&scarcity.weighed(self.model, cost), all);
            let serves_all = plan.waiting.iter().all(|left| *left == 0);
            self.consider(plan);
            cost = if serves_all { cost * step } else { cost / step };
        }
    }

    /// Asks for as many pods as the limits seem to serve, and corrects that by what came of it.
    fn select(&mut self, scarcity: &Scarcity, scarce: &Scarce<'p>, asking: &Asking) {
        let mut budget = scarce.budget;
        for _ in 0..RATION_TRIES {
            let choice = asking.choose(budget);
            let mut plan = planned(scarce, &choice.wanted);
            let missed = asking.missed(&choice, &plan);
            let used = scarcity.used(&plan);
            refill(&scarce.model, &mut plan, asking, choice.last);
            self.consider(plan);
            budget = if missed > 0.0 {
                choice.worth - missed
            } else {
                budget * 1e6 / used.clamp(500_000, 1_000_000) as f64
            };
            if missed <= 0.0 && (used >= RATION_ENOUGH || choice.is_whole) {
                break;
            }
        }
    }
}

fn merit(model: &Model<'_>, plan: &Plan<'_>) -> Merit {
    let mut served: BTreeMap<Reverse<i32>, i64> = BTreeMap::new();
    for (class, waiting) in model.classes.iter().zip(&plan.waiting) {
        let waiting = usize::try_from(*waiting).unwrap_or(0);
        let served_here = class.pods.len().saturating_sub(waiting);
        for (index, pending) in class.pods.iter().enumerate() {
            *served.entry(Reverse(pending.pod.priority)).or_insert(0) += i64::from(index < served_here);
        }
    }
    (served.into_values().collect(), Reverse(plan.cost(model)))
}

/// Some pods of a class, of one priority.
struct Group {
    priority: i32,
    /// What one of them takes of the limits.
    worth: f64,
    class: usize,
    count: i64,
}

/// Pods in the order in which they are asked for.
struct Asking {
    groups: Vec<Group>,
    /// By class, what a pod takes that finds no node there.
    worth: Vec<f64>,
}

/// Which pods are asked for.
struct Choice {
    /// By class, the first so many.
    wanted: Vec<i64>,
    /// What they take together.
    worth: f64,
    /// The priority at which the budget ended.
    last: i32,
    /// Whether that is all of them.
    is_whole: bool,
}

impl Asking {
    /// By the values of a plan for all.
    fn of(model: &Model<'_>, plan: &Plan<'_>) -> Self {
        let mut duals: Vec<Vec<f64>> = vec![Vec::new(); model.classes.len()];
        for ((class, _), (worth, _)) in &plan.duals {
            duals[*class].push(worth.max(0.0));
        }
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let worth: Vec<f64> = duals.iter().map(mean).collect();
        let mut groups: Vec<Group> = Vec::new();
        for (class, described) in model.classes.iter().enumerate() {
            let mut there = plan.sites.iter().map(|site| site.count(class)).sum::<i64>();
            for run in described.pods.chunk_by(|a, b| a.pod.priority == b.pod.priority) {
                let count = i64::try_from(run.len()).unwrap_or(i64::MAX);
                let free = there.min(count);
                there -= free;
                let priority = run[0].pod.priority;
                let group = |worth, count| Group {
                    priority,
                    worth,
                    class,
                    count,
                };
                groups.extend([group(0.0, free), group(worth[class], count - free)]);
            }
        }
        groups.retain(|group| group.count > 0);
        groups.sort_by(|a, b| {
            let by_worth = a.worth.total_cmp(&b.worth).then(a.class.cmp(&b.class));
            b.priority.cmp(&a.priority).then(by_worth)
        });
        Self { groups, worth }
    }

    fn choose(&self, budget: f64) -> Choice {
        let mut choice = Choice {
            wanted: vec![0; self.worth.len()],
            worth: 0.0,
            last: i32::MIN,
            is_whole: true,
        };
        for group in &self.groups {
            let room = (budget - choice.worth).max(0.0);
            let count = if group.worth * group.count as f64 <= room {
                group.count
            } else {
                (room / group.worth).floor() as i64
            };
            choice.wanted[group.class] += count;
            choice.worth += group.worth * count as f64;
            if count < group.count {
                (choice.last, choice.is_whole) = (group.priority, false);
                break;
            }
        }
        choice
    }

    /// What those pods take that were asked for and not served.
    fn missed(&self, choice: &Choice, plan: &Plan<'_>) -> f64 {
        let mut all = vec![0; self.worth.len()];
        for group in &self.groups {
            all[group.class] += group.count;
        }
        let classes = 0..all.len();
        let missed = classes.map(|class| {
            let left = plan.waiting[class] - (all[class] - choice.wanted[class]);
            left as f64 * self.worth[class]
        });
        missed.sum()
    }
}

/// Puts pods that wait where room and limits are left: those of priority `first` and higher, then the others.
fn refill<'p>(model: &Model<'p>, plan: &mut Plan<'p>, asking: &Asking, first: i32) {
    plan.is_desperate = true;
    for least in [first, i32::MIN] {
        let aside: Vec<i64> = model
            .classes
            .iter()
            .zip(&plan.waiting)
            .map(|(class, waiting)| {
                let important = class
                    .pods
                    .partition_point(|pending| pending.pod.priority >= least);
                let later = i64::try_from(class.pods.len() - important).unwrap_or(i64::MAX);
                later.min(*waiting)
            })
            .collect();
        plan.waiting
            .iter_mut()
            .zip(&aside)
            .for_each(|(waiting, aside)| *waiting -= aside);
        let mut items = assign::assign(model, &Facts::default(), plan);
        items.sort_by(|a, b| {
            let next = |class: usize| {
                let pods = &model.classes[class].pods;
                let waiting = usize::try_from(plan.waiting[class] + aside[class]).unwrap_or(0);
                pods.get(pods.len().saturating_sub(waiting))
                    .map(|pending| pending.pod.priority)
            };
            let by_worth = asking.worth[a.class].total_cmp(&asking.worth[b.class]);
            next(b.class).cmp(&next(a.class)).then(by_worth)
        });
        pack::refill(model, plan, &mut items);
        pack::settle(model, plan, &items);
        companion::place_companions(model, plan);
        plan.waiting
            .iter_mut()
            .zip(&aside)
            .for_each(|(waiting, aside)| *waiting += aside);
    }
}
