//! As much of HTTP as it takes to tell a server of ours something.

use std::io;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Posts JSON to a port of the loopback; the answer's status and body.
pub(super) async fn post(port: u16, path: &str, json: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    // HTTP/1.0, so that the body ends with the connection.
    let request = format!("POST {path} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{json}", json.len());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    parts(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parts(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
