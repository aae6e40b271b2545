// The picture: camera and class map arrive apart and are put together here, in any mode.

const GAP = 8; // pixels between two pictures side by side

export class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.mode = "overlay";
    this.opacity = 0.55;
    this.colours = []; // [[red, green, blue], ...]
    this.hidden = new Set();
    this.camera = null; // ImageBitmap
    this.classes = null; // { width, height, data: Uint8Array }
    this.marks = []; // zones: [[[x, y], ...] from 0 to 1, text, alert]
    this.mask = document.createElement("canvas");
    this.table = new Uint32Array(256);
    this.latest = 0;
  }

  // Layout of the message: pipeline/stream/web/encoding.py. Returns its header.
  async take(message) {
    const turn = ++this.latest;
    const length = new DataView(message).getUint32(0);
    const bytes = new Uint8Array(message);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    const jpeg = bytes.subarray(4 + length, 4 + length + header.jpeg);
    const [camera, data] = await Promise.all([
      createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })),
      inflated(bytes.subarray(4 + length + header.jpeg)),
    ]);
    if (turn < this.latest - 1 || data.length !== header.width * header.height) {
      camera.close(); // overtaken while it was decoded, or damaged
      return header;
    }
    this.camera?.close();
    this.camera = camera;
    this.classes = { width: header.width, height: header.height, data };
    this.marks = header.marks ?? [];
    this.paint();
    this.draw();
    return header;
  }

  setClasses(colours) {
    this.colours = colours;
    this.hidden.clear();
    this.retable();
  }

  clear() {
    this.latest += 2; // what is being decoded belongs to another camera
    this.camera?.close();
    this.camera = null;
    this.classes = null;
    this.marks = [];
    this.context.fillStyle = "#05070a";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  show(index, visible) {
    if (visible) this.hidden.delete(index);
    else this.hidden.add(index);
    this.retable();
    this.redraw();
  }

  redraw() {
    if (!this.camera) return;
    this.paint();
    this.draw();
  }

  // Class at a point of the canvas's box, 0..1 each; null where there is none.
  classAt(x, y) {
    if (!this.classes || !this.camera) return null;
    if (this.mode === "both") {
      x = within(x, this.camera.width / this.canvas.width);
      y = within(y, this.camera.height / this.canvas.height);
    }
    if (x < 0 || x >= 1 || y < 0 || y >= 1) return null;
    const { width, height, data } = this.classes;
    return data[Math.floor(y * height) * width + Math.floor(x * width)];
  }

  // Little-endian RGBA; classes that are off, and indices without a class, are transparent.
  retable() {
    this.table.fill(0);
    this.colours.forEach(([red, green, blue], index) => {
      if (!this.hidden.has(index)) {
        this.table[index] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
      }
    });
  }

  paint() {
    const { width, height, data } = finer(this.classes);
    if (this.mask.width !== width || this.mask.height !== height || !this.pixels) {
      this.mask.width = width;
      this.mask.height = height;
      this.pixels = new ImageData(width, height);
      this.words = new Uint32Array(this.pixels.data.buffer);
    }
    const { words, table } = this;
    for (let place = 0; place < data.length; place += 1) words[place] = table[data[place]];
    this.mask.getContext("2d").putImageData(this.pixels, 0, 0);
  }

  draw() {
    const { canvas, context, camera, mode } = this;
    const { width, height } = camera;
    const [left, top] = mode === "both" ? this.secondPlace() : [0, 0];
    if (canvas.width !== left + width || canvas.height !== top + height) {
      canvas.width = left + width;
      canvas.height = top + height;
    }
    context.imageSmoothingEnabled = false; // a mask holds colours of classes and no others
    if (mode === "mask") {
      this.drawMask(0, 0, 1);
    } else {
      context.drawImage(camera, 0, 0);
      if (mode === "overlay") this.drawMask(null, null, this.opacity);
    }
    if (mode === "both") {
      context.fillStyle = "#05070a";
      context.fillRect(left ? width : 0, top ? height : 0, left ? GAP : width, top ? GAP : height);
      this.drawMask(left, top, 1);
    }
    for (const mark of this.marks) this.drawMark(...mark);
  }

  // Outline of a zone and its words; red and filled in an alert.
  drawMark(polygon, text, alert) {
    const { context, camera: { width, height } } = this;
    const unit = Math.max(1, width / 640);
    context.beginPath();
    for (const [x, y] of polygon) context.lineTo(x * width, y * height);
    context.closePath();
    if (alert) {
      context.fillStyle = "#ff282859";
      context.fill();
    }
    for (const [colour, line] of [["#101214", 3 * unit], [alert ? "#ff2828" : "#f5f5f5", unit]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    }
    context.font = `600 ${Math.round(11 * unit)}px system-ui, sans-serif`;
    const box = { width: context.measureText(text).width + 8 * unit, height: 17 * unit };
    const [x, y] = polygon.reduce((one, other) => (other[1] < one[1] ? other : one));
    const left = Math.max(0, Math.min(x * width, width - box.width));
    const top = Math.max(0, y * height - box.height - 3 * unit);
    context.fillStyle = alert ? "#c81818" : "#101214d9";
    context.fillRect(left, top, box.width, box.height);
    context.fillStyle = "#fff";
    context.fillText(text, left + 4 * unit, top + 12.5 * unit);
  }

  // Beside the camera's picture or below it, whichever makes both larger.
  secondPlace() {
    const { width, height } = this.camera;
    const room = this.canvas.parentElement;
    const scale = (columns, rows) =>
      Math.min(room.clientWidth / columns, room.clientHeight / rows);
    const beside = scale(2 * width + GAP, height) >= scale(width, 2 * height + GAP);
    return beside ? [width + GAP, 0] : [0, height + GAP];
  }

  // At a place on black, or over what is there (null).
  drawMask(left, top, opacity) {
    const { context, camera } = this;
    if (left !== null) {
      context.fillStyle = "#05070a";
      context.fillRect(left, top, camera.width, camera.height);
    }
    context.globalAlpha = opacity;
    context.drawImage(this.mask, left ?? 0, top ?? 0, camera.width, camera.height);
    context.globalAlpha = 1;
  }
}

// From a place on both pictures, 0..1, to that on one of them; `part` is what one takes of both.
function within(place, part) {
  return place > 0.5 && part < 1 ? (place - (1 - part)) / part : place / part;
}

// Twice as wide and high, with slanted outlines in place of stairs: a corner of a pixel takes the class
// of the two sides that meet there, where they have the same one and the opposite sides another
// (Scale2x). No class appears that was not beside it, so colours stay those of the palette.
function finer({ width, height, data }) {
  const wide = 2 * width;
  const result = new Uint8Array(4 * width * height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const place = row * width + column;
      const own = data[place];
      const above = row > 0 ? data[place - width] : own;
      const below = row < height - 1 ? data[place + width] : own;
      const left = column > 0 ? data[place - 1] : own;
      const right = column < width - 1 ? data[place + 1] : own;
      const corner = 2 * row * wide + 2 * column;
      const mixed = above !== below && left !== right;
      result[corner] = mixed && left === above ? left : own;
      result[corner + 1] = mixed && above === right ? right : own;
      result[corner + wide] = mixed && left === below ? left : own;
      result[corner + wide + 1] = mixed && below === right ? right : own;
    }
  }
  return { width: wide, height: 2 * height, data: result };
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
