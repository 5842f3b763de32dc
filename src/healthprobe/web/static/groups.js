// The groups: the engines by the values of one label, with the number in each state. It is kept in the URL.

import { EMPTY } from "./fleet.js";
import { count, element, glyph } from "./format.js";

const MAX_NAMES = 100;
const MAX_GROUPS = 60;
const NONE = "";

const at = (id) => document.getElementById(id);

export class Groups {
  #key = "";
  #names = "";

  /** `choose` is called with the label NAME=VALUE of the group that is clicked. */
  constructor({ fleet, matches, choose, onChange }) {
    Object.assign(this, { fleet, matches, choose });
    this.label = NONE;
    at("group-by").addEventListener("change", () => {
      this.label = at("group-by").value;
      this.show();
      onChange();
    });
  }

  read(parameters) {
    this.label = parameters.get("group") ?? NONE;
    this.#names = "";
    this.show();
  }

  write(parameters) {
    if (this.label) parameters.set("group", this.label);
  }

  /** Shows the groups of the engines that match the search, those with most engines down first. */
  show() {
    this.#listNames();
    at("groups").hidden = this.label === NONE;
    if (this.label === NONE) return;
    const groups = [...this.#count()].sort(
      ([one, a], [other, b]) => b.states[0] - a.states[0] || b.states[1] - a.states[1] || b.total - a.total || (one < other ? -1 : 1),
    );
    const shown = groups.slice(0, MAX_GROUPS);
    const key = JSON.stringify([this.label, shown, groups.length]);
    if (key === this.#key) return;
    this.#key = key;
    const rows = shown.map(([value, group]) => this.#row(value, group));
    if (groups.length > shown.length) rows.push(element("li", "more", `and ${count(groups.length - shown.length)} more`));
    at("groups").replaceChildren(...rows);
  }

  #count() {
    const { fleet, label } = this;
    const groups = new Map();
    for (let slot = 0; slot < fleet.length; slot += 1) {
      if (fleet.states[slot] === EMPTY || !this.matches(slot)) continue;
      const value = fleet.labels[slot][label] ?? "";
      let group = groups.get(value);
      if (group === undefined) groups.set(value, (group = { total: 0, states: fleet.stateNames.map(() => 0) }));
      group.total += 1;
      group.states[fleet.states[slot]] += 1;
    }
    return groups;
  }

  #row(value, { total, states }) {
    const item = element("li");
    const button = element("button", "game", value || `no ${this.label}`);
    button.type = "button";
    button.title = `Show only ${this.label}=${value}`;
    button.addEventListener("click", () => this.choose(`${this.label}=${value}`));
    const numbers = element("span", "numbers");
    this.fleet.stateNames.forEach((name, number) => {
      if (states[number] === 0) return;
      const each = element("span", "number");
      each.append(glyph(name), count(states[number]), element("span", "visually-hidden", ` ${name}`));
      numbers.append(each);
    });
    item.append(button, element("span", "total", `of ${count(total)}`), numbers);
    return item;
  }

  #listNames() {
    const names = this.fleet.labelNames(MAX_NAMES);
    if (this.label && !names.includes(this.label)) names.push(this.label);
    at("group").hidden = names.length === 0;
    const key = names.join("\n");
    if (key === this.#names) return;
    this.#names = key;
    const options = [NONE, ...names].map((name) => {
      const option = element("option", "", name ? `By ${name}` : "Not grouped");
      option.value = name;
      return option;
    });
    at("group-by").replaceChildren(...options);
    at("group-by").value = this.label;
  }
}
