// The console's page. It only reads, from the host it came from. Whatever a client sent is put in place as text.
// Money arrives as decimal strings and stays that: sums and differences are whole numbers of 10^-12, floats only draw.

"use strict";

const DECIMALS = 12;
const DAY = 86_400_000;
const REFRESH = 10_000;

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a child that is a string is text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A decimal string as a whole number of 10^-12. */
function picos(text) {
  const negative = text.startsWith("-");
  const [whole, part = ""] = text.replace("-", "").split(".");
  const value = BigInt(whole + part.padEnd(DECIMALS, "0").slice(0, DECIMALS));
  return negative ? -value : value;
}

const CENT = 10n ** 10n;

/** Whole 10^-12 as people read money: rounded to the cent, but what is less than a cent with all its digits. */
function money(value, currency) {
  const size = value < 0n ? -value : value;
  let text;
  if (size > 0n && size < CENT) {
    text = `0.${size.toString().padStart(DECIMALS, "0").replace(/0+$/, "")}`;
  } else {
    const cents = ((size + CENT / 2n) / CENT).toString().padStart(3, "0");
    text = `${cents.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, "\u202f")}.${cents.slice(-2)}`;
  }
  return `${value < 0n ? "−" : ""}${text}${currency ? ` ${currency}` : ""}`;
}

/** The whole amount, for a title: nothing rounded. */
function exact(text, currency) {
  return `${text} ${currency}`;
}

function moneyCell(text, currency) {
  return make("td", { class: "number", title: exact(text, currency) }, money(picos(text)));
}

const count = (number) => Number(number).toLocaleString("en-US").replaceAll(",", "\u202f");
const named = (text) => (text === "" ? "(none)" : text);
/** A name among other text: however it runs, what stands beside it runs as it should. */
const said = (text) => make("bdi", {}, named(text));

async function ask(path, parameters) {
  const url = new URL(path, location.origin);
  for (const [key, value] of Object.entries(parameters ?? {})) url.searchParams.set(key, value);
  const response = await fetch(url, { headers: { accept: "application/json" } });
  const text = await response.text();
  if (!response.ok) {
    let reason = text;
    try {
      reason = JSON.parse(text).error ?? text;
    } catch {
      // Not JSON: the text is the reason.
    }
    throw new Error(reason.trim());
  }
  return text;
}

const askJson = async (path, parameters) => JSON.parse(await ask(path, parameters));

function figures(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([term, value, title]) =>
      make("div", {}, make("dt", {}, term), make("dd", title ? { title } : {}, value)),
    ),
  );
}

function table(caption, columns, rows) {
  const head = columns.map(([name, number]) => make("th", { scope: "col", ...(number && { class: "number" }) }, name));
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

// Spend.

/** Bars of a series; the same figures stand in each bar's title and in the description. */
function bars(points, currency) {
  const svgNames = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(svgNames, "svg");
  svg.setAttribute("viewBox", "0 0 1000 200");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const said = points.map(([day, value]) => `${day}: ${money(value, currency)}`);
  svg.setAttribute("aria-label", `Cost by day. ${said.join("; ")}`);
  const most = points.reduce((most, [, value]) => (value > most ? value : most), 1n);
  const width = 1000 / Math.max(points.length, 1);
  points.forEach(([, value], at) => {
    const height = value > 0n ? Math.max(1, (Number(value) / Number(most)) * 190) : 0;
    const bar = document.createElementNS(svgNames, "rect");
    const place = { x: at * width + width * 0.1, y: 200 - height, width: width * 0.8, height };
    for (const [key, number] of Object.entries(place)) bar.setAttribute(key, number.toFixed(2));
    const title = document.createElementNS(svgNames, "title");
    title.append(said[at]);
    bar.append(title);
    svg.append(bar);
  });
  return svg;
}

async function showSpend() {
  const days = Number(byId("spend-window").value);
  const by = byId("movers-by").value;
  const now = Date.now();
  const at = (time) => new Date(time).toISOString();
  const [from, before] = [now - days * DAY, now - 2 * days * DAY];
  const [byDay, current, earlier] = await Promise.all([
    askJson("/console/api/usage", { from: at(from), to: at(now), by: "day" }),
    askJson("/console/api/usage", { from: at(from), to: at(now), by }),
    askJson("/console/api/usage", { from: at(before), to: at(from), by }),
  ]);
  const { totals } = current;
  const currency = totals.currency;
  const change = picos(totals.cost) - picos(earlier.totals.cost);
  figures(byId("spend-figures"), [
    ["Cost", money(picos(totals.cost), currency), exact(totals.cost, currency)],
    ["Charge", money(picos(totals.charge), currency), exact(totals.charge, currency)],
    ["Against the time before", `${change > 0n ? "+" : ""}${money(change, currency)}`],
    ["Calls", count(totals.calls)],
    ["Unpriced calls", count(totals.unpriced_calls)],
    ["Unmetered calls", count(totals.unmetered_calls)],
  ]);
  const costs = new Map(byDay.rows.map((row) => [row.day, picos(row.cost)]));
  const points = [];
  for (let time = from; time <= now; time += DAY) {
    const day = at(time).slice(0, 10);
    points.push([day, costs.get(day) ?? 0n]);
  }
  const today = at(now).slice(0, 10);
  if (points.at(-1)[0] !== today) points.push([today, costs.get(today) ?? 0n]);
  // Said by the picture's own description; this is for the eye.
  const ends = make("div", { class: "ends", "aria-hidden": "true" });
  ends.append(make("span", {}, points[0][0]), make("span", {}, points.at(-1)[0]));
  byId("spend-chart").replaceChildren(bars(points, currency), ends);
  const [highest, most] = points.reduce((most, point) => (point[1] > most[1] ? point : most));
  const mostSaid = most > 0n ? `; highest ${money(most, currency)} on ${highest}` : "";
  byId("spend-chart-title").textContent = `Cost by day (UTC)${mostSaid}`;

  const movers = new Map();
  const add = (row, side) => {
    const mover = movers.get(row[by]) ?? { now: 0n, before: 0n };
    mover[side] += picos(row.cost);
    movers.set(row[by], mover);
  };
  current.rows.forEach((row) => add(row, "now"));
  earlier.rows.forEach((row) => add(row, "before"));
  const size = ({ now, before }) => (now > before ? now - before : before - now);
  const compare = ([, one], [, two]) => (size(two) > size(one) ? 1 : size(two) < size(one) ? -1 : 0);
  const sorted = [...movers].sort(compare);
  const rows = sorted.slice(0, 25).map(([name, { now, before }]) => {
    const change = now - before;
    const cells = [now, before].map((value) => make("td", { class: "number" }, money(value)));
    const moved = make("td", { class: "number" }, `${change > 0n ? "▲ +" : change < 0n ? "▼ " : ""}${money(change)}`);
    return make("tr", {}, make("th", { scope: "row" }, named(name)), ...cells, moved);
  });
  const columns = [[by], ["now", true], ["before", true], ["change", true]];
  byId("movers").replaceChildren(table(`Cost in ${currency}`, columns, rows));
  byId("movers-note").textContent =
    `The ${count(rows.length)} of ${count(movers.size)} whose cost changed most against the ${days} days before.`;
}

// Find and explain.

function spanItem(span, children, entries) {
  const outcome = span.outcome === "link" ? "no AI usage" : span.outcome;
  const cost = entries.get(`${span.trace_id}/${span.span_id}`);
  const parts = [make("strong", {}, make("bdi", {}, span.name || "a span")), " ", make("span", { class: "tag" }, outcome)];
  if (span.rule) parts.push(" ", make("span", { class: "quiet" }, span.rule));
  if (cost) parts.push(" ", make("strong", {}, cost));
  if (span.input_tokens !== null || span.output_tokens !== null) {
    const tokens = [span.input_tokens, span.output_tokens].map((number) => (number === null ? "?" : count(number)));
    parts.push(make("div", { class: "quiet" }, `${tokens[0]} tokens in, ${tokens[1]} out`));
  }
  if (span.scope) parts.push(make("div", { class: "quiet" }, make("bdi", {}, `${span.scope} ${span.scope_version}`)));
  if (span.reason) parts.push(make("div", {}, span.reason));
  if (span.winner_span_id) parts.push(make("div", {}, "by ", make("code", {}, span.winner_span_id)));
  parts.push(make("div", {}, make("code", { class: "quiet" }, span.span_id)));
  if (children.length > 0) parts.push(make("ul", {}, ...children));
  return make("li", {}, ...parts);
}

/** The spans of each trace under their parents; one whose parent was not seen stands at the top. */
function trees(spans, entries) {
  const key = (trace, span) => `${trace}/${span}`;
  const seen = new Set(spans.map((span) => key(span.trace_id, span.span_id)));
  const under = new Map();
  for (const span of spans) {
    const parent = key(span.trace_id, span.parent_span_id);
    const at = seen.has(parent) && parent !== key(span.trace_id, span.span_id) ? parent : "";
    under.set(at, [...(under.get(at) ?? []), span]);
  }
  const build = (at, depth) =>
    depth > 200
      ? []
      : (under.get(at) ?? []).map((span) =>
          spanItem(span, build(key(span.trace_id, span.span_id), depth + 1), entries),
        );
  return make("ul", { class: "tree" }, ...build("", 0));
}

function entryTable(entry) {
  const rows = entry.units.map((unit) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, unit.unit),
      make("td", { class: "number" }, count(unit.quantity)),
      make("td", { class: "number" }, unit.unit_price ?? "no price"),
      make("td", { class: "number" }, unit.cost),
    ),
  );
  const about = [
    [`${entry.entry_type}, ${entry.state}: `, said(entry.tenant), " · ", said(entry.feature), " · ", said(`${entry.provider} ${entry.model}`)],
    `at ${entry.occurred_at}, billed in ${entry.period}, cost ${entry.cost} ${entry.currency}, charge ${entry.charge} ${entry.currency}`,
  ];
  return make(
    "div",
    {},
    make("p", {}, ...about[0], make("br"), about[1], make("br"), make("code", { class: "quiet" }, `entry ${entry.entry_id}`)),
    ...(entry.price ? [make("p", { class: "note" }, `price ${entry.price_id}: ${entry.price}`)] : []),
    make(
      "div",
      { class: "scroll", role: "region", "aria-label": `Arithmetic of entry ${entry.entry_id}`, tabindex: "0" },
      table("How the cost was computed", [["unit"], ["quantity", true], ["unit price", true], ["cost", true]], rows),
    ),
  );
}

async function showFound(id) {
  byId("find-id").value = id;
  const place = byId("found");
  if (!id) return place.replaceChildren();
  const story = await askJson("/console/api/explain", { id });
  const costs = new Map();
  const winners = new Map(story.spans.filter((span) => span.outcome === "billed").map((span) => [span.call_id, span]));
  for (const call of story.calls) {
    const winner = winners.get(call.call_id);
    if (!winner || call.entries.length === 0) continue;
    const sum = call.entries.reduce((sum, entry) => sum + picos(entry.cost), 0n);
    costs.set(`${winner.trace_id}/${winner.span_id}`, money(sum, call.entries[0].currency));
  }
  const calls = story.calls.map((call) =>
    make("section", {}, make("h3", {}, "Call ", make("code", {}, call.call_id)), ...call.entries.map(entryTable)),
  );
  place.replaceChildren(make("h3", {}, "Spans"), trees(story.spans, costs), ...gone(story.gone_by_retention), ...calls);
}

// What is known of spans whose evidence is not kept any more.
function gone(retired) {
  if (!retired) return [];
  const item = (span) => make("li", {}, `${span.outcome}, by rule ${span.rule} `, make("code", {}, span.span_id));
  const text = `Evidence received until ${retired.received_until} has gone by retention. Of these spans only what became of them is known:`;
  return [make("p", {}, text), make("ul", {}, ...retired.spans.map(item))];
}

// Invoices.

function invoiceLines(invoice) {
  const rows = invoice.lines.map((line) =>
    make(
      "tr",
      {},
      make("td", {}, line.kind),
      make("td", {}, named(line.feature)),
      make("td", {}, `${line.provider} ${line.model}`),
      make("td", {}, line.unit),
      make("td", { class: "number" }, count(line.quantity)),
      make("td", { class: "number" }, line.unit_price),
      moneyCell(line.amount, invoice.currency),
    ),
  );
  const columns = [["kind"], ["feature"], ["model"], ["unit"], ["quantity", true], ["unit price", true], ["amount", true]];
  const title = make("h3", { tabindex: "-1" }, said(invoice.tenant), `, ${invoice.period}`);
  const scroll = { class: "scroll", role: "region", "aria-label": "Lines of the invoice", tabindex: "0" };
  byId("invoice").replaceChildren(title, make("div", scroll, table(`Amounts in ${invoice.currency}`, columns, rows)));
  title.focus();
}

async function showInvoices() {
  const month = byId("invoices-month");
  if (!month.value) month.value = new Date().toISOString().slice(0, 7);
  const { invoices } = await askJson("/console/api/invoices", { month: month.value });
  const wanted = byId("invoices-filter").value.toLowerCase();
  const matching = invoices.filter((invoice) => named(invoice.tenant).toLowerCase().includes(wanted));
  const rows = matching.slice(0, 200).map((invoice) => {
    const show = make("button", { type: "button" }, "Lines");
    show.addEventListener("click", () => invoiceLines(invoice));
    const parameters = new URLSearchParams({ month: month.value, tenant: invoice.tenant });
    const file = make("a", { href: `/console/api/invoice.csv?${parameters}`, download: "" }, "CSV");
    file.setAttribute("aria-label", `CSV of ${named(invoice.tenant)}`);
    show.setAttribute("aria-label", `Lines of ${named(invoice.tenant)}`);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, named(invoice.tenant)),
      moneyCell(invoice.amount, invoice.currency),
      make("td", {}, invoice.currency),
      make("td", { class: "number" }, count(invoice.calls)),
      make("td", { class: "whole" }, invoice.number ?? "not issued"),
      make("td", { class: "whole" }, show, " ", file),
    );
  });
  const columns = [["tenant"], ["amount", true], ["currency"], ["calls", true], ["number"], ["open"]];
  byId("invoices-list").replaceChildren(table(`Invoices of ${month.value}`, columns, rows));
  const more = matching.length > rows.length ? `; the first ${rows.length} are shown, search for others` : "";
  byId("invoices-note").textContent = `${count(matching.length)} of ${count(invoices.length)}${more}`;
}

// Health.

async function showHealth() {
  const [ready, page] = await Promise.all([readiness(), ask("/metrics")]);
  const values = new Map();
  for (const line of page.split("\n")) {
    const found = /^(ledgerline_[^ ]+) ([0-9.e+]+)/.exec(line);
    if (found) values.set(found[1], Number(found[2]));
  }
  const value = (name) => values.get(`ledgerline_${name}`) ?? 0;
  const share = value("journal_capacity_bytes") ? value("journal_bytes") / value("journal_capacity_bytes") : 0;
  figures(byId("health-figures"), [
    ["Ready", ready.ready ? "yes" : `no: ${ready.reason ?? ready.journal}`],
    ["ClickHouse", ready.clickhouse ?? "unknown"],
    ["Not shipped", count(value("journal_unshipped"))],
    ["Journal used", `${(share * 100).toFixed(1)} %`],
    ["Traces waiting to settle", count(value("settle_pending_traces"))],
    ["Settlement failing", value("settle_failing") ? "yes" : "no"],
  ]);
  const rows = [...values].map(([name, number]) =>
    make("tr", {}, make("th", { scope: "row" }, make("code", {}, name)), make("td", { class: "number" }, count(number))),
  );
  byId("health-list").replaceChildren(table("All counters of this server", [["metric"], ["value", true]], rows));
}

/** `/readyz` says why it is not ready in an answer that is no success. */
async function readiness() {
  const response = await fetch("/readyz");
  return response.json();
}

// The page.

const views = { spend: showSpend, find: () => showFound(argument()), invoices: showInvoices, health: showHealth };

const place = () => location.hash.slice(1).split("/")[0];
const argument = () => decodeURIComponent(location.hash.slice(1).split("/").slice(1).join("/"));
const current = () => (place() in views ? place() : "spend");

let asked = 0;

async function show(moved) {
  const view = current();
  const ticket = ++asked;
  for (const name of Object.keys(views)) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const status = byId("status");
  if (moved) status.textContent = "Reading the ledger …";
  try {
    await views[view]();
    if (ticket === asked) {
      status.className = "";
      status.textContent = moved ? "Up to date" : status.textContent;
    }
  } catch (error) {
    if (ticket === asked) {
      status.className = "error";
      status.textContent = error.message;
      if (view === "find") byId("found").replaceChildren();
    }
  }
  document.body.dataset.shown = `${view}/${ticket}`;
}

function begin() {
  byId("find-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const hash = `#find/${encodeURIComponent(byId("find-id").value.trim())}`;
    if (location.hash === hash) show(true);
    else location.hash = hash;
  });
  for (const id of ["spend-window", "movers-by", "invoices-month", "invoices-filter"]) {
    byId(id).addEventListener("change", () => show(true));
  }
  // Followed as a link it would be taken for a view.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  window.addEventListener("hashchange", () => show(true));
  setInterval(() => {
    const live = current() === "spend" || current() === "health";
    if (live && !document.hidden) show(false);
  }, REFRESH);
  show(true);
}

begin();
