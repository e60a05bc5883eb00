/** secret/data/:path: reading a KV version 2 engine. A deleted version answers 404 with its metadata in the body. */
import { badRequest, VaultError, type VaultAnswer } from './envelope.ts';
import type { Route, RouteContext } from './route.ts';

export const KV_ROUTES: readonly Route[] = [
  { path: /^secret\/data\/(.+)$/, operations: { read: readSecret } },
];

function readSecret({ params, query, setup }: RouteContext): VaultAnswer {
  const asked = query.get('version') ?? '0';
  if (!/^\d+$/.test(asked))
    throw badRequest('error converting input for field "version": expected an integer');
  const found = setup.kv.version(params[0] ?? '', Number(asked));
  if (found === undefined) throw new VaultError(404, []);
  const { entry, number } = found;
  const deleted = entry.deletion_time !== '' || entry.destroyed;
  return {
    status: deleted ? 404 : 200,
    data: {
      data: deleted ? null : entry.data,
      metadata: {
        created_time: entry.created_time,
        custom_metadata: null,
        deletion_time: entry.deletion_time,
        destroyed: entry.destroyed,
        version: number,
      },
    },
  };
}
