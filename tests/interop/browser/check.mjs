// A person at a real Chromium: signs in, allows and refuses, signs out, looks after the account and a group.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Chromium, Client } from '../person.mjs';
import { API, grantor, made, main, newApi, newClient, newUser, PASSWORD, within } from '../place.mjs';

const base = `${made.public_url}/default`;
const at = (path) => base + path;

const chromium = await Chromium.start();
const site = await Client.start();
await newApi();

// A client with a secret, which is remembered, and one without, of which a person is asked every time.
const web = await newClient('Web shop', '--redirect-uri', site.redirectUri, '--logout-uri', `${site.origin}/bye`);
const phone = await newClient('Phone', '--public', '--redirect-uri', site.redirectUri);

// An authorization request as a client makes it, with what only the client knows.
function request(client = web, parameters = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(8).toString('hex');
  const query = new URLSearchParams({
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: site.redirectUri,
    scope: `openid profile offline_access ${API}/read`,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...parameters,
  });
  return { client, verifier, state, url: at(`/oauth2/v2.0/authorize?${query}`) };
}

async function post(path, parameters) {
  const answer = await fetch(at(path), { method: 'POST', body: new URLSearchParams(parameters) });
  return { status: answer.status, ...(await answer.json()) };
}

const ask = (client, parameters) =>
  post('/oauth2/v2.0/token', {
    client_id: client.client_id,
    ...(client.client_secret && { client_secret: client.client_secret }),
    ...parameters,
  });

// What came to the client is the answer to this request, and worth tokens.
async function redeem(sent, answer) {
  assert.equal(answer.state, sent.state);
  assert.equal(answer.iss, made.issuer);
  const tokens = await ask(sent.client, {
    grant_type: 'authorization_code',
    code: answer.code,
    redirect_uri: sent.redirect_uri ?? site.redirectUri,
    code_verifier: sent.verifier,
  });
  assert.equal(tokens.status, 200, JSON.stringify(tokens));
  return tokens;
}

const refresh = (client, token) => ask(client, { grant_type: 'refresh_token', refresh_token: token });

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

// Goes through the whole request, whatever it asks for, with a person who is not signed in.
async function authorize(person, user, sent = request()) {
  await person.open(sent.url);
  await person.signIn(user);
  await person.allow();
  await person.arrivedAt(site);
  return redeem(sent, (await site.next()).query);
}

async function newGroup(owner) {
  const group = await grantor(['group', 'create', `team-${randomBytes(4).toString('hex')}`, '--description', 'Those who ship']);
  await grantor(['group', 'owner', 'add', group.name, '--user', owner.username]);
  return group;
}

// The groups in a token that the client gets for itself.
async function groupsOf(client) {
  const tokens = await ask(client, { grant_type: 'client_credentials', scope: `${API}/.default` });
  assert.equal(tokens.status, 200, JSON.stringify(tokens));
  return claims(tokens.access_token).groups ?? [];
}

const tests = {
  'a wrong password, then the right one, consent, and tokens': async () => {
    const user = await newUser();
    const person = await chromium.person();
    const sent = request();
    assert.equal(await person.open(sent.url), 200);
    await person.sees('Web shop');
    await person.signIn({ ...user, password: `not ${PASSWORD}` });
    await person.page.locator('#problem').waitFor();
    assert.equal(await person.page.locator('#username').inputValue(), user.username);
    assert.equal(await person.page.locator('#password').inputValue(), '');
    assert.equal(await person.page.evaluate(() => document.activeElement.id), 'password');
    await person.signIn(user);
    await person.at('grantor-consent');
    for (const text of ['Web shop', 'See your orders', 'Know who you are', user.username]) await person.sees(text);
    assert.equal(await person.page.locator('#unverified').count(), 0);
    await person.allow();
    await person.arrivedAt(site);
    const visit = await site.next();
    assert.deepEqual([visit.method, visit.path], ['GET', '/callback']);
    const tokens = await redeem(sent, visit.query);
    assert.equal(claims(tokens.id_token).preferred_username, user.username);

    // The second time nobody is asked anything.
    const again = request();
    await person.open(again.url);
    await person.arrivedAt(site);
    await redeem(again, (await site.next()).query);
  },

  'a person refuses, and may change their mind': async () => {
    const user = await newUser();
    const person = await chromium.person();
    const sent = request();
    await person.open(sent.url);
    await person.signIn(user);
    await person.at('grantor-consent');
    await person.click('deny');
    await person.arrivedAt(site);
    const { query } = await site.next();
    assert.equal(query.error, 'access_denied');
    assert.equal(query.state, sent.state);
    assert.equal(query.iss, made.issuer);
    assert.equal(query.code, undefined);

    const again = request();
    await person.open(again.url);
    await person.allow();
    await person.arrivedAt(site);
    await redeem(again, (await site.next()).query);
  },

  'a public client is asked for every time': async () => {
    const user = await newUser();
    const person = await chromium.person();
    await authorize(person, user, request(phone));
    const again = request(phone);
    await person.open(again.url);
    await person.at('grantor-consent');
    await person.page.locator('#unverified').waitFor();
    await person.allow();
    await person.arrivedAt(site);
    await redeem(again, (await site.next()).query);
  },

  'the person and the application of the quickstart': async () => {
    const person = await chromium.person();
    const app = { client_id: made.app_client_id };
    // Any port will do, for a program on the person's own machine.
    const redirect_uri = site.origin;
    const sent = { ...request(app, { redirect_uri, scope: `openid ${made.scope}` }), redirect_uri };
    await person.open(sent.url);
    await person.signIn(made);
    await person.allow();
    await person.arrivedAt(site);
    const tokens = await redeem(sent, (await site.next()).query);
    const { groups, preferred_username } = claims(tokens.access_token);
    assert.deepEqual([preferred_username, groups.toSorted()], [made.username, made.groups.toSorted()]);
    await person.open(made.account);
    await person.page.getByRole('link', { name: 'kafka-rest' }).click();
    await person.at('grantor-group');
  },

  'a redirect URI that is not registered leads nowhere': async () => {
    const user = await newUser();
    const person = await chromium.person();
    const elsewhere = await Client.start();
    const bad = request(web, { redirect_uri: `${elsewhere.origin}/somewhere-else` });
    assert.equal(await person.open(bad.url), 400);
    await person.at('grantor-error');
    assert.equal(person.page.url(), bad.url);
    await person.page.waitForLoadState('networkidle');
    assert.equal(person.page.url(), bad.url);
    assert.deepEqual(elsewhere.visits, []);
    await authorize(person, user);
  },

  'signing out by the button': async () => {
    const user = await newUser();
    const person = await chromium.person();
    await person.open(at('/account'));
    await person.signIn(user);
    await person.at('grantor-account');
    await person.click('logout');
    await person.at('grantor-logout');
    await person.sees(user.username);
    await person.open(at('/account'));
    await person.at('grantor-account');
    await person.open(at('/oauth2/v2.0/logout'));
    await person.click('logout');
    await person.at('grantor-logged-out');
    await person.open(at('/account'));
    await person.at('grantor-login');
    await person.open(request().url);
    await person.at('grantor-login');
  },

  'a client signs the person out and takes them back': async () => {
    const person = await chromium.person();
    const user = await newUser();
    const tokens = await authorize(person, user);
    const back = { client_id: web.client_id, post_logout_redirect_uri: `${site.origin}/bye`, state: 's & t' };

    // Without the ID token anybody could have asked, so the person is.
    await person.open(at(`/oauth2/v2.0/logout?${new URLSearchParams(back)}`));
    await person.at('grantor-logout');
    // With an address that is not the client's the person stays.
    const stray = { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${site.origin}/elsewhere` };
    const answered = await fetch(at(`/oauth2/v2.0/logout?${new URLSearchParams(stray)}`), { redirect: 'manual' });
    assert.notEqual(answered.headers.get('location'), stray.post_logout_redirect_uri);

    await person.open(at(`/oauth2/v2.0/logout?${new URLSearchParams({ ...back, id_token_hint: tokens.id_token })}`));
    await person.arrivedAt(site);
    const visit = await site.next();
    assert.deepEqual([visit.path, visit.query.state], ['/bye', 's & t']);
    await person.open(at('/account'));
    await person.at('grantor-login');
  },

  'the person confirms what a client asked for and is taken back': async () => {
    const person = await chromium.person();
    await authorize(person, await newUser());
    const back = { client_id: web.client_id, post_logout_redirect_uri: `${site.origin}/bye`, state: 'later' };
    await person.open(at(`/oauth2/v2.0/logout?${new URLSearchParams(back)}`));
    await person.at('grantor-logout');
    await person.click('logout');
    await person.arrivedAt(site);
    const visit = await site.next();
    assert.deepEqual([visit.path, visit.query.state], ['/bye', 'later']);
  },

  'the account page: a consent withdrawn ends its refresh tokens': async () => {
    const user = await newUser('ann', '--display-name', 'Ann Lee', '--email', 'ann@example.com');
    const person = await chromium.person();
    const tokens = await authorize(person, user);
    const kept = await refresh(web, tokens.refresh_token);
    assert.equal(kept.status, 200, JSON.stringify(kept));

    await person.open(at('/account'));
    await person.at('grantor-account');
    for (const text of ['Ann Lee', 'ann@example.com', 'Chrome on Linux', 'This browser', 'Web shop', 'See your orders']) await person.sees(text);
    assert.deepEqual(await person.page.locator('.bullets li').allInnerTexts(), [
      'Know who you are',
      'See your name',
      'Keep access while you are away, until you withdraw it',
      'See your orders',
    ]);
    await person.page.locator('.withdraw').click();
    await person.sees('The application has no access any more.');
    assert.equal(await person.page.locator('.withdraw').count(), 0);

    const refused = await refresh(web, kept.refresh_token);
    assert.deepEqual([refused.status, refused.error], [400, 'invalid_grant']);
    const again = request();
    await person.open(again.url);
    await person.allow();
    await person.arrivedAt(site);
    await redeem(again, (await site.next()).query);
  },

  'the account page: another browser is signed out': async () => {
    const user = await newUser();
    const here = await chromium.person();
    const there = await chromium.person({ userAgent: 'A lost phone' });
    for (const person of [here, there]) {
      await person.open(at('/account'));
      await person.signIn(user);
      await person.at('grantor-account');
    }
    await here.open(at('/account'));
    assert.equal(await here.page.locator('.end-session').count(), 2);
    await here.page.getByLabel('Sign out: A lost phone').click();
    await here.sees('That browser is signed out.');
    assert.equal(await here.page.locator('.end-session').count(), 1);
    await there.open(at('/account'));
    await there.at('grantor-login');
    await here.open(at('/account'));
    await here.at('grantor-account');
    await here.page.locator('.end-session').click();
    await here.at('grantor-login');
  },

  'an owner adds and removes members': async () => {
    const owner = await newUser();
    const other = await newUser('bob');
    const group = await newGroup(owner);
    const worker = await newClient('Worker');
    assert.deepEqual(await groupsOf(worker), []);
    const person = await chromium.person();
    await person.open(at('/account'));
    await person.signIn(owner);
    await person.page.getByRole('link', { name: group.name }).click();
    await person.at('grantor-group');

    await person.type('member-name', 'nobody-of-this-name');
    await person.click('add-member');
    await person.page.locator('#problem').waitFor();
    assert.equal(await person.page.locator('#member-name').inputValue(), 'nobody-of-this-name');
    await person.type('member-name', other.username);
    await person.click('add-member');
    await person.sees(`${other.username} is now a member.`);
    await person.click('member-kind-client');
    await person.type('member-name', worker.client_id);
    await person.click('add-member');
    await person.sees(`${worker.client_id} is now a member.`);
    const both = await grantor(['group', 'members', group.name]);
    assert.equal(JSON.stringify(both).includes(other.username), true, JSON.stringify(both));
    await within(2, () => groupsOf(worker), (groups) => groups.includes(group.name));

    await person.page.getByLabel('Remove: Worker').click();
    await person.sees('Worker is no longer a member.');
    await within(2, () => groupsOf(worker), (groups) => !groups.includes(group.name));
    await person.page.getByLabel(`Remove: ${other.username}`).click();
    await person.sees('This group has no members yet.');
    assert.equal(JSON.stringify(await grantor(['group', 'members', group.name])).includes(other.username), false);
    await person.click('back');
    await person.at('grantor-account');
  },

  'nobody but an owner sees a group': async () => {
    const owner = await newUser();
    const group = await newGroup(owner);
    const page = at(`/account/groups/${group.id}`);
    const stranger = await chromium.person();
    await stranger.open(page);
    await stranger.signIn(await newUser('eve'));
    await stranger.at('grantor-error');
    const person = await chromium.person();
    await person.open(page);
    await person.signIn(owner);
    await person.at('grantor-group');
    assert.equal(person.page.url(), page);
  },

  'form_post with JavaScript': async () => {
    const person = await chromium.person();
    const sent = request(web, { response_mode: 'form_post' });
    await person.open(sent.url);
    await person.signIn(await newUser());
    await person.allow();
    await person.arrivedAt(site);
    const visit = await site.next();
    assert.deepEqual([visit.method, visit.path, visit.query], ['POST', '/callback', {}]);
    await redeem(sent, visit.form);
  },

  'form_post without JavaScript': async () => {
    const person = await chromium.person({ javaScriptEnabled: false });
    const sent = request(web, { response_mode: 'form_post' });
    await person.open(sent.url);
    await person.signIn(await newUser());
    await person.allow();
    await person.at('grantor-form-post');
    assert.deepEqual(site.visits, []);
    await person.click('continue');
    await person.arrivedAt(site);
    const visit = await site.next();
    assert.deepEqual([visit.method, visit.query], ['POST', {}]);
    await redeem(sent, visit.form);
  },

  'form_post brings a refusal too': async () => {
    const person = await chromium.person();
    const sent = request(web, { response_mode: 'form_post' });
    await person.open(sent.url);
    await person.signIn(await newUser());
    await person.at('grantor-consent');
    await person.click('deny');
    await person.arrivedAt(site);
    const { form } = await site.next();
    assert.deepEqual([form.error, form.state, form.iss], ['access_denied', sent.state, made.issuer]);
  },

  'the fragment stays in the browser': async () => {
    const person = await chromium.person();
    const sent = request(web, { response_mode: 'fragment' });
    await person.open(sent.url);
    await person.signIn(await newUser());
    await person.allow();
    await person.arrivedAt(site);
    assert.deepEqual((await site.next()).query, {});
    const fragment = new URL(person.page.url()).hash.slice(1);
    await redeem(sent, Object.fromEntries(new URLSearchParams(fragment)));
  },

  'a web page fetches its own tokens, from its own origin only': async () => {
    const page = await newClient('Page', '--public', '--redirect-uri', site.redirectUri, '--cors-origin', site.origin);
    const person = await chromium.person();
    const sent = request(page);
    await person.open(sent.url);
    await person.signIn(await newUser());
    await person.allow();
    await person.arrivedAt(site);
    const { code } = (await site.next()).query;
    // As the script of the page that the browser shows: what the server does not let it read, it does not get.
    const fetched = (url, options) =>
      person.page.evaluate(
        ([address, init]) => fetch(address, init).then((answer) => answer.json()).catch((error) => error.name),
        [url, options],
      );
    const post = (parameters) =>
      fetched(at('/oauth2/v2.0/token'), {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ client_id: page.client_id, ...parameters }).toString(),
      });
    const tokens = await post({
      grant_type: 'authorization_code',
      code,
      redirect_uri: site.redirectUri,
      code_verifier: sent.verifier,
    });
    assert.ok(tokens.access_token, JSON.stringify(tokens));
    const userinfo = () =>
      fetched(at('/oauth2/v2.0/userinfo'), { headers: { Authorization: `Bearer ${tokens.access_token}` } });
    assert.equal((await userinfo()).sub, claims(tokens.id_token).sub);
    assert.equal((await post({ grant_type: 'authorization_code', code: 'guessed' })).error, 'invalid_grant');

    const elsewhere = await Client.start();
    await person.open(elsewhere.origin);
    assert.equal(await userinfo(), 'TypeError');
    assert.equal(await post({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token }), 'TypeError');
    await person.open(site.origin);
    assert.equal((await userinfo()).sub, claims(tokens.id_token).sub);
  },

  'with the keyboard alone': async () => {
    const user = await newUser();
    const group = await newGroup(user);
    const person = await chromium.person();
    const { keyboard } = person.page;
    const sent = request();
    await person.open(sent.url);
    await person.at('grantor-login');
    // The focus is where the person starts to type.
    await keyboard.type(user.username);
    await person.tabTo('password');
    await keyboard.type(user.password);
    await keyboard.press('Enter');
    await person.at('grantor-consent');
    await person.tabTo('deny');
    await keyboard.press('Shift+Tab');
    await person.tabTo('approve');
    await keyboard.press('Enter');
    await person.arrivedAt(site);
    await redeem(sent, (await site.next()).query);

    await person.open(at(`/account/groups/${group.id}`));
    await person.at('grantor-group');
    await person.tabTo('member-kind-user');
    await keyboard.press('ArrowDown');
    assert.ok(await person.page.locator('#member-kind-client').isChecked());
    await keyboard.press('ArrowUp');
    await person.tabTo('member-name');
    await keyboard.type(user.username);
    await person.tabTo('add-member');
    await keyboard.press('Space');
    await person.sees(`${user.username} is now a member.`);
    await person.tabTo('back');
    await keyboard.press('Enter');
    await person.at('grantor-account');
    await person.tabTo('logout');
    await keyboard.press('Enter');
    await person.at('grantor-logout');
    await person.tabTo('logout');
    await keyboard.press('Enter');
    await person.at('grantor-logged-out');
  },

  'another account than the one that is signed in': async () => {
    const [first, second] = [await newUser('ann'), await newUser('bob')];
    const person = await chromium.person();
    await authorize(person, first);
    const sent = request(web, { prompt: 'select_account' });
    await person.open(sent.url);
    await person.at('grantor-select');
    await person.click('continue');
    await person.arrivedAt(site);
    const same = await redeem(sent, (await site.next()).query);
    assert.equal(claims(same.id_token).preferred_username, first.username);

    const other = request(web, { prompt: 'select_account' });
    await person.open(other.url);
    await person.click('switch');
    await person.signIn(second);
    await person.allow();
    await person.arrivedAt(site);
    const tokens = await redeem(other, (await site.next()).query);
    assert.equal(claims(tokens.id_token).preferred_username, second.username);
  },

  'a login that waited until its cookie was gone': async () => {
    const user = await newUser();
    const person = await chromium.person();
    const sent = request();
    await person.open(sent.url);
    await person.at('grantor-login');
    await person.context.clearCookies();
    await person.signIn(user);
    await person.page.locator('#problem').waitFor();
    await person.sees('Allow cookies');
    await person.signIn(user);
    await person.allow();
    await person.arrivedAt(site);
    await redeem(sent, (await site.next()).query);
  },

  'the way back after an answer does no harm': async () => {
    const person = await chromium.person();
    await authorize(person, await newUser());
    await person.page.goBack();
    await person.page.goForward();
    await person.arrivedAt(site);
    site.visits.length = 0;
    const again = request();
    await person.open(again.url);
    await person.arrivedAt(site);
    await redeem(again, (await site.next()).query);
  },

  'no other site shows our pages inside its own': async () => {
    const person = await chromium.person();
    const framed = async (url) => {
      await person.open(site.origin);
      await person.page.evaluate((address) => {
        const frame = document.createElement('iframe');
        frame.src = address;
        return new Promise((resolve) => {
          frame.onload = resolve;
          document.body.append(frame);
        });
      }, url);
      return person.page.frames()[1].url();
    };
    assert.equal(await framed(site.redirectUri), site.redirectUri);
    for (const url of [at('/account'), request().url]) assert.equal(await framed(url), 'chrome-error://chromewebdata/');
    assert.ok(person.violations.every((what) => what.includes('frame-ancestors')), person.violations);
    person.violations = [];
  },

  'a page that breaks its policy would be noticed': async () => {
    const person = await chromium.person();
    await person.open(at('/account'));
    await person.at('grantor-login');
    assert.deepEqual(person.violations, []);
    await person.page.evaluate(() => document.head.append(document.createElement('style')));
    await person.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
    assert.notDeepEqual(person.violations, []);
    person.violations = [];
  },

  'every page, light and dark, and on a phone': async () => {
    const user = await newUser('ann', '--display-name', 'Ann Lee', '--email', 'ann@example.com');
    const bob = await newUser('bob');
    const group = await newGroup(user);
    const person = await chromium.person();
    const look = (name) => person.look(name, made.screenshots);
    await person.open(made.public_url);
    await person.at('grantor-home');
    await look('home');
    await person.open(request(web, { redirect_uri: 'https://nowhere.example.com/' }).url);
    await person.at('grantor-error');
    await look('error');
    await person.open(at('/no/such/page'));
    await look('not-found');
    const sent = request(phone);
    await person.open(sent.url);
    await person.at('grantor-login');
    await look('login');
    await person.signIn({ ...user, password: `not ${PASSWORD}` });
    await person.page.locator('#problem').waitFor();
    await look('login-wrong');
    await person.signIn(user);
    await person.at('grantor-consent');
    await look('consent-public');
    await person.click('deny');
    await person.arrivedAt(site);
    await site.next();
    await person.open(request(web, { scope: 'openid' }).url);
    await person.allow();
    await person.arrivedAt(site);
    await site.next();
    await person.open(request(web, { scope: `openid profile email groups offline_access ${API}/read` }).url);
    await person.at('grantor-consent');
    await look('consent');
    await person.allow();
    await person.arrivedAt(site);
    await site.next();
    await person.open(request(web, { prompt: 'select_account' }).url);
    await person.at('grantor-select');
    await look('select');
    await person.open(at('/account'));
    await person.at('grantor-account');
    await look('account');
    await person.open(at(`/account/groups/${group.id}`));
    await person.at('grantor-group');
    await look('group-empty');
    await person.type('member-name', 'nobody');
    await person.click('add-member');
    await person.page.locator('#problem').waitFor();
    await look('group-problem');
    await person.type('member-name', bob.username);
    await person.click('add-member');
    await person.sees('is now a member');
    await person.click('member-kind-client');
    await person.type('member-name', phone.client_id);
    await person.click('add-member');
    await person.sees(`${phone.client_id} is now a member`);
    await look('group');
    await person.open(at('/oauth2/v2.0/logout'));
    await person.at('grantor-logout');
    await look('logout');
    await person.click('logout');
    await person.at('grantor-logged-out');
    await look('logged-out');

    const plain = await chromium.person({ javaScriptEnabled: false });
    await plain.open(request(web, { response_mode: 'form_post' }).url);
    await plain.signIn(user);
    await plain.at('grantor-form-post');
    if (made.screenshots) await plain.shoot('form-post', made.screenshots, 'light');
  },
};

await main(tests, async (test) => {
  site.visits.length = 0;
  await test();
  await chromium.everybodyLeaves();
});
