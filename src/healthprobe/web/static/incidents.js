// Open incidents with their causes, the longest first, and the most recent ended ones.

import { clock, count, duration, element, gameButton, glyph, setText, timeElement } from "./format.js";

const ENDED_SHOWN = 12;
const CAUSES_SHOWN = 3;
const MIN_FOR_CAUSES = 4;

const at = (id) => document.getElementById(id);

export class Incidents {
  #rows = new Map();
  #offset = 0;

  constructor({ fleet, open }) {
    Object.assign(this, { fleet, open });
  }

  /** Sets the prober's clock, by which durations are measured, whatever the clock of this machine says. */
  setClock(instant) {
    this.#offset = new Date(instant).getTime() - Date.now();
  }

  /** Shows the answer of GET /api/incidents. Rows that stay keep their elements, so that they keep the focus. */
  show({ open, incidents }) {
    const [ongoing, ended] = [incidents.filter((each) => each.open), incidents.filter((each) => !each.open)];
    const rows = new Map();
    for (const each of ongoing) {
      const key = `${each.game_id}\n${each.failed_at}`;
      const row = this.#rows.get(key) ?? this.#row(each);
      setText(row.silenced, each.silenced_until ? `, silenced until ${clock(each.silenced_until)}` : "");
      rows.set(key, row);
    }
    this.#rows = rows;
    const elements = [...rows.values()].map((row) => row.element);
    if (open > ongoing.length) elements.push(element("li", "more", `and ${count(open - ongoing.length)} more`));
    setChildren(at("incidents-open"), elements);
    at("incidents-none").hidden = open > 0;
    setText(at("incidents-count"), open ? count(open) : "");
    this.#showCauses(ongoing);
    at("incidents-ended-title").hidden = ended.length === 0;
    at("incidents-ended").replaceChildren(...ended.slice(0, ENDED_SHOWN).map((each) => this.#ended(each)));
    this.tick();
  }

  /** Updates the durations. */
  tick() {
    const now = Date.now() + this.#offset;
    for (const row of this.#rows.values()) setText(row.lasting, duration((now - row.began) / 1000));
  }

  #row(incident) {
    const item = element("li", "row");
    const lastingFor = element("b", "lasting");
    const host = this.fleet.hostOf(incident.game_id);
    const silenced = element("span", "silenced");
    const since = aside(host ? `${host}, since ` : "since ", timeElement(incident.failed_at));
    since.append(silenced);
    item.append(
      glyph("down"),
      gameButton(incident.game_id, this.open),
      lastingFor,
      element("span", "cause", incident.last_error),
      since,
    );
    return { element: item, lasting: lastingFor, silenced, began: new Date(incident.failed_at).getTime() };
  }

  #ended(incident) {
    const item = element("li", "row");
    item.append(
      glyph(incident.gone_at ? "unknown" : "healthy"),
      gameButton(incident.game_id, this.open),
      element("b", "lasting", duration(incident.duration_s)),
      element("span", "cause", incident.last_error),
      incident.gone_at ? aside("no longer runs, since ", timeElement(incident.gone_at)) : aside("until ", timeElement(incident.recovered_at)),
    );
    return item;
  }

  #showCauses(incidents) {
    const causes = new Map();
    for (const { last_error: cause } of incidents) causes.set(cause, (causes.get(cause) ?? 0) + 1);
    const common = [...causes].sort((one, other) => other[1] - one[1]);
    const texts = common.slice(0, common.length > CAUSES_SHOWN + 1 ? CAUSES_SHOWN : CAUSES_SHOWN + 1).map(([cause, number]) => `${count(number)} × ${cause}`);
    if (common.length > CAUSES_SHOWN + 1) texts.push(`and ${count(common.length - CAUSES_SHOWN)} other causes`);
    at("incidents-causes").hidden = incidents.length < MIN_FOR_CAUSES || common[0][1] === 1;
    setText(at("incidents-causes"), texts.join(" · "));
  }
}

function aside(text, time) {
  const made = element("span", "aside", text);
  made.append(time);
  return made;
}

/** Makes `elements` the children of `list`, without moving those that are in place. */
function setChildren(list, elements) {
  const wanted = new Set(elements);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((each, number) => {
    if (list.children[number] !== each) list.insertBefore(each, list.children[number] ?? null);
  });
}
