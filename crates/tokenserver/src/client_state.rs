use std::fmt;

/// The longest client state, in bytes: the column holds 32 characters of hex.
const MAX_BYTES: usize = 16;

/// The fingerprint of the key a client encrypts under, as lower-case hex text; empty when it has none.
///
/// Small and copied freely, so that no request allocates for it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientState {
    hex: [u8; 2 * MAX_BYTES],
    length: u8,
}

impl ClientState {
    /// No key yet.
    pub const EMPTY: Self = Self { hex: [0; 2 * MAX_BYTES], length: 0 };

    /// The fingerprint's hex. `None` when there are more than 16 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut state = Self::EMPTY;
        let length = 2 * bytes.len();
        hex::encode_to_slice(bytes, state.hex.get_mut(..length)?).ok()?;
        state.length = u8::try_from(length).ok()?;
        Some(state)
    }

    /// The hex text: what rows hold and what is compared.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.hex[..usize::from(self.length)]).expect("hex digits are ASCII")
    }
}

impl fmt::Debug for ClientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_state_is_lower_case_hex_of_at_most_sixteen_bytes() {
        assert_eq!(ClientState::from_bytes(&[0xaa, 0xAB]).expect("short").as_str(), "aaab");
        assert_eq!(ClientState::from_bytes(&[]).expect("short"), ClientState::EMPTY);
        assert_eq!(ClientState::from_bytes(&[7; 16]).expect("fits").as_str().len(), 32);
        assert_eq!(ClientState::from_bytes(&[7; 17]), None);
    }
}
