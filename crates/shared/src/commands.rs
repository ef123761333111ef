//! What is said to the server.

use redis::Pipeline;
use std::time::Duration;
use verify::{Kept, Kind, MAX_KEPT, Value};

/// One more than may be: so what is too long is seen to be, and no more than that is sent.
const BOUND: usize = MAX_KEPT;

/// The three scripts compare with who has the name, so that nobody takes it from another.
const CLAIM: &str = "local holder = redis.call('GETRANGE', KEYS[1], 0, ARGV[3])
if holder ~= '' then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false";
const HOLD: &str = "if redis.call('GETRANGE', KEYS[1], 0, ARGV[3]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return false";
const LEAVE: &str = "if redis.call('GETRANGE', KEYS[1], 0, ARGV[3]) ~= ARGV[1] then return false end
if ARGV[4] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[2]) end
return false";

/// What a look gets: facts and a no, empty where there is none.
pub(crate) type Looked = (Vec<u8>, Vec<u8>);
/// What a claim gets: whose the name is, unless it is the asker's now, and a look.
pub(crate) type Claimed = (Option<Vec<u8>>, Vec<u8>, Vec<u8>);

fn facts(name: &str) -> String {
    format!("highwater:f:{{{name}}}")
}

fn no(name: &str) -> String {
    format!("highwater:n:{{{name}}}")
}

fn flight(name: &str) -> String {
    format!("highwater:l:{{{name}}}")
}

pub(crate) fn look(name: &str) -> Pipeline {
    let mut pipeline = Pipeline::new();
    add_look(&mut pipeline, name);
    pipeline
}

pub(crate) fn claim(name: &str, id: &str, term: Duration) -> Pipeline {
    let mut pipeline = Pipeline::new();
    script(&mut pipeline, CLAIM, name, id, term);
    add_look(&mut pipeline, name);
    pipeline
}

pub(crate) fn hold(name: &str, id: &str, term: Duration) -> Pipeline {
    let mut pipeline = Pipeline::new();
    script(&mut pipeline, HOLD, name, id, term);
    pipeline
}

pub(crate) fn keep(name: &str, value: Value<'_>, id: &str) -> Pipeline {
    let mut pipeline = Pipeline::new();
    let key = match value.kind {
        Kind::Facts => facts(name),
        Kind::No => no(name),
    };
    pipeline.cmd("SET").arg(key).arg(value.sealed).arg("PX").arg(milliseconds(value.life));
    if value.kind == Kind::No {
        pipeline.cmd("DEL").arg(facts(name));
    }
    script(&mut pipeline, LEAVE, name, id, Duration::ZERO).arg("");
    pipeline
}

pub(crate) fn leave(name: &str, id: &str, last_words: &[u8], term: Duration) -> Pipeline {
    let mut pipeline = Pipeline::new();
    script(&mut pipeline, LEAVE, name, id, term).arg(last_words);
    pipeline
}

pub(crate) fn kept((facts, no): Looked) -> Kept {
    let some = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
    Kept { facts: some(facts), no: some(no) }
}

fn add_look(pipeline: &mut Pipeline, name: &str) {
    for key in [facts(name), no(name)] {
        pipeline.cmd("GETRANGE").arg(key).arg(0).arg(BOUND);
    }
}

fn script<'a>(
    pipeline: &'a mut Pipeline,
    script: &str,
    name: &str,
    id: &str,
    term: Duration,
) -> &'a mut Pipeline {
    let key = flight(name);
    pipeline.cmd("EVAL").arg(script).arg(1).arg(key).arg(id).arg(milliseconds(term)).arg(BOUND)
}

/// The server takes no zero.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
