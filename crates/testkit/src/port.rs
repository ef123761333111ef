use std::net::{Ipv4Addr, TcpListener};

/// A port of the loopback that nobody listens on. Another process may take it before the caller does; whoever starts a
/// server on it tries again then.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback has a free port")
        .port()
}
