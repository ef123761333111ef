//! The machine as the field has it, told a second time and plainly: rows in a list, each step written down as the
//! service it replaces takes it (assign first, check then), a refused request undone as a whole. Whatever requests
//! and operators do, both must give the same answers.

use super::*;
use proptest::prelude::*;

/// What the two tellings are compared by: the refusal's words, or generation and key change of the row served.
type Answer = Result<(i64, Option<i64>), String>;

/// The plain telling.
#[derive(Clone, Default)]
struct Plain(Vec<Row>);

impl Plain {
    fn newest_first(&self) -> Vec<Row> {
        let mut rows = self.0.clone();
        rows.reverse();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        rows.truncate(20);
        rows.sort_by_key(|row| (std::cmp::Reverse(row.generation), std::cmp::Reverse(row.created_at)));
        rows
    }

    fn insert(&mut self, row: Row, now: i64) -> Row {
        let uid = i64::try_from(self.0.len()).expect("few");
        let inserted = Row { uid, created_at: Millis::new(now), replaced_at: None, ..row };
        self.0.push(inserted.clone());
        inserted
    }

    fn request(&mut self, now: i64, asked: &Presented) -> Answer {
        let before = self.0.clone();
        let answer = self.exchange(now, asked);
        if answer.is_err() {
            self.0 = before;
        }
        answer
    }

    fn exchange(&mut self, now: i64, asked: &Presented) -> Answer {
        let (g, k, c) = (asked.generation, asked.keys_changed_at, asked.client_state.as_str());
        let rows = self.newest_first();
        let Some(mut user) = rows.first().cloned() else {
            let new = Row {
                generation: g.unwrap_or(0),
                keys_changed_at: k,
                client_state: c.to_owned(),
                node: Some("https://chosen".to_owned()),
                ..row()
            };
            let inserted = self.insert(new, now);
            return Ok((inserted.generation, inserted.keys_changed_at));
        };
        for old in self.0.iter_mut().filter(|old| old.uid != user.uid && old.replaced_at.is_none()) {
            old.replaced_at = Some(user.created_at);
        }
        if (user.replaced_at.is_some() || user.node.is_none()) && user.generation != i64::MAX {
            let gone = self.0.iter_mut().filter(|old| old.replaced_at.is_none());
            gone.for_each(|old| old.replaced_at = Some(Millis::new(now)));
            user = self.insert(Row { node: Some("https://chosen".to_owned()), ..user }, now);
        } else if user.node.is_none() {
            return Err("Server error".to_owned());
        }
        let left_behind =
            rows[1..].iter().any(|old| old.client_state == c && old.client_state != user.client_state);
        let old = user.keys_changed_at;
        let refuse = |words: &str| Err(words.to_owned());
        match () {
            () if matches!((k, old, g), (Some(k), Some(old), Some(g)) if k > old && g < k) => refuse("keys")?,
            () if c.is_empty() && !user.client_state.is_empty() => refuse("empty string")?,
            () if left_behind => refuse("stale value")?,
            () if c != user.client_state && matches!(g, Some(g) if g <= user.generation) => {
                refuse("no generation change")?;
            }
            () if c != user.client_state && matches!((k, old), (Some(k), Some(old)) if k <= old) => {
                refuse("no keys_changed_at change")?;
            }
            () if matches!(g, Some(g) if g < user.generation) => refuse("generation")?,
            () if g.is_none() && user.generation == i64::MAX => refuse("generation")?, // mended
            () if matches!((k, old), (Some(k), Some(old)) if k < old) => refuse("keys")?,
            () if k.is_none() && !matches!(old, None | Some(0)) => refuse("keys")?,
            () => (),
        }
        let new_k = if k.is_some() { k } else { old.map(|_| 0) };
        let new_g = match (g, k) {
            (Some(g), _) => g,
            (None, Some(k)) if k > user.generation && old.is_none_or(|old| k > old) => k,
            _ => user.generation,
        };
        if c == user.client_state {
            for live in self.0.iter_mut().filter(|live| live.replaced_at.is_none()) {
                (live.generation, live.keys_changed_at) = (new_g, new_k);
            }
        } else {
            self.0
                .iter_mut()
                .filter(|live| live.replaced_at.is_none())
                .for_each(|live| live.replaced_at = Some(Millis::new(now)));
            let next = Row { generation: new_g, keys_changed_at: new_k, client_state: c.to_owned(), ..user };
            self.insert(next, now);
        }
        Ok((new_g, new_k))
    }
}

/// The rules at work: rows changed as the store changes them.
#[derive(Clone, Default)]
struct Ours(Vec<Row>);

impl Ours {
    fn request(&mut self, now: i64, asked: &Presented) -> Result<(Decision, i64), Refusal> {
        let decision = decide(self.0.clone(), &Ledgered::default(), asked, NewUsers::Welcome)?;
        let (uid, replaced_at) = match &decision.step {
            Step::Serve(home) => (home.uid, home.created_at),
            Step::Raise(home) => {
                let row = self.0.iter_mut().find(|row| row.uid == home.uid).expect("a row that is there");
                (row.generation, row.keys_changed_at) = (decision.generation, decision.keys_changed_at);
                (home.uid, home.created_at)
            }
            Step::Replace(_) | Step::Assign => self.insert(now, asked, &decision),
        };
        if !decision.is_as_is() {
            for stray in self.0.iter_mut().filter(|row| row.uid != uid && row.replaced_at.is_none()) {
                stray.replaced_at = Some(replaced_at);
            }
        }
        Ok((decision, uid))
    }

    fn insert(&mut self, now: i64, asked: &Presented, decision: &Decision) -> (i64, Millis) {
        let uid = i64::try_from(self.0.len()).expect("few");
        let created_at = Millis::new(now).max(decision.newest);
        let node = Some(match &decision.step {
            Step::Replace(home) => home.node.clone(),
            _ => "https://chosen".to_owned(),
        });
        self.0.push(Row {
            uid,
            generation: decision.generation,
            keys_changed_at: decision.keys_changed_at,
            client_state: asked.client_state.as_str().to_owned(),
            created_at,
            node,
            ..row()
        });
        (uid, created_at)
    }

    fn live(&self) -> Vec<&Row> {
        self.0.iter().filter(|row| row.replaced_at.is_none()).collect()
    }
}

fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::InvalidKeysChangedAt => "keys".to_owned(),
        Refusal::InvalidGeneration => "generation".to_owned(),
        other => {
            let description = other.wire().description.to_owned();
            description
                .trim_start_matches("Unacceptable client-state value ")
                .trim_start_matches("new value with ")
                .to_owned()
        }
    }
}

/// What happens to a user.
#[derive(Clone, Debug)]
enum Happening {
    Request(Presented),
    Unassign,
    NodeGone,
    Retire,
    /// A row of a race of former days: live beside the current one.
    Stray(i64),
}

fn any_presented() -> impl Strategy<Value = Presented> {
    let generation = prop_oneof![6 => 0..8i64, 1 => Just(RETIRED)];
    (generation, 0..8i64, prop::sample::select(vec!["", "aa", "bb", "cc"]))
        .prop_map(|(generation, keys, state)| presented(generation, keys, state))
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => any_presented().prop_map(Happening::Request),
        2 => Just(Happening::Unassign),
        1 => Just(Happening::NodeGone),
        1 => Just(Happening::Retire),
        2 => (0..8i64).prop_map(Happening::Stray),
    ]
}

fn befall(rows: &mut Vec<Row>, happening: &Happening, now: i64) {
    match happening {
        Happening::Request(_) => {}
        Happening::Unassign => rows.iter_mut().for_each(|row| row.replaced_at = Some(Millis::new(now))),
        Happening::NodeGone => rows.iter_mut().for_each(|row| row.node = None),
        Happening::Retire => {
            for row in rows.iter_mut().filter(|row| row.replaced_at.is_none()) {
                (row.generation, row.replaced_at) = (RETIRED, Some(Millis::new(now)));
            }
        }
        Happening::Stray(generation) => {
            let uid = i64::try_from(rows.len()).expect("few");
            let (generation, client_state) = (*generation, "dd".to_owned());
            rows.push(Row {
                uid,
                generation,
                client_state,
                created_at: Millis::new(now),
                keys_changed_at: None,
                ..row()
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_rules_answer_as_the_plain_telling_does(happenings in prop::collection::vec(any_happening(), 1..18)) {
        let (mut plain, mut ours) = (Plain::default(), Ours::default());
        let mut highest = 0;
        for (now, happening) in (1000..).zip(&happenings) {
            befall(&mut plain.0, happening, now);
            befall(&mut ours.0, happening, now);
            let Happening::Request(asked) = happening else { continue };
            let before = ours.0.clone();
            let expected = plain.request(now, asked);
            let answered = ours.request(now, asked);
            let comparable = answered.clone().map(|(d, _)| (d.generation, d.keys_changed_at)).map_err(|r| words(&r));
            prop_assert_eq!(comparable, expected, "after {:?}", &happenings);
            let Ok((decision, uid)) = answered else {
                prop_assert_eq!(&ours.0, &before, "a refused request changes nothing");
                continue;
            };
            prop_assert!(decision.generation >= highest, "the generation never goes backwards");
            highest = decision.generation;
            if decision.generation == RETIRED && ours.live().is_empty() {
                continue; // a retired user let through
            }
            prop_assert_eq!(ours.live().len(), 1, "exactly one live row");
            let served = ours.live()[0];
            prop_assert_eq!(served.uid, uid, "and it is the one served");
            prop_assert_eq!(served.client_state.as_str(), asked.client_state.as_str());
        }
    }
}
