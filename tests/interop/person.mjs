// A person at a real Chromium: what they see, type and click. Started as a program, they open the address that a client
// gave them, sign in and answer what is asked, as GRANTOR_PERSON says in JSON: url, username, password, allow.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const PROGRAM = process.env.CHROMIUM ?? '/usr/bin/chromium';

// Nothing is to be asked of the world outside.
const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];

const DESKTOP = { width: 1100, height: 800 };
const PHONE = { width: 320, height: 640 };
const PATIENCE = 30_000;

export class Chromium {
  static async start() {
    return new Chromium(await chromium.launch({ executablePath: PROGRAM, args: FLAGS }));
  }

  constructor(browser) {
    this.browser = browser;
    this.people = [];
  }

  // Somebody with a browser of their own: no cookies but their own. The development CA is not one that Chromium knows.
  async person(options = {}) {
    const context = await this.browser.newContext({ viewport: DESKTOP, ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(PATIENCE);
    const person = new Person(context, await context.newPage());
    await person.watch();
    this.people.push(person);
    return person;
  }

  // Everybody goes; nobody may have met a page that breaks its own content security policy.
  async everybodyLeaves() {
    const people = this.people.splice(0);
    for (const person of people) await person.context.close();
    for (const person of people) assert.deepEqual(person.violations, []);
  }

  async close() {
    await this.browser.close();
  }
}

export class Person {
  constructor(context, page) {
    this.context = context;
    this.page = page;
    // What Chromium or the pages themselves complain about.
    this.violations = [];
  }

  async watch() {
    await this.context.exposeBinding('reportViolation', ({ page }, what) => {
      this.violations.push(`${page.url()}: ${what}`);
    });
    await this.context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        window.reportViolation(`${event.effectiveDirective} forbids ${event.blockedURI}`);
      });
    });
    this.page.on('console', (message) => {
      if (/content security policy|refused to/i.test(message.text())) this.violations.push(message.text());
    });
    this.page.on('pageerror', (error) => this.violations.push(String(error)));
  }

  // Opens an address; hands back the HTTP status.
  async open(url) {
    return (await this.page.goto(url)).status();
  }

  // Waits for a page of ours by its id, such as `grantor-consent`.
  async at(id) {
    await this.page.locator(`main#${id}`).waitFor();
  }

  // Waits for a page of the client's.
  async arrivedAt(client) {
    await this.page.waitForURL((url) => url.origin === client.origin);
  }

  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  async click(id) {
    await this.page.locator(`#${id}`).click();
  }

  async type(id, text) {
    await this.page.locator(`#${id}`).fill(text);
  }

  async signIn({ username, password }) {
    await this.at('grantor-login');
    await this.type('username', username);
    await this.type('password', password);
    await this.click('login');
  }

  async allow() {
    await this.at('grantor-consent');
    await this.click('approve');
  }

  // Presses Tab until the focus is there, as people without a mouse do; the focus must be seen.
  async tabTo(id) {
    const focused = () => this.page.evaluate(() => document.activeElement?.id);
    for (let pressed = 0; (await focused()) !== id; pressed += 1) {
      assert.ok(pressed < 40, `Tab does not lead to #${id}`);
      await this.page.keyboard.press('Tab');
    }
    const outline = await this.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, 'none', `nobody sees that the focus is at #${id}`);
  }

  // Looks at the page on a phone, where nothing may stick out, and takes pictures of it when `folder` names a place.
  async look(name, folder) {
    await this.page.setViewportSize(PHONE);
    const [wide, sticksOut] = await this.page.evaluate(() => [
      document.documentElement.scrollWidth,
      [...document.querySelectorAll('main *')]
        .filter((element) => !element.matches('.unseen') && element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => element.outerHTML.slice(0, 100)),
    ]);
    assert.ok(wide <= PHONE.width, `${name} is ${wide} px wide`);
    assert.deepEqual(sticksOut, [], name);
    if (folder) await this.shoot(name, folder, 'phone');
    await this.page.setViewportSize(DESKTOP);
    if (!folder) return;
    await this.shoot(name, folder, 'light');
    await this.page.emulateMedia({ colorScheme: 'dark' });
    await this.shoot(name, folder, 'dark');
    await this.page.emulateMedia({ colorScheme: null });
  }

  async shoot(name, folder, how) {
    await mkdir(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}-${how}.png`), fullPage: true });
  }
}

// The client's own web server on the loopback interface: it takes down what the browser brings.
export class Client {
  static async start() {
    const client = new Client();
    const server = createServer((request, response) => client.serve(request, response));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    client.origin = `http://127.0.0.1:${server.address().port}`;
    client.redirectUri = `${client.origin}/callback`;
    return client;
  }

  // What came and was not asked for yet.
  visits = [];
  #waiting = [];

  // The next visit: its method, its whole address, and the parameters of its query and its form.
  async next() {
    if (this.visits.length > 0) return this.visits.shift();
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('the browser did not come to the client')), PATIENCE);
    });
    try {
      return await Promise.race([late, new Promise((resolve) => this.#waiting.push(resolve))]);
    } finally {
      clearTimeout(timer);
    }
  }

  async serve(request, response) {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Client</title><p id="client">Back');
    const url = new URL(request.url, this.origin);
    if (url.pathname === '/favicon.ico') return;
    const visit = {
      method: request.method,
      path: url.pathname,
      url,
      query: Object.fromEntries(url.searchParams),
      form: Object.fromEntries(new URLSearchParams(body)),
    };
    const waiting = this.#waiting.shift();
    if (waiting) waiting(visit);
    else this.visits.push(visit);
  }
}

async function act({ url, username, password, allow }) {
  const browser = await Chromium.start();
  try {
    const person = await browser.person();
    const ours = new URL(url).origin;
    await person.open(url);
    await person.signIn({ username, password });
    const left = person.page.waitForURL((at) => at.origin !== ours).then(() => 'left');
    const asked = person.at('grantor-consent').then(() => 'asked');
    left.catch(() => {});
    asked.catch(() => {});
    if ((await Promise.race([left, asked])) === 'asked') {
      await person.click(allow ? 'approve' : 'deny');
      await left;
    }
    await person.page.waitForLoadState();
    console.log(JSON.stringify({ url: person.page.url(), text: await person.page.innerText('body') }));
    await browser.everybodyLeaves();
  } finally {
    await browser.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await act(JSON.parse(process.env.GRANTOR_PERSON));
}
