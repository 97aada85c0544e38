// MSAL for Node as applications use it: for a program of its own, a web application and a desktop program.

import assert from 'node:assert/strict';
import { ConfidentialClientApplication, PublicClientApplication } from '@azure/msal-node';
import { Chromium, Client } from '../person.mjs';
import { API, made, main, newApi, newClient, newUser, snippet } from '../place.mjs';

const chromium = await Chromium.start();
const site = await Client.start();
await newApi();

const auth = (client) => ({
  clientId: client.client_id,
  clientSecret: client.client_secret,
  authority: `${made.public_url}/default`,
  knownAuthorities: [new URL(made.public_url).host],
});
const scopes = [`${API}/read`];

async function rejected(promise, errorCode) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.errorCode, errorCode, error);
    return true;
  });
}

// The account is known, and its refresh tokens work one after the other; signing out forgets it.
async function refreshedTwice(app, user, answer) {
  assert.equal(answer.account.username, user.username);
  const account = (await app.getTokenCache().getAllAccounts())[0];
  assert.equal(account.username, user.username);
  const cached = await app.acquireTokenSilent({ account, scopes });
  assert.deepEqual([cached.fromCache, cached.accessToken], [true, answer.accessToken]);
  const tokens = new Set([answer.accessToken]);
  for (let turn = 0; turn < 2; turn += 1) {
    const fresh = await app.acquireTokenSilent({ account, scopes, forceRefresh: true });
    assert.equal(fresh.fromCache, false);
    tokens.add(fresh.accessToken);
  }
  assert.equal(tokens.size, 3);
  await app.getTokenCache().removeAccount(account);
  assert.deepEqual(await app.getTokenCache().getAllAccounts(), []);
}

const tests = {
  'a program for itself: the second call is answered from the cache': async () => {
    const app = new ConfidentialClientApplication({ auth: auth(made) });
    const first = await app.acquireTokenByClientCredential({ scopes: [made.scope] });
    assert.equal(first.fromCache, false);
    const second = await app.acquireTokenByClientCredential({ scopes: [made.scope] });
    assert.deepEqual([second.fromCache, second.accessToken], [true, first.accessToken]);
  },

  'a wrong secret shows our error': async () => {
    const app = new ConfidentialClientApplication({ auth: { ...auth(made), clientSecret: 'not the secret' } });
    await assert.rejects(app.acquireTokenByClientCredential({ scopes: [made.scope] }), (error) => {
      assert.equal(error.errorCode, 'invalid_client');
      assert.match(error.errorMessage, /GRT2002/);
      return true;
    });
  },

  'a web application: the documented snippet, then two refreshes': async () => {
    const web = await newClient('Web', '--redirect-uri', site.redirectUri);
    const user = await newUser();
    const { app, start, finish } = await snippet('MSAL for Node in a web application', {
      CLIENT_ID: web.client_id,
      CLIENT_SECRET: web.client_secret,
      'https://login.example.com': made.public_url,
      'login.example.com': new URL(made.public_url).host,
      'https://web.example.com/callback': site.redirectUri,
    });
    const session = {};
    const url = await start(session);
    const person = await chromium.person();
    await person.open(url);
    await person.signIn(user);
    await person.allow();
    await person.arrivedAt(site);
    const { query } = await site.next();
    await assert.rejects(finish({ ...session, state: 'another' }, query), /state/);
    await refreshedTwice(app, user, await finish(session, query));

    const again = await start(session);
    await person.open(again);
    await person.arrivedAt(site);
    const repeated = await site.next();
    await finish(session, repeated.query);
    await rejected(finish(session, repeated.query), 'invalid_grant');
  },

  'a desktop program opens the browser by itself': async () => {
    const desktop = await newClient('Desktop', '--public', '--redirect-uri', 'http://localhost');
    const user = await newUser();
    const app = new PublicClientApplication({ auth: auth(desktop) });
    const person = await chromium.person();
    const answer = await app.acquireTokenInteractive({
      scopes,
      openBrowser: async (url) => {
        await person.open(url);
        await person.signIn(user);
        await person.allow();
      },
    });
    await person.sees('You can close this window now');
    await refreshedTwice(app, user, answer);

    const refusal = app.acquireTokenInteractive({
      scopes,
      openBrowser: async (url) => {
        await person.open(url);
        await person.at('grantor-consent');
        await person.click('deny');
      },
    });
    await rejected(refusal, 'access_denied');
  },
};

await main(tests, async (test) => {
  site.visits.length = 0;
  await test();
  await chromium.everybodyLeaves();
});
