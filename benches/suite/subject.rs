// SPDX-License-Identifier: MPL-2.0

//! The subjects of the measurements.

use super::Problem;
use super::server::Address;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Environment variable with the folder of the peers' libraries, if they were built.
const PEERS: &str = "SYMBL_BENCH_PEERS";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The cost of a pipeline by itself.
    Fakesink,
    /// The same bytes into a socket, without any protocol.
    Tcpclientsink,
    /// A WebSocket client without a pipeline. Hardly anything can be cheaper.
    Bare,
    Symblsink,
    Symbltranscriber,
    Speechmatics,
    Deepgram,
}

use Subject::{Bare, Deepgram, Fakesink, Speechmatics, Symblsink, Symbltranscriber, Tcpclientsink};

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Fakesink => "fakesink",
            Tcpclientsink => "tcpclientsink",
            Bare => "bare",
            Symblsink => "symblsink",
            Symbltranscriber => "symbltranscriber",
            Speechmatics => "speechmatics",
            Deepgram => "deepgram",
        }
    }

    /// Returns `true` if it is one of our elements.
    pub fn is_ours(self) -> bool {
        matches!(self, Symblsink | Symbltranscriber)
    }

    /// Returns the library of a peer.
    fn library(self) -> Option<PathBuf> {
        let name = match self {
            Speechmatics => "libgstspeechmatics.so",
            Deepgram => "libgstdeepgram.so",
            _ => return None,
        };
        Some(PathBuf::from(std::env::var_os(PEERS)?).join(name))
    }

    /// Returns `true` if it can be measured here.
    pub fn is_there(self) -> bool {
        match self {
            Speechmatics | Deepgram => self.library().is_some_and(|library| library.exists()),
            _ => true,
        }
    }

    /// Initialises GStreamer and loads the elements of this subject.
    pub fn load(self) -> Result<(), Problem> {
        gst::init()?;
        if self.is_ours() {
            gstsymbl::plugin_register_static()?;
        }
        if let Some(library) = self.library() {
            gst::Plugin::load_file(library)?;
        }
        Ok(())
    }

    /// Returns the command that sets the environment of its process.
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

    /// Returns the end of a pipeline in the notation of `gst-launch-1.0`: an element
    /// named `subject` and what it needs after it. `properties` are for our
    /// elements.
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
            Symbltranscriber => format!(
                "symbltranscriber name=subject base-url=http://{host}:{web} {properties} \
                 ! fakesink sync=false async=false enable-last-sample=false"
            ),
            Speechmatics => format!(
                "speechmaticstranscriber name=subject api-key=none \
                 url=ws://{host}:{web}/speechmatics ! fakesink sync=false async=false"
            ),
            Deepgram => "deepgramtranscriber name=subject api-key=none \
                         ! fakesink sync=false async=false"
                .to_owned(),
            // The bare client has no pipeline.
            Bare => String::new(),
        }
    }
}

/// Returns those subjects that are available, and prints which ones are not.
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
