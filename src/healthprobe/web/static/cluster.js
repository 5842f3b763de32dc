// The cluster: which instances share the fleet, as this one knows them.

import { count, element, lasting, moment, say } from "./words.js";

const READ_EVERY = 2000;
const HOW = { start: "that nobody had", "handed over": "that were handed over", expired: "whose lease had expired" };

const at = (id) => document.getElementById(id);

export class Cluster {
  #readAt = 0;
  #key = "";

  /** Reads who is there now and then, where the prober that tells of the fleet is in a cluster. */
  tell(fleet) {
    const { instances } = fleet.prober;
    at("cluster").hidden = instances === null;
    if (instances === null || Date.now() - this.#readAt < READ_EVERY) return;
    this.#readAt = Date.now();
    void this.#read();
  }

  async #read() {
    try {
      const answer = await fetch("/api/cluster", { cache: "no-store" });
      if (answer.ok) this.#show(await answer.json());
    } catch {
      // The connection is dead, which the stream tells of.
    }
  }

  #show({ shards, unwatched, silent_s: silent, instances }) {
    const told = unwatched ? `${count(unwatched)} of ${count(shards)} shards are watched by nobody` : "";
    const old = silent > 5 ? `nothing was heard for ${lasting(silent)}` : "";
    const trouble = [told, old].filter(Boolean).join("; ");
    at("cluster-trouble").hidden = trouble === "";
    say(at("cluster-trouble"), trouble);
    const rows = instances.map((each) => rowOf(each));
    const key = JSON.stringify(rows);
    if (key === this.#key) return;
    this.#key = key;
    at("instances").replaceChildren(...rows.map(drawn));
  }
}

/** What is shown of an instance. Ages, which change all the time, are not. */
function rowOf({ instance, host, pid, started_at, shards, games, duties, blind, last_takeover: taken }) {
  const marks = [duties.length ? "delivers" : "", blind ? "blind" : ""].filter(Boolean);
  return { instance, place: `${host}, pid ${pid}`, started_at, shards: shards.length, games, marks, blind, taken };
}

function drawn({ instance, place, started_at, shards, games, marks, blind, taken }) {
  const item = element("li", blind ? "instance bad" : "instance");
  const name = element("span", "name", instance);
  name.title = place;
  const has = element("span", "has", `${count(shards)} shards, ${count(games)} games`);
  const more = element("span", "more");
  more.append(...marks.map((each) => element("span", "mark", each)), "up since ", moment(started_at));
  if (taken) more.append(`; took ${count(taken.shards)} shards ${HOW[taken.cause]} at `, moment(taken.at));
  item.append(name, has, more);
  return item;
}
