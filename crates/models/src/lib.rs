// SPDX-License-Identifier: MPL-2.0

//! Knows the speech models of the service: their names, where they come from and where they lie.
