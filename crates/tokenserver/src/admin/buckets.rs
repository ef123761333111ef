//! Buckets of users, and the nodes they are on.

use super::services::{Counter, Of, OfService};
use super::{Desk, given, users};
use crate::Policy;
use crate::rules::{BUCKETS, bucket_of};
use crate::service::TOPIC;
use crate::store::{FindUser, ListShares, MoveBuckets, Share, SpreadBuckets, UserName, WeighNode};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most that a node can weigh.
const HEAVIEST: i64 = i32::MAX as i64;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_buckets))
        .routes(routes!(spread_buckets))
        .routes(routes!(move_buckets))
        .routes(routes!(weigh_node))
        .routes(routes!(bucket_of_user))
        .with_state(desk)
}

/// What a node has of the buckets.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ShareView {
    /// The node's id; absent for buckets that are on no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_id: Option<i64>,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// What it weighs: what was set, else what it can hold.
    weight: i64,
    /// How many of the 4096 buckets are on it.
    count: usize,
    /// Which: `0-9,12`.
    buckets: String,
}

/// How to spread.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Spreading {
    /// Only tell what would move.
    dry_run: bool,
}

/// What moves where.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Moving {
    /// How many buckets moved (in a dry run: would).
    moved: usize,
    /// By node, what came to it.
    to: Vec<Coming>,
}

/// What comes to a node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Coming {
    /// The node's id.
    node_id: i64,
    /// How many buckets.
    count: usize,
    /// Which.
    buckets: String,
}

/// Buckets to be moved.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Buckets {
    /// Which: numbers and ranges, from 0 to 4095: `0-9,12`.
    buckets: String,
    /// Where to: a node by its URL or its id.
    node: String,
}

/// What a node is to weigh.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Weight {
    /// How much, compared with the others: 0 takes no buckets. Absent: as much as it can hold.
    weight: Option<i64>,
}

/// Where a user belongs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Belongs {
    /// Who.
    email: String,
    /// The user's bucket.
    bucket: usize,
    /// The node that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// List the nodes of a service with the buckets that are on them
#[utoipa::path(get, path = "/buckets", tag = "nodes", params(OfService),
    responses((status = 200, body = Vec<ShareView>), (status = 503, body = Problem)))]
async fn list_buckets(State(desk): State<Desk>, Of(service): Of) -> Result<Json<Vec<ShareView>>, Problem> {
    bucketed(&service)?;
    let (shares, homeless) = desk.store.scan(ListShares(service.name.clone())).await?;
    let view = |Share { node, weight, buckets }| ShareView {
        node_id: Some(node.id),
        url: Some(node.url),
        weight,
        count: buckets.len(),
        buckets: in_ranges(&buckets),
    };
    let mut all: Vec<_> = shares.into_iter().map(view).collect();
    if !homeless.is_empty() {
        let (count, buckets) = (homeless.len(), in_ranges(&homeless));
        all.push(ShareView { node_id: None, url: None, weight: 0, count, buckets });
    }
    Ok(Json(all))
}

/// Spread the buckets of a service over its nodes by their weights
///
/// A node that is new takes its share from the others; nothing moves between those. Nodes that are down get none, cordoned
/// ones keep what they have. The users of a bucket that moved are assigned anew when they come.
#[utoipa::path(post, path = "/buckets/spread", tag = "nodes", params(OfService), request_body = Spreading,
    responses((status = 200, body = Moving), (status = 400, body = Problem),
        (status = 409, description = "The service's users are not in buckets", body = Problem),
        (status = 503, body = Problem)))]
async fn spread_buckets(
    State(desk): State<Desk>,
    Of(service): Of,
    body: Result<Json<Spreading>, JsonRejection>,
) -> Result<Json<Moving>, Problem> {
    let Spreading { dry_run } = given(body)?;
    bucketed(&service)?;
    let name = service.name.clone();
    let spread = SpreadBuckets { service: name, dry_run, first_only: false, now: desk.now() };
    let moves = desk.store.run(spread).await?;
    desk.store.signals().send(TOPIC);
    let mut to: Vec<(i64, Vec<usize>)> = Vec::new();
    for (bucket, node_id) in &moves {
        match to.iter_mut().find(|(id, _)| id == node_id) {
            Some((_, buckets)) => buckets.push(*bucket),
            None => to.push((*node_id, vec![*bucket])),
        }
    }
    let coming = |(node_id, mut buckets): (i64, Vec<usize>)| {
        buckets.sort_unstable();
        Coming { node_id, count: buckets.len(), buckets: in_ranges(&buckets) }
    };
    Ok(Json(Moving { moved: moves.len(), to: to.into_iter().map(coming).collect() }))
}

/// Move buckets to a node: their users are assigned to it when they come
#[utoipa::path(post, path = "/buckets/move", tag = "nodes", params(OfService), request_body = Buckets,
    responses((status = 200, body = Moving), (status = 400, body = Problem),
        (status = 404, description = "No such node", body = Problem),
        (status = 409, description = "The node takes nobody, or users are not in buckets", body = Problem),
        (status = 503, body = Problem)))]
async fn move_buckets(
    State(desk): State<Desk>,
    Of(service): Of,
    body: Result<Json<Buckets>, JsonRejection>,
) -> Result<Json<Moving>, Problem> {
    let asked = given(body)?;
    bucketed(&service)?;
    let buckets = of_ranges(&asked.buckets).ok_or_else(|| {
        Problem::invalid(format!(
            "{:?} names no buckets; they are numbers and ranges from 0 to {}, as in 0-9,12",
            asked.buckets,
            BUCKETS - 1
        ))
    })?;
    let node = desk.node(&service.name, &asked.node).await?;
    if node.downed || node.backoff {
        return Err(Problem::conflict(format!("{} takes nobody just now", node.url)));
    }
    let (name, told) = (service.name.clone(), in_ranges(&buckets));
    let moved = MoveBuckets { service: name, buckets, node_id: node.id, now: desk.now() };
    let moved = desk.store.run(moved).await?;
    desk.store.signals().send(TOPIC);
    Ok(Json(Moving { moved, to: vec![Coming { node_id: node.id, count: moved, buckets: told }] }))
}

/// Set what a node weighs where buckets are spread
#[utoipa::path(put, path = "/nodes/{node}/weight", tag = "nodes", params(OfService), request_body = Weight,
    responses((status = 200, body = ShareView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn weigh_node(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
    body: Result<Json<Weight>, JsonRejection>,
) -> Result<Json<ShareView>, Problem> {
    let Weight { weight } = given(body)?;
    if let Some(weight) = weight.filter(|weight| !(0..=HEAVIEST).contains(weight)) {
        return Err(Problem::invalid(format!("the weight is {weight}; it must be from 0 to {HEAVIEST}")));
    }
    let node = desk.node(&service.name, &name).await?;
    desk.store.run(WeighNode { node_id: node.id, weight }).await?;
    let (shares, _) = desk.store.scan(ListShares(service.name.clone())).await?;
    let share = shares.into_iter().find(|share| share.node.id == node.id);
    let Share { node, weight, buckets } = share.ok_or_else(|| Problem::not_found("the node is gone"))?;
    let (count, buckets) = (buckets.len(), in_ranges(&buckets));
    Ok(Json(ShareView { node_id: Some(node.id), url: Some(node.url), weight, count, buckets }))
}

/// Show the bucket that a user is in, and the node that it is on
#[utoipa::path(get, path = "/users/{user}/bucket", tag = "users", params(OfService),
    responses((status = 200, body = Belongs), (status = 400, body = Problem),
        (status = 404, description = "No such row", body = Problem), (status = 409, body = Problem),
        (status = 503, body = Problem)))]
async fn bucket_of_user(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<Belongs>, Problem> {
    bucketed(&service)?;
    let email = match users::parse(&name)? {
        // Whoever has not come yet has a bucket too.
        UserName::Email(email) => email,
        row @ UserName::Uid(_) => {
            let found = desk.store.scan(FindUser(service.name.clone(), row)).await?;
            found.ok_or_else(|| users::stranger(&name))?.0
        }
    };
    let bucket = bucket_of(&email);
    let (shares, _) = desk.store.scan(ListShares(service.name.clone())).await?;
    let share = shares.into_iter().find(|share| share.buckets.contains(&bucket));
    Ok(Json(Belongs { email, bucket, url: share.map(|share| share.node.url) }))
}

fn bucketed(service: &Counter) -> Result<(), Problem> {
    if service.placement.policy == Policy::Bucketed {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "the users of {} go to the least loaded node; `allocation = \"bucketed\"` puts them in buckets",
        service.name
    )))
}

/// `0-9,12` of ascending numbers.
fn in_ranges(buckets: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for bucket in buckets {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *bucket => *last = *bucket,
            _ => ranges.push((*bucket, *bucket)),
        }
    }
    let range = |(first, last): (usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(",")
}

/// The numbers of `0-9,12`, ascending, each once; `None` when it names none, or one that is none.
fn of_ranges(text: &str) -> Option<Vec<usize>> {
    let mut buckets = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= BUCKETS {
            return None;
        }
        buckets.extend(first..=last);
    }
    buckets.sort_unstable();
    buckets.dedup();
    Some(buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_named_by_ranges() {
        let again = |text| of_ranges(text).map(|buckets| in_ranges(&buckets));
        assert_eq!(again("0-9,12").as_deref(), Some("0-9,12"));
        assert_eq!(again(" 7, 4-5,5,6").as_deref(), Some("4-7"));
        assert_eq!(again("4095").as_deref(), Some("4095"));
        for odd in ["", "4096", "5-4", "x", "1,,2", "-1"] {
            assert_eq!(again(odd), None, "{odd}");
        }
    }
}
