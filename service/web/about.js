// SPDX-License-Identifier: MPL-2.0

/**
 * Keeps up with what the API says about a conversation. A page may be opened before the first
 * word, from which times count, and before the conversation has a name.
 */

import { isLive } from "./api.js";

/** Time before another attempt after a failure, in milliseconds. */
export const AGAIN = 5_000;

/**
 * Asks the API again when its answer may be another one, and gives the state what it says.
 *
 * @param about.store  The state of the page, with what the API said when it was opened.
 * @param about.ask    Returns a promise of what the API says.
 * @param about.clock  `after(milliseconds, call)`.
 */
export function followAbout({ store, ask, clock }) {
  // What was so when the API was asked last.
  let known = {};
  let isWaiting = false;

  async function look() {
    const state = store.get();
    if (isWaiting || state.link.name !== "live" || state.catchingUp) return;
    const before = known;
    const now = { hasBegun: hasBegun(state), come: come(state) };
    const isNews = now.hasBegun !== before.hasBegun
      // A speaker that comes may bring a name.
      || (!isNamed(state.about) && now.come !== before.come);
    // What the API says of a conversation that is over is its last answer.
    if (!isNews || !isLive(state.about)) return;
    known = now;
    isWaiting = true;
    try {
      const about = await ask();
      isWaiting = false;
      store.dispatch({ type: "about", about });
      // Something may have come meanwhile.
      look();
    } catch (error) {
      if (error.status && error.status < 500 && error.status !== 429) {
        isWaiting = false;
        return;
      }
      known = before;
      clock.after(AGAIN, () => {
        isWaiting = false;
        look();
      });
    }
  }

  store.listen(look);
  look();
}

/** Returns `true` if the conversation has a name of its own. */
function isNamed({ id, name }) {
  return Boolean(name) && name !== `Conversation ${id}`;
}

function hasBegun({ speakers }) {
  return [...speakers.values()].some((speaker) => speaker.messages > 0);
}

/** Returns another text whenever a speaker has come or gone. */
function come({ speakers, speaking }) {
  const moved = [...speakers.values()].map((speaker) => speaker.movedAt);
  return `${speaking}/${Math.max(0, ...moved)}`;
}
