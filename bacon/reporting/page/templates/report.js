"use strict";
// Tables that sort, filter and turn pages, and cells that open. Without this program the page shows everything.
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

// Each row of a table is one tbody: the row, and the details that go with it.
class SortableTable {
  constructor(table) {
    this.table = table;
    this.headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    this.rows = [...table.tBodies].map((body) => ({ body, cells: [...body.rows[0].cells], text: body.rows[0].textContent.toLowerCase() }));
    // A table of methods is read as a whole; the cells are looked up.
    this.paged = this.rows.length > (table.id === "cells-table" ? 25 : 60);
    this.page = 0;
    this.choices = [];
    this.headings.forEach((heading, column) => this.makeSortable(heading, column));
    if (this.rows.length > 5) this.addControls();
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
    const words = this.search.value.toLowerCase().split(/\s+/);
    const chosen = ({ column, select }) => !select.value || choiceOf(row.cells[column]) === select.value;
    return words.every((word) => row.text.includes(word)) && this.choices.every(chosen);
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

function makeToggle(body) {
  const heading = body.rows[0].cells[0];
  const button = element("button", { type: "button", className: "toggle", textContent: heading.textContent });
  button.addEventListener("click", () => open(body, !body.classList.contains("open")));
  button.setAttribute("aria-expanded", "false");
  heading.replaceChildren(button);
}

function open(body, opened) {
  body.classList.toggle("open", opened);
  body.querySelector(".toggle").setAttribute("aria-expanded", String(opened));
}

document.addEventListener("DOMContentLoaded", () => {
  const tables = new Map([...document.querySelectorAll("table.sortable")].map((table) => [table, new SortableTable(table)]));
  const cells = document.getElementById("cells-table");
  for (const body of cells?.tBodies ?? []) makeToggle(body);
  const goTo = () => {
    const body = document.getElementById(location.hash.slice(1));
    if (body?.parentElement !== cells) return;
    tables.get(cells).reveal(body);
    open(body, true);
    body.scrollIntoView();
  };
  for (const link of document.querySelectorAll("a[data-cells]")) {
    link.addEventListener("click", () => tables.get(cells).filter(link.dataset.cells));
  }
  window.addEventListener("hashchange", goTo);
  goTo();
});
