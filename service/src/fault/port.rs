// SPDX-License-Identifier: MPL-2.0

//! Faults at the seams of the listening socket: closes the port, and gives each
//! connection its fault.

use super::state::FaultState;
use super::{Fault, Faults, Kind};
use crate::seams::{ConnectionSeams, Plain, ServerSeams};
use futures_util::future::BoxFuture;
use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

impl ServerSeams for Faults {
    fn may_close(&self) -> bool {
        self.closes_the_port()
    }

    fn closes(
        &self,
        address: SocketAddr,
        bind: fn(SocketAddr) -> Result<TcpSocket>,
    ) -> Option<BoxFuture<'static, Result<()>>> {
        let closing = self.next_closing()?;
        Some(Box::pin(closed(closing, address, bind)))
    }

    fn accepted(&self) -> Arc<dyn ConnectionSeams> {
        match Faults::accepted(self) {
            Fault {
                kind: Kind::None, ..
            } => Arc::new(Plain),
            fault => Arc::new(FaultState::new(fault)),
        }
    }
}

/// Applies a fault that closes the port.
async fn closed(
    closing: Kind,
    address: SocketAddr,
    bind: fn(SocketAddr) -> Result<TcpSocket>,
) -> Result<()> {
    tracing::info!(fault = %closing, "a fault on purpose");
    match closing {
        Kind::BlackHole(time) => {
            // One connection fills a backlog of 0, and the kernel then drops the
            // packets of others.
            let _deaf = bind(address)?.listen(0)?;
            let _fills = timeout(time, TcpStream::connect(address)).await;
            sleep(time).await;
        }
        Kind::Refuse(time) => sleep(time).await,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_a_fault_has_the_usual_seams() {
        let faults = Faults::script([Fault::NONE, "mute".parse().expect("a fault")]);
        let plain = [(); 3].map(|()| format!("{:?}", ServerSeams::accepted(&faults)) == "Plain");
        assert_eq!(plain, [true, false, true]);
        assert_eq!(faults.connections(), 3);
    }
}
