// The transitions in the log, the newest first, read on whenever the log has grown.

import { element, gameButton, glyph, timeElement } from "./format.js";

const SHOWN = 50;

const at = (id) => document.getElementById(id);

export class Transitions {
  #next = null;
  #reading = false;
  #again = false;
  #log = 0;

  constructor({ open }) {
    this.open = open;
  }

  /** Starts again with the last events, as another prober may have another log. */
  restart() {
    this.#next = null;
    this.#log += 1;
  }

  /** Reads new events. A call during a read makes it read once more. */
  async read() {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    try {
      const first = this.#next === null;
      const log = this.#log;
      const after = first ? "" : `&after=${this.#next}`;
      const answer = await fetch(`api/events?limit=${SHOWN}${after}`, { cache: "no-store" });
      if (answer.ok) {
        const { next, events } = await answer.json();
        if (log === this.#log) {
          this.#show(events, first);
          this.#again ||= !first && events.length === SHOWN;
          this.#next = next;
        }
      }
    } catch {
      // The stream shows that the connection is lost; the next change reads on from here.
    } finally {
      this.#reading = false;
    }
    if (this.#again) {
      this.#again = false;
      await this.read();
    }
  }

  #show(events, first) {
    const list = at("transitions");
    if (first) list.replaceChildren();
    for (const { event } of events) list.prepend(this.#row(event));
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    at("transitions-none").hidden = list.children.length > 0;
  }

  #row(event) {
    const [state, text] = described(event);
    const item = element("li", "row");
    item.append(
      glyph(state),
      gameButton(event.game_id, this.open),
      timeElement(event.occurred_at, "lasting"),
      element("span", "cause", text),
    );
    return item;
  }
}

/** Returns the state that a transition leads to, and the transition in words. */
function described({ event_type: type, details }) {
  if (type === "probe_failed") return ["down", `failed: ${details.last_error}`];
  if (type === "probe_ended") return ["unknown", `ended: ${details.reason}`];
  return ["healthy", `recovered after ${details.prior_failure_count} failure${details.prior_failure_count === 1 ? "" : "s"}`];
}
