/**
 * Starts the page: `window.lab` first, so that a script may wait for `lab.ready`; then the two workers, the session, and the
 * bench on top. Nothing here ever reloads the page.
 */
import * as Comlink from 'comlink';
import { mount } from 'svelte';
import type { Lab } from '../workers/api';
import type { EngineEvent } from '../workers/contract';
import type { LabError } from '../workers/errors';
import { spawnEngine, spawnFiles } from '../workers/entries';
import App from './App.svelte';
import { Bench } from './lab/bench.svelte';
import { createLab, type LabChange } from './lab/client';
import { DemoWorld } from './lab/demo';
import { deferred, labError, told } from './lab/jobs';
import { keepOffline } from './lab/offline';
import { noted, Quiet } from './lab/quiet';
import './styles/fonts.css';
import './styles/tokens.css';
import './styles/base.css';

declare global {
  interface Window {
    lab: Lab;
  }
}

/** Milliseconds after which a page that nobody touches has come to rest. */
const SETTLED = 1000;
/** … and how much longer those are waited for that somebody does touch. */
const PATIENCE = 15_000;
const sleep = (wait: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, wait));
const query = new URLSearchParams(location.search);
// A worker that cannot even start never answers: whoever waits for it is told here.
const engine = spawnEngine((error) => failed(error));
const files = spawnFiles((error) => failed(error));
const ready = deferred<undefined>();
const firstToken = deferred<undefined>();
const demo = new DemoWorld();

const quiet = new Quiet();
const lab = createLab({
  engine,
  files,
  demo,
  ready: ready.promise,
  changed: (change: LabChange) => bench.heard(change),
  pulled: (step) => {
    void quiet.during(step);
    step.then(
      () => firstToken.resolve(undefined),
      () => undefined,
    );
  },
});
const bench = new Bench(lab, quiet, demo, query.get('demo') !== 'none');
window.lab = noted(lab, quiet);

const target = document.getElementById('app') ?? document.body;
mount(App, { target, props: { bench } });

function failed(error: LabError): void {
  if (bench.machine.phase === 'starting') bench.machine.cannotRun(error);
  else bench.toasts.error(error);
  ready.reject(error);
}

async function start(): Promise<void> {
  const variants = query.get('variants');
  const options = { ...(query.get('limits') === 'default' ? { limits: 'default' as const } : {}), ...(variants ? { variants } : {}) };
  const events = Comlink.proxy((event: EngineEvent) => bench.heard({ kind: 'device', event }));
  const prepared = bench.prepare();
  try {
    bench.machine.device = await told(() => engine.start(options, events));
  } catch (thrown) {
    bench.machine.cannotRun(thrown);
    ready.reject(labError(thrown));
    return;
  }
  await prepared;
  await bench.restore();
  bench.machine.phase = 'ready';
  ready.resolve(undefined);
}

/** What is not needed for the first token comes after it, or when nobody asks for one. */
async function afterwards(): Promise<void> {
  await ready.promise.catch(() => undefined);
  // A script that never rests must not keep the site from being kept.
  const rest = sleep(SETTLED).then(() => Promise.race([quiet.wait(), sleep(PATIENCE)]));
  await Promise.race([rest, firstToken.promise]);
  const kept = keepOffline();
  await rest;
  await bench.visit.settled();
  bench.offline = await kept;
}

addEventListener('pagehide', () => bench.save());
document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && bench.save());
void start();
void afterwards();
