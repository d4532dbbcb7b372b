//! Work, counted: the solver stops by what it has done, never by the clock, so
//! that the same problem has the same answer on every machine.

/// What is left of an allowance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    /// So many elementary operations (about a nanosecond each).
    pub(crate) fn of(operations: u64) -> Self {
        Self { left: operations }
    }

    /// Takes some; says whether any is left.
    pub(crate) fn spend(&mut self, operations: u64) -> bool {
        self.left = self.left.saturating_sub(operations);
        self.left > 0
    }

    /// Whether nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Sets a part of it aside, in percent.
    pub(crate) fn share(&mut self, percent: u64) -> Self {
        let part = self.left / 100 * percent;
        self.left -= part;
        Self { left: part }
    }

    /// Gives back what a part has left.
    pub(crate) fn give_back(&mut self, part: Self) {
        self.left += part.left;
    }
}
