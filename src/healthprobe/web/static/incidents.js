// The incidents: those that are open, the longest first and with their cause, and the last that ended.

import { count, element, glyph, lasting, moment, opener, say } from "./words.js";

const ENDED_SHOWN = 12;
const CAUSES_SHOWN = 3;
const LEAST_FOR_CAUSES = 4;

const at = (id) => document.getElementById(id);

export class Incidents {
  #rows = new Map();
  #offset = 0;

  constructor({ fleet, open }) {
    Object.assign(this, { fleet, open });
  }

  /** The prober's clock tells `instant` now: durations go by it, whatever this machine's says. */
  setClock(instant) {
    this.#offset = new Date(instant).getTime() - Date.now();
  }

  /** Shows what GET /api/incidents tells; rows that stay are the same elements, so that focus stays too. */
  show({ open, incidents }) {
    const [still, ended] = [incidents.filter((each) => each.open), incidents.filter((each) => !each.open)];
    const rows = new Map();
    for (const each of still) {
      const key = `${each.game_id}\n${each.failed_at}`;
      rows.set(key, this.#rows.get(key) ?? this.#row(each));
    }
    this.#rows = rows;
    const elements = [...rows.values()].map((row) => row.element);
    if (open > still.length) elements.push(element("li", "more", `and ${count(open - still.length)} more`));
    put(at("incidents-open"), elements);
    at("incidents-none").hidden = open > 0;
    say(at("incidents-count"), open ? count(open) : "");
    this.#showCauses(still);
    at("incidents-ended-title").hidden = ended.length === 0;
    at("incidents-ended").replaceChildren(...ended.slice(0, ENDED_SHOWN).map((each) => this.#ended(each)));
    this.tick();
  }

  /** Durations go on. */
  tick() {
    const now = Date.now() + this.#offset;
    for (const row of this.#rows.values()) say(row.lasting, lasting((now - row.began) / 1000));
  }

  #row(incident) {
    const item = element("li", "row");
    const lastingFor = element("b", "lasting");
    const host = this.fleet.hostOf(incident.game_id);
    item.append(
      glyph("down"),
      opener(incident.game_id, this.open),
      lastingFor,
      element("span", "cause", incident.last_error),
      aside(host ? `${host}, since ` : "since ", moment(incident.failed_at)),
    );
    return { element: item, lasting: lastingFor, began: new Date(incident.failed_at).getTime() };
  }

  #ended(incident) {
    const item = element("li", "row");
    item.append(
      glyph("healthy"),
      opener(incident.game_id, this.open),
      element("b", "lasting", lasting(incident.duration_s)),
      element("span", "cause", incident.last_error),
      aside("until ", moment(incident.recovered_at)),
    );
    return item;
  }

  #showCauses(incidents) {
    const causes = new Map();
    for (const { last_error: cause } of incidents) causes.set(cause, (causes.get(cause) ?? 0) + 1);
    const common = [...causes].sort((one, other) => other[1] - one[1]);
    const told = common.slice(0, common.length > CAUSES_SHOWN + 1 ? CAUSES_SHOWN : CAUSES_SHOWN + 1).map(([cause, number]) => `${count(number)} × ${cause}`);
    if (common.length > CAUSES_SHOWN + 1) told.push(`and ${count(common.length - CAUSES_SHOWN)} other causes`);
    at("incidents-causes").hidden = incidents.length < LEAST_FOR_CAUSES || common[0][1] === 1;
    say(at("incidents-causes"), told.join(" · "));
  }
}

function aside(text, time) {
  const made = element("span", "aside", text);
  made.append(time);
  return made;
}

/** Puts `elements` into `list` in this order, moving none that is in its place. */
function put(list, elements) {
  const wanted = new Set(elements);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((each, number) => {
    if (list.children[number] !== each) list.insertBefore(each, list.children[number] ?? null);
  });
}
