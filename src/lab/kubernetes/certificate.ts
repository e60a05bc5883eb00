/** The twin's own certificate authority and a server certificate for loopback, made anew at every start. */
import { generate } from 'selfsigned';

export interface Certificates {
  ca_pem: string;
  cert_pem: string;
  key_pem: string;
}

export async function createCertificates(): Promise<Certificates> {
  const year_ms = 365 * 86_400_000;
  const dates = {
    notBeforeDate: new Date(Date.now() - 3_600_000),
    notAfterDate: new Date(Date.now() + year_ms),
  };
  const authority = await generate([{ name: 'commonName', value: 'aegis-lab-kubernetes-ca' }], {
    ...dates,
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: 'commonName', value: 'kube-apiserver' }], {
    ...dates,
    keyType: 'ec',
    algorithm: 'sha256',
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 2, value: 'kubernetes.default.svc' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { ca_pem: authority.cert, cert_pem: server.cert, key_pem: server.private };
}
