"use strict";
// What all explorables are made of: the page around a figure, plots, handles, sliders and numbers.

const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...content);
  return made;
}

function svg(tag, attributes = {}, ...content) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...content);
  return made;
}

/** An element whose text may hold <i> and <b>; only texts of the course go through here. */
function marked(tag, text, attributes = {}) {
  const made = element(tag, attributes);
  made.innerHTML = text;
  return made;
}

/** A number as text, with a minus sign and as many digits as a reader can use. */
function fixed(value, digits = 2) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const float32 = (base64) => new Float32Array(bytes(base64).buffer);
const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
const range = (n) => Array.from({ length: n }, (_, k) => k);
const linspace = (start, end, n) => range(n).map((k) => start + ((end - start) * k) / (n - 1));

// --------------------------------------------------------------------------------------------------------------------
// The page
// --------------------------------------------------------------------------------------------------------------------

/**
 * Show an explorable: ask for a prediction, say what to do, build the figure into a stage.
 * `build(stage)` returns { set(values), numbers() }, by which it is tested: window.explorable.
 */
function explorable({ title, ask, options, right, why, todo, build }) {
  const main = document.querySelector("main");
  const stage = element("div", { class: "stage" });
  const verdict = marked("p", "", { role: "status" });
  let chosen = null;
  const show = (isTouched) => {
    if (chosen === null || !isTouched) return;
    verdict.innerHTML = `${chosen === right ? "<b>✓ As you said.</b>" : `<b>✗ You said: ${options[chosen]}.</b>`} ${why}`;
  };
  const buttons = options.map((option, k) => {
    const button = marked("button", option, { type: "button", "aria-pressed": false });
    button.addEventListener("click", () => {
      chosen = k;
      buttons.forEach((one, other) => one.setAttribute("aria-pressed", other === k));
      verdict.innerHTML = "Noted. Now try it, and see.";
    });
    return button;
  });
  for (const event of ["input", "moved"]) stage.addEventListener(event, () => show(true));
  stage.addEventListener("click", (click) => show(click.target.closest("button")));
  const predict = element("fieldset", { class: "predict" }, marked("legend", `<b>Predict first.</b> ${ask}`));
  predict.append(element("div", { class: "buttons" }, ...buttons), verdict);
  main.replaceChildren(marked("h2", title), predict, marked("p", todo), stage);
  main.setAttribute("aria-label", title);
  followTheme();
  window.explorable = build(stage);
  new ResizeObserver(fitFrame).observe(document.documentElement);
  fitFrame();
}

/** Let the frame of a notebook or a lesson's page be as high as what is in it, where the frame can be reached. */
function fitFrame() {
  try {
    const { scrollHeight } = document.querySelector("main");
    if (window.frameElement) window.frameElement.parentElement.style.height = `${scrollHeight + 4}px`;
  } catch {
    // a frame of another origin keeps its height, and scrolls
  }
}

/** Be dark where the surroundings are: JupyterLab, VS Code, Colab, the course's pages. */
function followTheme() {
  const themeOf = ({ body, documentElement: html }) => {
    if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "true" ? "light" : "dark";
    if (body.dataset.vscodeThemeKind) return body.dataset.vscodeThemeKind.includes("light") ? "light" : "dark";
    return html.dataset.theme || html.getAttribute("theme") || "";
  };
  try {
    if (!window.frameElement) return;
    const around = window.parent.document;
    const follow = () => {
      const theme = themeOf(around);
      if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
      else delete document.documentElement.dataset.theme;
    };
    follow();
    const watcher = new MutationObserver(follow);
    for (const one of [around.body, around.documentElement]) watcher.observe(one, { attributes: true });
  } catch {
    // surroundings that cannot be looked at: the system's theme holds
  }
}

// --------------------------------------------------------------------------------------------------------------------
// Figures
// --------------------------------------------------------------------------------------------------------------------

/** Ticks at 1, 2 or 5 times a power of ten, about `n` of them. */
function ticks(start, end, n = 6) {
  const rough = (end - start) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((width) => width * power >= rough) ?? 10);
  const first = Math.ceil(start / step - 1e-9);
  return range(Math.floor(end / step + 1e-9) - first + 1).map((k) => (first + k) * step);
}

/**
 * A figure with axes. `x` and `y` are [least, most] of what it shows. Returns { root, x, y, atX, atY, group(), setX,
 * setY }: x and y turn values into places, atX and atY places into values.
 */
function plot(stage, { x, y, xLabel = "", yLabel = "", height = 260, label, caption = "", yTicks = true }) {
  const figure = element("figure");
  stage.append(figure);
  const width = Math.max(280, figure.clientWidth || 480); // so that text is as large as text
  const box = { left: yTicks ? 44 : 14, right: width - 12, top: 14, bottom: height - 40 };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  const axes = svg("g", { class: "axis", "aria-hidden": true });
  root.append(axes);
  figure.append(root);
  if (caption) figure.append(marked("figcaption", caption));
  const made = {
    root,
    figure,
    box,
    x: (value) => box.left + ((value - x[0]) / (x[1] - x[0])) * (box.right - box.left),
    y: (value) => box.bottom - ((value - y[0]) / (y[1] - y[0])) * (box.bottom - box.top),
    atX: (place) => x[0] + ((place - box.left) / (box.right - box.left)) * (x[1] - x[0]),
    atY: (place) => y[0] + ((box.bottom - place) / (box.bottom - box.top)) * (y[1] - y[0]),
    group: (attributes) => root.appendChild(svg("g", attributes)),
    setX: (ends) => ((x = ends), drawAxes()),
    setY: (ends) => ((y = ends), drawAxes()),
  };
  function drawAxes() {
    const name = (value) => String(Number(value.toPrecision(6))).replace("-", "−");
    const { left, right, top, bottom } = box;
    const marks = [svg("path", { d: `M${left},${top}V${bottom}H${right}` })];
    for (const value of ticks(...x)) {
      marks.push(svg("text", { x: made.x(value), y: bottom + 17, "text-anchor": "middle" }, name(value)));
    }
    for (const value of yTicks ? ticks(...y, 4) : []) {
      marks.push(svg("line", { x1: left, x2: right, y1: made.y(value), y2: made.y(value) }));
      marks.push(svg("text", { x: left - 6, y: made.y(value) + 4, "text-anchor": "end" }, name(value)));
    }
    marks.push(svg("text", { x: right, y: height - 5, "text-anchor": "end" }, `${xLabel} →`));
    if (yLabel) marks.push(svg("text", { x: left + 4, y: top + 2 }, `↑ ${yLabel}`));
    axes.replaceChildren(...marks);
  }
  drawAxes();
  return made;
}

/** A path through points; `set(points)` moves it. With `base` the area down to that value is filled. */
function path(figure, attributes, base = null) {
  const made = svg("path", { fill: "none", "stroke-width": 2.5, "stroke-linejoin": "round", ...attributes });
  figure.root.append(made);
  made.set = (points) => {
    const places = points.map(([x, y]) => `${figure.x(x).toFixed(2)},${figure.y(y).toFixed(2)}`);
    if (base !== null) {
      places.unshift(`${figure.x(points[0][0])},${figure.y(base)}`);
      places.push(`${figure.x(points.at(-1)[0])},${figure.y(base)}`);
    }
    made.setAttribute("d", `M${places.join("L")}${base === null ? "" : "Z"}`);
  };
  return made;
}

/**
 * Something to drag by mouse, finger or arrow keys. `move(x, y)` is told where it was moved to, in the figure's values,
 * and has to place it; `text()` says where it is. `along` is "x", "y" or "xy"; `step` is how far a key moves it.
 */
function handle(figure, { label, color, along = "x", step = 0.1, move, text }) {
  const grip = svg("circle", { class: "grip", r: 8, stroke: color });
  const made = svg("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": label });
  made.append(svg("circle", { class: "reach", r: 22 }), grip);
  figure.root.append(made);
  const at = { x: 0, y: 0 };
  const moved = (x, y) => {
    animate.current = null; // a hand is stronger than a film
    move(along === "y" ? at.x : x, along === "x" ? at.y : y);
    made.dispatchEvent(new Event("moved", { bubbles: true }));
  };
  made.place = (x, y, number = x) => {
    Object.assign(at, { x, y });
    made.setAttribute("transform", `translate(${figure.x(x).toFixed(2)} ${figure.y(y).toFixed(2)})`);
    made.setAttribute("aria-valuenow", Number(number.toPrecision(5)));
    made.setAttribute("aria-valuetext", text());
  };
  const follow = (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.root.getScreenCTM().inverse());
    moved(figure.atX(place.x), figure.atY(place.y));
  };
  made.addEventListener("pointerdown", (event) => {
    made.setPointerCapture(event.pointerId);
    made.focus({ preventScroll: true });
    event.preventDefault();
  });
  made.addEventListener("pointermove", (event) => made.hasPointerCapture(event.pointerId) && follow(event));
  made.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    let [right, up] = way.map((one) => one * step * (event.shiftKey ? 5 : 1));
    if (along === "x") right = right || up;
    if (along === "y") up = up || right;
    moved(at.x + right, at.y + up);
  });
  return made;
}

// --------------------------------------------------------------------------------------------------------------------
// Controls and numbers
// --------------------------------------------------------------------------------------------------------------------

const controls = (stage) => stage.appendChild(element("div", { class: "controls" }));

/** A slider with its value beside its name; `set(value)` moves it. `show` turns the value into text. */
function slider(parent, { label, min, max, step, value, show = (number) => fixed(number), change }) {
  const output = element("output");
  const input = element("input", { type: "range", min, max, step, value });
  input.addEventListener("input", () => made.set(Number(input.value), true));
  const made = parent.appendChild(element("label", {}, marked("span", `${label} `), output, input));
  made.input = input;
  made.set = (number, isByHand = false) => {
    if (isByHand) animate.current = null;
    input.value = number;
    output.textContent = show(number);
    input.setAttribute("aria-valuetext", output.textContent);
    if (isByHand) change(number);
  };
  made.set(value);
  return made;
}

/** Buttons of which one is pressed; `choose(name)` is called with its key in `options`. */
function choice(parent, { label, options, value, choose }) {
  const group = element("fieldset", {}, marked("legend", label));
  const buttons = Object.entries(options).map(([name, text]) => {
    const button = marked("button", text, { type: "button", "aria-pressed": name === value });
    button.addEventListener("click", () => {
      animate.current = null;
      group.set(name);
      choose(name);
    });
    return [name, button];
  });
  group.set = (name) => buttons.forEach(([one, button]) => button.setAttribute("aria-pressed", one === name));
  group.append(element("div", { class: "buttons" }, ...buttons.map(([, button]) => button)));
  return parent.appendChild(group);
}

function button(parent, text, press) {
  const made = marked("button", text, { type: "button" });
  made.addEventListener("click", () => {
    animate.current = null;
    press();
  });
  return parent.appendChild(made);
}

/** Numbers below a figure: `names` is { key: [text, colour] }; `set({ key: text })` fills them in. */
function numbers(stage, names) {
  const shown = {};
  const row = element("p", { class: "numbers", "aria-live": "off" });
  for (const [key, [text, color = "transparent"]] of Object.entries(names)) {
    shown[key] = element("b");
    row.append(element("span", { style: `border-color: ${color}` }, marked("span", `${text} `), shown[key]));
  }
  stage.append(row);
  return { set: (values) => Object.entries(values).forEach(([key, text]) => (shown[key].textContent = text)) };
}

/** Take steps before one's eyes, until one returns false; without an animation where the reader wants none. */
function animate(step) {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const run = {};
  animate.current = run;
  const go = () => {
    if (animate.current !== run) return;
    if (step() !== false) isCalm ? go() : requestAnimationFrame(go);
  };
  go();
}
