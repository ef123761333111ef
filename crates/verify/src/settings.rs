use serde::Deserialize;

/// How tokens are checked and how long facts are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far clocks may differ where `exp`, `nbf` and `iat` are judged, in seconds; 60.
    pub leeway_seconds: u32,
    /// The longest that the facts of a verified JWT are remembered, in seconds; 3600. Never past its `exp`.
    pub remember_signed_seconds: u32,
    /// The longest that the identity provider's word is remembered, in seconds; 60. Never past the token's `exp`, and for
    /// each token up to a fifth less, so that those learned together do not end together.
    pub remember_told_seconds: u32,
    /// When the identity provider's word is asked for anew in the background, in seconds after it was given; 40. For each
    /// token up to 15 % sooner or later. Nothing is refreshed that is not read.
    pub refresh_told_seconds: u32,
    /// How long the identity provider's no is remembered, in seconds; 20.
    pub remember_inactive_seconds: u32,
    /// How much memory the remembered facts may take, in bytes; 32 MiB.
    pub memory_bytes: u64,
    /// How much memory the remembered noes may take, in bytes; 1 MiB. They never crowd out facts.
    pub inactive_bytes: u64,
    /// The longest token looked at, in bytes; 8192.
    pub max_token_bytes: usize,
    /// For whoever follows the feed: how long it may be unreadable before anything changes, in seconds; 30. Longer than
    /// the failover of a database.
    pub feed_grace_seconds: u32,
    /// The longest that facts are remembered while the feed has been unreadable for longer than that, in seconds; 60.
    pub remember_unfed_seconds: u32,
    /// After how long without the feed nothing stale is given out any more, in seconds; 300.
    pub feed_lost_seconds: u32,
    /// The longest that facts are remembered then, in seconds; 10.
    pub remember_lost_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            leeway_seconds: 60,
            remember_signed_seconds: 3600,
            remember_told_seconds: 60,
            refresh_told_seconds: 40,
            remember_inactive_seconds: 20,
            memory_bytes: 32 * 1024 * 1024,
            inactive_bytes: 1024 * 1024,
            max_token_bytes: 8192,
            feed_grace_seconds: 30,
            remember_unfed_seconds: 60,
            feed_lost_seconds: 300,
            remember_lost_seconds: 10,
        }
    }
}
