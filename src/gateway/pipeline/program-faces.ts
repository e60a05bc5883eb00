import { tenantKey } from '../../contract/scope.ts';
import type { GitRepository } from '../../contract/system-git.ts';
import type { Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import type { CallHandle } from '../drivers/driver.ts';
import { branchOfTarget } from '../git/branch-names.ts';
import { lendForge } from '../git/lend-forge.ts';
import { lendGit } from '../git/lend-git.ts';
import { lendTerraform } from '../terraform/lend-terraform.ts';
import { protectedSource } from '../terraform/protected-source.ts';
import type { TransportMode } from '../transport.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';

/** What drivers are lent whose systems are reached through a program on this machine: git and Terraform. */
interface FaceLimits {
  readonly call_id: string;
  readonly mode: TransportMode;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
}

type Faces = Pick<CallHandle, 'git' | 'forge' | 'terraform'>;

export function programFaces(
  core: GatewayCore,
  admission: Admission,
  { credential }: Lease,
  limits: FaceLimits,
): Faces {
  const { upstream, target } = admission.route;
  if (upstream.system === 'git') {
    const options = {
      ...gitOptions(core, admission, upstream.name, upstream.config, limits),
      branch: branchOfTarget(target.name),
      mode: limits.mode,
      credential,
    };
    return { git: lendGit(options), forge: lendForge({ ...options, egress: core.egress }) };
  }
  return upstream.system === 'tf' ? { terraform: terraformFace(core, admission, credential, limits) } : {};
}

function gitOptions(
  core: GatewayCore,
  { entry }: Admission,
  name: string,
  repository: GitRepository,
  { timeout_ms, signal }: FaceLimits,
) {
  return {
    mirrors: core.mirrors,
    name,
    repository,
    unsafe_endpoints: core.settings.unsafe_endpoints,
    timeout_ms,
    bytes_max: entry.tool.result_bytes_max,
    signal,
  };
}

/** No answer of an upstream can be this text: JSON has no bare NUL. So no recorded hash is ever the key. */
const SEAL_PURPOSE = '\0aegis/v1/terraform';

function terraformFace(
  core: GatewayCore,
  admission: Admission,
  credential: Lease['credential'],
  limits: FaceLimits,
): CallHandle['terraform'] {
  const { grant, route } = admission;
  if (route.upstream.system !== 'tf') return undefined;
  const { name, config } = route.upstream;
  // The start has checked that it is there.
  const repository = core.settings.repositories[config.repository] as GitRepository;
  return lendTerraform({
    folders: core.work_folders,
    home: core.settings.home,
    name,
    config,
    workspace: route.target.name,
    mode: limits.mode,
    credential,
    seal_key: Buffer.from(core.store.evidence.rawHmac(grant, Buffer.from(SEAL_PURPOSE)), 'hex'),
    clock: core.clock,
    timeout_ms: limits.timeout_ms,
    signal: limits.signal,
    source: protectedSource(
      gitOptions(core, admission, config.repository, repository, limits),
      config.branch,
      () => repositoryLease(core, admission, config.repository, repository, limits.call_id),
    ),
  });
}

/** The repository has its own credential; Terraform's does not open it. */
function repositoryLease(
  core: GatewayCore,
  { grant }: Admission,
  name: string,
  { credentials }: GitRepository,
  call_id: string,
): Promise<Lease | Refusal> {
  return core.broker.lease(credentials, {
    call_id,
    incident_id: grant.incident_id,
    tenant: tenantKey(grant),
    system: `git/${name}`,
    namespace: 'default',
    access: 'read',
    signal: undefined,
  });
}
