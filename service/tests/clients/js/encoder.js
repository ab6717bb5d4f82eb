// SPDX-License-Identifier: MPL-2.0

// The worker of the SDK's Opus encoder as it is, with its parts from where this page is:
// it names the host that it wants them from.

"use strict";

const HOST = /^https:\/\/symbl-sdk-cdn-bucket\..*\//u;
const load = self.importScripts.bind(self);
self.importScripts = (...urls) => load(...urls.map((url) => url.replace(HOST, `${self.origin}/`)));
load(`${self.origin}/encoderWorker.min.js`);
