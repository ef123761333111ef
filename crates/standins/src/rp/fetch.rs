//! One GET over a plain socket: a relying party is no place for the client that is to be tested.

use serde_json::Value;
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// The JSON at a plain `http` URL. HTTP/1.0: the answer ends with the connection.
pub(super) async fn json(url: &Url) -> Result<Value> {
    let host = url.host_str().unwrap_or_default();
    let mut stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await?;
    let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\n\r\n", url.path(), url.authority());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(Error::other(format!("the answer was {status}")));
    }
    serde_json::from_str(body).map_err(Error::other)
}
