//! Somebody who watches sessions, over a plain socket.

use crate::house::Node;
use crate::world::PATIENCE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

/// What they know: the live sessions and their versions, and up to which place.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(crate) live: BTreeMap<String, i64>,
    pub(crate) place: Option<String>,
}

impl Replica {
    /// Goes on at a node from where it was, until a bookmark at which this holds. All that was heard, as it was sent.
    pub(crate) fn follow(&mut self, node: &Node, token: &str, holds: impl Fn(&Self) -> bool) -> String {
        let mut stream = TcpStream::connect(node.at("service")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let after = self.place.as_ref().map_or_else(String::new, |place| format!("?after={place}"));
        // HTTP/1.0: what comes is what was written, without chunks.
        write!(stream, "GET /watch{after} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
            .expect("sent");
        let (until, mut heard, mut event) = (Instant::now() + PATIENCE, String::new(), String::new());
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            heard.push_str(&line);
            heard.push('\n');
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event),
                Some(("id", place)) => self.place = Some(place.to_owned()),
                Some(("data", data)) if event == "session" => self.hear(data),
                Some(("data", _)) if event == "bookmark" && holds(self) => return heard,
                _ => {}
            }
            assert!(Instant::now() < until, "it never came to that: {self:?}\n{heard}");
        }
        panic!("it ended: {self:?}\n{heard}");
    }

    fn hear(&mut self, data: &str) {
        let view: Value = serde_json::from_str(data).expect("JSON");
        let id = view["id"].as_str().expect("an id").to_owned();
        if view["state"] == "live" {
            self.live.insert(id, view["version"].as_i64().expect("a number"));
        } else {
            self.live.remove(&id);
        }
    }
}
