// SPDX-License-Identifier: MPL-2.0

/**
 * A list of any length in a box that scrolls, of which only the rows in sight are elements.
 *
 * Rows have any height. A row that was in sight once has its measured height, another one
 * an estimate. What the reader looks at stays where it is, whatever comes in above; a reader
 * at the end stays at the end.
 */

/** Pixels above and below the box in which rows are elements too. */
const MARGIN = 600;
/** Pixels from the end up to which a reader counts as being at the end. */
const NEAR = 48;

export class WindowedList {
  #box;
  #list;
  #render;
  #estimate;
  #items = [];
  // Where each row begins, and behind the last one where it ends.
  #offsets = new Float64Array(1);
  #heights = new Map();
  #shown = new Map();
  #range = [0, 0];
  #isFollowing = true;
  #isDue = false;
  #width = 0;
  #onmove;

  /**
   * @param {HTMLElement} box   Scrolls.
   * @param {HTMLElement} list  In the box; gets the rows.
   * @param about.render        Returns the element of an item, which has a `key`. The row is
   *                            made anew if the item with this key is another object.
   * @param about.estimate      Returns the height of an item that was never in sight.
   * @param about.onmove        Called when the reader comes to the end or leaves it.
   */
  constructor(box, list, { render, estimate, onmove }) {
    this.#box = box;
    this.#list = list;
    this.#render = render;
    this.#estimate = estimate;
    this.#onmove = onmove;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(box);
    new ResizeObserver(() => this.#grown()).observe(list.parentElement);
  }

  /** Is `true` while the reader is at the end. */
  get isFollowing() {
    return this.#isFollowing;
  }

  /** Shows these items. */
  set(items) {
    this.#keepPlace(() => {
      this.#items = items;
      this.#measureAll();
    });
  }

  /** Measures the rows in sight again, since one of them has another height. */
  measure() {
    this.#draw(true);
  }

  /** Measures all rows again, for example in another size of type. */
  refresh() {
    this.#keepPlace(() => {
      this.#heights.clear();
      this.#measureAll();
    });
  }

  /** Scrolls to the end, and stays there. */
  follow() {
    this.#setFollowing(true);
    this.#draw();
    this.#toEnd();
  }

  /** Brings the row `key` to the middle of the box and returns its element, if there is one. */
  show(key) {
    const at = this.#items.findIndex((item) => item.key === key);
    if (at < 0) return null;
    this.#setFollowing(false);
    // The first time, heights on the way there may be estimates.
    for (let times = 0; times < 3; times += 1) {
      const height = this.#offsets[at + 1] - this.#offsets[at];
      this.#box.scrollTop = this.#offsets[at] - (this.#box.clientHeight - height) / 2;
      this.#draw();
    }
    return this.#shown.get(key)?.element ?? null;
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#box;
    this.#setFollowing(scrollHeight - scrollTop - clientHeight < NEAR);
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #resized() {
    if (this.#box.clientWidth !== this.#width) {
      this.#width = this.#box.clientWidth;
      this.refresh();
    } else if (this.#isFollowing) {
      this.#toEnd();
    }
  }

  /** Stays at the end when something below the rows has grown. */
  #grown() {
    if (this.#isFollowing) this.#toEnd();
  }

  #setFollowing(isFollowing) {
    if (this.#isFollowing !== isFollowing) {
      this.#isFollowing = isFollowing;
      this.#onmove(isFollowing);
    }
  }

  #toEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
  }

  #measureAll() {
    const offsets = new Float64Array(this.#items.length + 1);
    const width = this.#box.clientWidth;
    this.#items.forEach((item, at) => {
      const height = this.#heights.get(item.key) ?? this.#estimate(item, width);
      offsets[at + 1] = offsets[at] + height;
    });
    this.#offsets = offsets;
  }

  /** Changes the list, and keeps the first row in sight where it is. */
  #keepPlace(change) {
    const top = this.#box.scrollTop;
    const at = this.#rowAt(top);
    const key = this.#items[at]?.key;
    const into = top - this.#offsets[at];
    change();
    if (this.#isFollowing) {
      this.#draw(true);
      this.#toEnd();
      return;
    }
    const now = this.#items.findIndex((item) => item.key === key);
    if (now >= 0) this.#moveTo(this.#offsets[now] + into);
    this.#draw(true);
  }

  #moveTo(top) {
    if (Math.abs(this.#box.scrollTop - top) >= 1) {
      // The spacers must have room for it.
      this.#list.style.paddingBottom = `${this.#offsets.at(-1)}px`;
      this.#box.scrollTop = top;
    }
  }

  /** Returns the index of the row at this place. */
  #rowAt(place) {
    let [low, high] = [0, this.#items.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#offsets[middle + 1] <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Makes the rows in sight elements, and measures those that are new. */
  #draw(isForced = false) {
    const height = this.#box.clientHeight;
    const end = this.#offsets.at(-1);
    const top = this.#isFollowing ? end - height : this.#box.scrollTop;
    const first = this.#rowAt(Math.max(0, top - MARGIN));
    const last = Math.min(this.#items.length, this.#rowAt(top + height + MARGIN) + 1);
    if (!isForced && first === this.#range[0] && last === this.#range[1]) return;
    this.#range = [first, last];
    const wanted = this.#items.slice(first, last);
    const keys = new Set(wanted.map((item) => item.key));
    for (const [key, row] of this.#shown) {
      if (!keys.has(key)) {
        row.element.remove();
        this.#shown.delete(key);
      }
    }
    let before = null;
    const fresh = [];
    wanted.forEach((item, at) => {
      let row = this.#shown.get(item.key);
      if (row?.item !== item) {
        const element = this.#render(item);
        row?.element.replaceWith(element);
        row = { element, item, place: "" };
        this.#shown.set(item.key, row);
      }
      if (isForced || row.place === "") fresh.push([first + at, row.element]);
      const place = `${first + at + 1}/${this.#items.length}`;
      if (row.place !== place) {
        row.place = place;
        row.element.setAttribute("aria-posinset", first + at + 1);
        row.element.setAttribute("aria-setsize", this.#items.length);
      }
      const next = before === null ? this.#list.firstChild : before.nextSibling;
      if (next !== row.element) this.#list.insertBefore(row.element, next);
      before = row.element;
    });
    this.#measure(fresh, first, last);
  }

  /** Leaves room for the rows that are no elements. */
  #pad(first, last) {
    this.#list.style.paddingTop = `${this.#offsets[first]}px`;
    this.#list.style.paddingBottom = `${this.#offsets.at(-1) - this.#offsets[last]}px`;
  }

  /** Measures rows, each with its index, and moves those behind them. */
  #measure(fresh, first, last) {
    this.#pad(first, last);
    if (fresh.length === 0) return;
    const top = this.#box.scrollTop;
    const anchor = this.#rowAt(top);
    const into = top - this.#offsets[anchor];
    const offsets = this.#offsets;
    const changes = [];
    for (const [at, element] of fresh) {
      const height = element.getBoundingClientRect().height;
      this.#heights.set(this.#items[at].key, height);
      const change = height - (offsets[at + 1] - offsets[at]);
      if (Math.abs(change) > 0.01) changes.push([at, change]);
    }
    if (changes.length === 0) return;
    let moved = 0;
    let next = 0;
    for (let at = changes[0][0]; at < this.#items.length; at += 1) {
      if (changes[next]?.[0] === at) {
        moved += changes[next][1];
        next += 1;
      }
      offsets[at + 1] += moved;
    }
    this.#pad(first, last);
    if (!this.#isFollowing && anchor < this.#items.length) {
      this.#moveTo(this.#offsets[anchor] + into);
      this.#pad(first, last);
    }
  }
}
