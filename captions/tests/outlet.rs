// SPDX-License-Identifier: MPL-2.0

//! Tests an outlet whose output blocks, fails, or takes everything.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use symbl_captions::{Outlet, QUEUE_BYTES};

/// A bound for a wait that must succeed.
const SOON: Duration = Duration::from_secs(60);

/// Waits for a permit before each write, and reports what is written.
struct Slow {
    may: Receiver<()>,
    written: Sender<Vec<u8>>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have ended.
        let _ = self.may.recv();
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_blocks_does_not_block_the_program_and_dropped_items_are_counted() {
    let ((permit, may), (written, read)) = (mpsc::channel(), mpsc::channel());
    let mut outlet = Outlet::start(move || Ok(Slow { may, written })).unwrap();
    let item = |number: u8| vec![number; QUEUE_BYTES / 8];
    for number in 0..20 {
        outlet.write_all(&item(number)).unwrap();
        outlet.flush().unwrap();
    }
    // One item is being written, and eight are in the queue.
    assert_eq!(outlet.lost(), 11);
    assert_eq!(outlet.finish(Duration::ZERO).unwrap(), 9);
    (0..9).for_each(|_| permit.send(()).unwrap());
    assert_eq!(outlet.finish(SOON).unwrap(), 0);
    permit.send(()).unwrap();
    outlet.write_all(b"again").unwrap();
    outlet.flush().unwrap();
    drop(outlet);
    let all: Vec<Vec<u8>> = read.iter().collect();
    let expected: Vec<Vec<u8>> = (0..9).map(item).chain([b"again".to_vec()]).collect();
    assert!(all == expected);
}

#[test]
fn every_later_call_returns_an_error_of_the_output() {
    let mut outlet = Outlet::start(|| Err::<Vec<u8>, _>(io::Error::from_raw_os_error(28))).unwrap();
    while outlet.write_all(b"x").is_ok() {
        std::thread::yield_now();
    }
    for _ in 0..2 {
        assert_eq!(outlet.write(b"x").unwrap_err().raw_os_error(), Some(28));
        assert_eq!(outlet.flush().unwrap_err().raw_os_error(), Some(28));
        assert_eq!(outlet.finish(SOON).unwrap_err().raw_os_error(), Some(28));
    }
}
