// SPDX-License-Identifier: MPL-2.0

/** Holds the state of a page, and tells its views once for each frame that it has changed. */

import { initial, reduce } from "./model.js";

/** Returns a store. `soon` calls a function before the next frame. */
export function store(soon) {
  let state = initial();
  let isDue = false;
  const listeners = new Set();
  const tell = () => {
    isDue = false;
    for (const listener of listeners) listener(state);
  };
  return {
    get: () => state,
    dispatch(action) {
      const before = state;
      state = reduce(state, action);
      if (state !== before && !isDue) {
        isDue = true;
        soon(tell);
      }
    },
    /** Calls `listener` after each change. */
    listen(listener) {
      listeners.add(listener);
    },
  };
}
