//! Users in buckets, buckets on nodes. Which bucket a user is in never changes; which node a bucket is on changes by an
//! operator's word, a few at a time.

use super::{RETIRED, Row};
use account::Millis;
use aws_lc_rs::digest;
use std::cmp::Reverse;

/// How many buckets a service's users are in.
pub(crate) const BUCKETS: usize = 4096;

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// The node.
    pub node_id: i64,
    /// Since when.
    pub moved_at: Millis,
}

/// The bucket that a user is in: the first twelve bits of the SHA-256 of `subject@domain`, as the rows have it.
pub(crate) fn bucket_of(email: &str) -> usize {
    let hash = digest::digest(&digest::SHA256, email.as_bytes());
    let [high, low] = [hash.as_ref()[0], hash.as_ref()[1]];
    usize::from(high) << 4 | usize::from(low >> 4)
}

impl Mapped {
    /// Whether a row is left behind on the node that its bucket was on. One that was made since is where it was put.
    fn has_left(self, row: &Row) -> bool {
        row.node_id != self.node_id && row.created_at < self.moved_at && row.generation != RETIRED
    }

    /// Rows that are left behind have no node any more: their user is assigned anew.
    pub(crate) fn unsettle(self, rows: &mut [Row]) {
        for row in rows.iter_mut().filter(|row| self.has_left(row)) {
            row.node = None;
        }
    }
}

/// A node that buckets are spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weighted {
    /// Its id.
    pub id: i64,
    /// How much of the whole is to be on it, compared with the others. Nothing goes to one without weight.
    pub weight: i64,
}

/// Which buckets move where, so that each node has its share: by bucket, its new node.
///
/// A bucket goes only to a node that lacks a whole one, and comes from the node that has most above its share; those on no
/// node (or on one that is not among these) go first. So a node that is added takes its share from the others, and nothing
/// moves between them. What is on the nodes in `kept` stays there, whatever it is.
pub(crate) fn spread(mapped: &[Option<i64>], nodes: &[Weighted], kept: &[i64]) -> Vec<(usize, i64)> {
    let mut shares = Shares::new(mapped, nodes, kept);
    if shares.all.is_empty() {
        return Vec::new();
    }
    let mut moves = Vec::new();
    for bucket in std::mem::take(&mut shares.homeless) {
        let to = shares.neediest();
        moves.push((bucket, shares.give(to, bucket)));
    }
    loop {
        let to = shares.neediest();
        if shares.lacks(to) < shares.weight {
            return moves;
        }
        let from = shares.richest();
        let Some(bucket) = shares.all[from].has.pop() else { return moves };
        moves.push((bucket, shares.give(to, bucket)));
    }
}

struct Shares {
    all: Vec<Share>,
    /// Buckets that are on none of them.
    homeless: Vec<usize>,
    /// Of all nodes.
    weight: i128,
    /// How many buckets are shared out.
    buckets: i128,
}

struct Share {
    node: Weighted,
    has: Vec<usize>,
}

impl Shares {
    fn new(mapped: &[Option<i64>], nodes: &[Weighted], kept: &[i64]) -> Self {
        let with_weight = nodes.iter().filter(|node| node.weight > 0 && !kept.contains(&node.id));
        let mut all: Vec<_> = with_weight.map(|node| Share { node: *node, has: Vec::new() }).collect();
        let (mut homeless, mut buckets) = (Vec::new(), 0);
        for (bucket, on) in mapped.iter().enumerate() {
            if on.is_some_and(|on| kept.contains(&on)) {
                continue;
            }
            buckets += 1;
            match all.iter_mut().find(|share| Some(share.node.id) == *on) {
                Some(share) => share.has.push(bucket),
                None => homeless.push(bucket),
            }
        }
        let weight = all.iter().map(|share| i128::from(share.node.weight)).sum();
        Self { all, homeless, weight, buckets }
    }

    /// What a node lacks of its share (below zero: has above it), in buckets times the weight of all.
    fn lacks(&self, place: usize) -> i128 {
        let Share { node, has } = &self.all[place];
        self.buckets * i128::from(node.weight) - has.len() as i128 * self.weight
    }

    fn neediest(&self) -> usize {
        (0..self.all.len()).max_by_key(|place| (self.lacks(*place), Reverse(*place))).unwrap_or_default()
    }

    fn richest(&self) -> usize {
        (0..self.all.len()).min_by_key(|place| (self.lacks(*place), *place)).unwrap_or_default()
    }

    fn give(&mut self, to: usize, bucket: usize) -> i64 {
        self.all[to].has.push(bucket);
        self.all[to].node.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn nodes(weights: &[i64]) -> Vec<Weighted> {
        (1..).zip(weights).map(|(id, weight)| Weighted { id, weight: *weight }).collect()
    }

    fn after(mapped: &[Option<i64>], moves: &[(usize, i64)]) -> Vec<Option<i64>> {
        let mut mapped = mapped.to_vec();
        for (bucket, node) in moves {
            mapped[*bucket] = Some(*node);
        }
        mapped
    }

    fn counted(mapped: &[Option<i64>]) -> BTreeMap<i64, usize> {
        let mut counts = BTreeMap::new();
        for node in mapped.iter().flatten() {
            *counts.entry(*node).or_default() += 1;
        }
        counts
    }

    /// Every bucket, spread over nodes of these weights for the first time.
    fn spread_over(weights: &[i64]) -> Vec<Option<i64>> {
        let nowhere = vec![None; BUCKETS];
        after(&nowhere, &spread(&nowhere, &nodes(weights), &[]))
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn due(weights: &[i64], place: usize) -> f64 {
        BUCKETS as f64 * weights[place] as f64 / weights.iter().sum::<i64>() as f64
    }

    #[test]
    fn a_users_bucket_is_the_beginning_of_a_hash_that_anybody_can_compute() {
        // printf %s user@accounts.example | sha256sum
        assert_eq!(bucket_of("user@accounts.example"), 0xd01);
        assert_ne!(bucket_of("user@accounts.example"), bucket_of("other@accounts.example"));
    }

    #[test]
    fn users_are_spread_evenly_over_the_buckets() {
        let mut counts = vec![0_u32; BUCKETS];
        for n in 0..409_600 {
            counts[bucket_of(&format!("{}@accounts.example", testkit::data::uid(n)))] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..=150).contains(count)),
            "a hundred each, within five deviations"
        );
    }

    #[test]
    fn a_row_is_left_behind_when_its_bucket_has_moved_since_it_was_made() {
        let row = |node_id, created_at| Row {
            uid: 1,
            generation: 5,
            client_state: String::new(),
            created_at: Millis::new(created_at),
            replaced_at: None,
            keys_changed_at: None,
            node_id,
            node: Some("https://n".to_owned()),
        };
        let mapped = Mapped { node_id: 2, moved_at: Millis::new(100) };
        let mut rows = [row(1, 99), row(1, 100), row(2, 99), Row { generation: RETIRED, ..row(1, 99) }];
        mapped.unsettle(&mut rows);
        let at_home: Vec<_> = rows.iter().map(|row| row.node.is_some()).collect();
        assert_eq!(at_home, [false, true, true, true]);
    }

    #[test]
    fn what_is_on_a_node_that_is_kept_stays_there() {
        let mapped = spread_over(&[1, 1]);
        let moves = spread(&mapped, &nodes(&[1, 1, 1, 1]), &[1]);
        let counts = counted(&after(&mapped, &moves));
        assert_eq!(counts[&1], 2048, "no bucket came to it, and none left");
        assert!((2..5).all(|node| (681..=684).contains(&counts[&node])), "within two of 682.7: {counts:?}");
    }

    #[test]
    fn the_buckets_of_a_node_that_is_gone_go_to_the_others() {
        let mapped = spread_over(&[1, 1, 2]);
        let moves = spread(&mapped, &nodes(&[1, 1]), &[]);
        assert_eq!(moves.len(), 2048, "those of the third, and no other");
        assert_eq!(spread(&mapped, &[], &[]), [], "there is nowhere to go");
    }

    proptest! {
        #[test]
        fn each_node_has_its_share_to_a_bucket(weights in prop::collection::vec(1..1000i64, 1..40)) {
            let mapped = spread_over(&weights);
            let counts = counted(&mapped);
            for place in 0..weights.len() {
                let has = counts.get(&(i64::try_from(place).expect("few") + 1)).copied().unwrap_or(0);
                let due = due(&weights, place);
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let off = (has as f64 - due).abs();
                prop_assert!(off < 2.0, "{has} for {due}");
            }
            prop_assert_eq!(spread(&mapped, &nodes(&weights), &[]), [], "once is enough");
        }

        #[test]
        fn a_node_that_is_added_takes_its_share_and_nothing_else_moves(
            weights in prop::collection::vec(1..1000i64, 1..40), new in 1..1000i64
        ) {
            let mapped = spread_over(&weights);
            let more: Vec<_> = weights.iter().copied().chain([new]).collect();
            let moves = spread(&mapped, &nodes(&more), &[]);
            let added = i64::try_from(more.len()).expect("few");
            prop_assert!(moves.iter().all(|(_, node)| *node == added), "all that moves goes to the new one");
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let off = (moves.len() as f64 - due(&more, weights.len())).abs();
            prop_assert!(off < 1.0, "{} moved, off by {off}", moves.len());
        }
    }
}
