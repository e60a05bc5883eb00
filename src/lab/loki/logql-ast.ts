/** The evaluated subset of LogQL as a tree. */
import type { Matcher } from '../prometheus/label-set.ts';

export type Comparison = '=' | '==' | '!=' | '>' | '>=' | '<' | '<=';

export type LabelTest =
  | { readonly kind: 'text'; readonly matcher: Matcher }
  | {
      readonly kind: 'number' | 'duration' | 'bytes';
      readonly label: string;
      readonly op: Comparison;
      readonly value: number;
    }
  | { readonly kind: 'and' | 'or'; readonly left: LabelTest; readonly right: LabelTest };

export interface JsonPath {
  readonly label: string;
  readonly keys: readonly string[];
}

export type Stage =
  /** Keeps a line by its text. */
  | { readonly kind: 'line'; readonly accepts: (line: string) => boolean }
  | { readonly kind: 'json' }
  /** Only the values at these paths, as labels of the given names. */
  | { readonly kind: 'json-paths'; readonly paths: readonly JsonPath[] }
  | { readonly kind: 'logfmt' }
  | { readonly kind: 'labels'; readonly test: LabelTest }
  /** Replaces the line; parts are literal text and label names. */
  | {
      readonly kind: 'format';
      readonly parts: readonly ({ readonly text: string } | { readonly label: string })[];
    };

export interface LogQuery {
  readonly kind: 'log';
  readonly matchers: readonly Matcher[];
  readonly stages: readonly Stage[];
}

export type RangeOperation = 'count_over_time' | 'rate' | 'bytes_over_time' | 'bytes_rate';
export type VectorOperation = 'sum' | 'avg' | 'min' | 'max' | 'count';

export type MetricQuery =
  | {
      readonly kind: 'range';
      readonly op: RangeOperation;
      readonly log: LogQuery;
      readonly range_ns: bigint;
      readonly offset_ns: bigint;
    }
  | {
      readonly kind: 'vector';
      readonly op: VectorOperation;
      readonly without: boolean;
      readonly labels: readonly string[];
      readonly inner: MetricQuery;
    }
  | {
      readonly kind: 'scalar-operation';
      readonly op: string;
      readonly bool: boolean;
      readonly scalar: number;
      readonly scalarFirst: boolean;
      readonly inner: MetricQuery;
    };

export type Query = LogQuery | MetricQuery;
