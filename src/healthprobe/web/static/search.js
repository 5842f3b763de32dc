// The search by state, host, label and id. It is kept in the URL, so that a link shows the same.

import { EMPTY } from "./fleet.js";
import { count, element, gameButton, glyph, setText } from "./format.js";

const MAX_LISTED = 60;
const MAX_HOSTS = 300;
const MAX_LABELS = 300;
const TYPING_DELAY = 120;
const SEPARATOR = ", ";

const at = (id) => document.getElementById(id);

export class Search {
  #typing = 0;
  #counts = new Map();

  constructor({ fleet, onChange, open }) {
    Object.assign(this, { fleet, onChange, open });
    this.states = new Set();
    this.text = "";
    this.host = "";
    this.labels = [];
    this.matches = this.matches.bind(this);
    this.#addStateButtons();
    at("search").addEventListener("submit", (event) => event.preventDefault());
    for (const id of ["search-text", "search-host", "search-label"]) at(id).addEventListener("input", () => this.#onInput());
    at("search-host").addEventListener("focus", () => list("hosts", this.fleet.hostNames(MAX_HOSTS)));
    at("search-label").addEventListener("focus", () => list("labels", this.fleet.labelTexts(MAX_LABELS)));
    at("search-clear").addEventListener("click", () => {
      this.#set([], "", "", []);
      this.onChange();
      at("search-text").focus();
    });
  }

  /** Whether there is a search. */
  get isOn() {
    return this.states.size > 0 || this.text !== "" || this.host !== "" || this.labels.length > 0;
  }

  /** Shows only engines with this label, NAME=VALUE, besides what is searched for already. */
  addLabel(label) {
    const name = label.slice(0, label.indexOf("=") + 1);
    this.#set(this.states, this.text, this.host, [...this.labels.filter((each) => !each.startsWith(name)), label]);
    this.onChange();
  }

  /** Whether the engine in a slot matches. Without a search every slot does. */
  matches(slot) {
    if (!this.isOn) return true;
    const { fleet } = this;
    if (fleet.states[slot] === EMPTY) return false;
    if (this.states.size && !this.states.has(fleet.stateOf(slot))) return false;
    if (this.text && !fleet.ids[slot].toLowerCase().includes(this.text)) return false;
    if (this.host && !fleet.hosts[slot].toLowerCase().includes(this.host)) return false;
    return this.labels.every((label) => hasLabel(fleet.labels[slot], label));
  }

  /** Reads the search from URL parameters. */
  read(parameters) {
    const states = (parameters.get("state") ?? "").split(",").filter((name) => this.#counts.has(name));
    this.#set(states, parameters.get("q") ?? "", parameters.get("host") ?? "", parameters.getAll("label"));
  }

  /** Writes the search into URL parameters. */
  write(parameters) {
    if (this.states.size) parameters.set("state", [...this.states].join(","));
    if (this.text) parameters.set("q", this.text);
    if (this.host) parameters.set("host", this.host);
    for (const label of this.labels) parameters.append("label", label);
  }

  /** Shows the number of engines in each state. */
  showCounts(fleet) {
    for (const [name, target] of this.#counts) setText(target, count(fleet[name]));
  }

  /** Lists what matches, the worst state first. */
  list() {
    at("matches").hidden = !this.isOn;
    at("search-clear").hidden = !this.isOn;
    if (!this.isOn) return;
    const found = this.fleet.stateNames.map(() => []);
    let total = 0;
    for (let slot = 0; slot < this.fleet.length; slot += 1) {
      if (!this.matches(slot)) continue;
      total += 1;
      const ofState = found[this.fleet.states[slot]];
      if (ofState && ofState.length < MAX_LISTED) ofState.push(slot);
    }
    const shown = found.flat().slice(0, MAX_LISTED);
    const more = total > shown.length ? `; the first ${shown.length}:` : shown.length ? ":" : "";
    setText(at("matches-summary"), `${count(total)} of ${count(this.fleet.slots.size)} engines match${more}`);
    const key = shown.map((slot) => `${this.fleet.states[slot]}${this.fleet.ids[slot]}`).join("\n");
    if (at("matches-list").dataset.key === key) return;
    at("matches-list").dataset.key = key;
    at("matches-list").replaceChildren(...shown.map((slot) => this.#item(slot)));
  }

  #item(slot) {
    const item = element("li");
    const state = this.fleet.stateOf(slot);
    item.append(glyph(state), gameButton(this.fleet.ids[slot], this.open), element("span", "visually-hidden", state));
    return item;
  }

  #addStateButtons() {
    for (const name of this.fleet.stateNames) {
      const button = element("button", `state ${name}`);
      button.type = "button";
      button.dataset.state = name;
      button.setAttribute("aria-pressed", "false");
      const number = element("b", "", "–");
      this.#counts.set(name, number);
      button.append(glyph(name), number, ` ${name}`);
      button.addEventListener("click", () => {
        if (!this.states.delete(name)) this.states.add(name);
        button.setAttribute("aria-pressed", String(this.states.has(name)));
        this.#readInputs();
      });
      at("states").append(button);
    }
  }

  #onInput() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#readInputs(), TYPING_DELAY);
  }

  #readInputs() {
    clearTimeout(this.#typing);
    this.text = at("search-text").value.trim().toLowerCase();
    this.host = at("search-host").value.trim().toLowerCase();
    this.labels = labelsIn(at("search-label").value);
    this.onChange();
  }

  #set(states, text, host, labels) {
    this.states = new Set(states);
    this.text = text.trim().toLowerCase();
    this.host = host.trim().toLowerCase();
    this.labels = [...labels];
    if (labelsIn(at("search-label").value).join(SEPARATOR) !== this.labels.join(SEPARATOR)) {
      at("search-label").value = this.labels.join(SEPARATOR);
    }
    for (const [id, value] of [["search-text", this.text], ["search-host", this.host]]) {
      if (at(id).value.trim().toLowerCase() !== value) at(id).value = value;
    }
    for (const button of at("states").children) {
      button.setAttribute("aria-pressed", String(this.states.has(button.dataset.state)));
    }
  }
}

/** The labels in the text of an input, where commas separate them. */
const labelsIn = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

/** Whether an engine has the label NAME=VALUE, or none of that name for NAME=; without = whether one has the text in it. */
function hasLabel(labels, label) {
  const equals = label.indexOf("=");
  if (equals >= 0) return (labels[label.slice(0, equals)] ?? "") === label.slice(equals + 1);
  return Object.entries(labels).some(([name, value]) => `${name}=${value}`.toLowerCase().includes(label.toLowerCase()));
}

/** Makes `values` the options of a list of suggestions. */
function list(id, values) {
  const options = values.map((each) => {
    const option = element("option");
    option.value = each;
    return option;
  });
  at(id).replaceChildren(...options);
}
