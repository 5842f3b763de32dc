// The search: which engines are wanted, by state, host and id. The address of the page holds it, to be sent to others.

import { EMPTY } from "./fleet.js";
import { count, element, glyph, opener, say } from "./words.js";

const LISTED = 60;
const HOSTS_OFFERED = 300;
const AFTER_TYPING = 120;

const at = (id) => document.getElementById(id);

export class Search {
  #typing = 0;
  #counts = new Map();

  constructor({ fleet, onChange, open }) {
    Object.assign(this, { fleet, onChange, open });
    this.states = new Set();
    this.text = "";
    this.host = "";
    this.matches = this.matches.bind(this);
    this.#makeStates();
    at("search").addEventListener("submit", (event) => event.preventDefault());
    for (const id of ["search-text", "search-host"]) at(id).addEventListener("input", () => this.#typed());
    at("search-host").addEventListener("focus", () => this.#offerHosts());
    at("search-clear").addEventListener("click", () => {
      this.#set([], "", "");
      this.onChange();
      at("search-text").focus();
    });
  }

  /** Whether anything is asked for. */
  get isOn() {
    return this.states.size > 0 || this.text !== "" || this.host !== "";
  }

  /** Whether the engine at this place is wanted; every one is where nothing is asked for. */
  matches(place) {
    if (!this.isOn) return true;
    const { fleet } = this;
    if (fleet.states[place] === EMPTY) return false;
    if (this.states.size && !this.states.has(fleet.stateOf(place))) return false;
    if (this.text && !fleet.ids[place].toLowerCase().includes(this.text)) return false;
    return !this.host || fleet.hosts[place].toLowerCase().includes(this.host);
  }

  /** Reads what `parameters` of an address ask for. */
  read(parameters) {
    const states = (parameters.get("state") ?? "").split(",").filter((name) => this.#counts.has(name));
    this.#set(states, parameters.get("q") ?? "", parameters.get("host") ?? "");
  }

  /** Writes into `parameters` what is asked for. */
  write(parameters) {
    if (this.states.size) parameters.set("state", [...this.states].join(","));
    if (this.text) parameters.set("q", this.text);
    if (this.host) parameters.set("host", this.host);
  }

  /** Tells how many engines are in each state. */
  tell(fleet) {
    for (const [name, target] of this.#counts) say(target, count(fleet[name]));
  }

  /** Lists what matches, those in trouble first. */
  list() {
    at("matches").hidden = !this.isOn;
    at("search-clear").hidden = !this.isOn;
    if (!this.isOn) return;
    const found = this.fleet.stateNames.map(() => []);
    let total = 0;
    for (let place = 0; place < this.fleet.length; place += 1) {
      if (!this.matches(place)) continue;
      total += 1;
      const ofState = found[this.fleet.states[place]];
      if (ofState && ofState.length < LISTED) ofState.push(place);
    }
    const shown = found.flat().slice(0, LISTED);
    const more = total > shown.length ? `, the first ${shown.length} of them:` : shown.length ? ":" : "";
    say(at("matches-told"), `${count(total)} of ${count(this.fleet.places.size)} engines match${more}`);
    const key = shown.map((place) => `${this.fleet.states[place]}${this.fleet.ids[place]}`).join("\n");
    if (at("matches-list").dataset.key === key) return;
    at("matches-list").dataset.key = key;
    at("matches-list").replaceChildren(...shown.map((place) => this.#item(place)));
  }

  #item(place) {
    const item = element("li");
    const state = this.fleet.stateOf(place);
    item.append(glyph(state), opener(this.fleet.ids[place], this.open), element("span", "visually-hidden", state));
    return item;
  }

  #makeStates() {
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
        this.#takeTyped();
      });
      at("states").append(button);
    }
  }

  #typed() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#takeTyped(), AFTER_TYPING);
  }

  #takeTyped() {
    clearTimeout(this.#typing);
    this.text = at("search-text").value.trim().toLowerCase();
    this.host = at("search-host").value.trim().toLowerCase();
    this.onChange();
  }

  #set(states, text, host) {
    this.states = new Set(states);
    this.text = text.trim().toLowerCase();
    this.host = host.trim().toLowerCase();
    for (const [id, value] of [["search-text", this.text], ["search-host", this.host]]) {
      if (at(id).value.trim().toLowerCase() !== value) at(id).value = value;
    }
    for (const button of at("states").children) {
      button.setAttribute("aria-pressed", String(this.states.has(button.dataset.state)));
    }
  }

  #offerHosts() {
    const options = this.fleet.hostNames(HOSTS_OFFERED).map((name) => {
      const option = element("option");
      option.value = name;
      return option;
    });
    at("hosts").replaceChildren(...options);
  }
}
