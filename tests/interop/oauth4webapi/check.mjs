// oauth4webapi, which leaves no check of an answer out.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import { Chromium, Client } from '../person.mjs';
import { API, made, main, newApi, newClient, newUser } from '../place.mjs';

const chromium = await Chromium.start();
const site = await Client.start();
await newApi();

const issuer = new URL(made.public_url);
const scope = `openid profile offline_access ${API}/read`;

async function discover(algorithm) {
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm }));
}

// Sends a person who is new to the authorization endpoint; hands back where they come back to.
async function authorize(as, client, extra = {}) {
  const secrets = {
    verifier: oauth.generateRandomCodeVerifier(),
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
  };
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: site.redirectUri,
    response_type: 'code',
    scope,
    state: secrets.state,
    nonce: secrets.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(secrets.verifier),
    code_challenge_method: 'S256',
    ...extra,
  });
  const person = await chromium.person();
  await person.open(url.href);
  const user = await newUser();
  await person.signIn(user);
  await person.allow();
  await person.arrivedAt(site);
  return { ...secrets, user, back: (await site.next()).url };
}

async function redeem(as, client, authentication, sent) {
  const parameters = oauth.validateAuthResponse(as, client, sent.back, sent.state);
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, authentication, parameters, site.redirectUri, sent.verifier,
  );
  const checks = { expectedNonce: sent.nonce, maxAge: sent.maxAge, requireIdToken: true };
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, checks);
  await oauth.validateApplicationLevelSignature(as, response);
  return tokens;
}

async function refresh(as, client, authentication, token) {
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, token);
  return oauth.processRefreshTokenResponse(as, client, response);
}

// The whole flow of a client with one way to prove itself.
async function wholeFlow(algorithm, client, authentication) {
  const as = await discover(algorithm);
  assert.equal(as.authorization_response_iss_parameter_supported, true);
  const sent = await authorize(as, client, { max_age: '600' });
  const tokens = await redeem(as, client, authentication, { ...sent, maxAge: 600 });
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  assert.equal(claims.preferred_username, sent.user.username);

  const asked = await oauth.userInfoRequest(as, client, tokens.access_token);
  const userinfo = await oauth.processUserInfoResponse(as, client, claims.sub, asked);
  assert.equal(userinfo.preferred_username, sent.user.username);

  // The access token as its resource server sees it (RFC 9068).
  const request = new Request(API, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  const access = await oauth.validateJwtAccessToken(as, request, API);
  assert.equal(access.sub, claims.sub);
  await assert.rejects(oauth.validateJwtAccessToken(as, request, 'https://other.example.com'), /aud/);

  const fresh = await refresh(as, client, authentication, tokens.refresh_token);
  assert.equal(oauth.getValidatedIdTokenClaims(fresh).sub, claims.sub);
  const revoked = await oauth.revocationRequest(as, client, authentication, fresh.refresh_token);
  await oauth.processRevocationResponse(revoked);
  await assert.rejects(refresh(as, client, authentication, fresh.refresh_token), (error) => error.error === 'invalid_grant');
}

const tests = {
  'client_secret_basic with a UUID, discovered by OpenID Connect': async () => {
    const { client_id, client_secret } = await newClient('Web', '--redirect-uri', site.redirectUri);
    assert.match(client_id, /^[0-9a-f-]{36}$/);
    await wholeFlow('oidc', { client_id }, oauth.ClientSecretBasic(client_secret));
  },

  'client_secret_post, discovered by RFC 8414': async () => {
    const { client_id, client_secret } = await newClient('Web', '--redirect-uri', site.redirectUri);
    await wholeFlow('oauth2', { client_id }, oauth.ClientSecretPost(client_secret));
  },

  'a public client proves nothing': async () => {
    const { client_id } = await newClient('Phone', '--public', '--redirect-uri', site.redirectUri);
    await wholeFlow('oidc', { client_id }, oauth.None());
  },

  'an answer of another server is told apart': async () => {
    const { client_id, client_secret } = await newClient('Web', '--redirect-uri', site.redirectUri);
    const as = await discover('oidc');
    const sent = await authorize(as, { client_id });
    const altered = (change) => {
      const back = new URL(sent.back);
      change(back.searchParams);
      return () => oauth.validateAuthResponse(as, { client_id }, back, sent.state);
    };
    assert.throws(altered((query) => query.set('iss', 'https://other.example.com')), /iss/);
    assert.throws(altered((query) => query.delete('iss')), /iss/);
    assert.throws(altered((query) => query.set('state', 'another')), /state/);
    const basic = oauth.ClientSecretBasic(client_secret);
    await assert.rejects(redeem(as, { client_id }, oauth.ClientSecretBasic('wrong'), sent), (error) => {
      assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, error);
      assert.deepEqual([error.status, error.cause[0].scheme], [401, 'basic']);
      return true;
    });
    const tokens = await redeem(as, { client_id }, basic, sent);
    assert.equal(oauth.getValidatedIdTokenClaims(tokens).nonce, sent.nonce);
  },
};

await main(tests, async (test) => {
  site.visits.length = 0;
  await test();
  await chromium.everybodyLeaves();
});
