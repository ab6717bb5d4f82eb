// SPDX-License-Identifier: MPL-2.0

//! A relay in front of a service whose line takes few bytes a second.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How often bytes pass.
const TICK: Duration = Duration::from_millis(100);

/// Starts a relay to `target`, `http://host:port`, which passes `kbits` kbit/s in each
/// direction of each connection. Returns the value for the property `base-url`. Its threads
/// end with their connections, and with the tests.
pub fn narrow(target: &str, kbits: usize) -> String {
    let target: SocketAddr = target
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let bytes = kbits * 1000 / 8 / 10;
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A connection that breaks is no affair of the relay's.
            let _ = relay(client, target, bytes);
        }
    });
    format!("http://{address}")
}

fn relay(client: TcpStream, target: SocketAddr, bytes: usize) -> std::io::Result<()> {
    let service = TcpStream::connect(target)?;
    let (up, down) = (client.try_clone()?, service.try_clone()?);
    std::thread::spawn(move || pass(up, service, bytes));
    std::thread::spawn(move || pass(down, client, bytes));
    Ok(())
}

/// Passes this many bytes in each tick, until a side closes.
fn pass(mut from: TcpStream, mut to: TcpStream, bytes: usize) {
    let mut piece = vec![0; bytes];
    while let Ok(count) = from.read(&mut piece) {
        if count == 0 || to.write_all(&piece[..count]).is_err() {
            break;
        }
        std::thread::sleep(TICK);
    }
    let _ = to.shutdown(Shutdown::Write);
}
