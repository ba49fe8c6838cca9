/** What every file keeps to. Types are checked by svelte-check; this holds what types cannot say, and the one-way rule of the house. */
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import tseslint from 'typescript-eslint';
import svelteConfig from './svelte.config.js';
import { oneWay } from './tools/lint/one-way.js';

export default tseslint.config(
  {
    ignores: [
      'build',
      'dist',
      'node_modules',
      '.cache',
      '.gpu',
      'bench/out',
      'test-results',
      'playwright-report',
      'tools/stubs',
      '**/vendor',
    ],
  },
  ...tseslint.configs.strict,
  ...svelte.configs.recommended,
  {
    plugins: { house: { rules: { 'one-way': oneWay } } },
    languageOptions: { globals: { ...globals.browser, ...globals.worker } },
    rules: {
      'house/one-way': 'error',
      // Promise.withResolvers<void>() is plain.
      '@typescript-eslint/no-invalid-void-type': 'off',
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
      'no-eval': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // TypeScript knows the names.
      'no-undef': 'off',
      'no-unused-vars': 'off',
    },
  },
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/only-throw-error': 'error',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: tseslint.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
    // Svelte's own form of prefer-const knows that props are declared with `let`. Stores replace their sets whole ($state.raw), never in part.
    rules: { 'prefer-const': 'off', 'svelte/prefer-const': 'error', 'svelte/prefer-svelte-reactivity': 'off' },
  },
  {
    files: ['tools/**', 'bench/**', 'tests/**', '*.config.{ts,js}'],
    languageOptions: { globals: globals.node },
    rules: { 'no-console': 'off' },
  },
);
