/** One valid line of an audit log, so that tests only say what is special about theirs. */
export const API_IMAGE = '/spec/template/spec/containers/settlement-api/image';

export interface AuditEventShape {
  [key: string]: unknown;
  objectRef: Record<string, unknown>;
}

export function auditEvent(change: Record<string, unknown> = {}): AuditEventShape {
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Request',
    auditID: '4b1d6f2e-0000-4000-8000-000000000001',
    stage: 'ResponseComplete',
    requestURI:
      '/apis/apps/v1/namespaces/spark-jobs/deployments/settlement-api?fieldManager=kubectl-patch&fieldValidation=Strict',
    verb: 'patch',
    user: { username: 'oidc:dan', groups: ['system:authenticated'] },
    sourceIPs: ['10.1.2.3'],
    userAgent: 'kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd',
    objectRef: {
      resource: 'deployments',
      namespace: 'spark-jobs',
      name: 'settlement-api',
      apiGroup: 'apps',
      apiVersion: 'v1',
    },
    responseStatus: { metadata: {}, code: 200 },
    requestObject: { spec: { replicas: 5 } },
    requestReceivedTimestamp: '2026-11-23T10:00:00.100000Z',
    stageTimestamp: '2026-11-23T10:00:00.123456Z',
    annotations: { 'authorization.k8s.io/decision': 'allow' },
    ...change,
  };
}

export function ref(change: Record<string, unknown> = {}): Record<string, unknown> {
  return { ...auditEvent().objectRef, ...change };
}

export function auditLine(change: Record<string, unknown> = {}): string {
  return JSON.stringify(auditEvent(change));
}
