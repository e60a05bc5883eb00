import type { GatewayCore } from '../pipeline/core.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { RelayUpstreams } from './relay-session.ts';

/** temporary */
export function relayUpstreams(core: GatewayCore): RelayUpstreams {
  return {
    async open(server, credential, options) {
      const config = core.settings.upstreams[server];
      if (config?.transport !== 'http')
        throw new UpstreamError({ problem: 'blocked', sent: 'no', status: null, message: 'not http' });
      const { openHttpLink } = await import('../upstreams/link-http.ts');
      return openHttpLink(
        { url: config.url, ca_file: config.ca_file, headers: {}, credential },
        core.egress,
        options,
      );
    },
    approved: (server, tool) => core.settings.upstreams[server]?.tools[String(tool['name'])] === 'read',
  };
}
