/** What a route of the Vault twin is, and what its handler gets. */
import type { VaultAnswer } from './envelope.ts';
import type { Fields } from './fields.ts';
import type { LifeLedger } from './ledger.ts';
import type { VaultSetup } from './setup.ts';
import type { Token } from './tokens.ts';

export type Operation = 'create' | 'read' | 'update' | 'delete' | 'list';

export interface RouteContext {
  readonly path: string;
  readonly params: readonly string[];
  readonly query: URLSearchParams;
  readonly fields: Fields;
  readonly token: Token;
  readonly ledger: LifeLedger;
  readonly setup: VaultSetup;
}

type Handler = (context: RouteContext) => VaultAnswer | null | Promise<VaultAnswer | null>;

export interface Route {
  readonly path: RegExp;
  readonly operations: Readonly<Partial<Record<Operation, Handler>>>;
}
