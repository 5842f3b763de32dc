// The cursor: the cell that keys move, and what is said of the cell under the pointer.

import { EMPTY } from "./fleet.js";

const LEAST_FRAME = 12;

export class Cursor {
  #place = -1;
  #tipAt = -1;

  /** `open` is called with the id of a game and the element that focus goes back to. */
  constructor({ grid, fleet, frame, tip, spoken, open }) {
    Object.assign(this, { grid, fleet, frame, tip, spoken, open });
    const { box } = grid;
    box.addEventListener("keydown", (event) => this.#press(event));
    box.addEventListener("focus", () => box.matches(":focus-visible") && this.#place < 0 && this.moveTo(this.#first()));
    box.addEventListener("blur", () => this.#hide());
    box.addEventListener("pointermove", (event) => this.#point(event));
    box.addEventListener("pointerleave", () => this.#untip());
    box.addEventListener("click", (event) => {
      const place = grid.placeAt(event.clientX, event.clientY);
      if (place < 0) return;
      this.moveTo(place, { aloud: false });
      open(fleet.ids[place], box);
    });
  }

  /** Puts the cursor on a place and says what is there. */
  moveTo(place, { aloud = true } = {}) {
    if (place < 0 || place >= this.fleet.length) return;
    this.#place = place;
    this.draw();
    if (aloud) this.spoken.textContent = this.#told(place);
    this.frame.scrollIntoView({ block: "nearest" });
  }

  /** Draws the cursor where its cell is now. */
  draw() {
    if (this.#place < 0 || this.#place >= this.fleet.length) {
      this.#hide();
      return;
    }
    const { x, y } = this.grid.cornerOf(this.#place);
    const side = Math.max(this.grid.side, LEAST_FRAME);
    const shift = (side - this.grid.side) / 2;
    this.frame.hidden = false;
    this.frame.style.width = this.frame.style.height = `${side}px`;
    this.frame.style.transform = `translate(${x - shift}px, ${y - shift}px)`;
  }

  /** The cells may have moved: the cursor, where it is shown, goes with its own. */
  follow() {
    if (!this.frame.hidden) this.draw();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.grid.columns,
      ArrowDown: this.grid.columns,
      PageUp: -10 * this.grid.columns,
      PageDown: 10 * this.grid.columns,
    };
    if (event.key in steps) this.#step(steps[event.key]);
    else if (event.key === "Home") this.moveTo(this.#seek(0, 1));
    else if (event.key === "End") this.moveTo(this.#seek(this.fleet.length - 1, -1));
    else if (event.key.toLowerCase() === "n") this.moveTo(this.#nextDown());
    else if ((event.key === "Enter" || event.key === " ") && this.#place >= 0) {
      const id = this.fleet.ids[this.#place];
      if (id !== null) this.open(id, this.grid.box);
    } else return;
    event.preventDefault();
  }

  #step(by) {
    if (this.#place < 0) this.moveTo(this.#first());
    else this.moveTo(this.#seek(this.#place + by, Math.sign(by)));
  }

  /** The first place from `place` on, in that direction, that has an engine; -1 where there is none. */
  #seek(place, direction) {
    while (place >= 0 && place < this.fleet.length && this.fleet.states[place] === EMPTY) place += direction;
    return place < this.fleet.length ? place : -1;
  }

  #first() {
    return this.#seek(0, 1);
  }

  #nextDown() {
    const { length, states } = this.fleet;
    for (let step = 1; step <= length; step += 1) {
      const place = (Math.max(this.#place, -1) + step) % length;
      if (states[place] === 0) return place;
    }
    this.spoken.textContent = "No engine is down";
    return -1;
  }

  #told(place) {
    return `${this.fleet.ids[place]}, ${this.fleet.stateOf(place)}, on ${this.fleet.hosts[place] || "no host"}`;
  }

  #point(event) {
    const place = this.grid.placeAt(event.clientX, event.clientY);
    this.grid.box.classList.toggle("pointing", place >= 0);
    if (place < 0) {
      this.#untip();
      return;
    }
    const bounds = this.grid.box.getBoundingClientRect();
    if (place !== this.#tipAt) this.tip.textContent = this.#told(place).replaceAll(", ", " · ");
    this.#tipAt = place;
    this.tip.hidden = false;
    const x = Math.min(event.clientX - bounds.left + 14, bounds.width - this.tip.offsetWidth - 2);
    const y = event.clientY - bounds.top + 18;
    this.tip.style.transform = `translate(${Math.max(x, 0)}px, ${y}px)`;
  }

  #untip() {
    this.#tipAt = -1;
    this.tip.hidden = true;
  }

  #hide() {
    this.frame.hidden = true;
  }
}
