//! What nobody asks for does not keep a wait awake. It is a program of its own, since it looks at the CPU time of its
//! process.

use greenway::green::spawn;
use greenway_monkey_tests::begin;
use std::ffi::{c_int, c_long};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

unsafe extern "C" {
    fn cpu_of_idle_poll(a: c_int, milliseconds: c_int) -> c_long;
}

#[test]
fn what_nobody_asks_for_costs_nothing() {
    begin();
    let cpu = spawn(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        far.write_all(b"unread").unwrap();
        // SAFETY: a descriptor that is open over the call.
        unsafe { cpu_of_idle_poll(near.as_raw_fd(), 500) }
    });
    let cpu = cpu.join().unwrap();
    assert!((0..200_000).contains(&cpu), "{cpu} us of 500 ms");
}
