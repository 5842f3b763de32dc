// The icons of the states as pixels: drawn once for a cell size, then copied.

const FAINT = 0.22;
const QUIET = 0.5;
const TINY = 4;

/** The colours of the style sheet, for the current colour scheme. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ground: colour("--ground"),
    down: colour("--down"),
    failing: colour("--failing"),
    unknown: colour("--unknown"),
    healthy: colour("--healthy"),
  };
}

/** Returns 32-bit pixels: a bright and a faint picture of each of `names`, and one of an empty cell. */
export function sprites(names, size, colours) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  const picture = (draw, alpha) => {
    pen.globalAlpha = 1;
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, size, size);
    pen.globalAlpha = alpha;
    draw();
    return new Uint32Array(pen.getImageData(0, 0, size, size).data.buffer.slice(0));
  };
  return {
    bright: names.map((name) => picture(() => draw(pen, name, size, colours), 1)),
    faint: names.map((name) => picture(() => draw(pen, name, size, colours), FAINT)),
    empty: picture(() => {}, 1),
  };
}

/** Draws a state: down is full with a cross, failing half full, unknown hollow, healthy small. */
function draw(pen, name, size, colours) {
  pen.fillStyle = pen.strokeStyle = colours[name];
  const gap = size >= 6 ? Math.max(1, Math.round(size / 12)) : size >= 4 ? 1 : 0;
  const wide = size - gap;
  const line = Math.max(1, Math.round(size / 12));
  switch (name) {
    case "down":
      pen.fillRect(0, 0, wide, wide);
      if (size >= 7) cross(pen, wide, Math.max(1, size / 9), colours.ground);
      break;
    case "failing":
      if (size >= 7) outline(pen, wide, line);
      pen.fillRect(0, Math.floor(wide / 2), wide, wide - Math.floor(wide / 2));
      break;
    case "unknown":
      if (size >= 5) outline(pen, wide, line);
      else pen.fillRect(0, 0, Math.max(1, wide - 1), Math.max(1, wide - 1));
      break;
    default: {
      if (size < TINY) {
        // Thousands of tiny healthy cells are drawn faint, so that the others stand out.
        pen.globalAlpha *= QUIET;
        pen.fillRect(0, 0, size, size);
        break;
      }
      const inset = Math.round(wide * (size >= 12 ? 0.28 : 0.2));
      const side = Math.max(1, wide - 2 * inset);
      pen.fillRect(inset, inset, side, side);
    }
  }
}

function outline(pen, wide, line) {
  pen.fillRect(0, 0, wide, line);
  pen.fillRect(0, wide - line, wide, line);
  pen.fillRect(0, 0, line, wide);
  pen.fillRect(wide - line, 0, line, wide);
}

function cross(pen, wide, line, colour) {
  const from = wide * 0.27;
  const to = wide - from;
  pen.strokeStyle = colour;
  pen.lineWidth = line;
  pen.beginPath();
  pen.moveTo(from, from);
  pen.lineTo(to, to);
  pen.moveTo(to, from);
  pen.lineTo(from, to);
  pen.stroke();
}
