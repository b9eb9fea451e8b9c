//! Pieces of an answer leave at once.
//!
//! The runtime's connection to the Runtime API has no `TCP_NODELAY`, so that the second write of a streamed answer waits for the
//! first one's acknowledgement, about 40 ms on Linux (lambda_runtime_api_client 1.1). The connection is not ours to see, but its
//! socket is this process's: it is found by its peer's address and set right. Where the sandbox does not allow that, nothing
//! changes.

use std::net::{SocketAddr, ToSocketAddrs};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::net::{getpeername, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Sets `TCP_NODELAY` on every connection of this process to the Runtime API, before an answer begins.
#[must_use]
pub fn on_runtime_api<R>(runtime_api: &str, response: R) -> R {
    let addresses: Vec<_> = runtime_api
        .to_socket_addrs()
        .into_iter()
        .flatten()
        .collect();
    let _ = set(&addresses);
    response
}

fn set(addresses: &[SocketAddr]) -> rustix::io::Result<()> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let open_files = open(
        "/proc/self/fd",
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
    )?;
    for entry in Dir::new(open_files)?.flatten() {
        let number = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok());
        let file =
            number.and_then(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok());
        let Some(file) = file else { continue };
        let peer = getpeername(&file)
            .ok()
            .flatten()
            .and_then(|peer| SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| addresses.contains(&peer)) {
            sockopt::set_tcp_nodelay(&file, true)?;
        }
    }
    Ok(())
}
