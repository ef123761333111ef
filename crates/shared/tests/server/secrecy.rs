//! Whoever reads the server's memory, its file or its wire learns of no token and of no account.

use super::*;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use std::collections::HashSet;
use std::fs::File;
use std::process::Stdio;

const GOOD: usize = 25;
/// What is shorter turns up by chance.
const SHORTEST: usize = 8;

/// Everything that would give a text away: itself, its bytes, their bare digests, each as it is and in the usual writings.
fn traces(text: &str) -> Vec<Vec<u8>> {
    let bytes = hex::decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
    let plain = [text.as_bytes().to_vec(), bytes];
    let algorithms = [&SHA256, &SHA512, &SHA1_FOR_LEGACY_USE_ONLY];
    let digests = plain.iter().flat_map(|it| algorithms.map(|by| digest(by, it).as_ref().to_vec()));
    let whole: Vec<Vec<u8>> = plain.iter().cloned().chain(digests).collect();
    let written = whole.iter().flat_map(|it| {
        let hex = hex::encode(it);
        [hex.to_uppercase(), hex, base64(it), as_monitored(it)].map(String::into_bytes)
    });
    whole.iter().cloned().chain(written).filter(|it| it.len() >= SHORTEST).collect()
}

/// As MONITOR writes bytes.
fn as_monitored(bytes: &[u8]) -> String {
    let written = bytes.iter().map(|byte| match byte {
        b'\\' | b'"' => format!("\\{}", char::from(*byte)),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        7 => "\\a".to_owned(),
        8 => "\\b".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    });
    written.collect()
}

/// Without its end, which depends on the padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = bytes.iter().fold((0_u32, 0, String::new()), |(mut left, mut count, mut text), byte| {
        (left, count) = ((left << 8) | u32::from(*byte), count + 8);
        while count >= 6 {
            count -= 6;
            text.push(char::from(DIGITS[((left >> count) & 63) as usize]));
        }
        (left & 0xff, count, text)
    });
    bits.2
}

/// Something to be searched for much: all that stands in it, by its beginnings.
struct Haystack<'a> {
    whole: &'a [u8],
    beginnings: HashSet<&'a [u8]>,
}

impl<'a> Haystack<'a> {
    fn new(whole: &'a [u8]) -> Self {
        Self { whole, beginnings: whole.windows(SHORTEST).collect() }
    }

    fn holds(&self, part: &[u8]) -> bool {
        self.beginnings.contains(&part[..SHORTEST]) && holds(self.whole, part)
    }
}

fn holds(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn neither_the_dump_nor_the_wire_holds_a_token_a_digest_of_one_or_an_account() {
    let (redis, idp, folder) = (Redis::start(), idp().await, tempfile::tempdir().expect("a folder"));
    let wire = folder.path().join("wire");
    let out = File::create(&wire).expect("a file");
    let mut monitor =
        redis.cli_command().arg("monitor").stdout(out).stdin(Stdio::null()).spawn().expect("it runs");
    let heard = || std::fs::read(&wire).expect("readable");
    wait_until("the wire is listened to", PATIENCE, async || holds(&heard(), b"OK")).await;
    let connected = Connected::to(settings(&redis.url(), &json!({}))).await;
    let nodes = [connected.verifier(&idp), connected.verifier(&idp)];
    let mut secrets = Vec::new();
    for number in 0..GOOD {
        let subject = format!("subject-number-{number:017}");
        let (good, unknown) = (token(&idp, &subject), unknown_token());
        for node in &nodes {
            check(node, &good).await.expect("good");
            check(node, &unknown).await.expect_err("nobody's");
            node.ask_together(&good, None, NOW).await.expect("good");
        }
        secrets.extend([subject, good, unknown]);
    }
    assert!(idp.introspect_requests() < 5 * GOOD as u64, "it was used");
    redis.cli(&["set", "the-end", "of it"]);
    wait_until("all was heard", PATIENCE, async || holds(&heard(), b"the-end")).await;
    monitor.kill().expect("it runs");
    monitor.wait().expect("it ends");
    let (dump, wire) = (redis.dump(), heard());
    let (dump, wire) = (Haystack::new(&dump), Haystack::new(&wire));
    assert!(dump.holds(b"highwater:f:") && dump.holds(b"highwater:n:") && wire.holds(b"highwater:l:"));
    for secret in &secrets {
        for trace in traces(secret) {
            assert!(!dump.holds(&trace) && !wire.holds(&trace), "a trace of {secret}");
        }
    }
    for word in ["\"subject\"", "5882386c6d801776", "identity.mozilla.com"] {
        assert!(!dump.holds(word.as_bytes()) && !wire.holds(word.as_bytes()), "{word}");
    }
}

#[test]
fn a_trace_is_found_however_it_is_written() {
    let token = "0f".repeat(32);
    let bare = digest(&SHA256, &[0x0f; 32]);
    let leaks = [token.clone().into_bytes(), hex::encode(bare.as_ref()).into_bytes(), bare.as_ref().to_vec()];
    let monitored = as_monitored(bare.as_ref()).into_bytes();
    for leak in leaks.into_iter().chain([monitored, base64(bare.as_ref()).into_bytes()]) {
        let whole = [b"something before ", &*leak, b" and after"].concat();
        let haystack = Haystack::new(&whole);
        assert!(traces(&token).iter().any(|trace| haystack.holds(trace)), "{leak:?}");
    }
    assert!(!traces(&token).iter().any(|trace| Haystack::new(b"nothing of it here").holds(trace)));
}

#[tokio::test]
async fn ten_thousand_garbage_tokens_leave_nothing_there_and_ask_nobody() {
    let (redis, idp) = (Redis::start(), idp().await);
    let connected = Connected::to(settings(&redis.url(), &json!({}))).await;
    let verifier = connected.verifier(&idp);
    for number in 0..10_000 {
        let garbage = match number % 4 {
            0 => format!("{number:063x}"),
            1 => format!("garbage {number}"),
            2 => format!("eyJhbGciOiJub25lIn0.{number:08x}.x"),
            _ => "é".repeat(number % 100),
        };
        check(&verifier, &garbage).await.expect_err("garbage");
    }
    assert_eq!((redis.cli(&["dbsize"]).trim(), idp.introspect_requests()), ("0", 0));
}
