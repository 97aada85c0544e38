// Clients of the MCP SDK for TypeScript, asked to call a tool. What they get they print, one JSON value a line; where one would
// open a browser it prints the address, and reads from standard input the code that came of it.

import { createInterface } from 'node:readline/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [kind, url, ...about] = process.argv.slice(2);
const show = (value) => console.log(JSON.stringify(value));

// A person's application, which was made by hand: there is no registration.
class Application {
  constructor(redirectUrl) {
    this.redirectUrl = redirectUrl;
    this.clientMetadata = { redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' };
  }
  clientInformation() {
    return { client_id: 'assistant' };
  }
  tokens() {
    return this.kept;
  }
  saveTokens(tokens) {
    this.kept = tokens;
  }
  redirectToAuthorization(address) {
    show({ browser: String(address) });
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
}

const provider =
  kind === 'machine'
    ? new ClientCredentialsProvider({ clientId: 'agent', clientSecret: about[0], expectedIssuer: about[1] })
    : new Application(about[0]);

async function call() {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  const client = new Client({ name: 'check', version: '1' });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || kind === 'machine') throw error;
    const input = createInterface({ input: process.stdin });
    const code = await new Promise((resolve) => input.once('line', resolve));
    input.close();
    await transport.finishAuth(code);
    return call();
  }
  const answer = await client.callTool({ name: 'double', arguments: { number: 21 } });
  await client.close();
  return answer.structuredContent;
}

show({ answer: await call(), token: provider.tokens().access_token });
process.exit(0);
