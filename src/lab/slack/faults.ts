// Faults that a test or a demo can order: what Slack does on a bad day. Each is used up by the calls it hits.

export type Fault =
  /** The call is carried out, then the connection breaks before the answer: the duplicate-post case. */
  | { kind: 'drop_after' }
  /** The connection breaks before anything happened. */
  | { kind: 'drop_before' }
  /** Slack answers with this HTTP status and does nothing. */
  | { kind: 'http'; status: number }
  /** 429 with Retry-After. */
  | { kind: 'ratelimit'; retry_after_s: number }
  /** A documented error word. */
  | { kind: 'error'; error: string }
  /** The call is carried out, the answer comes late. */
  | { kind: 'slow'; delay_ms: number };

interface Ordered {
  method: string;
  fault: Fault;
  left: number;
}

export class Faults {
  private orders: Ordered[] = [];

  /** The next `times` calls of this method (`*` = any) meet this fault. */
  next(method: string, fault: Fault, times = 1): void {
    this.orders.push({ method, fault, left: times });
  }

  clear(): void {
    this.orders = [];
  }

  take(method: string): Fault | undefined {
    const order = this.orders.find((candidate) => candidate.method === method || candidate.method === '*');
    if (!order) return undefined;
    order.left -= 1;
    if (order.left <= 0) this.orders = this.orders.filter((candidate) => candidate !== order);
    return order.fault;
  }
}
