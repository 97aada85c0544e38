// openid-client 6 from discovery to the end of the session.

import assert from 'node:assert/strict';
import * as openid from 'openid-client';
import { Chromium, Client } from '../person.mjs';
import { API, made, main, newApi, newClient, newUser, snippet } from '../place.mjs';

const chromium = await Chromium.start();
const site = await Client.start();
await newApi();

const bye = `${site.origin}/bye`;
const scope = `openid profile email offline_access ${API}/read`;
const newWeb = (...flags) =>
  newClient('Web', '--redirect-uri', site.redirectUri, '--logout-uri', bye, '--serves', API, ...flags);

const refused = (error) => (caught) => {
  assert.equal(caught.error ?? caught.cause?.get?.('error'), error, caught);
  return true;
};

async function signInAt(url) {
  const user = await newUser('ann', '--email', 'ann@example.com', '--display-name', 'Ann Lee');
  const person = await chromium.person();
  await person.open(url.href);
  await person.signIn(user);
  await person.allow();
  await person.arrivedAt(site);
  return { user, person, back: (await site.next()).url };
}

const tests = {
  'the documented snippet': async () => {
    const web = await newWeb();
    const { start, finish } = await snippet('openid-client', {
      CLIENT_ID: web.client_id,
      CLIENT_SECRET: web.client_secret,
      'https://login.example.com': made.public_url,
      'https://web.example.com/callback': site.redirectUri,
    });
    const session = {};
    const { user, back } = await signInAt(await start(session));
    const { tokens, userinfo } = await finish(session, back);
    assert.equal(tokens.claims().preferred_username, user.username);
    assert.equal(userinfo.name, 'Ann Lee');
  },

  'the whole life of an authorization': async () => {
    const web = await newWeb();
    const config = await openid.discovery(new URL(made.public_url), web.client_id, web.client_secret);
    openid.enableNonRepudiationChecks(config);
    const pkceCodeVerifier = openid.randomPKCECodeVerifier();
    const expectedState = openid.randomState();
    const expectedNonce = openid.randomNonce();
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: site.redirectUri,
      scope,
      state: expectedState,
      nonce: expectedNonce,
      code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    });
    const { user, person, back } = await signInAt(url);
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
    const tokens = await openid.authorizationCodeGrant(config, back, checks);
    const claims = tokens.claims();
    assert.equal(claims.preferred_username, user.username);
    const userinfo = await openid.fetchUserInfo(config, tokens.access_token, claims.sub);
    assert.deepEqual([userinfo.email, userinfo.name], ['ann@example.com', 'Ann Lee']);

    const fresh = await openid.refreshTokenGrant(config, tokens.refresh_token);
    assert.equal(fresh.claims().sub, claims.sub);
    assert.notEqual(fresh.access_token, tokens.access_token);
    const known = await openid.tokenIntrospection(config, fresh.access_token);
    assert.deepEqual([known.active, known.sub, known.client_id], [true, claims.sub, web.client_id]);

    await openid.tokenRevocation(config, fresh.refresh_token);
    assert.deepEqual(await openid.tokenIntrospection(config, fresh.access_token), { active: false });
    await assert.rejects(openid.refreshTokenGrant(config, fresh.refresh_token), refused('invalid_grant'));

    const end = openid.buildEndSessionUrl(config, {
      id_token_hint: fresh.id_token,
      post_logout_redirect_uri: bye,
      state: 'gone',
    });
    await person.open(end.href);
    await person.arrivedAt(site);
    const visit = await site.next();
    assert.deepEqual([visit.path, visit.query], ['/bye', { state: 'gone' }]);
    await person.open(url.href);
    await person.at('grantor-login');
  },

  'a code without its verifier, or a second time': async () => {
    const web = await newWeb();
    const config = await openid.discovery(new URL(made.public_url), web.client_id, web.client_secret);
    const pkceCodeVerifier = openid.randomPKCECodeVerifier();
    const parameters = {
      redirect_uri: site.redirectUri,
      scope,
      code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    };
    const { person, back } = await signInAt(openid.buildAuthorizationUrl(config, parameters));
    const wrong = { pkceCodeVerifier: openid.randomPKCECodeVerifier() };
    await assert.rejects(openid.authorizationCodeGrant(config, back, wrong), refused('invalid_grant'));

    await person.open(openid.buildAuthorizationUrl(config, parameters).href);
    await person.arrivedAt(site);
    const again = (await site.next()).url;
    const tokens = await openid.authorizationCodeGrant(config, again, { pkceCodeVerifier });
    assert.equal((await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).name, 'Ann Lee');
    await assert.rejects(openid.authorizationCodeGrant(config, again, { pkceCodeVerifier }), refused('invalid_grant'));
    // RFC 6749 §4.1.2: what came from a code that is used again ends.
    await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), refused('invalid_grant'));
  },

  'a refusal, and prompt=none before the login': async () => {
    const web = await newWeb();
    const config = await openid.discovery(new URL(made.public_url), web.client_id, web.client_secret);
    const pkceCodeVerifier = openid.randomPKCECodeVerifier();
    const code_challenge = await openid.calculatePKCECodeChallenge(pkceCodeVerifier);
    const ask = (extra) =>
      openid.buildAuthorizationUrl(config, {
        redirect_uri: site.redirectUri,
        scope,
        code_challenge,
        code_challenge_method: 'S256',
        ...extra,
      }).href;
    const person = await chromium.person();
    const comesBack = async () => {
      await person.arrivedAt(site);
      return (await site.next()).url;
    };
    await person.open(ask({ prompt: 'none' }));
    await assert.rejects(openid.authorizationCodeGrant(config, await comesBack(), { pkceCodeVerifier }), refused('login_required'));
    await person.open(ask({}));
    await person.signIn(await newUser());
    await person.at('grantor-consent');
    await person.click('deny');
    await assert.rejects(openid.authorizationCodeGrant(config, await comesBack(), { pkceCodeVerifier }), refused('access_denied'));
    await person.open(ask({ prompt: 'none' }));
    await assert.rejects(openid.authorizationCodeGrant(config, await comesBack(), { pkceCodeVerifier }), refused('consent_required'));
    await person.open(ask({}));
    await person.allow();
    await openid.authorizationCodeGrant(config, await comesBack(), { pkceCodeVerifier });
    await person.open(ask({ prompt: 'none' }));
    await openid.authorizationCodeGrant(config, await comesBack(), { pkceCodeVerifier });
  },
};

await main(tests, async (test) => {
  site.visits.length = 0;
  await test();
  await chromium.everybodyLeaves();
});
