use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What the caller made of facts, kept with them for as long as they are remembered.
///
/// It is kept from the second time on: many a token comes once, and what is kept with it has to be let go again.
///
/// It says nothing that the facts do not say: facts with it and without are equal, and a copy begins without.
#[derive(Default)]
pub struct Derived {
    kept: OnceLock<Arc<dyn Any + Send + Sync>>,
    was_made: AtomicBool,
}

impl Derived {
    /// What is kept, or what `make` makes now. Two callers that make different things of the same facts get
    /// what they ask for; what the first of them makes is kept.
    pub(crate) fn get_or_make<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        match self.kept.get().map(|kept| Arc::clone(kept).downcast()) {
            Some(Ok(kept)) => kept,
            Some(Err(_)) => Arc::new(make()),
            None => {
                let first = Arc::new(make());
                if self.was_made.swap(true, Ordering::Relaxed) {
                    // Whoever came first in the meantime made the same of the same facts.
                    drop(self.kept.set(Arc::clone(&first) as Arc<dyn Any + Send + Sync>));
                }
                first
            }
        }
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Derived {}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.kept.get().is_some() { "made" } else { "nothing yet" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_twice_is_not_made_again() {
        let derived = Derived::default();
        assert_eq!(*derived.get_or_make(|| 6_u32), 6);
        let made = derived.get_or_make(|| 7_u32);
        assert!(Arc::ptr_eq(&made, &derived.get_or_make(|| unreachable!("it is kept"))));
        assert_eq!(*derived.clone().get_or_make(|| 8_u32), 8, "a copy begins without");
    }

    #[test]
    fn another_caller_gets_what_it_asks_for() {
        let derived = Derived::default();
        assert_eq!([7, 7].map(|it: u32| *derived.get_or_make(|| it)), [7, 7]);
        assert_eq!(*derived.get_or_make(|| "seven"), "seven");
        assert_eq!(*derived.get_or_make(|| 0_u32), 7);
    }
}
