use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Ports from here on are nobody's by custom.
const FIRST: u16 = 10_000;
/// From here on the system gives ports to whoever connects, unless it says otherwise.
const USUALLY_GIVEN: u16 = 32_768;
const TRIES: usize = 1_000;

/// A port of the loopback that nobody listens on, and that the system gives to nobody who connects: a server that was
/// ended finds it free when it is started again. Another test may take it before the caller does; whoever starts a
/// server on it tries again then.
pub fn free_port() -> u16 {
    let ports = listening_ports();
    let number = u16::try_from(ports.len()).expect("ports are counted by sixteen bits");
    let one = || ports.start + random() % number;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(one).take(TRIES).find(is_free).expect("the loopback has a free port")
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u16::from_ne_bytes(bytes)
}

/// Those below the ones that the system gives (`ip_local_port_range`), where it leaves any.
fn listening_ports() -> Range<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given = range.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(USUALLY_GIVEN);
    if given > FIRST + 1_000 { FIRST..given } else { FIRST..u16::MAX }
}
