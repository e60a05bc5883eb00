import { Egress } from '../../../src/gateway/egress.ts';
import { openHttpLink } from '../../../src/gateway/upstreams/link-http.ts';

/**
 * Aegis' own client side as a program, for the client scenarios of the suite: connects to the address in its last
 * argument, lists the tools and calls the one that there is.
 */
const address = process.argv.at(-1) ?? '';
const egress = new Egress(true);
const link = await openHttpLink({ url: address, headers: {}, credential: null }, egress, {
  capabilities: {},
  handlers: {},
  handshake_timeout_ms: 20_000,
  message_bytes_max: 1_048_576,
});
const ask = { timeout_ms: 20_000 };
const list = await link.request('tools/list', {}, ask);
if (!list.ok) throw new Error(list.error.message);
for (const { name } of list.result['tools'] as { name: string }[]) {
  const answer = await link.request('tools/call', { name, arguments: { a: 5, b: 3 } }, ask);
  if (!answer.ok) throw new Error(answer.error.message);
}
await link.close();
await egress.close();
