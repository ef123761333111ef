use crate::base64url::decode;
use crate::{Algorithm, BadSignature, PublicKey, from_object, is_base64url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// The longest token taken apart, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// The longest header read, in characters of its base64url.
pub const MAX_HEADER: usize = 2048;

/// A token that is no JWS of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Over [`MAX_TOKEN`] bytes, or its header over [`MAX_HEADER`].
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url.
    #[error("the token is not three parts of base64url")]
    Shape,
    /// The header is not a JSON object with a string `alg`.
    #[error("the token's header is malformed")]
    Header,
    /// The header's `alg` is none of [`Algorithm::ALL`]: `none`, a symmetric one, one unheard of.
    #[error("the token's algorithm is not supported")]
    Algorithm,
    /// The header has extensions that must be understood (`crit`), and none are.
    #[error("the token's header has critical extensions")]
    Critical,
    /// The payload or the signature is not base64url in its only form.
    #[error("a part of the token is not base64url")]
    Base64,
}

/// A JWS in compact form (RFC 7515 section 7.1), taken apart and not yet trusted.
#[derive(Clone, Copy)]
pub struct Compact<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    signing_input: &'a str,
}

/// A JWS header (RFC 7515 section 4), as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which algorithm it claims.
    pub algorithm: Algorithm,
    /// Which key it names.
    pub kid: Option<String>,
    /// What kind of token it says it is.
    pub typ: Option<String>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart: three parts of base64url, split at two dots, none of them empty.
    pub fn split(token: &'a str) -> Result<Self, Malformed> {
        if token.len() > MAX_TOKEN {
            return Err(Malformed::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Malformed::Shape)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Malformed::Shape)?;
        if [header, payload, signature].iter().all(|part| !part.is_empty() && is_base64url(part)) {
            Ok(Self { header, payload, signature, signing_input })
        } else {
            Err(Malformed::Shape)
        }
    }

    /// Reads the header. Refused: an algorithm that is not spoken here, and `crit` (RFC 7515 section 4.1.11).
    pub fn header(&self) -> Result<Header, Malformed> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            alg: Cow<'a, str>,
            kid: Option<String>,
            typ: Option<String>,
            crit: Option<IgnoredAny>,
        }
        if self.header.len() > MAX_HEADER {
            return Err(Malformed::TooLong);
        }
        let json = decode(self.header).ok_or(Malformed::Base64)?;
        let raw: Raw<'_> = from_object(&json).map_err(|_| Malformed::Header)?;
        if raw.crit.is_some() {
            return Err(Malformed::Critical);
        }
        let algorithm = Algorithm::from_name(&raw.alg).ok_or(Malformed::Algorithm)?;
        Ok(Header { algorithm, kid: raw.kid, typ: raw.typ })
    }

    /// The payload's bytes; for a JWT, the JSON of its claims.
    pub fn payload(&self) -> Result<Vec<u8>, Malformed> {
        decode(self.payload).ok_or(Malformed::Base64)
    }

    /// The signature's bytes.
    pub fn signature(&self) -> Result<Vec<u8>, Malformed> {
        decode(self.signature).ok_or(Malformed::Base64)
    }

    /// What is signed: header and payload as they are in the token.
    pub fn signing_input(&self) -> &'a [u8] {
        self.signing_input.as_bytes()
    }

    /// Verifies it with one key. `header` is its own [`Compact::header`].
    pub fn verify(&self, header: &Header, key: &PublicKey) -> Result<(), BadSignature> {
        let signature = self.signature().map_err(|_| BadSignature)?;
        key.verify(header.algorithm, self.signing_input(), &signature)
    }
}

impl Header {
    /// Whether `typ` is this media type: case-insensitively, `application/` implied where there is no slash
    /// (RFC 7515 section 4.1.9). `subtype` is given without `application/`.
    pub fn is_type(&self, subtype: &str) -> bool {
        self.typ.as_deref().is_some_and(|typ| {
            let bare = match typ.split_at_checked("application/".len()) {
                Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
                _ => typ,
            };
            bare.eq_ignore_ascii_case(subtype)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Jwk, to_base64url};
    use proptest::prelude::*;

    fn header(json: &str) -> Result<Header, Malformed> {
        Compact::split(&format!("{}.e30.AA", to_base64url(json.as_bytes()))).expect("three parts").header()
    }

    #[test]
    fn the_rfcs_signatures_verify_and_altered_ones_do_not() {
        // RFC 8037 appendix A.4: EdDSA.
        let key =
            Jwk::parse(br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_verifies_only_unaltered(&key.expect("a key"), token);
        // RFC 7515 appendix A.3: ES256.
        let key = Jwk::parse(br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#);
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert_verifies_only_unaltered(&key.expect("a key"), token);
        // RFC 7515 appendix A.2: RS256.
        let key = Jwk::parse(br#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#);
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        assert_verifies_only_unaltered(&key.expect("a key"), token);
    }

    fn assert_verifies_only_unaltered(key: &Jwk, token: &str) {
        let verify = |token: &str| {
            let compact = Compact::split(token).expect("three parts");
            compact.verify(&compact.header().expect("a header"), key.public_key())
        };
        assert_eq!(verify(token), Ok(()));
        let at = token.rfind('.').expect("a dot") + 1;
        let other = if token[at..].starts_with('A') { "B" } else { "A" };
        assert_eq!(verify(&format!("{}{other}{}", &token[..at], &token[at + 1..])), Err(BadSignature));
        assert_eq!(verify(&token.replacen('.', ".e30", 1)), Err(BadSignature));
    }

    #[test]
    fn a_token_is_three_parts_of_base64url() {
        for text in ["", ".", "..", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c=", "a.b c.d", "a.ü.c"] {
            assert_eq!(Compact::split(text).err(), Some(Malformed::Shape), "{text}");
        }
        assert_eq!(Compact::split(&"a".repeat(MAX_TOKEN + 1)).err(), Some(Malformed::TooLong));
        let long_header = format!("{}.e30.AA", "a".repeat(MAX_HEADER + 1));
        assert_eq!(Compact::split(&long_header).expect("three parts").header(), Err(Malformed::TooLong));
    }

    #[test]
    fn a_header_with_no_algorithm_of_ours_is_refused() {
        for alg in ["none", "None", "HS256", "RS384", "PS256", "rs256", ""] {
            assert_eq!(header(&format!(r#"{{"alg":"{alg}"}}"#)), Err(Malformed::Algorithm), "{alg}");
        }
        for json in [
            "{}",
            r#"["RS256"]"#,
            "7",
            r#"{"alg":1}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","alg":"RS256"}"#,
        ] {
            assert_eq!(header(json), Err(Malformed::Header), "{json}");
        }
        assert_eq!(header(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#), Err(Malformed::Critical));
        let good = header(r#"{"alg":"ES256","kid":"kéy","typ":"at+jwt","jku":"https://example.com"}"#);
        let (kid, typ) = (Some("kéy".to_owned()), Some("at+jwt".to_owned()));
        assert_eq!(good, Ok(Header { algorithm: Algorithm::Es256, kid, typ }));
    }

    #[test]
    fn a_type_is_a_media_type_without_its_application() {
        let typ = |typ: &str| Header { algorithm: Algorithm::Rs256, kid: None, typ: Some(typ.to_owned()) };
        for same in ["at+jwt", "at+JWT", "application/at+jwt", "APPLICATION/AT+JWT"] {
            assert!(typ(same).is_type("at+jwt"), "{same}");
        }
        for other in ["JWT", "", "at+jwt ", "text/at+jwt", "application/application/at+jwt", "secevent+jwt"] {
            assert!(!typ(other).is_type("at+jwt"), "{other}");
        }
        assert!(!Header { algorithm: Algorithm::Rs256, kid: None, typ: None }.is_type("at+jwt"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC*", parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,3}") {
            for text in [&text, &parts] {
                if let Ok(compact) = Compact::split(text) {
                    let _ = (compact.header(), compact.payload(), compact.signature());
                }
            }
        }

        #[test]
        fn no_header_makes_the_reader_panic(json in r#"\{"(alg|kid|typ|crit)":("(RS256|none|é)"|1|null|\[\])(,"(kid|typ|crit)":("x"|\{\}))?\}"#) {
            let _ = header(&json);
        }
    }
}
