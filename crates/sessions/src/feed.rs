//! Watching: first how every session is, then each that changes, without a gap; whoever was cut off goes on where they were.

use crate::capability::Inner;
use crate::meters;
use crate::store::changes::{APPENDED, Head, PAGE, Page, Place, ReadAfter, ReadHead, ReadSnapshot, TOPIC};
use crate::store::rows::SessionView;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use store::{Engine, StoreError};
use tokio::sync::watch;
use work::Tick;

/// How long a watcher waits for a signal before it looks by itself.
const LOOK: Duration = Duration::from_secs(1);
/// A place is told at least this often, so that whoever watches knows that nothing was missed.
const BOOKMARK: u32 = 10;

/// A place in the feed: of which life of the store, and the last change that was read. Written `EPOCH:POSITION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) epoch: String,
    pub(crate) position: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.position)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, position) = text.split_once(':').ok_or(())?;
        let is_epoch = epoch.len() == 32 && epoch.bytes().all(|it| it.is_ascii_hexdigit());
        let position = position.parse().ok().filter(|it| *it >= 0).ok_or(())?;
        if is_epoch { Ok(Self { epoch: epoch.to_owned(), position }) } else { Err(()) }
    }
}

/// Something a watcher is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Word {
    /// How a session is now.
    Session(Box<SessionView>),
    /// Everything up to there was told.
    Bookmark(Cursor),
    /// What follows the place is kept no longer, or is of another life of the store: start over.
    TooOld,
}

/// Somebody who watches.
pub(crate) struct Watcher {
    inner: Arc<Inner>,
    news: watch::Receiver<u64>,
    stage: Stage,
    idle: u32,
}

enum Stage {
    /// Nothing was read yet.
    Begin,
    /// How everything is, from this id on; then the changes since this place.
    Snapshot {
        after: String,
        then: Cursor,
    },
    Tail(Cursor),
    Over,
}

impl Watcher {
    /// From a place on, or from how everything is now.
    pub(crate) fn new(inner: Arc<Inner>, from: Option<Cursor>) -> Self {
        let news = inner.store.signals().listen(TOPIC);
        Self { news, inner, stage: from.map_or(Stage::Begin, Stage::Tail), idle: BOOKMARK }
    }

    /// What there is to tell next; waits until there is something. Empty: it is over. After an error, call again.
    pub(crate) async fn next(&mut self) -> Result<Vec<Word>, StoreError> {
        loop {
            let words = match &self.stage {
                Stage::Over => return Ok(Vec::new()),
                Stage::Begin => {
                    let Head { epoch, last, .. } = self.inner.store.scan(ReadHead).await?;
                    // The place is read before the sessions: what changes meanwhile is told again.
                    let then = Cursor { epoch, position: last };
                    self.stage = Stage::Snapshot { after: String::new(), then };
                    Vec::new()
                }
                Stage::Snapshot { after, then } => self.snapshot(after.clone(), then.clone()).await?,
                Stage::Tail(cursor) => self.tail(cursor.clone()).await?,
            };
            if !words.is_empty() {
                return Ok(words);
            }
        }
    }

    /// A session as it is to be seen now.
    pub(crate) fn judged(&self, view: SessionView) -> SessionView {
        self.inner.judged(view)
    }

    async fn snapshot(&mut self, after: String, then: Cursor) -> Result<Vec<Word>, StoreError> {
        let sessions = self.inner.store.scan(ReadSnapshot { after, limit: PAGE }).await?;
        let last = sessions.last().map(|it| it.id.to_string());
        let is_last = sessions.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let mut words: Vec<Word> = sessions.into_iter().map(|it| Word::Session(Box::new(it))).collect();
        self.stage = match last {
            Some(after) if !is_last => Stage::Snapshot { after, then },
            _ => {
                words.push(Word::Bookmark(then.clone()));
                self.idle = 0;
                Stage::Tail(then)
            }
        };
        Ok(words)
    }

    async fn tail(&mut self, cursor: Cursor) -> Result<Vec<Word>, StoreError> {
        self.news.mark_unchanged();
        let Page { head, sessions, read_to, oldest } =
            self.inner.store.scan(ReadAfter(cursor.position)).await?;
        // The last change is always kept, so a gap shows: what comes first is not what would follow.
        let is_gone = head.epoch != cursor.epoch
            || cursor.position > head.last
            || (head.first > cursor.position + 1 && head.last > cursor.position);
        if is_gone {
            self.stage = Stage::Over;
            return Ok(vec![Word::TooOld]);
        }
        if let Some(oldest) = oldest {
            meters::told(self.inner.now().since(oldest));
        }
        let next = Cursor { position: read_to, ..cursor.clone() };
        let mut words: Vec<Word> = sessions.into_iter().map(|it| Word::Session(Box::new(it))).collect();
        if next != cursor || self.idle >= BOOKMARK {
            words.push(Word::Bookmark(next.clone()));
            self.idle = 0;
        }
        self.stage = Stage::Tail(next);
        if words.is_empty() {
            self.idle += 1;
            drop(tokio::time::timeout(LOOK, self.news.changed()).await);
        }
        Ok(words)
    }
}

/// Gives positions to changes that have committed, and tells those who watch. On SQLite they have them already.
pub(crate) async fn place(inner: Arc<Inner>) -> Tick {
    if inner.store.engine() == Engine::Sqlite {
        inner.store.signals().send(TOPIC);
        return Tick::Idle;
    }
    match inner.store.run(Place).await {
        Ok(0) => Tick::Idle,
        Ok(_) => {
            inner.store.signals().send(TOPIC);
            Tick::More
        }
        Err(error) => {
            tracing::warn!(%error, "changes of sessions could not be given positions");
            Tick::Failed
        }
    }
}

/// Whoever has appended a change says so.
pub(crate) fn appended(inner: &Inner) {
    inner.store.signals().send(APPENDED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text() {
        let cursor = Cursor { epoch: "0".repeat(32), position: 7 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for odd in ["", "7", ":7", "zz:7", &format!("{}:-1", "0".repeat(32))] {
            assert_eq!(odd.parse::<Cursor>(), Err(()), "{odd}");
        }
    }
}
