//! Manners towards an identity provider: how many questions may be asked, by whom, and when none.

mod budget;
mod callers;
mod gate;
mod leave;
mod places;

pub(crate) use budget::Budget;
pub use budget::BudgetLeft;
pub(crate) use gate::{Gate, Heard, Held};
pub(crate) use leave::Leave;
pub(crate) use places::Places;

/// Which token a question is about, as far as it matters to whom the answer matters. The questions that an identity
/// provider can be asked are few: what is kept for one lane cannot be used up in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane<'a> {
    /// One that was good not long ago, and whose facts are to be made fresh.
    Known,
    /// One that nothing is known of: it may be garbage.
    Unknown {
        /// Who wants to know. When there is not enough for all, they take turns; so let it be somebody who was recognised,
        /// and never a name of an outsider's choosing.
        caller: &'a str,
    },
}
