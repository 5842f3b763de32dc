// The fleet: every engine by its place, with its state. The grid draws it, the search goes through it.

/** The state of a place that no engine has. */
export const EMPTY = 255;

const ROOM = 1024;

export class Fleet {
  constructor() {
    this.version = 0;
    this.stateNames = ["down", "failing", "unknown", "healthy"];
    this.ids = [];
    this.hosts = [];
    this.states = new Uint8Array(0);
    this.places = new Map();
  }

  /** How many places there are, empty ones too. */
  get length() {
    return this.ids.length;
  }

  /** Takes in what GET /api/cells tells. */
  load(cells) {
    this.version = cells.version;
    this.stateNames = cells.state_names;
    this.ids = cells.ids;
    this.hosts = cells.hosts.map((number) => cells.host_names[number] ?? "");
    this.states = new Uint8Array(this.ids.length + ROOM);
    this.places = new Map();
    for (let place = 0; place < this.ids.length; place += 1) {
      const id = this.ids[place];
      this.states[place] = id === null ? EMPTY : cells.states.charCodeAt(place) - 48;
      if (id !== null) this.places.set(id, place);
    }
  }

  /** Takes in a delta; the places that differ now, some of them twice. Those that left go first: a newcomer may have taken their place. */
  apply(delta) {
    this.version = delta.version;
    const dirty = [...delta.left];
    for (const place of delta.left) {
      this.places.delete(this.ids[place]);
      this.ids[place] = null;
      this.hosts[place] = "";
      this.states[place] = EMPTY;
    }
    for (const [place, id, host] of delta.came) {
      this.#makeRoom(place);
      if (this.ids[place] !== id) {
        if (this.places.get(this.ids[place]) === place) this.places.delete(this.ids[place]);
        this.states[place] = this.stateNames.indexOf("unknown");
      }
      this.ids[place] = id;
      this.hosts[place] = host;
      this.places.set(id, place);
      dirty.push(place);
    }
    for (const [place, state] of delta.turned) {
      this.states[place] = state;
      dirty.push(place);
    }
    return dirty;
  }

  /** The state of a place in a word, or nothing of an empty one. */
  stateOf(place) {
    return this.stateNames[this.states[place]] ?? "";
  }

  /** The host that a game runs on, as far as the fleet knows. */
  hostOf(id) {
    const place = this.places.get(id);
    return place === undefined ? "" : this.hosts[place];
  }

  /** The names of hosts, in order, `most` of them. */
  hostNames(most) {
    const names = new Set();
    for (const host of this.hosts) if (host && names.add(host).size >= most) break;
    return [...names].sort();
  }

  #makeRoom(place) {
    while (this.ids.length <= place) {
      this.states[this.ids.length] = EMPTY;
      this.ids.push(null);
      this.hosts.push("");
      if (this.ids.length >= this.states.length) {
        const wider = new Uint8Array(this.states.length * 2);
        wider.set(this.states);
        this.states = wider;
      }
    }
  }
}
