//! Which secret of a service's list signs.

use account::Millis;

/// An operator's word: of a list that begins with `first`, another one signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// The fingerprint of the first secret of the list, as it was when this was said.
    pub first: String,
    /// The fingerprint of the one that signs.
    pub signs: String,
    /// Since when.
    pub at: Millis,
}

/// The place in the list of the secret that signs: the first, unless an operator has said otherwise of this very list. A
/// list that begins with another one goes by itself again.
pub(crate) fn signing(fingerprints: &[&str], rotation: Option<&Rotation>) -> usize {
    rotation
        .filter(|rotation| fingerprints.first() == Some(&rotation.first.as_str()))
        .and_then(|rotation| fingerprints.iter().position(|it| *it == rotation.signs))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signs_until_an_operator_says_another_does() {
        let said = |first: &str, signs: &str| Rotation {
            first: first.to_owned(),
            signs: signs.to_owned(),
            at: Millis::ZERO,
        };
        assert_eq!(signing(&["a", "b", "c"], None), 0);
        assert_eq!(signing(&["a", "b", "c"], Some(&said("a", "b"))), 1);
        assert_eq!(signing(&["b"], Some(&said("a", "b"))), 0, "the old one was taken out");
        assert_eq!(signing(&["c", "a", "b"], Some(&said("a", "b"))), 0, "the list was given a new beginning");
        assert_eq!(
            signing(&["a", "c"], Some(&said("a", "b"))),
            0,
            "one that this process does not know cannot sign"
        );
    }
}
