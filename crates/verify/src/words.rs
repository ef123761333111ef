//! Words that many tokens share, kept once.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// How many are known at most. Whoever makes up words makes this forget, and costs others a little memory.
const KNOWN: usize = 4096;

/// Clients, sets of scopes and levels of assurance come again with every token.
#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<HashSet<Arc<str>>>);

impl Words {
    /// Puts in a word's place the one that is known already.
    pub(crate) fn share(&self, word: &mut Arc<str>) {
        let mut known = self.0.lock();
        if let Some(known) = known.get(&**word) {
            *word = Arc::clone(known);
            return;
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(Arc::clone(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_comes_again_is_the_same_one_and_words_without_end_are_forgotten() {
        let words = Words::default();
        let share = |text: &str| {
            let mut word = Arc::from(text);
            words.share(&mut word);
            word
        };
        let first = share("profile");
        assert!(Arc::ptr_eq(&first, &share("profile")));
        for i in 0..10_000 {
            assert_eq!(&*share(&i.to_string()), i.to_string());
        }
        assert!(words.0.lock().len() <= KNOWN);
    }
}
