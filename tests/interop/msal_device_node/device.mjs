// A device that runs MSAL for Node: prints the code that it was given, and then what it got, one JSON value a line.

import { PublicClientApplication } from '@azure/msal-node';

const [authority, clientId, scope] = process.argv.slice(2);
const show = (value) => console.log(JSON.stringify(value));

const app = new PublicClientApplication({
  auth: { clientId, authority, knownAuthorities: [new URL(authority).host] },
});
const scopes = [scope];
try {
  const answer = await app.acquireTokenByDeviceCode({ scopes, deviceCodeCallback: show });
  show({ username: answer.account.username, accessToken: answer.accessToken, scopes: answer.scopes });
  const account = (await app.getTokenCache().getAllAccounts())[0];
  for (let turn = 0; turn < 2; turn += 1) {
    const fresh = await app.acquireTokenSilent({ account, scopes, forceRefresh: true });
    show({ username: fresh.account.username, accessToken: fresh.accessToken, scopes: fresh.scopes });
  }
} catch (error) {
  show({ errorCode: error.errorCode, errorMessage: error.errorMessage });
}
