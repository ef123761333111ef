use serde::Deserialize;

/// How tokens are checked and how long facts are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far clocks may differ where `exp`, `nbf` and `iat` are judged, in seconds; 60.
    pub leeway_seconds: u32,
    /// The longest that the facts of a verified JWT are remembered, in seconds; 3600. Never past its `exp`.
    pub remember_signed_seconds: u32,
    /// The longest that the identity provider's word is remembered, in seconds; 60.
    pub remember_told_seconds: u32,
    /// How much memory the remembered facts may take, in bytes; 32 MiB.
    pub memory_bytes: u64,
    /// The longest token looked at, in bytes; 8192.
    pub max_token_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            leeway_seconds: 60,
            remember_signed_seconds: 3600,
            remember_told_seconds: 60,
            memory_bytes: 32 * 1024 * 1024,
            max_token_bytes: 8192,
        }
    }
}
