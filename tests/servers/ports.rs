//! Ports that stay ours for as long as we hold them, whether a server listens there or not.
//!
//! A port that is merely found free is lost again: another program may take it before the server does, and while a
//! killed node is away, a client that connects to it again and again can be given that very port as its own end and
//! talk to itself. So a socket stays bound to it and never listens. Linux keeps such a port from everybody who asks
//! for any port, refuses connections to it, and lets a server share it that also allows reuse of the address, as
//! those of Java and Go do.

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _held: OwnedFd,
}

impl Port {
    /// Any port of 127.0.0.1 that nobody has.
    pub(crate) fn reserve() -> Port {
        Self::try_reserve().expect("this machine has a free port")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn try_reserve() -> rustix::io::Result<Port> {
        let held = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        // A server that inherited it would hold the port beyond our life.
        fcntl_setfd(&held, FdFlags::CLOEXEC)?;
        sockopt::set_socket_reuseaddr(&held, true)?;
        bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddrV4::try_from(getsockname(&held)?)?;
        Ok(Port { number: address.port(), _held: held })
    }
}
