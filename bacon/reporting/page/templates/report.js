"use strict";
// Tables that sort, filter, turn pages and compare with a chosen reference, and cells that open. Without this program the page
// shows everything.
document.documentElement.classList.add("js");

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// What an entry is called in its column's list of choices.
function choiceOf(cell) {
  return cell.dataset.choice ?? cell.textContent;
}

// What a row is searched by, put together when something is searched for.
function textOf(row) {
  return (row.text ??= row.body.rows[0].textContent.toLowerCase());
}

// Each row of a table is one tbody: the row, and the details that go with it.
class SortableTable {
  constructor(table) {
    this.table = table;
    table.classList.add("ready");
    this.headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    this.rows = [...table.tBodies].map((body) => ({ body, cells: [...body.rows[0].cells] }));
    // A table of methods is read as a whole; the cells are looked up.
    this.paged = this.rows.length > 25 && (table.id === "cells-table" || table.classList.contains("long"));
    this.page = 0;
    this.choices = [];
    this.headings.forEach((heading, column) => this.makeSortable(heading, column));
    if (this.rows.length > (table.parentElement.classList.contains("cards") ? 25 : 5)) this.addControls();
    if ("differences" in table.dataset) this.reference = new Reference(this);
    this.show();
  }

  makeSortable(heading, column) {
    const button = element("button", { type: "button", textContent: heading.textContent });
    heading.replaceChildren(button);
    button.addEventListener("click", () => this.sort(heading, column));
  }

  key(row, column) {
    const cell = row.cells[column];
    if (!this.headings[column].hasAttribute("data-numeric")) return cell.dataset.sort ?? cell.textContent;
    return "sort" in cell.dataset ? Number(cell.dataset.sort) : null;
  }

  sort(heading, column) {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of this.headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    this.arrange(column, descending);
  }

  arrange(column, descending) {
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    this.rows.sort((one, other) => {
      const [a, b] = [this.key(one, column), this.key(other, column)];
      if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last, either way
      return descending ? compare(b, a) : compare(a, b);
    });
    this.table.append(...this.rows.map((row) => row.body));
    this.page = 0;
    this.show();
  }

  // The entries of a column are others now: rows that were sorted by it are sorted again, and its new words are found.
  rewritten(column) {
    for (const row of this.rows) delete row.text;
    const order = this.headings[column].getAttribute("aria-sort");
    if (order) this.arrange(column, order === "descending");
    else this.show();
  }

  addControls() {
    const changed = () => { this.page = 0; this.show(); };
    this.search = element("input", { type: "search", oninput: changed });
    this.size = element("select", { onchange: changed }, ...[25, 50, 100].map((size) => element("option", { textContent: size })));
    this.status = element("p", { role: "status" });
    this.before = element("button", { type: "button", textContent: "Previous", onclick: () => this.turn(-1) });
    this.after = element("button", { type: "button", textContent: "Next", onclick: () => this.turn(1) });
    const bar = element("div", { className: "controls" }, element("label", { textContent: "Search" }, this.search));
    this.headings.forEach((heading, column) => {
      const values = new Set(this.rows.map((row) => choiceOf(row.cells[column])));
      if (heading.hasAttribute("data-choice") && values.size > 1) bar.append(this.choice(heading, column, values, changed));
    });
    if (this.paged) bar.append(element("label", { textContent: "Rows a page" }, this.size), this.before, this.after);
    bar.append(this.status);
    this.bar = bar;
    this.table.parentElement.before(bar);
  }

  choice(heading, column, values, changed) {
    const ordered = heading.hasAttribute("data-ordered") ? [...values].sort((a, b) => a.localeCompare(b, "en", { numeric: true })) : values;
    const options = ["all", ...ordered].map((text, place) => element("option", { textContent: text, value: place ? text : "" }));
    const select = element("select", { onchange: changed }, ...options);
    this.choices.push({ column, select });
    return element("label", { textContent: heading.textContent }, select);
  }

  matches(row) {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = ({ column, select }) => !select.value || choiceOf(row.cells[column]) === select.value;
    return words.every((word) => textOf(row).includes(word)) && this.choices.every(chosen);
  }

  show() {
    if (!this.search) return;
    const size = this.paged ? Number(this.size.value) : this.rows.length;
    const found = this.rows.filter((row) => this.matches(row));
    const [start, end] = [this.page * size, Math.min((this.page + 1) * size, found.length)];
    const shown = new Set(found.slice(start, end));
    const matched = new Set(found);
    for (const row of this.rows) {
      row.body.classList.toggle("unmatched", !matched.has(row));
      row.body.classList.toggle("paged", matched.has(row) && !shown.has(row));
    }
    this.before.disabled = this.page === 0;
    this.after.disabled = end === found.length;
    const range = found.length ? `Rows ${start + 1} to ${end} of ${found.length}` : "No row";
    this.status.textContent = found.length < this.rows.length ? `${range} (${this.rows.length} in all)` : range;
  }

  turn(pages) {
    this.page += pages;
    this.show();
  }

  filter(text) {
    for (const { select } of this.choices) select.value = "";
    if (this.search) this.search.value = text;
    this.page = 0;
    this.show();
  }

  reveal(body) {
    this.filter("");
    const size = this.paged ? Number(this.size.value) : this.rows.length;
    this.page = Math.floor(this.rows.findIndex((row) => row.body === body) / size);
    this.show();
  }
}

// The column of differences, and the list from which their reference is chosen. The numbers of all pairs are in the page
// (pair_numbers.py says how); they are read when a reference is chosen.
class Reference {
  constructor(sortable) {
    this.sortable = sortable;
    this.column = sortable.headings.findIndex((heading) => heading.hasAttribute("data-difference"));
    this.titles = [];
    this.best = new Map();
    for (const { cells } of sortable.rows) {
      const { group, member } = cells[0].dataset;
      this.titles[member] = choiceOf(cells[0]);
      if (cells[this.column].textContent === "best") this.best.set(group, Number(member));
    }
    const options = ["the best", ...this.titles].map((text, place) => element("option", { textContent: text, value: place - 1 }));
    this.select = element("select", { onchange: () => this.write() }, ...options);
    const label = element("label", { textContent: "Compare with" }, this.select);
    if (sortable.bar) sortable.bar.prepend(label);
    else sortable.table.parentElement.before(element("div", { className: "controls" }, label));
  }

  write() {
    this.numbers ??= JSON.parse(document.getElementById(`${this.sortable.table.id}-differences`).textContent);
    const chosen = Number(this.select.value);
    for (const { cells } of this.sortable.rows) {
      const { group, member } = cells[0].dataset;
      const other = chosen < 0 ? this.best.get(group) : chosen;
      const cell = cells[this.column];
      const [text, sort] = this.entry(group, Number(member), other, chosen < 0 ? "best" : "reference");
      cell.textContent = text;
      if (sort === null) delete cell.dataset.sort;
      else cell.dataset.sort = sort;
    }
    this.sortable.rewritten(this.column);
  }

  entry(group, member, other, itself) {
    if (member === other) return [itself, 0];
    const [first, second] = [Math.min(member, other), Math.max(member, other)];
    // Pairs (0, 1), (0, 2), ..., (1, 2), ...: those that begin with a smaller number come before.
    const place = first * this.titles.length - (first * (first + 1)) / 2 + second - first - 1;
    const found = other === undefined ? null : this.numbers[group][place];
    if (!found) return ["\u2013", null];
    const sign = member < other ? 1 : -1;
    const [difference, low, high, significant] = found;
    const [from, to] = sign > 0 ? [low, high] : [-high, -low];
    const interval = significant === undefined ? "" : ` [${points(from)}, ${points(to)}]`;
    return [`${points(sign * difference)}${interval}${significant ? "*" : ""}`, (sign * difference) / 10];
  }
}

// Tenths of a percentage point.
function points(tenths) {
  return tenths ? `${tenths < 0 ? "-" : "+"}${(Math.abs(tenths) / 10).toFixed(1)}` : "0.0";
}

function makeToggle(body) {
  const heading = body.rows[0].cells[0];
  const button = element("button", { type: "button", className: "toggle", textContent: heading.textContent });
  button.addEventListener("click", () => open(body, !body.classList.contains("open")));
  button.setAttribute("aria-expanded", "false");
  heading.replaceChildren(button);
}

function open(body, opened) {
  const place = body.querySelector(".detail div");
  // The browser has left it unread so far.
  const text = details.get(place) ?? place.querySelector("noscript")?.textContent;
  if (opened && text !== undefined) {
    place.innerHTML = text;
    details.delete(place);
  }
  body.classList.toggle("open", opened);
  body.querySelector(".toggle").setAttribute("aria-expanded", String(opened));
}

// What is beneath the rows of a table that has been read, each as text until it is opened.
const details = new Map();

const texts = new Map();

// The text that a browser has kept of a table, put together once: it may be of many megabytes.
function textIn(holder) {
  if (!texts.has(holder)) texts.set(holder, holder.querySelector("noscript").textContent);
  return texts.get(holder);
}

// Makes elements of it, but for details between marks.
function read(holder) {
  const [first, ...parts] = textIn(holder).split("<!--detail-->");
  texts.delete(holder);
  const pairs = parts.map((part) => part.split("<!--/detail-->"));
  holder.innerHTML = first + pairs.map(([, after]) => after).join("");
  holder.classList.remove("held");
  holder.querySelectorAll(".detail div").forEach((place, number) => details.set(place, pairs[number][0]));
}

const made = new Map();

function sortable(table) {
  if (!made.has(table)) {
    made.set(table, new SortableTable(table));
    if (table.id === "cells-table") for (const body of table.tBodies) makeToggle(body);
  }
  return made.get(table);
}

// Tables behind a heading are read and made when it opens.
function unfold(fold) {
  for (const holder of fold.querySelectorAll(".held")) read(holder);
  for (const table of fold.querySelectorAll("table.sortable")) sortable(table);
}

function show(fold) {
  unfold(fold);
  fold.open = true;
}

// Tables that are shown.
function prepare(tables) {
  for (const table of document.querySelectorAll(tables)) if (!table.closest("details.fold:not([open])")) sortable(table);
  performance.mark("prepared"); // when the first of these is, benchmarks/page.py reads
}

// The results can be used while the rest of a large page is still being read: they are complete when the figures begin.
const early = new MutationObserver(() => {
  if (!document.getElementById("figures")) return;
  early.disconnect();
  prepare("#answer table.sortable, #results table.sortable");
});
early.observe(document.documentElement, { childList: true, subtree: true });

// Now, or as soon as the browser has read the whole page.
function whenRead(act) {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", act, { once: true });
  else act();
}

function showCells(text) {
  const section = document.getElementById("cells");
  if (!section) return;
  const fold = section.querySelector("details.fold");
  if (fold) show(fold);
  sortable(document.getElementById("cells-table")).filter(text);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-cells]");
  if (link) whenRead(() => showCells(link.dataset.cells));
});

document.addEventListener("DOMContentLoaded", () => {
  early.disconnect();
  prepare("table.sortable");
  for (const fold of document.querySelectorAll("details.fold")) {
    fold.addEventListener("toggle", () => unfold(fold));
    if (fold.open) unfold(fold);
  }
  const goTo = () => {
    const name = location.hash.slice(1);
    const fold = document.querySelector("#cells details.fold");
    const held = fold?.querySelector(".held");
    // Only an address of a cell has the cells read.
    if (held && !textIn(held).includes(`<tbody id="${name}">`)) return;
    if (fold) unfold(fold);
    const [body, cells] = [document.getElementById(name), document.getElementById("cells-table")];
    if (!body || body.parentElement !== cells) return;
    if (fold) fold.open = true;
    sortable(cells).reveal(body);
    open(body, true);
    body.scrollIntoView();
  };
  window.addEventListener("hashchange", goTo);
  // Paper cannot be opened.
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details.fold")) {
      unfold(fold);
      fold.open = true;
    }
  });
  goTo();
});
