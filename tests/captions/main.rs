// SPDX-License-Identifier: MPL-2.0

//! Captions behind a text pad: in pictures, in CEA-608 and CEA-708, in subtitle tracks and in
//! files, read back by programs that are not this project's.
//!
//! | module | what is in it |
//! |---|---|
//! | `talk` | what is said, and when |
//! | `source`, `prompter` | where the text of a pipeline comes from |
//! | `narrow` | a line that is too slow for sound |
//! | `elements` | the elements of other projects behind ours |
//! | `read`, `lines`, `pictures` | captions as others read them |
//! | `recipes` | a way from text to captions each |
//! | `documented` | the commands of `docs/captioning.md` |

#[path = "../common/mod.rs"]
mod common;

mod documented;
mod elements;
mod lines;
mod narrow;
mod pictures;
mod prompter;
mod read;
mod recipes;
mod source;
mod talk;
