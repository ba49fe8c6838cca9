import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

/** Runes for our own files only: some of the parts we use still carry components written before them. */
/** @type {import('@sveltejs/vite-plugin-svelte').SvelteConfig} */
export default {
  preprocess: vitePreprocess(),
  vitePlugin: {
    dynamicCompileOptions: ({ filename }) => (filename.includes('node_modules') ? undefined : { runes: true }),
  },
};
