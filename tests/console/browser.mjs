// Drives a headless Chromium through the console; ends with 1 and the first thing that did not hold. Started by run.py.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const told = JSON.parse(process.argv[2]);
const require = createRequire(path.join(told.packages, "console.cjs"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// Each step waits for a condition; this is when it is no use to wait any longer.
const WITHIN_MS = 60_000;
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };
// What a page of ten thousand tenants may come to. It shows 200 rows; a row has some twenty nodes.
const NODES_MAX = 8_000;

function holds(what, condition, detail = "") {
  if (!condition) throw new Error(`FAILED: ${what} ${detail}`);
  console.log(`ok: ${what}`);
}

/** A page that notices whatever a page of ours must never do. */
async function open(browser, scheme, viewport) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WITHIN_MS);
  const odd = [];
  page.on("pageerror", (error) => odd.push(`error: ${error.message}`));
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && odd.push(`console: ${message.text()}`));
  page.on("dialog", (dialog) => (odd.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(told.address) && !url.startsWith("data:")) odd.push(`request: ${url}`);
  });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport(viewport);
  await page.goto(`${told.address}/console`);
  return { page, odd };
}

/** Goes to a view and waits until it is shown. */
async function show(page, hash) {
  const before = await page.evaluate(() => document.body.dataset.shown ?? "");
  const same = await page.evaluate((hash) => location.hash === hash, hash);
  if (!same) {
    await page.evaluate((hash) => (location.hash = hash), hash);
    await page.waitForFunction((before) => (document.body.dataset.shown ?? "") !== before, {}, before);
  }
  const view = hash.slice(1).split("/")[0];
  await page.waitForFunction((view) => document.body.dataset.shown?.startsWith(`${view}/`), {}, view);
}

/** Every view, in one scheme and width: accessible, within its width, and nothing but text of what clients sent. */
async function look(browser, scheme, viewport) {
  const { page, odd } = await open(browser, scheme, viewport);
  const name = `${scheme}-${viewport.width}`;
  for (const hash of ["#spend", `#find/${told.trace}`, "#invoices", "#health"]) {
    await show(page, hash);
    const view = hash.slice(1).split("/")[0];
    const what = `${view}, ${name}`;
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const faults = found.violations.map(({ id, help, nodes }) => `\n  ${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 200))}`);
    const width = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    await page.screenshot({ path: path.join(told.pictures, `${view}-${name}.png`) });
    holds(`axe finds nothing against ${what}`, faults.length === 0, faults.join(""));
    holds(`nothing is wider than the window: ${what}`, width[0] <= width[1], width.join(" > "));
    const ran = await page.evaluate(() => "hacked" in window);
    const markup = await page.$$eval(
      "main img, main script, main h1, main u, main b, main i, [onload], [onerror]",
      (elements) => elements.map((element) => element.outerHTML.slice(0, 200)),
    );
    holds(`no text became markup: ${what}`, !ran && markup.length === 0, markup.join());
  }
  holds(`no error, dialog or foreign request, ${name}`, odd.length === 0, odd.join("; "));
  await page.close();
}

/** Names stand on the page as they were sent, to the character. */
async function names(browser) {
  const { page } = await open(browser, "light", WIDE);
  const text = (selector) => page.$$eval(selector, (cells) => cells.map((cell) => cell.textContent));
  await show(page, "#spend");
  const movers = await text("#movers tbody th");
  holds("the dearest tenants are the hostile ones, as text", told.hostile.every((tenant) => movers.includes(tenant)), movers);
  await show(page, `#find/${told.trace}`);
  const spans = await text("#found .tree strong");
  holds("a span's name is text", spans.includes(told.spanName), spans);
  await show(page, `#find/${told.reversedTrace}`);
  const beside = await page.$$eval("#found section p bdi", (names) => names.map((name) => name.textContent));
  holds("a name that runs from right to left keeps to itself", beside.includes(told.reversed), beside);
  await page.close();
}

/** Ten thousand tenants are counted whole and shown in part; any of them is found. */
async function many(browser) {
  const { page } = await open(browser, "light", WIDE);
  await show(page, "#invoices");
  const note = await page.$eval("#invoices-note", (note) => note.textContent);
  const count = told.tenants.toLocaleString("en-US").replaceAll(",", "\u202f");
  holds("every tenant is counted", note.startsWith(`${count} of ${count}`), note);
  const rows = await page.$$eval("#invoices-list tbody tr", (rows) => rows.length);
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  holds(`what is shown is bounded: ${rows} rows, ${nodes} nodes`, rows === 200 && nodes <= NODES_MAX);
  const shown = await page.evaluate(() => document.body.dataset.shown);
  await page.type("#invoices-filter", "tenant-09876");
  await page.keyboard.press("Enter");
  await page.waitForFunction((shown) => document.body.dataset.shown !== shown, {}, shown);
  const found = await page.$$eval("#invoices-list tbody th", (cells) => cells.map((cell) => cell.textContent));
  holds("one of them is found by its name", found.join() === "tenant-09876", found.join().slice(0, 200));
  await page.close();
}

/** What has the focus, and whether it shows it. */
const focused = (page) =>
  page.evaluate(() => {
    const at = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(at);
    return { name: at.id || at.textContent.trim(), shows: outlineStyle !== "none" && outlineWidth !== "0px" };
  });

/** Everything can be reached by keys, in the order it is read, and what has the focus shows it. */
async function order(browser) {
  const { page } = await open(browser, "light", WIDE);
  await show(page, "#spend");
  const found = [];
  for (let at = 0; at < 8; at += 1) {
    await page.keyboard.press("Tab");
    const { name, shows } = await focused(page);
    found.push(shows ? name : `${name} (focus is not shown)`);
  }
  const expected = ["Skip to content", "Spend", "Find", "Invoices", "Health", "spend-window", "movers-by", "movers"];
  holds("keys lead through the page in reading order", found.join() === expected.join(), found.join(", "));
  await page.close();
}

/** From the top to an explained call, by keys alone. */
async function keys(browser) {
  const { page } = await open(browser, "light", WIDE);
  await show(page, "#spend");
  for (let at = 0; at < 3; at += 1) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.body.dataset.shown?.startsWith("find/"));
  for (let at = 0; at < 20 && (await focused(page)).name !== "find-id"; at += 1) await page.keyboard.press("Tab");
  await page.keyboard.type(told.trace);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#found .tree li");
  holds("a call is found and explained by keys alone", true);
  await page.focus(".skip");
  await page.keyboard.press("Enter");
  const main = (await focused(page)).name;
  holds("the skip link leads to the content", main === "main", main);
  const view = await page.evaluate(() => document.body.dataset.shown.split("/")[0]);
  holds("and stays in the view", view === "find", view);
  await page.close();
}

const browser = await puppeteer.launch({
  executablePath: told.browser,
  userDataDir: told.profile,
  timeout: WITHIN_MS,
  // Root has no sandbox for its browser; the only pages here are ours.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
try {
  for (const scheme of ["light", "dark"]) for (const viewport of [WIDE, NARROW]) await look(browser, scheme, viewport);
  await names(browser);
  await many(browser);
  await order(browser);
  await keys(browser);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
