// SPDX-License-Identifier: MPL-2.0

//! A line with a precise delay between two hosts, each a network namespace.
//!
//! The line of `tests/network` uses tokio's timers, which have a resolution of a
//! millisecond. Here each direction has a thread that receives packets and one that
//! delivers them, which spins at the end of a wait. So the line adds only a fraction
//! of a millisecond, and the bare client shows how much.

use super::Problem;
use nix::sched::{CloneFlags, unshare};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, SyncDevice};

/// Name of the line's device on both hosts.
const DEVICE: &str = "line";
/// An address for documentation, which no real network has.
pub const SERVER: [u8; 4] = [192, 0, 2, 1];
const CLIENT: &str = "192.0.2.2/24";
const NETWORK: &str = "192.0.2.0/24";
/// Larger than any packet of the devices, whose MTU is 1,500.
const PACKET: usize = 4096;
/// How long a thread spins before a packet is due.
const AWAKE: Duration = Duration::from_micros(150);

/// Returns the command that gives a process a network of its own.
pub fn alone() -> Vec<String> {
    let mut command = vec!["unshare".to_owned()];
    if !nix::unistd::geteuid().is_root() {
        command.extend(["--user", "--map-root-user"].map(str::to_owned));
    }
    command.push("--net".to_owned());
    command
}

/// A line. Its threads end with the process.
pub struct Line {
    silent: Arc<AtomicBool>,
}

impl Line {
    /// Makes the network of this process the client's host, and creates another host
    /// for what `serve` starts. Packets take `delay` each way.
    pub fn new<T: Send + 'static>(
        delay: Duration,
        serve: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<(Self, T), Problem> {
        let client = plug_in(CLIENT)?;
        let moved = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| format!("no second namespace: {error}"))?;
            let [a, b, c, d] = SERVER;
            let device = plug_in(&format!("{a}.{b}.{c}.{d}/24"))?;
            Ok::<_, String>((device, serve()?))
        });
        let (server, served) = moved.join().map_err(|_| "no server")??;
        let silent = Arc::new(AtomicBool::new(false));
        let (client, server) = (Arc::new(client), Arc::new(server));
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to, silent) = (Arc::clone(from), Arc::clone(to), Arc::clone(&silent));
            let (underway, arriving) = channel();
            std::thread::spawn(move || take(&from, delay, &silent, &underway));
            std::thread::spawn(move || give(&to, &arriving));
        }
        Ok((Self { silent }, served))
    }

    /// Drops all packets from now on, without an error on either side.
    pub fn silence(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }
}

type Underway = (Instant, Vec<u8>);

fn take(from: &SyncDevice, delay: Duration, silent: &AtomicBool, underway: &Sender<Underway>) {
    let mut packet = vec![0; PACKET];
    while let Ok(length) = from.recv(&mut packet) {
        let due = Instant::now() + delay;
        let Some(packet) = packet.get(..length) else {
            return;
        };
        if !silent.load(Ordering::Relaxed) && underway.send((due, packet.to_vec())).is_err() {
            return;
        }
    }
}

fn give(to: &SyncDevice, arriving: &Receiver<Underway>) {
    for (due, packet) in arriving {
        let left = due.saturating_duration_since(Instant::now());
        std::thread::sleep(left.saturating_sub(AWAKE));
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        // A packet that the other host does not take is lost, as on any line.
        let _ = to.send(&packet);
    }
}

/// Creates a device with this address on the host of this thread.
fn plug_in(address: &str) -> Result<SyncDevice, String> {
    let device = DeviceBuilder::new().name(DEVICE).build_sync();
    let device = device.map_err(|error| format!("no TUN device: {error}"))?;
    ip(&["address", "add", address, "dev", DEVICE])?;
    ip(&["link", "set", DEVICE, "up"])?;
    // The default of most systems. BBR would spread the three packets of a chunk over
    // more than a millisecond. A host that cannot set it keeps its own.
    let cubic = [
        "route", "replace", NETWORK, "dev", DEVICE, "congctl", "cubic",
    ];
    if let Err(problem) = ip(&cubic) {
        eprintln!("the line keeps the system's congestion control: {problem}");
    }
    Ok(device)
}

/// Runs `ip` on the host of this thread.
fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
