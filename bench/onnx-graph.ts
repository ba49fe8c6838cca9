/**
 * GPT-2 as an ONNX graph, from the standard's own operators (opset 17), so that the runtime under comparison gets nothing of ours but the
 * equations: hidden = embedding + position; per block x += attn(LN x), x += mlp(LN x); logits = LN(x)·Wteᵀ at the rows asked for.
 *
 * Inputs: ids [T] and positions [T] (int32), rows [R] (int32: where logits are wanted), mask [T, P + T] (0 or a large negative number),
 * past.{layer}.{key,value} [heads, P, dHead]. Outputs: logits [R, vocab], present.{layer}.{key,value} [heads, P + T, dHead].
 * Weights are external data, one "file" a tensor, handed over in memory: a protobuf message ends at 2 GB.
 * Source: the ONNX operator specification; GELU's tanh form is Hendrycks & Gimpel 2016, eq. 2.
 */
import { onnx } from 'onnx-proto';
import type { Shape, Weight } from './model';

const { DataType } = onnx.TensorProto;
const { AttributeType } = onnx.AttributeProto;
type Attributes = Readonly<Record<string, number | readonly number[]>>;

export const pastName = (layer: number, which: 'key' | 'value'): string => `past.${layer}.${which}`;
export const presentName = (layer: number, which: 'key' | 'value'): string => `present.${layer}.${which}`;

export interface OnnxModel {
  model: Uint8Array;
  externalData: { path: string; data: Uint8Array }[];
}

export function onnxModel(shape: Shape, weights: readonly Weight[]): OnnxModel {
  const graph = new GraphBuilder();
  for (const weight of weights) graph.external(weight);
  forward(graph, shape);
  const inputs = [
    valueInfo('ids', DataType.INT32, ['T']),
    valueInfo('positions', DataType.INT32, ['T']),
    valueInfo('rows', DataType.INT32, ['R']),
    valueInfo('mask', DataType.FLOAT, ['T', 'S']),
  ];
  const outputs = [valueInfo('logits', DataType.FLOAT, ['R', shape.vocab])];
  const dHead = shape.width / shape.heads;
  for (let layer = 0; layer < shape.layers; layer++)
    for (const which of ['key', 'value'] as const) {
      inputs.push(valueInfo(pastName(layer, which), DataType.FLOAT, [shape.heads, 'P', dHead]));
      outputs.push(valueInfo(presentName(layer, which), DataType.FLOAT, [shape.heads, 'S', dHead]));
    }
  const message = onnx.ModelProto.create({
    irVersion: 8,
    producerName: 'loupe-bench',
    opsetImport: [{ domain: '', version: 17 }],
    graph: { name: shape.name, node: graph.nodes, initializer: graph.initializers, input: inputs, output: outputs },
  });
  return {
    model: onnx.ModelProto.encode(message).finish(),
    externalData: weights.map(({ name, data }) => ({ path: name, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) })),
  };
}

function forward(g: GraphBuilder, { layers, width, heads }: Shape): void {
  const dHead = width / heads;
  const norm = (x: string, name: string): string =>
    g.node('LayerNormalization', [x, `${name}.weight`, `${name}.bias`], { axis: -1, epsilon: 1e-5 });
  const project = (x: string, name: string): string => g.node('Add', [g.node('MatMul', [x, `${name}.weight`]), `${name}.bias`]);
  const toHeads = g.ints('toHeads', [-1, heads, dHead]);
  const fromHeads = g.ints('fromHeads', [-1, width]);
  const thirds = g.ints('thirds', [width, width, width]);
  const scale = g.scalar('scale', 1 / Math.sqrt(dHead));
  let x = g.node('Add', [g.node('Gather', ['wte.weight', 'ids'], { axis: 0 }), g.node('Gather', ['wpe.weight', 'positions'], { axis: 0 })]);
  for (let layer = 0; layer < layers; layer++) {
    const h = `h.${layer}`;
    const qkv = project(norm(x, `${h}.ln_1`), `${h}.attn.c_attn`);
    const [q = '', k = '', v = ''] = g.split(qkv, thirds, 3).map((part) => g.node('Reshape', [part, toHeads]));
    const [query, key, value] = [q, k, v].map((part) => g.node('Transpose', [part], { perm: [1, 0, 2] })) as [string, string, string];
    const keys = g.node('Concat', [pastName(layer, 'key'), key], { axis: 1 }, presentName(layer, 'key'));
    const values = g.node('Concat', [pastName(layer, 'value'), value], { axis: 1 }, presentName(layer, 'value'));
    const scores = g.node('Mul', [g.node('MatMul', [query, g.node('Transpose', [keys], { perm: [0, 2, 1] })]), scale]);
    const pattern = g.node('Softmax', [g.node('Add', [scores, 'mask'])], { axis: -1 });
    const z = g.node('Reshape', [g.node('Transpose', [g.node('MatMul', [pattern, values])], { perm: [1, 0, 2] }), fromHeads]);
    x = g.node('Add', [x, project(z, `${h}.attn.c_proj`)]);
    const post = gelu(g, project(norm(x, `${h}.ln_2`), `${h}.mlp.c_fc`));
    x = g.node('Add', [x, project(post, `${h}.mlp.c_proj`)]);
  }
  const last = norm(g.node('Gather', [x, 'rows'], { axis: 0 }), 'ln_f');
  g.node('Gemm', [last, 'wte.weight'], { transB: 1 }, 'logits');
}

/** 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) */
function gelu(g: GraphBuilder, x: string): string {
  const cube = g.node('Mul', [g.node('Mul', [x, x]), x]);
  const inner = g.node('Add', [x, g.node('Mul', [cube, g.scalar('cubic', 0.044715)])]);
  const tanh = g.node('Tanh', [g.node('Mul', [inner, g.scalar('rootTwoOverPi', Math.sqrt(2 / Math.PI))])]);
  return g.node('Mul', [g.node('Mul', [x, g.node('Add', [tanh, g.scalar('one', 1)])]), g.scalar('half', 0.5)]);
}

class GraphBuilder {
  readonly nodes: onnx.INodeProto[] = [];
  readonly initializers: onnx.ITensorProto[] = [];
  private readonly constants = new Set<string>();
  private count = 0;

  node(opType: string, input: string[], attributes: Attributes = {}, output = `t${this.count++}`): string {
    this.push(opType, input, [output], attributes);
    return output;
  }

  split(x: string, sizes: string, parts: number): string[] {
    const output = Array.from({ length: parts }, () => `t${this.count++}`);
    this.push('Split', [x, sizes], output, { axis: -1 });
    return output;
  }

  private push(opType: string, input: string[], output: string[], attributes: Attributes): void {
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.nodes.push({ opType, name: `n${this.nodes.length}`, input, output, attribute });
  }

  ints(name: string, values: readonly number[]): string {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.constant({ name, dataType: DataType.INT64, dims: [values.length], rawData });
  }

  scalar(name: string, value: number): string {
    return this.constant({ name, dataType: DataType.FLOAT, dims: [], rawData: new Uint8Array(Float32Array.of(value).buffer) });
  }

  private constant(tensor: onnx.ITensorProto & { name: string }): string {
    if (!this.constants.has(tensor.name)) this.initializers.push(tensor);
    this.constants.add(tensor.name);
    return tensor.name;
  }

  external({ name, shape, data }: Weight): void {
    this.initializers.push({
      name,
      dataType: DataType.FLOAT,
      dims: [...shape],
      dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
      externalData: [
        { key: 'location', value: name },
        { key: 'offset', value: '0' },
        { key: 'length', value: String(data.byteLength) },
      ],
    });
  }
}

/** Whole numbers are ints, except where the operator wants a float. */
function attributeOf(name: string, value: number | readonly number[]): onnx.IAttributeProto {
  if (typeof value !== 'number') return { name, type: AttributeType.INTS, ints: [...value] };
  if (name === 'epsilon') return { name, type: AttributeType.FLOAT, f: value };
  return { name, type: AttributeType.INT, i: value };
}

function valueInfo(name: string, elemType: number, dims: readonly (number | string)[]): onnx.IValueInfoProto {
  const dim = dims.map((each) => (typeof each === 'number' ? { dimValue: each } : { dimParam: each }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}
