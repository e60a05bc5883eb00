// Who may talk to the page: a browser on this machine that was given this run's token. The checks stop another web site
// (Origin), a rebound name (Host) and another local user without the token.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface GuardRefusal {
  status: 401 | 403;
  reason: string;
}

function same(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export class Guard {
  private readonly token: string;
  private readonly session = randomBytes(32).toString('base64url');
  private readonly port: () => number;

  constructor(token: string, port: () => number) {
    this.token = token;
    this.port = port;
  }

  /** Cookies ignore ports, so the name carries it. */
  private get cookie_name(): string {
    return `aegis_lab_${this.port()}`;
  }

  /** The `Set-Cookie` line for a right token, else undefined. */
  cookieFor(token: string | null): string | undefined {
    if (token === null || !same(token, this.token)) return undefined;
    return `${this.cookie_name}=${this.session}; Path=/; HttpOnly; SameSite=Strict`;
  }

  /** Host must be this server, under a loopback name. */
  checkHost(request: IncomingMessage): GuardRefusal | undefined {
    const port = this.port();
    const known = [`127.0.0.1:${port}`, `localhost:${port}`].includes(request.headers.host ?? '');
    return known ? undefined : { status: 403, reason: 'This page answers only on 127.0.0.1.' };
  }

  checkSession(request: IncomingMessage): GuardRefusal | undefined {
    const cookies = (request.headers.cookie ?? '').split(';').map((each) => each.trim());
    const mine = cookies.find((each) => each.startsWith(`${this.cookie_name}=`));
    const value = mine?.slice(this.cookie_name.length + 1) ?? '';
    if (same(value, this.session)) return undefined;
    return {
      status: 401,
      reason: 'Open the address that `aegis lab` printed: it carries the token of this run.',
    };
  }

  /** A change must come from this page itself. */
  checkOrigin(request: IncomingMessage): GuardRefusal | undefined {
    const site = request.headers['sec-fetch-site'];
    const foreign = site !== undefined && site !== 'same-origin';
    if (request.headers.origin === `http://${request.headers.host}` && !foreign) return undefined;
    return { status: 403, reason: 'This request did not come from the lab page.' };
  }
}
