"use strict";

// MNIST's strokes are an eighth of a digit's height (2.5 of 20 pixels, the median), and people draw
// digits over about seven tenths of the area: 280 * 0.7 / 8.
const BRUSH = 24;
const PEN_STEP = 10;
const ASK_MS = 100; // between two looks at a training

const $ = (id) => document.getElementById(id);
const pad = $("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
let start = { offered: {}, limit: 0 };

// ---- errors: one line, until something works again

function complain(line) {
  $("error").textContent = line;
  $("error").hidden = false;
}

function allIsWell() {
  $("error").hidden = true;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer: is fastmlp.demo still running?");
  }
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error);
  return value;
}

// ---- prediction: one question at a time; the newest drawing is asked about when it is answered

let waiting = null;
let asking = false;
let shownImage = null; // what is on the pad instead of a drawing: its name, and a promise of its bytes

function predict(question) {
  waiting = question;
  if (!asking) requestAnimationFrame(askNewest);
}

async function askNewest() {
  if (asking || waiting === null) return;
  const question = waiting;
  waiting = null;
  asking = true;
  try {
    const body = await question.image();
    const answer = await ask(`predict?${new URLSearchParams(question.about)}`, { method: "POST", body });
    if (question.epoch === drawing.epoch) {
      show(answer);
      allIsWell();
    }
  } catch (error) {
    if (question.epoch === drawing.epoch) {
      forget("No prediction.");
      complain(error.message);
    }
  } finally {
    asking = false;
    if (waiting !== null) requestAnimationFrame(askNewest);
  }
}

function askDrawing() {
  const image = () => new Promise((resolve) => pad.toBlob(resolve, "image/png"));
  predict({ image, about: { drawn: 1 }, epoch: drawing.epoch });
}

function askAgain() {
  if (shownImage !== null) askImage(shownImage);
  else if (drawing.any) askDrawing();
}

function makeBars(classes) {
  if ($("bars").children.length === classes) return;
  $("bars").replaceChildren(
    ...Array.from({ length: classes }, (_, k) => {
      const item = document.createElement("li");
      item.innerHTML = `<span>${k}</span><div class="track"><div class="bar"></div></div><span></span>`;
      return item;
    }),
  );
}

function show(answer) {
  answering(answer.layers); // another page may have trained it
  makeBars(answer.probabilities.length);
  answer.probabilities.forEach((share, k) => {
    const item = $("bars").children[k];
    item.querySelector(".bar").style.transform = `scaleX(${share})`;
    item.lastChild.textContent = percent(share);
    item.classList.toggle("first", k === answer.label);
  });
  $("verdict").innerHTML = `It is a <b>${answer.label}</b>, ${percent(answer.probabilities[answer.label])}.`;
  $("seen-title").textContent = `What the network sees, ${answer.side}×${answer.side}.`;
  $("steps").textContent = `The image: ${answer.steps}.`;
  const seen = $("seen");
  seen.width = seen.height = answer.side;
  const pixels = new ImageData(answer.side, answer.side);
  answer.pixels.forEach((value, k) => pixels.data.set([255 * value, 255 * value, 255 * value, 255], 4 * k));
  seen.getContext("2d").putImageData(pixels, 0, 0);
}

function percent(share) {
  if (share > 0.999) return ">99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

function forget(line) {
  $("verdict").textContent = line;
  for (const item of $("bars").children) {
    item.querySelector(".bar").style.transform = "scaleX(0)";
    item.lastChild.textContent = "";
    item.classList.remove("first");
  }
  $("steps").textContent = "";
  $("seen").getContext("2d").clearRect(0, 0, 99, 99);
}

// ---- drawing

// epoch: a number that every Clear and every image raises; answers to older questions are dropped.
const drawing = { epoch: 0, any: false, x: 140, y: 140, down: false };

function empty() {
  drawing.epoch += 1;
  drawing.any = false;
  shownImage = null;
  waiting = null;
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, pad.width, pad.height);
}

function clear() {
  empty();
  allIsWell();
  forget("Empty: draw a digit.");
}

function stroke(x, y, from) {
  if (shownImage !== null) empty();
  ink.fillStyle = ink.strokeStyle = "#000";
  ink.lineWidth = BRUSH;
  ink.beginPath();
  ink.arc(x, y, BRUSH / 2, 0, 7); // also where nothing is dragged: a line of no length is not drawn
  ink.fill();
  if (from) {
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(x, y);
    ink.stroke();
  }
  Object.assign(drawing, { x, y, any: true });
  askDrawing();
}

function place(event) {
  const box = pad.getBoundingClientRect();
  const scale = pad.width / pad.clientWidth;
  return [(event.clientX - box.left - 1) * scale, (event.clientY - box.top - 1) * scale];
}

pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  pad.setPointerCapture(event.pointerId);
  drawing.pointer = event.pointerId;
  stroke(...place(event), null);
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== drawing.pointer) return;
  const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const one of all.length ? all : [event]) stroke(...place(one), { x: drawing.x, y: drawing.y });
});
for (const name of ["pointerup", "pointercancel"]) {
  pad.addEventListener(name, () => (drawing.pointer = null));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
pad.addEventListener("keydown", (event) => {
  const { x, y } = drawing;
  if (event.key in ARROWS) {
    const inside = (value) => Math.min(Math.max(value, 0), pad.width);
    const [right, down] = ARROWS[event.key];
    const to = [inside(x + PEN_STEP * right), inside(y + PEN_STEP * down)];
    if (drawing.down) stroke(...to, { x, y });
    else [drawing.x, drawing.y] = to;
  } else if (event.key === " ") {
    drawing.down = !drawing.down;
    if (drawing.down) stroke(x, y, null);
  } else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  const pen = $("pen");
  pen.hidden = false;
  pen.classList.toggle("down", drawing.down);
  pen.style.left = `${drawing.x}px`;
  pen.style.top = `${drawing.y}px`;
  event.preventDefault();
});
pad.addEventListener("blur", () => {
  drawing.down = false;
  $("pen").hidden = true;
});
$("clear").addEventListener("click", clear);

// ---- images

function takeFile(file) {
  if (!file) return complain("What was dropped is no file: drop an image.");
  if (file.size > start.limit) {
    const limit = (start.limit / 2 ** 20).toFixed(0);
    return complain(`${file.name} has ${(file.size / 2 ** 20).toFixed(1)} MB; at most ${limit} MB are taken.`);
  }
  empty();
  // Read once: the file may change later, and a folder cannot be read at all.
  const bytes = file.arrayBuffer().catch(() => {
    throw new Error(`${file.name} cannot be read.`);
  });
  const image = (shownImage = { name: file.name, bytes });
  forget("Reading the image …");
  bytes.then((content) => createImageBitmap(new Blob([content]))).then((bitmap) => {
    if (shownImage !== image) return;
    const scale = Math.min(pad.width / bitmap.width, pad.height / bitmap.height);
    const [width, height] = [scale * bitmap.width, scale * bitmap.height];
    ink.drawImage(bitmap, (pad.width - width) / 2, (pad.height - height) / 2, width, height);
  }, () => {}); // the server says what is wrong with it
  askImage(image);
}

function askImage({ name, bytes }) {
  predict({ image: () => bytes, about: { name }, epoch: drawing.epoch });
}

$("file").addEventListener("change", (event) => {
  if (event.target.files.length) takeFile(event.target.files[0]);
  event.target.value = ""; // the same file may be chosen again
});
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    pad.classList.add("dropping");
  });
}
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) pad.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  pad.classList.remove("dropping");
  takeFile(event.dataTransfer.files[0]);
});

// ---- training

const STATES = {
  compiling: "Compiling, which takes some seconds the first time …",
  training: "Training …",
  testing: "Testing …",
  cancelled: "Cancelled: the network before it goes on answering.",
  failed: "Training failed.",
};

$("choice").addEventListener("submit", async (event) => {
  event.preventDefault();
  const choice = Object.fromEntries(new FormData(event.target));
  choice.epochs = Number(choice.epochs);
  $("train").disabled = true;
  try {
    const body = JSON.stringify(choice);
    showTraining(await ask("train", { method: "POST", body }));
    allIsWell();
    await watch();
  } catch (error) {
    complain(error.message);
  }
  $("train").disabled = false;
});

$("cancel").addEventListener("click", () => {
  $("cancel").disabled = true;
  ask("cancel", { method: "POST" }).catch((error) => complain(error.message));
});

async function watch() {
  for (;;) {
    const training = await ask("training");
    showTraining(training);
    if (!(training.state in STATES) || ["cancelled", "failed"].includes(training.state)) {
      if (training.error) complain(training.error);
      if (training.state === "done") askAgain();
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  }
}

function showTraining(training) {
  const { state, points } = training;
  const ended = ["done", "cancelled", "failed"].includes(state);
  $("cancel").disabled = ended;
  const last = points.at(-1);
  const line = { ...STATES };
  if (last) {
    const [epochs, loss, accuracy] = last;
    line.training =
      `Training: epoch ${epochs.toFixed(1)} of ${training.epochs}, ` +
      `loss ${loss.toFixed(3)}, accuracy ${percent(accuracy)}`;
  }
  line.done =
    state === "done" &&
    `${percent(training.accuracy)} right on ${training.tested} test images (${training.wrong} mistakes), ` +
      `trained in ${training.seconds.toFixed(2)} s.`;
  $("progress").textContent = line[state];
  if (state === "done") answering(training.layers);
  $("learned").hidden = false;
  $("learned-title").textContent = `How ${training.layers.join("-")} learned`;
  drawCurve(points, training.epochs);
  for (const name of ["confusion", "mistakes"]) {
    const there = state === "done" && training.pictures.includes(name);
    $(`${name}-box`).hidden = !there;
    if (there) $(name).src = `pictures/${name}?training=${training.number}`;
  }
}

function answering(layers) {
  $("answering").textContent = `The network that answers now: ${layers.join("-")}.`;
}

// Loss from 0 to its highest value on the left axis, accuracy on the right; x is epochs.
const PLOT = { left: 46, right: 366, top: 34, bottom: 262 };

function drawCurve(points, epochs) {
  const { left, right, top, bottom } = PLOT;
  const highest = Math.max(0.1, ...points.map((point) => point[1]));
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  const most = 4 * power * [1, 2, 2.5, 5, 10].find((step) => 4 * step * power >= highest);
  const x = (epoch) => left + ((right - left) * epoch) / epochs;
  const y = (share) => bottom - (bottom - top) * share;
  const line = (index, scale, colour) => {
    const path = points.map((p) => `${x(p[0]).toFixed(1)},${y(p[index] / scale).toFixed(1)}`).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2.5"/>`;
  };
  const ticks = [0, 0.25, 0.5, 0.75, 1]
    .map(
      (share) =>
        `<line x1="${left}" x2="${right}" y1="${y(share)}" y2="${y(share)}" stroke="#e3e6e8"/>` +
        `<text x="${left - 6}" y="${y(share) + 4}" text-anchor="end">${+(most * share).toPrecision(3)}</text>` +
        `<text x="${right + 6}" y="${y(share) + 4}">${100 * share} %</text>`,
    )
    .join("");
  const step = Math.ceil(epochs / 10);
  let labels = "";
  for (let epoch = 0; epoch <= epochs; epoch += step) {
    labels += `<text x="${x(epoch)}" y="${bottom + 18}" text-anchor="middle">${epoch}</text>`;
  }
  labels += `<text x="${(left + right) / 2}" y="${bottom + 36}" text-anchor="middle">epoch</text>`;
  labels +=
    `<text class="loss" x="${left}" y="16" text-anchor="middle">loss</text>` +
    `<text class="accuracy" x="${right}" y="16" text-anchor="middle">accuracy</text>`;
  $("curve").innerHTML = ticks + labels + line(1, most, "#d55e00") + line(2, 1, "#0072b2");
}

// ---- start

function fill(name, values, chosen) {
  const select = $("choice").elements[name];
  select.replaceChildren(...values.map((value) => new Option(value, value, false, value === chosen)));
}

async function begin() {
  empty();
  try {
    start = await ask("state");
  } catch (error) {
    return complain(error.message);
  }
  makeBars(start.model.at(-1));
  for (const name in start.offered) fill(name, start.offered[name], start.chosen[name]);
  $("train-title").textContent = `3. Train a network on ${start.data === "mnist" ? "MNIST" : "the 8×8 digits"}`;
  if (start.reason !== null) {
    $("notice").textContent = `MNIST cannot be had, so networks learn scikit-learn's 8×8 digits here: ${start.reason}`;
    $("notice").hidden = false;
  }
  answering(start.model);
  if (start.training !== null) {
    showTraining(start.training);
    if (!["done", "cancelled", "failed"].includes(start.training.state)) {
      $("train").disabled = true;
      await watch().catch((error) => complain(error.message));
      $("train").disabled = false;
    }
  }
}

begin();
