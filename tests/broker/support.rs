//! What the servers stand on: ports and folders.

use crate::servers::ports::Port;
use crate::servers::workdir::Workdir;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use tempfile::TempDir;

#[test]
fn a_held_port_refuses_connections_and_is_given_to_nobody_who_asks_for_any() {
    let port = Port::reserve();

    let others: Vec<_> = (0..200).map(|_| Port::reserve()).collect();

    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).is_err());
    assert!(others.iter().all(|other| other.number() != port.number()));
}

#[test]
fn a_server_can_listen_on_a_held_port_again_and_again() {
    let port = Port::reserve();

    for _ in 0..2 {
        // Rust's listener allows reuse of the address, as those of Java and Go do.
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).expect("the port is ours");
        TcpStream::connect(server.local_addr().expect("it is bound")).expect("somebody listens");
    }
}

#[test]
fn folders_of_the_living_stay_and_those_of_the_dead_are_removed() {
    let all = TempDir::new().expect("a folder can be made");
    let living = Workdir::below(all.path()).expect("a folder can be made");
    let dead = all.path().join("dead");
    fs::create_dir(&dead).expect("a folder can be made");
    fs::write(dead.join("lock"), "").expect("a file can be written");

    let next = Workdir::below(all.path()).expect("a folder can be made");

    assert!(living.path().is_dir() && next.path().is_dir());
    assert!(!dead.exists());
}
