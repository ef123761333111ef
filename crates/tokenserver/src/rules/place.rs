/// A node that takes users, as far as choosing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The node's id.
    pub id: i64,
    /// Its URL, as stored.
    pub node: String,
    /// How many users it takes before capacity is released again.
    pub available: i64,
    /// How many live users it has. A negative number, left by foreign hands, counts as none.
    pub current_load: i64,
    /// How many users it can hold.
    pub capacity: i64,
}

impl Room {
    /// Counts users who came to it, or below zero left it.
    pub(crate) fn add(&mut self, users: i64) {
        self.current_load = self.current_load.max(0) + users;
        self.available -= users;
    }

    fn is_open(&self) -> bool {
        self.available > 0 && self.capacity > self.current_load.max(0)
    }

    /// How full it is, by the orders of magnitude of load and capacity; an empty one is before all others.
    #[expect(clippy::cast_precision_loss, reason = "loads are far below 2^52, and only their order counts")]
    fn fullness(&self) -> f64 {
        if self.current_load <= 0 {
            -1.0
        } else {
            (self.current_load as f64).ln() / (self.capacity as f64).ln()
        }
    }
}

/// Chooses the least loaded open node and takes a place on it; of equally loaded ones the one with most places open,
/// then the first. `None` when no node is open.
pub(crate) fn least_loaded(rooms: &mut [Room]) -> Option<&Room> {
    let chosen = rooms.iter_mut().filter(|room| room.is_open()).min_by(|a, b| {
        a.fullness().total_cmp(&b.fullness()).then(b.available.cmp(&a.available)).then(a.id.cmp(&b.id))
    })?;
    chosen.add(1);
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(id: i64, available: i64, current_load: i64, capacity: i64) -> Room {
        Room { id, node: format!("https://{id}"), available, current_load, capacity }
    }

    fn chosen(rooms: &[Room]) -> Option<i64> {
        least_loaded(&mut rooms.to_vec()).map(|room| room.id)
    }

    #[test]
    fn the_least_loaded_node_is_chosen_by_the_ratio_of_logarithms() {
        // ln 4 / ln 10 = 0.60 against ln 20 / ln 1000 = 0.43
        assert_eq!(chosen(&[room(1, 5, 4, 10), room(2, 5, 20, 1000)]), Some(2));
        assert_eq!(chosen(&[room(1, 5, 1, 10), room(2, 5, 0, 10)]), Some(2));
        assert_eq!(
            chosen(&[room(1, 5, 0, 10), room(2, 5, -3, 10)]),
            Some(1),
            "a negative load is an empty node"
        );
    }

    #[test]
    fn of_equally_loaded_nodes_the_one_with_most_places_open_is_chosen() {
        assert_eq!(chosen(&[room(1, 5, 0, 10), room(2, 8, 0, 10), room(3, 8, 0, 10)]), Some(2));
    }

    #[test]
    fn a_full_node_and_one_without_places_are_passed_over() {
        assert_eq!(chosen(&[room(1, 0, 0, 10), room(2, 5, 10, 10), room(3, 1, 0, 1)]), Some(3));
        assert_eq!(chosen(&[room(1, 0, 0, 10), room(2, 1, 1, 1)]), None);
    }

    proptest! {
        #[test]
        fn no_node_is_ever_overfilled(
            sizes in prop::collection::vec((-2..6i64, -2..6i64, 0..6i64), 0..5), users in 0..40usize
        ) {
            let before: Vec<_> =
                (0..).zip(&sizes).map(|(id, &(available, load, capacity))| room(id, available, load, capacity)).collect();
            let mut rooms = before.clone();
            let places: i64 = before.iter().map(|room| room.available.min(room.capacity - room.current_load.max(0)).max(0)).sum();
            let taken = (0..users).filter(|_| least_loaded(&mut rooms).is_some()).count();
            prop_assert_eq!(taken, users.min(usize::try_from(places).expect("not negative")));
            for (before, after) in before.iter().zip(&rooms) {
                prop_assert!(after == before || (after.available >= 0 && after.current_load <= after.capacity));
            }
        }
    }
}
