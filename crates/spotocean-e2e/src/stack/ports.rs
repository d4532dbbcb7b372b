//! Chooses free loopback ports, and recognises that one was taken meanwhile.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// `COUNT` different ports that were free a moment ago.
pub(super) fn free<const COUNT: usize>() -> Result<[u16; COUNT]> {
    // All are held at once, so that no two are the same.
    let held = (0..COUNT).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let held: Vec<TcpListener> = held
        .collect::<std::io::Result<_>>()
        .context("no free port on 127.0.0.1")?;
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr().context("a listener has an address")?.port();
    }
    Ok(ports)
}

/// Whether a start failed because someone else listens on its port: components say so in their log.
pub(super) fn was_taken(failure: &anyhow::Error) -> bool {
    format!("{failure:#}")
        .to_lowercase()
        .contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_are_different() {
        let mut ports = free::<8>().unwrap();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "{ports:?}");
    }
}
