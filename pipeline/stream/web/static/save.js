// Snapshots and recordings of what is shown, made in the browser: the server writes nothing.

const LARGEST = 512 * 1024 * 1024; // bytes of a recording, which lies in memory until it is saved
const FORMS = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function stamp() {
  return new Date().toISOString().slice(0, 19).replaceAll(":", "-");
}

export function saveSnapshot(canvas) {
  canvas.toBlob((blob) => offer(blob, `roadseg-${stamp()}.png`), "image/png");
}

export class Recorder {
  // changed(recording): whether a recording runs now
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.recorder = null;
    this.began = 0;
  }

  get running() {
    return this.recorder !== null;
  }

  get possible() {
    return typeof MediaRecorder !== "undefined" && "captureStream" in this.canvas;
  }

  toggle() {
    if (this.running) this.recorder.stop();
    else this.start();
  }

  start() {
    const form = FORMS.find((one) => MediaRecorder.isTypeSupported(one));
    const recorder = new MediaRecorder(this.canvas.captureStream(), {
      mimeType: form,
      videoBitsPerSecond: 6_000_000,
    });
    const chunks = [];
    let size = 0;
    recorder.ondataavailable = ({ data }) => {
      chunks.push(data);
      size += data.size;
      if (size > LARGEST && recorder.state === "recording") recorder.stop();
    };
    recorder.onstop = () => {
      this.recorder = null;
      const kind = recorder.mimeType.split(";")[0];
      offer(new Blob(chunks, { type: kind }), `roadseg-${stamp()}.${kind.split("/")[1]}`);
      this.changed(false);
    };
    recorder.start(1000);
    this.recorder = recorder;
    this.began = performance.now();
    this.changed(true);
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }
}
