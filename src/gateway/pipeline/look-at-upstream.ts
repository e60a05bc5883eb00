import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import { exactScrub } from '../sanitize/exact-scrub.ts';
import { wordsWithoutNames } from '../recogniser/recogniser.ts';
import { sanitizeText } from '../sanitize/sanitize.ts';
import { secretTexts } from '../credentials/credential.ts';
import { UpstreamError } from '../upstream-error.ts';
import { policyInForce, type GatewayCore } from './core.ts';
import { upstreamRefusal } from './upstream-refusal.ts';

/** A person at the command line asks a server for its tools: no call of any of them, only what it says of itself. */
export async function lookAtUpstream(
  core: GatewayCore,
  server: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly undeclared: readonly string[] } | Refusal> {
  const { upstreams } = core.settings;
  const policy = policyInForce(core);
  if (isRefusal(policy)) return policy;
  if (!Object.hasOwn(upstreams, server) || upstreams[server] === undefined)
    return refuse(
      'upstream-unknown',
      `There is no MCP server "${server.slice(0, 100)}" in aegis.yaml.`,
      `Configured: ${Object.keys(upstreams).join(', ') || 'none'}.`,
    );
  const lease = await core.broker.lease(upstreams[server].credentials, {
    call_id: core.ids.next('call'),
    incident_id: null,
    tenant: 'SYSTEM',
    system: `mcp/${server}`,
    namespace: 'default',
    access: 'read',
    signal,
  });
  if (isRefusal(lease)) return lease;
  try {
    return await core.upstreams.look(server, lease.credential);
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const secrets = lease.credential === null ? [] : secretTexts(lease.credential);
    const scrub = exactScrub([...secrets, ...core.upstreams.standingSecrets(server)]);
    const { text } = sanitizeText(error.info.message, policy.redaction, scrub);
    const message = await wordsWithoutNames(core.recogniser, policy.redaction, text, signal);
    return upstreamRefusal(`mcp/${server}`, { ...error.info, message });
  } finally {
    await lease.release();
  }
}
