import { describeStore } from './describe-store.ts';
import { sqlitePlace } from './store-place.ts';

describeStore('the store on SQLite', sqlitePlace);
