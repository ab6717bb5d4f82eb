// SPDX-License-Identifier: MPL-2.0

//! Empty: only the dependencies of this package are needed.
