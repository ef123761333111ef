//! Tokens made here are good to the Python libraries of the field: `tokenlib` and `hawkauthlib`.

use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokenserver::{Claims, Hasher, Minter, Salt, Secret};

/// A minted token with what it must say, as a line for the script.
fn line(secret: &str, claims: &Claims<'_>, salt: [u8; 3]) -> String {
    let token = Minter::new(Secret::new(secret)).mint(claims, Salt::from_bytes(salt));
    let payload = json!({
        "node": claims.node, "fxa_kid": format!("{:013}-{}", claims.key_time, claims.client_state), "fxa_uid": claims.fxa_uid,
        "hashed_device_id": claims.hashed.device_id(), "hashed_fxa_uid": claims.hashed.fxa_uid(),
        "expires": claims.expires, "uid": claims.uid, "tokenserver_origin": "rust", "salt": hex(salt),
    });
    json!({ "secret": secret, "id": token.id, "key": token.key, "payload": payload.to_string() }).to_string()
}

fn hex(salt: [u8; 3]) -> String {
    let [a, b, c] = salt;
    format!("{a:02x}{b:02x}{c:02x}")
}

/// The Python of the tests: the one `HIGHWATER_TEST_PYTHON` names, else the one `./test` installs.
fn python() -> PathBuf {
    let told = std::env::var_os("HIGHWATER_TEST_PYTHON").map(PathBuf::from);
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    told.or_else(|| installed.exists().then_some(installed))
        .expect("no Python with tokenlib and hawkauthlib: run ./test, or name one in HIGHWATER_TEST_PYTHON")
}

#[test]
fn the_python_libraries_take_our_tokens() {
    let mut lines = Vec::new();
    for (n, secret) in
        ["secret0", "", "0123", "ünïcode \"secret\"", &"long".repeat(60)].into_iter().enumerate()
    {
        for subject in ["0123456789abcdef0123456789abcdef", "sub\"ject\\", "sübject", &"s".repeat(255)] {
            let n = u8::try_from(n).expect("a few");
            let hashed = Hasher::new(&Secret::new("metrics")).hash(subject);
            let claims = Claims {
                node: "https://node.example/sync",
                key_time: 1234,
                client_state: "qqo",
                fxa_uid: subject,
                hashed: &hashed,
                expires: 4_000_000_000,
                uid: i64::from(n) + 1,
            };
            lines.push(line(secret, &claims, [n, 255, subject.len().to_le_bytes()[0]]));
        }
    }
    let mut script = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script starts");
    script.stdin.take().expect("it is piped").write_all(lines.join("\n").as_bytes()).expect("it reads");
    let outcome = script.wait_with_output().expect("it ends");
    assert!(outcome.status.success(), "the script found something wrong");
    assert_eq!(String::from_utf8_lossy(&outcome.stdout).trim(), lines.len().to_string());
}
