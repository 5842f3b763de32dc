// The instances of the cluster, as the prober of this page knows them.

import { count, duration, element, setText, timeElement } from "./format.js";

const READ_INTERVAL = 2000;
const CAUSES = { start: "at start", "handed over": "in a handover", expired: "after their leases expired" };

const at = (id) => document.getElementById(id);

export class Cluster {
  #readAt = 0;
  #key = "";

  /** Reads the instances every two seconds if the prober is in a cluster. */
  update(fleet) {
    const { instances } = fleet.prober;
    at("cluster").hidden = instances === null;
    if (instances === null || Date.now() - this.#readAt < READ_INTERVAL) return;
    this.#readAt = Date.now();
    void this.#read();
  }

  async #read() {
    try {
      const answer = await fetch("api/cluster", { cache: "no-store" });
      if (answer.ok) this.#show(await answer.json());
    } catch {
      // The stream shows that the connection is lost.
    }
  }

  #show({ shards, unwatched, silent_s: silent, instances }) {
    const gap = unwatched ? `${count(unwatched)} of ${count(shards)} shards are held by no instance` : "";
    const silence = silent > 5 ? `no news from the cluster for ${duration(silent)}` : "";
    const trouble = [gap, silence].filter(Boolean).join("; ");
    at("cluster-trouble").hidden = trouble === "";
    setText(at("cluster-trouble"), trouble);
    const rows = instances.map((each) => rowOf(each));
    const key = JSON.stringify(rows);
    if (key === this.#key) return;
    this.#key = key;
    at("instances").replaceChildren(...rows.map(itemOf));
  }
}

/** What is shown of an instance. Ages are left out, as they change all the time. */
function rowOf({ instance, host, pid, started_at, shards, games, duties, blind, last_takeover: takeover }) {
  const marks = [duties.length ? "delivers" : "", blind ? "blind" : ""].filter(Boolean);
  return { instance, address: `${host}, pid ${pid}`, started_at, shards: shards.length, games, marks, blind, takeover };
}

function itemOf({ instance, address, started_at, shards, games, marks, blind, takeover }) {
  const item = element("li", blind ? "instance bad" : "instance");
  const name = element("span", "name", instance);
  name.title = address;
  const load = element("span", "load", `${count(shards)} shards, ${count(games)} games`);
  const more = element("span", "more");
  more.append(...marks.map((each) => element("span", "mark", each)), "up since ", timeElement(started_at));
  if (takeover) more.append(`; took over ${count(takeover.shards)} shards ${CAUSES[takeover.cause]}, `, timeElement(takeover.at));
  item.append(name, load, more);
  return item;
}
