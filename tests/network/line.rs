// SPDX-License-Identifier: MPL-2.0

//! The line between two hosts: every packet goes through the hands of the test.
//!
//! Each end is a TUN device. What one host sends is taken from its device and
//! given to the other's, or not, or later, as the [`Way`] of that direction says.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tun_rs::{AsyncDevice, SyncDevice};

/// Larger than any packet of the devices, whose MTU is 1,500.
const PACKET: usize = 4096;

/// How often a device that is down is asked whether it is up again.
const DOWN: Duration = Duration::from_millis(5);

/// What becomes of the packets of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// None arrives.
    pub silent: bool,
    /// The part that gets lost, 0 to 1.
    pub loss: f64,
    /// How long each is on its way.
    pub delay: Duration,
    /// By how much some are longer on their way; none overtakes another.
    pub jitter: Duration,
}

/// One direction of the line.
#[derive(Debug, Default)]
pub struct Way {
    weather: Mutex<Weather>,
    lost: AtomicUsize,
    tcp6: AtomicUsize,
    /// The ports of packets that came and were TCP over IPv4 with data in them.
    talkers: Mutex<BTreeSet<u16>>,
}

impl Way {
    /// From now on; what is on its way arrives.
    pub fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// How many packets did not arrive.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many packets came that were TCP over IPv6.
    pub fn tcp6(&self) -> usize {
        self.tcp6.load(Ordering::Relaxed)
    }

    /// From which ports data came since this was asked, whatever became of it.
    pub fn talkers(&self) -> BTreeSet<u16> {
        std::mem::take(&mut *self.talkers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long this packet is on its way. None: it gets lost.
    fn fate(&self, packet: &[u8], random: &mut fastrand::Rng) -> Option<Duration> {
        // The version is the first half byte; the seventh byte of IPv6 says what is in it.
        if let [0x60..=0x6f, _, _, _, _, _, 6, ..] = packet {
            self.tcp6.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(port) = talker(packet) {
            let talkers = self.talkers.lock();
            talkers.unwrap_or_else(PoisonError::into_inner).insert(port);
        }
        let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        if weather.silent || random.f64() < weather.loss {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(weather.delay + weather.jitter.mul_f64(random.f64()))
    }
}

/// The port that this packet comes from, if it is TCP over IPv4 with data in it.
fn talker(packet: &[u8]) -> Option<u16> {
    let begin = usize::from(packet.first()? & 0x0f) * 4;
    let tcp = packet.get(begin..)?;
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let data = packet[0] >> 4 == 4 && packet.get(9)? == &6 && tcp.len() > header;
    data.then(|| u16::from_be_bytes([tcp[0], tcp[1]]))
}

/// A line that carries packets. Dropping it takes the devices away.
pub struct Line {
    /// From the client to the service.
    pub up: Arc<Way>,
    /// From the service to the client.
    pub down: Arc<Way>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Between these two devices.
    pub fn between(client: SyncDevice, service: SyncDevice) -> io::Result<Self> {
        let (up, down) = (Arc::<Way>::default(), Arc::<Way>::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let ends = runtime.block_on(async {
            Ok::<_, io::Error>((AsyncDevice::new(client)?, AsyncDevice::new(service)?))
        })?;
        let ways = (Arc::clone(&up), Arc::clone(&down));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = carry(&ends.0, &ends.1, &ways.0, 1) => {}
                    () = carry(&ends.1, &ends.0, &ways.1, 2) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            up,
            down,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The same in both directions.
    pub fn set(&self, weather: Weather) {
        self.up.set(weather);
        self.down.set(weather);
    }

    /// Nothing arrives, and nobody is told.
    pub fn silence(&self) {
        self.set(SILENCE);
    }

    /// Everything arrives, at once.
    pub fn heal(&self) {
        self.set(Weather::default());
    }
}

/// No packet arrives.
pub const SILENCE: Weather = Weather {
    silent: true,
    loss: 0.0,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
};

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the line has been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// Carries packets one way, for ever.
async fn carry(from: &AsyncDevice, to: &AsyncDevice, way: &Way, seed: u64) {
    let (underway, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let take = async move {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut packet = vec![0; PACKET];
        loop {
            let Ok(length) = from.recv(&mut packet).await else {
                tokio::time::sleep(DOWN).await;
                continue;
            };
            if let Some(delay) = way.fate(&packet[..length], &mut random) {
                let at = Instant::now() + delay;
                // The other half goes on for as long as this one.
                let _ = underway.send((at, packet[..length].to_vec()));
            }
        }
    };
    let give = async move {
        while let Some((at, packet)) = arriving.recv().await {
            tokio::time::sleep_until(at).await;
            // A device that is down takes nothing: that packet is lost.
            let _ = to.send(&packet).await;
        }
    };
    tokio::join!(take, give);
}
