// The cursor of the grid, which keys move, and the tooltip of the cell under the pointer.

import { EMPTY } from "./fleet.js";

const MIN_FRAME = 12;

export class Cursor {
  #slot = -1;
  #tipSlot = -1;

  /** `open` is called with a game id and the element that gets the focus back. */
  constructor({ grid, fleet, frame, tip, announcer, open }) {
    Object.assign(this, { grid, fleet, frame, tip, announcer, open });
    const { box } = grid;
    box.addEventListener("keydown", (event) => this.#onKey(event));
    box.addEventListener("focus", () => box.matches(":focus-visible") && this.#slot < 0 && this.moveTo(this.#first()));
    box.addEventListener("blur", () => this.#hide());
    box.addEventListener("pointermove", (event) => this.#onPointer(event));
    box.addEventListener("pointerleave", () => this.#hideTip());
    box.addEventListener("click", (event) => {
      const slot = grid.slotAt(event.clientX, event.clientY);
      if (slot < 0) return;
      this.moveTo(slot, { announce: false });
      open(fleet.ids[slot], box);
    });
  }

  /** Moves the cursor to a slot and announces its game. */
  moveTo(slot, { announce = true } = {}) {
    if (slot < 0 || slot >= this.fleet.length) return;
    this.#slot = slot;
    this.draw();
    if (announce) this.announcer.textContent = this.#description(slot);
    this.frame.scrollIntoView({ block: "nearest" });
  }

  /** Draws the cursor around its cell. */
  draw() {
    if (this.#slot < 0 || this.#slot >= this.fleet.length) {
      this.#hide();
      return;
    }
    const { x, y } = this.grid.cornerOf(this.#slot);
    const side = Math.max(this.grid.side, MIN_FRAME);
    const shift = (side - this.grid.side) / 2;
    this.frame.hidden = false;
    this.frame.style.width = this.frame.style.height = `${side}px`;
    this.frame.style.transform = `translate(${x - shift}px, ${y - shift}px)`;
  }

  /** Redraws a visible cursor, as its cell may have moved. */
  follow() {
    if (!this.frame.hidden) this.draw();
  }

  #onKey(event) {
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
    else if ((event.key === "Enter" || event.key === " ") && this.#slot >= 0) {
      const id = this.fleet.ids[this.#slot];
      if (id !== null) this.open(id, this.grid.box);
    } else return;
    event.preventDefault();
  }

  #step(by) {
    if (this.#slot < 0) this.moveTo(this.#first());
    else this.moveTo(this.#seek(this.#slot + by, Math.sign(by)));
  }

  /** Returns the first slot with an engine, from `slot` on in a direction, or -1. */
  #seek(slot, direction) {
    while (slot >= 0 && slot < this.fleet.length && this.fleet.states[slot] === EMPTY) slot += direction;
    return slot < this.fleet.length ? slot : -1;
  }

  #first() {
    return this.#seek(0, 1);
  }

  #nextDown() {
    const { length, states } = this.fleet;
    for (let step = 1; step <= length; step += 1) {
      const slot = (Math.max(this.#slot, -1) + step) % length;
      if (states[slot] === 0) return slot;
    }
    this.announcer.textContent = "No engine is down";
    return -1;
  }

  #description(slot) {
    return `${this.fleet.ids[slot]}, ${this.fleet.stateOf(slot)}, on ${this.fleet.hosts[slot] || "no host"}`;
  }

  #onPointer(event) {
    const slot = this.grid.slotAt(event.clientX, event.clientY);
    this.grid.box.classList.toggle("pointing", slot >= 0);
    if (slot < 0) {
      this.#hideTip();
      return;
    }
    const bounds = this.grid.box.getBoundingClientRect();
    if (slot !== this.#tipSlot) this.tip.textContent = this.#description(slot).replaceAll(", ", " · ");
    this.#tipSlot = slot;
    this.tip.hidden = false;
    const x = Math.min(event.clientX - bounds.left + 14, bounds.width - this.tip.offsetWidth - 2);
    const y = event.clientY - bounds.top + 18;
    this.tip.style.transform = `translate(${Math.max(x, 0)}px, ${y}px)`;
  }

  #hideTip() {
    this.#tipSlot = -1;
    this.tip.hidden = true;
  }

  #hide() {
    this.frame.hidden = true;
  }
}
