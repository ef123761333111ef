use serde::Deserialize;
use serde::de::Error;

/// Reads a value from JSON text that must be an object.
///
/// Derived readers take an array for a struct as well, its members by position. Headers, claims and keys are objects
/// (RFC 7515 section 4, RFC 7519 section 4, RFC 7517 section 4): an array is refused here.
pub fn from_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    match json.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(json),
        _ => Err(serde_json::Error::custom("not a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Named {
        name: String,
    }

    #[test]
    fn an_array_is_no_object_even_if_its_members_fit() {
        assert!(serde_json::from_slice::<Named>(br#"["x"]"#).is_ok(), "what a derived reader would do");
        assert!(from_object::<Named>(br#"["x"]"#).is_err());
        assert_eq!(from_object::<Named>(b" {\"name\":\"x\"}").expect("an object").name, "x");
    }
}
