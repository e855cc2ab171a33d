//! Whether a core's connections have something to do.
//!
//! A core that waits for the disk keeps all its connections waiting, so it does so only for one
//! that is alone.

use std::{cell::Cell, rc::Rc};

/// How many connections of a core are busy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Rc<Cell<usize>>);

/// One connection's part in it.
#[derive(Debug)]
pub(crate) struct OwnBusy {
    all: Busy,
    own: bool,
}

impl Busy {
    pub(crate) fn of_one(&self) -> OwnBusy {
        OwnBusy { all: self.clone(), own: false }
    }
}

impl OwnBusy {
    pub(crate) fn set(&mut self, busy: bool) {
        if self.own != busy {
            self.own = busy;
            let all = &self.all.0;
            all.set(if busy { all.get() + 1 } else { all.get() - 1 });
        }
    }

    /// Whether no other connection of the core is busy.
    pub(crate) fn is_alone(&self) -> bool {
        self.all.0.get() == usize::from(self.own)
    }
}

impl Drop for OwnBusy {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_is_the_only_busy_one() {
        let all = Busy::default();
        let (mut one, mut two) = (all.of_one(), all.of_one());
        assert!(one.is_alone());
        one.set(true);
        one.set(true);
        assert!(one.is_alone() && !two.is_alone());
        two.set(true);
        assert!(!one.is_alone());
        drop(one);
        assert!(two.is_alone());
        two.set(false);
        assert!(two.is_alone());
    }
}
