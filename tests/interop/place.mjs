// What check.mjs of a folder stands on: the server that check.py started, its command line, and the runner of the tests.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';

// What `grantor quickstart` printed, and how this very server is reached on the command line.
export const made = JSON.parse(process.env.GRANTOR_INTEROP);

export const PASSWORD = 'correct horse battery staple';

// Runs a command of the binary on the server's data; hands back what `--json` printed, if it printed anything.
export async function grantor(command, input) {
  const [status, stdout, stderr] = await run(made.binary, [...command, ...made.flags, '--json'], input);
  assert.equal(status, 0, `grantor ${command.join(' ')} ended with ${status}\n${stdout}\n${stderr}`);
  return stdout.trim() ? JSON.parse(stdout) : undefined;
}

function run(program, command, input = '') {
  return new Promise((resolve, reject) => {
    const child = spawn(program, command, { timeout: 60_000 });
    const printed = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => {
        printed[name] += text;
      });
    }
    child.on('error', reject);
    child.on('close', (status) => resolve([status, printed.stdout, printed.stderr]));
    child.stdin.on('error', () => {}).end(input);
  });
}

// Somebody who can sign in; every test has its own, so that no test meets what another one left.
export async function newUser(name = 'ann', ...flags) {
  const username = `${name}-${randomUUID().slice(0, 8)}`;
  await grantor(['user', 'create', username, '--password-stdin', ...flags], PASSWORD);
  return { username, password: PASSWORD };
}

export const API = 'https://api.example.com';

// The resource that the clients of the tests ask for.
export async function newApi() {
  await grantor(['resource', 'create', API, '--scope', 'read', '--scope', 'write']);
  await grantor(['resource', 'describe', API, 'read', 'See your orders']);
}

// A client with its id and, unless it is public, its secret.
export async function newClient(name, ...flags) {
  return grantor(['client', 'create', '--name', name, '--allow', `${API}/read`, ...flags]);
}

// Asks until the answer is one to be content with, for as long as the documentation promises and no longer.
export async function within(seconds, ask, isRight) {
  const started = performance.now();
  for (;;) {
    const asked = (performance.now() - started) / 1000;
    const answer = await ask();
    if (isRight(answer)) return answer;
    assert.ok(asked <= seconds, `${asked.toFixed(2)} s after: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// The code that docs/interop.md shows under a heading, with a reader's values in place of the example's, as a module.
// It lies where Node finds the packages.
export async function snippet(heading, values) {
  const page = await readFile(new URL('../../docs/interop.md', import.meta.url), 'utf8');
  const section = page.split(`\n## ${heading}\n`)[1].split('\n## ')[0];
  let code = section.split('```js\n')[1].split('```')[0];
  for (const [example, value] of Object.entries(values)) {
    assert.ok(code.includes(example), `the snippet does not say ${example}`);
    code = code.replaceAll(example, value);
  }
  const file = new URL(`./node_modules/.snippet-${randomUUID()}.mjs`, import.meta.url);
  await writeFile(file, code);
  try {
    return await import(file);
  } finally {
    await rm(file);
  }
}

// Runs the tests of one folder, all of them, and fails when one did. `around` is given each test to call.
export async function main(tests, around = (test) => test()) {
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    const started = performance.now();
    let verdict = 'ok    ';
    try {
      await around(test, name);
    } catch (error) {
      console.error(error);
      verdict = 'FAILED';
      failed += 1;
    }
    const took = ((performance.now() - started) / 1000).toFixed(1);
    console.error(`${verdict}  ${name}  (${made.engine}, ${took} s)`);
  }
  process.exit(failed === 0 ? 0 : 1);
}
