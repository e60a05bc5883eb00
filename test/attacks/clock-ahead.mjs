// Preloaded into the unchanged product: at SIGUSR2 its wall clock jumps two hours ahead, as on a machine that slept.
const AHEAD_MS = 2 * 3_600_000;
const real = Date.now;
let ahead_ms = 0;
Date.now = () => real() + ahead_ms;
process.on('SIGUSR2', () => {
  ahead_ms += AHEAD_MS;
});
