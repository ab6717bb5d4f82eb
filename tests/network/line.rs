// SPDX-License-Identifier: MPL-2.0

//! The line between two hosts. The test decides over every packet.
//!
//! Each end is a TUN device. The line takes the packets of one host from its device, and
//! gives them to the other's at once, later or never, as the [`Way`] of that direction says.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tun_rs::{AsyncDevice, SyncDevice};

/// Size of the packet buffer, in bytes. The MTU of the devices is 1,500.
const PACKET: usize = 4096;

/// Time between two reads from a device that is down.
const DOWN: Duration = Duration::from_millis(5);

/// What happens to the packets of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// No packet arrives.
    pub silent: bool,
    /// The part of the packets that gets lost, 0 to 1.
    pub loss: f64,
    /// How long each packet is on its way.
    pub delay: Duration,
    /// Greatest additional delay of a packet. No packet overtakes another.
    pub jitter: Duration,
}

/// One direction of the line.
#[derive(Debug, Default)]
pub struct Way {
    weather: Mutex<Weather>,
    lost: AtomicUsize,
    tcp6: AtomicUsize,
    /// The source ports of packets that were TCP over IPv4 with data.
    talkers: Mutex<BTreeSet<u16>>,
}

impl Way {
    /// Sets the weather for the packets from now on. Packets on their way still arrive.
    pub fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Returns how many packets did not arrive.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns how many packets were TCP over IPv6.
    pub fn tcp6(&self) -> usize {
        self.tcp6.load(Ordering::Relaxed)
    }

    /// Returns the source ports of data since the last call, lost packets included.
    pub fn talkers(&self) -> BTreeSet<u16> {
        std::mem::take(&mut *self.talkers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how long this packet is on its way, or `None` if it gets lost.
    fn fate(&self, packet: &[u8], random: &mut fastrand::Rng) -> Option<Duration> {
        // The first half byte is the version. The seventh byte of IPv6 is the next header.
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

/// Returns the source port of this packet, if it is TCP over IPv4 with data.
fn talker(packet: &[u8]) -> Option<u16> {
    let begin = usize::from(packet.first()? & 0x0f) * 4;
    let tcp = packet.get(begin..)?;
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let data = packet[0] >> 4 == 4 && packet.get(9)? == &6 && tcp.len() > header;
    data.then(|| u16::from_be_bytes([tcp[0], tcp[1]]))
}

/// A line that carries packets. Dropping it removes the devices.
pub struct Line {
    /// From the client to the service.
    pub up: Arc<Way>,
    /// From the service to the client.
    pub down: Arc<Way>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Starts a line between these two devices.
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

    /// Sets the same weather in both directions.
    pub fn set(&self, weather: Weather) {
        self.up.set(weather);
        self.down.set(weather);
    }

    /// Lets no packet arrive, without notice to either side.
    pub fn silence(&self) {
        self.set(SILENCE);
    }

    /// Lets all packets arrive at once.
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
                // The receiver lives as long as this half.
                let _ = underway.send((at, packet[..length].to_vec()));
            }
        }
    };
    let give = async move {
        while let Some((at, packet)) = arriving.recv().await {
            tokio::time::sleep_until(at).await;
            // A device that is down takes no packet, which is lost then.
            let _ = to.send(&packet).await;
        }
    };
    tokio::join!(take, give);
}
