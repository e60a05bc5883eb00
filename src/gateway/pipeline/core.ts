import type { Clock, Ids, Log } from '../../contract/ports.ts';
import type { Settings } from '../../contract/settings.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { Store } from '../../store/store.ts';
import type { CredentialBroker } from '../credentials/broker.ts';
import type { Egress } from '../egress.ts';
import type { GitMirrors } from '../git/git-mirrors.ts';
import type { PolicyLoad, PolicySet } from '../policy/policy-set.ts';
import type { ReadResult } from '../read.ts';
import type { Recogniser } from '../recogniser/recogniser.ts';
import type { Upstreams } from '../upstreams/upstreams.ts';
import type { WorkFolders } from '../terraform/work-folders.ts';
import type { Peers } from './peers.ts';
import type { Flights } from './flights.ts';
import type { Registry } from './registry.ts';
import type { RouteSettings } from './route.ts';
import type { Throttle } from './throttle.ts';

export type GatewaySettings = RouteSettings &
  Pick<Settings, 'home' | 'vault' | 'sealed_file' | 'unsafe_endpoints' | 'teams' | 'services' | 'identity'> &
  Partial<Pick<Settings, 'quotas' | 'recogniser'>>;

/** What a read brought, as every caller of the same read may know it. */
export interface SharedRead {
  readonly call_id: string;
  readonly result: ReadResult | Refusal;
}

/** What the three doors share; each step takes only the parts that it needs. */
export interface GatewayCore {
  readonly store: Store;
  readonly settings: GatewaySettings;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Those in force at this moment; a call keeps the set that admitted it. */
  readonly policies: PolicyLoad;
  readonly registry: Registry;
  readonly peers: Peers;
  readonly upstreams: Upstreams;
  readonly broker: CredentialBroker;
  readonly throttle: Throttle;
  readonly egress: Egress;
  /** Null: aegis.yaml names no service. */
  readonly recogniser: Recogniser | null;
  readonly mirrors: GitMirrors;
  /** Reads under way that identical ones may join. */
  readonly flights: Flights<SharedRead>;
  readonly work_folders: WorkFolders;
  /** Journal keys that this process is sending right now: nobody else may conclude that they were lost. */
  readonly in_flight: Set<string>;
}

/** Law 3: without policies in force nothing is called. */
export function policyInForce({ policies }: Pick<GatewayCore, 'policies'>): PolicySet | Refusal {
  return (
    policies.set ??
    refuse(
      'policy-not-in-force',
      `The policy set did not load: ${policies.problems[0] ?? 'unknown reason'}. Nothing is allowed until it does.`,
      'Run `aegis policy check` and mend the file it names; a running Aegis takes it up within seconds.',
    )
  );
}
