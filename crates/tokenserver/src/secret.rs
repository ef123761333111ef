use serde::Deserialize;
use std::fmt;
use zeroize::Zeroize;

/// A secret of the configuration: raw text, taken byte for byte (a hex-looking one is not decoded, a number-shaped
/// one stays text), never shown, wiped when it goes.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, for deriving keys from them.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(empty)" } else { "Secret(…)" })
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_number_shaped_secret_stays_the_text_it_was() {
        let secret: Secret = serde_json::from_str(r#""0123""#).expect("a string");
        assert_eq!(secret.expose(), b"0123");
        assert!(serde_json::from_str::<Secret>("123").is_err());
    }
}
