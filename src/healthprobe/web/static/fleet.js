// The fleet: every engine with its state, by slot. The grid and the search read it.

/** The state of a free slot. */
export const EMPTY = 255;

const NO_LABELS = {};

const SPARE = 1024;

export class Fleet {
  constructor() {
    this.version = 0;
    this.stateNames = ["down", "failing", "unknown", "healthy"];
    this.ids = [];
    this.hosts = [];
    this.labels = [];
    this.states = new Uint8Array(0);
    this.slots = new Map();
  }

  /** The number of slots, free ones included. */
  get length() {
    return this.ids.length;
  }

  /** Loads the answer of GET /api/cells. */
  load(cells) {
    this.version = cells.version;
    this.stateNames = cells.state_names;
    this.ids = cells.ids;
    this.hosts = cells.hosts.map((number) => cells.host_names[number] ?? "");
    this.labels = cells.ids.map((_, slot) => cells.label_sets[cells.labels[slot] ?? 0] ?? NO_LABELS);
    this.states = new Uint8Array(this.ids.length + SPARE);
    this.slots = new Map();
    for (let slot = 0; slot < this.ids.length; slot += 1) {
      const id = this.ids[slot];
      this.states[slot] = id === null ? EMPTY : cells.states.charCodeAt(slot) - 48;
      if (id !== null) this.slots.set(id, slot);
    }
  }

  /** Applies a delta and returns the changed slots, some of them twice. Removals come first, as their slots may be reused. */
  apply(delta) {
    this.version = delta.version;
    const dirty = [...delta.removed];
    for (const slot of delta.removed) {
      this.slots.delete(this.ids[slot]);
      this.ids[slot] = null;
      this.hosts[slot] = "";
      this.labels[slot] = NO_LABELS;
      this.states[slot] = EMPTY;
    }
    for (const [slot, id, host] of delta.added) {
      this.#grow(slot);
      if (this.ids[slot] !== id) {
        if (this.slots.get(this.ids[slot]) === slot) this.slots.delete(this.ids[slot]);
        this.states[slot] = this.stateNames.indexOf("unknown");
      }
      this.ids[slot] = id;
      this.hosts[slot] = host;
      this.slots.set(id, slot);
      dirty.push(slot);
    }
    for (const [slot, labels] of delta.labels) {
      this.labels[slot] = labels;
      dirty.push(slot);
    }
    for (const [slot, state] of delta.changed) {
      this.states[slot] = state;
      dirty.push(slot);
    }
    return dirty;
  }

  /** The name of the state of a slot, or an empty string if the slot is free. */
  stateOf(slot) {
    return this.stateNames[this.states[slot]] ?? "";
  }

  /** The host of a game, or an empty string if the game is not known. */
  hostOf(id) {
    const slot = this.slots.get(id);
    return slot === undefined ? "" : this.hosts[slot];
  }

  /** At most `limit` host names, sorted. */
  hostNames(limit) {
    const names = new Set();
    for (const host of this.hosts) if (host && names.add(host).size >= limit) break;
    return [...names].sort();
  }

  /** At most `limit` names of labels, sorted. */
  labelNames(limit) {
    const names = new Set();
    for (const labels of new Set(this.labels)) {
      for (const name of Object.keys(labels)) if (names.add(name).size >= limit) return [...names].sort();
    }
    return [...names].sort();
  }

  /** At most `limit` labels, each as NAME=VALUE, sorted. */
  labelTexts(limit) {
    const texts = new Set();
    for (const labels of new Set(this.labels)) {
      for (const [name, value] of Object.entries(labels)) if (texts.add(`${name}=${value}`).size >= limit) return [...texts].sort();
    }
    return [...texts].sort();
  }

  #grow(slot) {
    while (this.ids.length <= slot) {
      this.states[this.ids.length] = EMPTY;
      this.ids.push(null);
      this.hosts.push("");
      this.labels.push(NO_LABELS);
      if (this.ids.length >= this.states.length) {
        const wider = new Uint8Array(this.states.length * 2);
        wider.set(this.states);
        this.states = wider;
      }
    }
  }
}
