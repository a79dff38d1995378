// The leaderboard's controls: filter, sort, hover, two models image by image.
(() => {
"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const element = (tag, text = "", attributes = {}) => {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const data = JSON.parse(document.getElementById("leaderboard-data").textContent);
const boards = all(".board");

// Filter: a board is shown if it has all of the chosen values.
const form = document.querySelector(".filters");
const chosen = all("select", form);
const status = form.querySelector("[role=status]");

function filter() {
  const shown = boards.filter((board) =>
    chosen.every(({ name, value }) => !value || board.dataset[name] === value));
  for (const board of boards) board.hidden = !shown.includes(board);
  if (shown.length && !shown.some((board) => board.open)) shown[0].open = true;
  const rows = shown.reduce((sum, board) => sum + board.querySelectorAll("tbody tr[id]").length, 0);
  status.textContent = shown.length
    ? `${shown.length} of ${boards.length} tables, ${rows} rows`
    : "No table has all of these; choose fewer.";
}
form.hidden = boards.length < 2;
form.addEventListener("change", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
filter();

// Sort: a button in each heading; numbers begin with the largest, words with the first.
const words = new Intl.Collator("en", { numeric: true });

function sort(table, heading, place) {
  const numeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  const up = before ? before === "descending" : !numeric;
  for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => row.cells[place].dataset.sort ?? row.cells[place].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // nothing known comes last
    return (up ? 1 : -1) * (numeric ? x - y : words.compare(x, y));
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
}
for (const table of all(".ranking")) {
  table.classList.add("sortable");
  all("thead th", table).forEach((heading, place) => {
    const button = element("button", heading.textContent.trim(), { type: "button" });
    button.addEventListener("click", () => sort(table, heading, place));
    heading.replaceChildren(button);
  });
}

// Hover: a point and its row light up together; the point says its numbers.
for (const figure of all(".board figure")) {
  const caption = figure.querySelector(".told");
  const resting = caption.textContent;
  for (const point of all("a.point", figure)) {
    const row = document.getElementById(point.getAttribute("href").slice(1));
    const light = (on) => {
      for (const each of [point, row]) each.classList.toggle("lit", on);
      caption.textContent = on ? point.getAttribute("aria-label") : resting;
    };
    for (const each of [point, row]) {
      each.addEventListener("pointerenter", () => light(true));
      each.addEventListener("pointerleave", () => light(false));
      each.addEventListener("focusin", () => light(true));
      each.addEventListener("focusout", () => light(false));
    }
    point.querySelector("title").remove(); // the caption says it at once
  }
}

// Two models image by image.
const MOST = 2000; // squares drawn
const MOST_LISTED = 300;
const CELLS = [["neither", "·"], ["first", "A"], ["second", "B"], ["both", "■"]];
const bits = (text) => [...atob(text)].flatMap((letter) =>
  [7, 6, 5, 4, 3, 2, 1, 0].map((place) => (letter.charCodeAt(0) >> place) & 1));

function duel(output, a, b) {
  output.replaceChildren();
  if (a.set !== b.set) {
    output.append(element("p", "These two were not attacked on the same images, so they cannot be compared image by image."));
    return;
  }
  const { labels, names } = data.sets[a.set];
  const [first, second] = [bits(a.alive), bits(b.alive)];
  const of = [[], [], [], []];
  labels.forEach((_, image) => of[first[image] + 2 * second[image]].push(image));
  const meanings = ["survived by neither", `survived only by A: ${a.name}`, `survived only by B: ${b.name}`, "survived by both"];
  const key = element("ul", "", { class: "key" });
  for (const kind of [3, 1, 2, 0]) {
    const line = element("li");
    line.append(element("i", CELLS[kind][1], { class: CELLS[kind][0], "aria-hidden": "true" }),
      element("strong", of[kind].length.toLocaleString("en")), ` ${meanings[kind]}`);
    key.append(line);
  }
  output.append(element("p", `Of ${labels.length.toLocaleString("en")} images:`), key);
  const grid = element("div", "", { class: "images", role: "img", tabindex: "0", "aria-label": "A square for each image, in order" });
  labels.slice(0, MOST).forEach((label, image) => {
    const kind = first[image] + 2 * second[image];
    const title = `image ${image}, true class ${names[label] ?? label}: ${meanings[kind]}`;
    grid.append(element("i", CELLS[kind][1], { class: CELLS[kind][0], title }));
  });
  output.append(grid);
  if (labels.length > MOST) output.append(element("p", `Squares: the first ${MOST} images.`, { class: "quiet" }));
  for (const kind of [1, 2]) {
    if (!of[kind].length) continue;
    const fold = element("details");
    const numbers = of[kind].slice(0, MOST_LISTED).join(", ") + (of[kind].length > MOST_LISTED ? ", …" : "");
    fold.append(element("summary", `Images ${meanings[kind]}`), element("p", numbers));
    output.append(fold);
  }
}
for (const panel of all(".duel")) {
  const rows = data.boards[panel.dataset.board];
  const [first, second] = all("select", panel);
  rows.forEach((row, place) => {
    for (const select of [first, second]) select.append(element("option", row.name, { value: place }));
  });
  second.selectedIndex = 1;
  const output = panel.querySelector(".answer");
  const show = () => duel(output, rows[first.value], rows[second.value]);
  for (const select of [first, second]) select.addEventListener("change", show);
  show();
  panel.hidden = false;
}

// A link opens what its target lies in: a row's table, or what stands below a heading.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const board = target.closest(".board");
  if (board && board.hidden) form.reset();
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  const below = target.matches("h2") && target.parentElement.querySelector(":scope > details");
  if (below) below.open = true;
  if (board) setTimeout(() => target.scrollIntoView({ block: "center" }));
}
window.addEventListener("hashchange", reveal);
reveal();
})();
