// SPDX-License-Identifier: MPL-2.0

//! Who is measured.

use super::Problem;
use super::server::Address;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The folder with the libraries of the peers, if they were built.
const PEERS: &str = "SYMBL_BENCH_PEERS";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// What a pipeline costs by itself.
    Fakesink,
    /// The same bytes into a socket, without any protocol.
    Tcpclientsink,
    /// A WebSocket client without a pipeline: nothing can be much cheaper.
    Bare,
    Symblsink,
    Speechmatics,
    Deepgram,
}

use Subject::{Bare, Deepgram, Fakesink, Speechmatics, Symblsink, Tcpclientsink};

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Fakesink => "fakesink",
            Tcpclientsink => "tcpclientsink",
            Bare => "bare",
            Symblsink => "symblsink",
            Speechmatics => "speechmatics",
            Deepgram => "deepgram",
        }
    }

    /// The library to load, for a peer.
    fn library(self) -> Option<PathBuf> {
        let name = match self {
            Speechmatics => "libgstspeechmatics.so",
            Deepgram => "libgstdeepgram.so",
            _ => return None,
        };
        Some(PathBuf::from(std::env::var_os(PEERS)?).join(name))
    }

    /// Whether it can be measured here.
    pub fn is_there(self) -> bool {
        match self {
            Speechmatics | Deepgram => self.library().is_some_and(|library| library.exists()),
            _ => true,
        }
    }

    /// GStreamer with what this subject needs.
    pub fn load(self) -> Result<(), Problem> {
        gst::init()?;
        if self == Symblsink {
            gstsymbl::plugin_register_static()?;
        }
        if let Some(library) = self.library() {
            gst::Plugin::load_file(library)?;
        }
        Ok(())
    }

    /// Set for its process.
    pub fn environment(self, server: Address) -> Vec<String> {
        match self {
            Deepgram => {
                let (host, port) = (server.host, server.web);
                vec![
                    "env".to_owned(),
                    format!("DEEPGRAM_BASE_URL=http://{host}:{port}"),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// The end of a pipeline, as `gst-launch-1.0` takes it: an element named
    /// `subject`, and what it needs behind it. `properties` are for symblsink.
    pub fn element(self, server: Address, properties: &str) -> String {
        let (host, web, plain) = (server.host, server.web, server.plain);
        match self {
            Fakesink => "fakesink name=subject sync=false async=false".to_owned(),
            Tcpclientsink => {
                format!(
                    "tcpclientsink name=subject sync=false async=false host={host} port={plain}"
                )
            }
            Symblsink => format!(
                "symblsink name=subject sync=false base-url=http://{host}:{web} {properties}"
            ),
            Speechmatics => format!(
                "speechmaticstranscriber name=subject api-key=none \
                 url=ws://{host}:{web}/speechmatics ! fakesink sync=false async=false"
            ),
            Deepgram => "deepgramtranscriber name=subject api-key=none \
                         ! fakesink sync=false async=false"
                .to_owned(),
            // It has no pipeline.
            Bare => String::new(),
        }
    }
}

/// Those of these that are there; a word about each that is not.
pub fn those_there(subjects: &[Subject]) -> Vec<Subject> {
    let (there, missing): (Vec<_>, Vec<_>) = subjects
        .iter()
        .copied()
        .partition(|subject| subject.is_there());
    for subject in missing {
        eprintln!("left out, for it was not built: {}", subject.name());
    }
    there
}
