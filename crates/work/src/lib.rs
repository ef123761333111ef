//! How tasks live: one place that starts them, stops them softly and then hard, and notices when one dies; and the
//! loop every worker runs.

mod claim;
mod lifecycle;

pub use claim::{Pace, Tick, work_through};
pub use lifecycle::{Died, Lifecycle};
