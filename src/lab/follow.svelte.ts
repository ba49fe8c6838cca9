/** When the page reads on its own account: the prompt, its shading, the residual norms, the instrument in sight; once things have been still for a moment. */
import type { Bench } from './bench.svelte';

export function followReading(bench: Bench): void {
  const { prompt, machine, dials, stream, lens, features, labels } = bench;
  $effect(() => {
    void [prompt.source, machine.model, machine.chat];
    const timer = setTimeout(() => void prompt.read(), 120);
    return () => clearTimeout(timer);
  });
  $effect(() => {
    if (!prompt.ids.length || stream.running) return;
    return bench.whenQuiet(350, () => prompt.shade());
  });
  $effect(() => {
    void dials.structure;
    const { ids } = prompt;
    if (stream.running || !machine.model) return;
    return bench.whenQuiet(350, () => bench.measure(ids));
  });
  $effect(() => {
    if (bench.instrument !== 'lens' || !machine.model || stream.running) return;
    void [prompt.tokens.length, prompt.ids, dials.structure, dials.live, dials.compare];
    void [lens.which, lens.tracked, lens.withText, lens.withText && stream.steps];
    return bench.whenQuiet(200, () => lens.run());
  });
  $effect(() => {
    if (bench.instrument !== 'features' || !features.working || stream.running) return;
    void [prompt.ids, dials.structure, dials.live, dials.compare];
    return bench.whenQuiet(200, () => features.run());
  });
  $effect(() => {
    // After a first text: what it cost to come does not stand between a person and the first word.
    if (!features.working || !features.live || features.heard !== undefined || stream.running || !stream.steps.length) return;
    return bench.whenQuiet(800, () => features.bring());
  });
  $effect(() => {
    const named = [features.dictionary?.id, features.beside?.id, ...dials.list.map(({ latent }) => latent?.dictionary)];
    return bench.whenQuiet(60, () => Promise.all(named.map(async (id) => (id === undefined ? undefined : labels.show(id)))));
  });
  $effect(() => {
    void features.latent;
    if (bench.instrument !== 'features' || !features.working) return;
    return bench.whenQuiet(80, () => features.look());
  });
}
