// SPDX-License-Identifier: MPL-2.0

//! The outside of the service: connections, tokens, paths and wire forms.

pub(crate) mod analytics;
pub(crate) mod audit;
pub(crate) mod bookmarks;
pub(crate) mod connection;
pub(crate) mod events;
pub(crate) mod gate;
pub(crate) mod groups;
pub(crate) mod handshake;
pub(crate) mod http;
pub(crate) mod keeper;
pub(crate) mod keyring;
pub(crate) mod labels;
pub(crate) mod listener;
pub(crate) mod manage;
pub(crate) mod ops;
pub(crate) mod origin;
pub(crate) mod probes;
pub(crate) mod process;
pub(crate) mod refused;
pub(crate) mod rest;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod socketio;
pub(crate) mod speakers;
pub(crate) mod spoken;
pub(crate) mod stall;
pub(crate) mod symbl;
pub(crate) mod throttle;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod transcript;
pub(crate) mod unhonoured;
pub(crate) mod unix;
pub(crate) mod web;
