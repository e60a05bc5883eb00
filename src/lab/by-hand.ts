import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterUser } from './people.ts';
import type { Twins } from './twins.ts';

/** What a simulated person does past Aegis, with an account of their own: the real kubectl where there is one. */
const NAMESPACE = 'spark-jobs';
const PERSON_TTL_MS = 3_600_000;
const KUBECTL_TIMEOUT_MS = 20_000;
const RULES = [
  { verbs: ['get', 'list', 'watch'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['patch'], apiGroups: ['apps'], resources: ['deployments'] },
];

/** Runs kubectl as this person; where it is not installed the same request goes out without it. */
export async function rollBackByHand(
  twins: Twins,
  person: string,
  deployment: string,
): Promise<'kubectl' | 'request'> {
  const { token } = twins.kubernetes.issueToken({
    serviceAccount: person,
    user: clusterUser(person),
    namespace: NAMESPACE,
    rules: RULES,
    ttl_ms: PERSON_TTL_MS,
  });
  const dir = mkdtempSync(join(tmpdir(), 'aegis-person-'));
  try {
    const file = join(dir, 'kubeconfig');
    writeFileSync(file, twins.kubernetes.kubeconfig(token, { namespace: NAMESPACE, user: person }), {
      mode: 0o600,
    });
    const undo = ['rollout', 'undo', `deployment/${deployment}`];
    if (await kubectl(['--kubeconfig', file, '--cache-dir', join(dir, 'cache'), ...undo])) return 'kubectl';
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  await patchTemplate(twins, token, deployment);
  return 'request';
}

/** The caller's own kubeconfig and cache are left alone. False when kubectl is not installed. @throws with its words when it fails. */
function kubectl(args: readonly string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    execFile('kubectl', [...args], { timeout: KUBECTL_TIMEOUT_MS }, (error, _out, words) => {
      if (error === null) return resolve(true);
      if (error.code === 'ENOENT') return resolve(false);
      return reject(new Error(`kubectl ${args.slice(4).join(' ')}: ${words || error.message}`));
    });
  });
}

/** What `kubectl rollout undo` sends: the template of the revision before, under kubectl's name. */
async function patchTemplate(twins: Twins, token: string, deployment: string): Promise<void> {
  const { kubernetes, world } = twins;
  const revision = 'deployment.kubernetes.io/revision';
  const sets = world.store
    .list('ReplicaSet', NAMESPACE)
    .filter((set) => set.metadata.ownerReferences?.some((owner) => owner.name === deployment) === true)
    .toSorted(
      (a, b) => Number(b.metadata.annotations?.[revision]) - Number(a.metadata.annotations?.[revision]),
    );
  const template = structuredClone(sets[1]?.spec?.['template']) as {
    metadata?: { labels?: Record<string, string> };
  };
  delete template.metadata?.labels?.['pod-template-hash'];
  const body = JSON.stringify([{ op: 'replace', path: '/spec/template', value: template }]);
  await new Promise<void>((resolve, reject) => {
    const call = request(
      `${kubernetes.url}/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${deployment}?fieldManager=kubectl`,
      {
        method: 'PATCH',
        ca: kubernetes.ca_pem,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json-patch+json',
          'user-agent': 'kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd',
        },
      },
      (answer) => {
        answer.resume();
        if (answer.statusCode === 200) return resolve();
        return reject(new Error(`the rollback by hand was answered ${answer.statusCode}`));
      },
    );
    call.once('error', reject);
    call.end(body);
  });
}
