use super::lookup::{Known, no_service};
use super::rooms::Rooms;
use crate::Refusal;
use crate::rules::{self, Decision, Home, NewUsers, Presented, ServiceName, Step};
use account::{AccountId, Millis};
use ledger::Tombstones;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use store::{Operation, RowSet, StoreError, Tx};
use utoipa::ToSchema;

store::statements! {
    /// What [`Lookup`](super::Lookup) reads, for many users; under their accounts' locks.
    pub(super) static LOAD = per_engine {
        sqlite: "select r.n, s.id, t.deleted_at,
                a.mark, a.credential_at, a.state,
                u.uid, u.generation, u.client_state, u.created_at, u.replaced_at, u.keys_changed_at, u.nodeid, n.node
            from services s
            cross join {rows $2: n bigint, idp text, subject text, email text, tombstone text} as r
            left join accounts a on a.idp = r.idp and a.subject = r.subject
            left join tombstones t on t.account = r.tombstone
            left join users u on u.uid in (
                select x.uid from users x where x.email = r.email and x.service + 0 = s.id
                order by x.created_at desc, x.uid desc limit 20
            )
            left join nodes n on n.id = u.nodeid and (n.downed <> 2 or u.generation = 9223372036854775807)
            where s.service = $1",
        // The laterals keep their limits, and so each user is found by the index however little is known of the sizes.
        postgres: "select r.n, s.id, t.deleted_at,
                a.mark, a.credential_at, a.state,
                u.uid, u.generation, u.client_state, u.created_at, u.replaced_at, u.keys_changed_at, u.nodeid, n.node
            from services s
            cross join {rows $2: n bigint, idp text, subject text, email text, tombstone text} as r
            left join lateral (
                select * from accounts x where x.idp = r.idp and x.subject = r.subject limit 1
            ) a on true
            left join lateral (
                select * from users x where x.email = r.email and x.service + 0 = s.id
                order by x.created_at desc, x.uid desc limit 20
            ) u on true
            left join lateral (select * from tombstones x where x.account = r.tombstone limit 1) t on true
            left join nodes n on n.id = u.nodeid and (n.downed <> 2 or u.generation = 9223372036854775807)
            where s.service = $1",
    };
    pub(super) static INSERT = both(
        "insert into users (service, email, generation, client_state, created_at, nodeid, keys_changed_at)
        select $1, r.email, r.generation, r.client_state, r.created_at, r.node_id, r.keys_changed_at
        from {rows $2: email text, generation bigint, client_state text, created_at bigint, node_id bigint,
            keys_changed_at bigint} as r
        where true
        returning uid, email"
    );
    /// Every live row of these users but the one that counts.
    pub(super) static REPLACE = both(
        "update users set replaced_at = r.at
        from {rows $2: email text, uid bigint, at bigint} as r
        where users.email = r.email and users.uid <> r.uid and users.service + 0 = $1
            and users.replaced_at + 0 is null and r.uid + 0 = r.uid
        returning nodeid"
    );
    /// Guarded, so that nothing moves backwards.
    pub(super) static RAISE = both(
        "update users set generation = r.generation, keys_changed_at = r.keys_changed_at
        from {rows $1: uid bigint, generation bigint, keys_changed_at bigint} as r
        where users.uid = r.uid and users.replaced_at + 0 is null and r.uid + 0 = r.uid
            and users.generation <= r.generation
            and coalesce(users.keys_changed_at, 0) <= coalesce(r.keys_changed_at, users.keys_changed_at, 0)"
    );
}

/// One user's request that the rows have to change for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The account.
    pub account: AccountId,
    /// As it stands in the rows.
    pub email: String,
    /// What the request presents.
    pub presented: Presented,
}

/// How users are placed.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    /// In which service.
    pub service: ServiceName,
    /// Whether new ones are taken.
    pub new_users: NewUsers,
    /// Who is taken in any case: by email, or by subject.
    pub allowed: Arc<HashSet<String>>,
    /// Which node a user goes to.
    pub policy: Policy,
    /// Which part of a full node's capacity is opened at a time, in millionths.
    pub release_millionths: i64,
    /// The node everybody goes to, if there is one.
    pub only_node: Option<i64>,
}

/// Which node a user goes to who has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The least loaded one.
    #[default]
    LeastLoaded,
    /// The one that the user's bucket is on, while that takes users.
    Bucketed,
}

impl Placement {
    /// Whether this user is taken, even when everybody else is not.
    pub(crate) fn is_allowed(&self, email: &str) -> bool {
        let subject = email.rsplit_once('@').map_or(email, |(subject, _)| subject);
        self.allowed.contains(email) || self.allowed.contains(subject)
    }

    /// What becomes of this user when it is a new one.
    pub(crate) fn new_user(&self, email: &str) -> NewUsers {
        match self.new_users {
            NewUsers::Refused if self.is_allowed(email) => NewUsers::Welcome,
            all => all,
        }
    }
}

/// What a request is served from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The user row.
    pub uid: i64,
    /// Its node, as stored.
    pub node: String,
    /// The time in the key id.
    pub key_time: i64,
    /// When the user was first seen.
    pub first_seen_at: Millis,
}

impl Served {
    /// What a decision serves without any change; the decision itself when something has to be written first.
    pub(crate) fn as_is(decision: Decision) -> Result<Self, Decision> {
        if !decision.is_as_is() {
            return Err(decision);
        }
        let (key_time, first_seen_at) = (decision.key_time(), decision.first_seen_at);
        match decision.step {
            Step::Serve(home) => Ok(Self::at(home, key_time, first_seen_at)),
            step => Err(Decision { step, ..decision }),
        }
    }

    fn at(home: Home, key_time: i64, first_seen_at: Option<Millis>) -> Self {
        let first_seen_at = first_seen_at.unwrap_or(home.created_at);
        Self { uid: home.uid, key_time, first_seen_at, node: home.node }
    }
}

/// Carries out what requests change: decides each again under its account's lock, so that of many at once for one
/// user the first makes the row and the others find it. All users are different ones.
pub(crate) struct Settle {
    /// The requests.
    pub asked: Vec<Asked>,
    /// How users are placed.
    pub placement: Arc<Placement>,
    /// Where deleted accounts that were forgotten are remembered.
    pub tombstones: Tombstones,
    /// The time.
    pub now: Millis,
}

impl Operation for Settle {
    const NAME: &'static str = "storage.settle";
    type Output = Vec<Result<Served, Refusal>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let accounts: Vec<_> = self.asked.iter().map(|asked| asked.account.clone()).collect();
        tx.lock_accounts(&accounts).await?;
        let (service, mut known) = self.load(tx).await?;
        let emails: Vec<_> = self.asked.iter().map(|asked| asked.email.as_str()).collect();
        let mut rooms = Rooms::of(tx, service, &self.placement, &emails).await?;
        for (email, known) in emails.iter().zip(&mut known) {
            // Who is left behind by a bucket that has moved has no node any more.
            if let Some(mapped) = rooms.bucket_of(email) {
                mapped.unsettle(&mut known.rows);
            }
        }
        let mut plans = Vec::with_capacity(self.asked.len());
        for (asked, known) in self.asked.iter().zip(known) {
            plans.push(self.plan(tx, &mut rooms, asked, known).await?);
        }
        add(tx, service, &mut plans).await?;
        for node_id in replace(tx, service, &plans).await? {
            rooms.leave(node_id);
        }
        raise(tx, &plans).await?;
        rooms.count(tx).await?;
        Ok(plans.into_iter().map(|plan| plan.map(Plan::served)).collect())
    }
}

impl Settle {
    async fn load(&self, tx: &mut Tx<'_>) -> Result<(i64, Vec<Known>), StoreError> {
        #[derive(Serialize)]
        struct Given<'a> {
            n: usize,
            idp: &'a str,
            subject: &'a str,
            email: &'a str,
            tombstone: String,
        }
        let given = RowSet::of(self.asked.iter().enumerate().map(|(n, asked)| Given {
            n,
            idp: asked.account.idp.as_str(),
            subject: asked.account.subject.as_str(),
            email: &asked.email,
            tombstone: self.tombstones.hash(&asked.account),
        }));
        let mut service = None;
        let mut known = vec![Known::default(); self.asked.len()];
        let take = |row: &store::Row<'_>| {
            service = Some(row.int(1)?);
            let place = usize::try_from(row.int(0)?).ok().and_then(|n| known.get_mut(n));
            let place = place.expect("the numbers are those given");
            place.forgotten(row.opt_int(2)?);
            place.take(row, 3)
        };
        let name = &self.placement.service;
        tx.query(&LOAD, &[name.as_str().into(), (&given).into()], take).await?;
        Ok((service.ok_or_else(|| no_service(name))?, known))
    }

    /// Decides a request under the lock and, when it is to be assigned anew, takes a place for it.
    async fn plan<'a>(
        &self,
        tx: &mut Tx<'_>,
        rooms: &mut Rooms<'_>,
        asked: &'a Asked,
        known: Known,
    ) -> Result<Result<Plan<'a>, Refusal>, StoreError> {
        let new_users = self.placement.new_user(&asked.email);
        let decided = rules::decide(known.rows, &known.ledgered, &asked.presented, new_users);
        let decision = match decided {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(decision) => decision,
        };
        // Never older than the rows there are, however the clock was set since.
        let created_at = self.now.max(decision.newest);
        let (change, home) = match decision.step.clone() {
            Step::Serve(home) => (Change::Keep, home),
            Step::Raise(home) => (Change::Raise, home),
            Step::Replace(home) => (Change::Add, Home { created_at, ..rooms.stay(home) }),
            Step::Assign => match rooms.take(tx, &asked.email).await? {
                None => return Ok(Err(Refusal::NoNode)),
                Some((node_id, node)) => (Change::Add, Home { uid: 0, created_at, node_id, node }),
            },
        };
        Ok(Ok(Plan { asked, decision, change, home }))
    }
}

/// What is done for one user.
struct Plan<'a> {
    asked: &'a Asked,
    decision: Decision,
    change: Change,
    home: Home,
}

/// What is done with the row that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Keep,
    Raise,
    Add,
}

impl Plan<'_> {
    /// Whether other rows may be live.
    fn replaces(&self) -> bool {
        self.decision.strays || (self.change == Change::Add && self.decision.first_seen_at.is_some())
    }

    fn served(self) -> Served {
        Served::at(self.home, self.decision.key_time(), self.decision.first_seen_at)
    }
}

type Plans<'a> = [Result<Plan<'a>, Refusal>];

fn with<'p, 'a>(plans: &'p Plans<'a>, change: Change) -> impl Iterator<Item = &'p Plan<'a>> {
    plans.iter().flatten().filter(move |plan| plan.change == change)
}

/// Inserts the rows that are added, and notes the ids they got.
async fn add(tx: &mut Tx<'_>, service: i64, plans: &mut Plans<'_>) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Added<'a> {
        email: &'a str,
        generation: i64,
        client_state: &'a str,
        created_at: Millis,
        node_id: i64,
        keys_changed_at: Option<i64>,
    }
    let added = RowSet::of(with(plans, Change::Add).map(|plan| Added {
        email: &plan.asked.email,
        generation: plan.decision.generation,
        client_state: plan.asked.presented.client_state.as_str(),
        created_at: plan.home.created_at,
        node_id: plan.home.node_id,
        keys_changed_at: plan.decision.keys_changed_at,
    }));
    if added.is_empty() {
        return Ok(());
    }
    let made = |row: &store::Row<'_>| Ok((row.text(1)?.to_owned(), row.int(0)?));
    let uids: HashMap<_, _> =
        tx.query(&INSERT, &[service.into(), (&added).into()], made).await?.into_iter().collect();
    for plan in plans.iter_mut().flatten().filter(|plan| plan.change == Change::Add) {
        plan.home.uid = *uids.get(&plan.asked.email).expect("each inserted row is answered with its email");
    }
    Ok(())
}

/// Marks what was left live beside the rows that count; the nodes they were on, a row each.
async fn replace(tx: &mut Tx<'_>, service: i64, plans: &Plans<'_>) -> Result<Vec<i64>, StoreError> {
    #[derive(Serialize)]
    struct Kept<'a> {
        email: &'a str,
        uid: i64,
        at: Millis,
    }
    let kept = RowSet::of(plans.iter().flatten().filter(|plan| plan.replaces()).map(|plan| Kept {
        email: &plan.asked.email,
        uid: plan.home.uid,
        at: plan.home.created_at,
    }));
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    tx.query(&REPLACE, &[service.into(), (&kept).into()], |row| row.int(0)).await
}

async fn raise(tx: &mut Tx<'_>, plans: &Plans<'_>) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Raised {
        uid: i64,
        generation: i64,
        keys_changed_at: Option<i64>,
    }
    let raised = RowSet::of(with(plans, Change::Raise).map(|plan| Raised {
        uid: plan.home.uid,
        generation: plan.decision.generation,
        keys_changed_at: plan.decision.keys_changed_at,
    }));
    if raised.is_empty() {
        return Ok(());
    }
    tx.execute(&RAISE, &[(&raised).into()]).await.map(drop)
}
