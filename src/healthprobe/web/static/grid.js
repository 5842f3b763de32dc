// The grid: one cell an engine, as pixels that are copied where something has changed and nowhere else.

import { EMPTY } from "./fleet.js";
import { palette, sprites } from "./glyphs.js";

const LARGEST = 28;
const SMALLEST = 2;
const LEAST_HEIGHT = 160;
const SHARE_OF_HEIGHT = 0.42;
const ONE_BY_ONE = 2000;
const MOST_BEACONS = 300;
const NEEDS_BEACON = 8;

export class Grid {
  #pen;
  #pixels = null;
  #image = null;
  #pictures = null;
  #dirty = [];
  #beaconsDue = false;
  #frame = 0;
  #size = LARGEST;
  #scale = 1;

  /** `matches` tells of a place whether the search wants it. `onPaint` is called after something was painted. */
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

  /** Chooses the largest cells with which all engines fit; draws all anew where that has changed something. */
  arrange() {
    const scale = window.devicePixelRatio || 1;
    const width = Math.floor(this.box.clientWidth * scale);
    const height = Math.max(LEAST_HEIGHT, window.innerHeight * SHARE_OF_HEIGHT) * scale;
    if (!width) return;
    const least = Math.max(2, Math.round(SMALLEST * scale));
    let size = Math.round(LARGEST * scale);
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

  /** Draws every cell anew, now: other colours, another search, another fleet. */
  redraw() {
    if (this.#image === null) return;
    this.#pictures = sprites(this.fleet.stateNames, this.#size, palette());
    this.#pixels.fill(this.#pictures.empty[0]);
    for (let place = 0; place < this.fleet.length; place += 1) this.#copy(place);
    this.#pen.putImageData(this.#image, 0, 0);
    this.#dirty = [];
    this.#paintBeacons();
    this.frames += 1;
    this.onPaint?.();
  }

  /** These places have changed: they are painted in the next frame. */
  touch(places) {
    // A page that nobody sees has no frames: what it has to paint then must not grow for ever.
    if (this.#dirty.length > this.fleet.length) this.#dirty = [...new Set(this.#dirty)];
    for (const place of places) this.#dirty.push(place);
    this.#beaconsDue = true;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  /** The place at a point of the window, or -1. */
  placeAt(clientX, clientY) {
    const bounds = this.canvas.getBoundingClientRect();
    const column = Math.floor((clientX - bounds.left) / this.side);
    const row = Math.floor((clientY - bounds.top) / this.side);
    const place = row * this.columns + column;
    const isInside = column >= 0 && column < this.columns && row >= 0 && place < this.fleet.length;
    return isInside && this.fleet.states[place] !== EMPTY ? place : -1;
  }

  /** Where a place is, in CSS pixels from the corner of the canvas. */
  cornerOf(place) {
    return { x: (place % this.columns) * this.side, y: Math.floor(place / this.columns) * this.side };
  }

  #paint() {
    this.#frame = 0;
    if (this.#image === null) return;
    let top = Infinity;
    let bottom = -1;
    const isFew = this.#dirty.length <= ONE_BY_ONE;
    for (const place of this.#dirty) {
      this.#copy(place);
      const x = (place % this.columns) * this.#size;
      const y = Math.floor(place / this.columns) * this.#size;
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

  #copy(place) {
    const state = this.fleet.states[place];
    const pictures = this.matches(place) ? this.#pictures.bright : this.#pictures.faint;
    const picture = state === EMPTY ? this.#pictures.empty : pictures[state];
    const size = this.#size;
    const width = this.#image.width;
    let to = Math.floor(place / this.columns) * size * width + (place % this.columns) * size;
    if (to + (size - 1) * width + size > this.#pixels.length) return;
    for (let from = 0; from < picture.length; to += width - size) {
      for (const end = from + size; from < end; from += 1, to += 1) this.#pixels[to] = picture[from];
    }
  }

  /** Cells too small to meet the eye get a target each where they are down, unless so many are that they do anyway. */
  #paintBeacons() {
    this.#beaconsDue = false;
    const pen = this.beacons.getContext("2d");
    pen.clearRect(0, 0, this.beacons.width, this.beacons.height);
    if (this.side >= NEEDS_BEACON) return;
    const down = [];
    for (let place = 0; place < this.fleet.length && down.length <= MOST_BEACONS; place += 1) {
      if (this.fleet.states[place] === 0 && this.matches(place)) down.push(place);
    }
    if (down.length > MOST_BEACONS) return;
    const { down: colour, ground } = palette();
    for (const place of down) {
      const x = ((place % this.columns) + 0.5) * this.#size;
      const y = (Math.floor(place / this.columns) + 0.5) * this.#size;
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
