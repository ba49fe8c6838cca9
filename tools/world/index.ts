/** What checks, tests and trainers use of the world. */
export * from './claims';
export { corrupt } from './corrupt';
export { allLabels, contextualLabels, entityLabels, labelsPage, labelTokens } from './labels';
export { Random } from './random';
export { accepts, documents, sentences, writeDocument, type Document, type Sentence, type Span, type Split } from './world';
