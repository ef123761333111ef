//! One request over a plain socket: a stand-in is no place for the client that is to be tested.

use serde_json::Value;
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Url, form_urlencoded};

/// The JSON at a plain `http` URL.
pub(crate) async fn json(url: &Url) -> Result<Value> {
    let (status, body) = ask(url, "GET", "", "").await?;
    if status != 200 {
        return Err(Error::other(format!("the answer was {status}")));
    }
    serde_json::from_str(&body).map_err(Error::other)
}

/// Posts a form to a plain `http` URL: the answer's status.
pub(crate) async fn post_form(url: &Url, fields: &[(&str, &str)]) -> Result<u16> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let head =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
    Ok(ask(url, "POST", &head, &body).await?.0)
}

/// HTTP/1.0: the answer ends with the connection.
async fn ask(url: &Url, method: &str, headers: &str, body: &str) -> Result<(u16, String)> {
    let host = url.host_str().unwrap_or_default();
    let mut stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await?;
    let (path, authority) = (url.path(), url.authority());
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {authority}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(ErrorKind::InvalidData)?, body.to_owned()))
}
