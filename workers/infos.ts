/** The shelf's records as the page is told of them. */
import type { EmbedderInfo, LensInfo, TextInfo } from './api';
import type { EmbedderRecord, LensRecord, TextRecord } from './contract';

export const textInfo = ({ id, name, format, files, documents }: TextRecord): TextInfo => ({
  id,
  name,
  format,
  bytes: files.reduce((sum, each) => sum + each.bytes, 0),
  ...(documents === undefined ? {} : { documents }),
});

export function embedderInfo({ id, name, files, pooling, maxTokens, stored }: EmbedderRecord): EmbedderInfo {
  return { id, name, bytes: files.reduce((sum, file) => sum + file.bytes, 0), pooling, maxTokens, stored };
}

export function lensInfo({ id, name, kind, model, layers, dModel, trained }: LensRecord): LensInfo {
  return { id, name, kind, model, layers, dModel, ...(trained && { trained }) };
}
