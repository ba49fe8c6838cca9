/**
 * A tensor of a dropped file, whatever wraps it (safetensors, a NumPy archive, a PyTorch zip): its name, shape and type are known, its bytes are
 * read when they are asked for. What comes out is row-major, contiguous and little-endian, so that whoever converts it need not know the wrapping.
 */
export type LooseDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

export interface LooseTensor {
  name: string;
  dtype: LooseDtype;
  /** Empty for a scalar. */
  shape: readonly number[];
  bytes: number;
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** What a file holds beside tensors, as far as it is plain data: configuration that travels in a checkpoint. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

export interface LooseFile {
  tensors: LooseTensor[];
  /** Scalars, strings and lists that stood beside the tensors, by dotted path. */
  plain: Readonly<Record<string, Plain>>;
}
