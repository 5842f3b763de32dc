// The grid: one cell per engine. Only the pixels of changed cells are copied.

import { EMPTY } from "./fleet.js";
import { palette, sprites } from "./glyphs.js";

const MAX_SIZE = 28;
const MIN_SIZE = 2;
const MIN_HEIGHT = 160;
const HEIGHT_SHARE = 0.42;
const MAX_SINGLE_CELLS = 2000;
const MAX_BEACONS = 300;
const BEACON_BELOW = 8;

export class Grid {
  #pen;
  #pixels = null;
  #image = null;
  #pictures = null;
  #dirty = [];
  #beaconsDue = false;
  #frame = 0;
  #size = MAX_SIZE;
  #scale = 1;

  /** `matches` returns whether a slot matches the search. `onPaint` is called after painting. */
  constructor({ fleet, box, canvas, beacons, matches, onPaint }) {
    Object.assign(this, { fleet, box, canvas, beacons, matches, onPaint });
    this.columns = 1;
    this.frames = 0;
    this.#pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    new ResizeObserver(() => this.arrange()).observe(box);
    window.addEventListener("resize", () => this.arrange());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** The side of a cell in CSS pixels. */
  get side() {
    return this.#size / this.#scale;
  }

  /** Chooses the largest cell size with which all engines fit, and redraws if it has changed. */
  arrange() {
    const scale = window.devicePixelRatio || 1;
    const width = Math.floor(this.box.clientWidth * scale);
    const height = Math.max(MIN_HEIGHT, window.innerHeight * HEIGHT_SHARE) * scale;
    if (!width) return;
    const least = Math.max(2, Math.round(MIN_SIZE * scale));
    let size = Math.round(MAX_SIZE * scale);
    while (size > least && Math.ceil(this.fleet.length / Math.floor(width / size)) * size > height) size -= 1;
    const columns = Math.max(1, Math.floor(width / size));
    const rows = Math.max(1, Math.ceil(this.fleet.length / columns));
    if (size === this.#size && columns === this.columns && this.#image?.height === rows * size && scale === this.#scale) return;
    Object.assign(this, { columns });
    this.#size = size;
    this.#scale = scale;
    for (const canvas of [this.canvas, this.beacons]) {
      canvas.width = columns * size;
      canvas.height = rows * size;
      canvas.style.width = `${(columns * size) / scale}px`;
      canvas.style.height = `${(rows * size) / scale}px`;
    }
    this.#image = this.#pen.createImageData(columns * size, rows * size);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.redraw();
  }

  /** Redraws every cell at once, for new colours, a new search or a new fleet. */
  redraw() {
    if (this.#image === null) return;
    this.#pictures = sprites(this.fleet.stateNames, this.#size, palette());
    this.#pixels.fill(this.#pictures.empty[0]);
    for (let slot = 0; slot < this.fleet.length; slot += 1) this.#copy(slot);
    this.#pen.putImageData(this.#image, 0, 0);
    this.#dirty = [];
    this.#paintBeacons();
    this.frames += 1;
    this.onPaint?.();
  }

  /** Paints changed slots in the next frame. */
  touch(slots) {
    // A hidden page has no frames, and the list must not grow without end.
    if (this.#dirty.length > this.fleet.length) this.#dirty = [...new Set(this.#dirty)];
    for (const slot of slots) this.#dirty.push(slot);
    this.#beaconsDue = true;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  /** Returns the slot at a point of the window, or -1. */
  slotAt(clientX, clientY) {
    const bounds = this.canvas.getBoundingClientRect();
    const column = Math.floor((clientX - bounds.left) / this.side);
    const row = Math.floor((clientY - bounds.top) / this.side);
    const slot = row * this.columns + column;
    const isInside = column >= 0 && column < this.columns && row >= 0 && slot < this.fleet.length;
    return isInside && this.fleet.states[slot] !== EMPTY ? slot : -1;
  }

  /** Returns the corner of a slot in CSS pixels of the canvas. */
  cornerOf(slot) {
    return { x: (slot % this.columns) * this.side, y: Math.floor(slot / this.columns) * this.side };
  }

  #paint() {
    this.#frame = 0;
    if (this.#image === null) return;
    let top = Infinity;
    let bottom = -1;
    const isFew = this.#dirty.length <= MAX_SINGLE_CELLS;
    for (const slot of this.#dirty) {
      this.#copy(slot);
      const x = (slot % this.columns) * this.#size;
      const y = Math.floor(slot / this.columns) * this.#size;
      if (isFew) this.#pen.putImageData(this.#image, 0, 0, x, y, this.#size, this.#size);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + this.#size);
    }
    if (!isFew) this.#pen.putImageData(this.#image, 0, 0, 0, top, this.#image.width, bottom - top);
    this.#dirty = [];
    if (this.#beaconsDue) this.#paintBeacons();
    this.frames += 1;
    this.onPaint?.();
  }

  #copy(slot) {
    const state = this.fleet.states[slot];
    const pictures = this.matches(slot) ? this.#pictures.bright : this.#pictures.faint;
    const picture = state === EMPTY ? this.#pictures.empty : pictures[state];
    const size = this.#size;
    const width = this.#image.width;
    let to = Math.floor(slot / this.columns) * size * width + (slot % this.columns) * size;
    if (to + (size - 1) * width + size > this.#pixels.length) return;
    for (let from = 0; from < picture.length; to += width - size) {
      for (const end = from + size; from < end; from += 1, to += 1) this.#pixels[to] = picture[from];
    }
  }

  /** Marks small cells that are down with a target, unless there are too many of them. */
  #paintBeacons() {
    this.#beaconsDue = false;
    const pen = this.beacons.getContext("2d");
    pen.clearRect(0, 0, this.beacons.width, this.beacons.height);
    if (this.side >= BEACON_BELOW) return;
    const down = [];
    for (let slot = 0; slot < this.fleet.length && down.length <= MAX_BEACONS; slot += 1) {
      if (this.fleet.states[slot] === 0 && this.matches(slot)) down.push(slot);
    }
    if (down.length > MAX_BEACONS) return;
    const { down: colour, ground } = palette();
    for (const slot of down) {
      const x = ((slot % this.columns) + 0.5) * this.#size;
      const y = (Math.floor(slot / this.columns) + 0.5) * this.#size;
      this.#disc(pen, x, y, 9, ground);
      this.#disc(pen, x, y, 7.5, colour);
      this.#disc(pen, x, y, 5, ground);
      this.#disc(pen, x, y, 3, colour);
    }
  }

  #disc(pen, x, y, radius, colour) {
    pen.fillStyle = colour;
    pen.beginPath();
    pen.arc(x, y, radius * this.#scale, 0, 2 * Math.PI);
    pen.fill();
  }
}
