/** The route table of the Vault twin. Adding an engine means adding its routes here. */
import { AWS_ROUTES } from './aws-engine.ts';
import { DATABASE_ROUTES } from './database-engine.ts';
import { KUBERNETES_ROUTES } from './kubernetes-engine.ts';
import { KV_ROUTES } from './kv-routes.ts';
import { LEASE_ROUTES } from './lease-routes.ts';
import type { Route } from './route.ts';
import { TOKEN_ROUTES } from './token-routes.ts';

const ROUTES: readonly Route[] = [
  ...TOKEN_ROUTES,
  ...LEASE_ROUTES,
  ...KUBERNETES_ROUTES,
  ...DATABASE_ROUTES,
  ...AWS_ROUTES,
  ...KV_ROUTES,
];

/** Mounts this twin has; a path inside them without a route is "not in the twin", outside them Vault's own 404. */
export const MOUNTS = [
  'sys/',
  'auth/token/',
  'auth/approle/',
  'kubernetes/',
  'database/',
  'aws/',
  'secret/',
  'cubbyhole/',
  'identity/',
];

export function findRoute(path: string): { readonly route: Route; readonly params: string[] } | undefined {
  for (const route of ROUTES) {
    const match = route.path.exec(path);
    if (match !== null) return { route, params: match.slice(1) };
  }
  return undefined;
}
