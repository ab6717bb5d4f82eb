// SPDX-License-Identifier: MPL-2.0

#![doc = include_str!("../README.md")]

use clap::Command;
use clap_complete::{Shell, generate_to};
use std::io::Result;
use std::path::Path;

/// Writes `man1/*.1` and the completions for bash, zsh and fish below the folder.
pub fn write(mut command: Command, folder: &Path) -> Result<()> {
    let pages = folder.join("man1");
    std::fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command.clone(), &pages)?;
    let name = command.get_name().to_owned();
    for (shell, place) in [
        (Shell::Bash, "bash"),
        (Shell::Zsh, "zsh"),
        (Shell::Fish, "fish"),
    ] {
        let place = folder.join(place);
        std::fs::create_dir_all(&place)?;
        generate_to(shell, &mut command, &name, &place)?;
    }
    Ok(())
}
