// SPDX-License-Identifier: MPL-2.0

//! Nothing: the dependencies are what is built.
